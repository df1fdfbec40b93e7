package RunNode;

# Makes NAME.test.mjs a test for prove: Node's test runner speaks TAP.
#
#     t/clients/NAME.t:  use RunNode;  RunNode::run();
#
# Skips, with the reason, where there is no Node 18 or its packages have not
# been installed by "npm ci" in t/clients.  A test that hangs is ended, with
# all that it started, for they are one process group.

use v5.36;

use Cwd ();
use File::Basename ();
use POSIX ();

my $timeout = 150;      # seconds between two lines: more than one test has
my $ended;


sub run {
    my ($name, $dir) = File::Basename::fileparse(Cwd::abs_path($0), '.t');
    my $node = $ENV{NODE} // 'node';
    my ($major) = (qx($node --version 2>/dev/null) // '') =~ /^v(\d+)/;

    skip('no node 18 or newer') if ($major // 0) < 18;
    skip('no packages: "npm ci" in t/clients brings them')
        if !-d "${dir}node_modules";

    chdir "$dir../.." or die "chdir: $!";

    my $pid = open(my $tap, '-|') // die "fork: $!";

    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        exec $node, qw(--no-warnings --test --test-reporter=tap),
            "t/clients/$name.test.mjs" or die "$node: $!";
    }

    $SIG{INT} = $SIG{TERM} = $SIG{ALRM} = sub ($signal) {
        print STDERR "# ended by SIG$signal\n";
        $ended = 1;
        kill 'TERM', -$pid;
        alarm 5;
        $SIG{ALRM} = sub { kill 'KILL', -$pid };
    };

    alarm $timeout;
    relay($tap);
    alarm 0;
    close $tap;
    exit($? >> 8 || ($? ? 1 : 0));
}


# Node writes more of YAML than TAP::Parser reads, so what it tells of a
# failure becomes a comment, and what it tells of a success is left out.

sub relay ($tap) {
    my ($failed, $yaml);

    $| = 1;

    while (my $line = <$tap>) {
        alarm $timeout if !$ended;

        if ($line =~ /^\s*---$/) {
            $yaml = 1;

        } elsif ($line =~ /^\s*\.\.\.$/) {
            $yaml = 0;

        } elsif ($yaml) {
            print STDERR "# $line" if $failed;

        } else {
            $failed = $line =~ /^\s*not ok\b/;
            print STDERR "# $line" if $failed;
            print $line;
        }
    }
}


sub skip ($why) {
    say "1..0 # SKIP $why";
    exit 0;
}


1;
