# docs/guide.md: its files are taken as they stand, its commands are run in
# their order, and they print what the page shows.  A "curl -N" goes on beside
# the others; until the end of its section it must have printed its part.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Guide;

RT->need('realtime_pass');
plan skip_all => 'no curl' if !qx(curl --version 2>/dev/null);
plan skip_all => 'no realtimed' if !-x RT::build_dir() . '/realtimed';

my $guide = RT::Guide->new;
my $dir = $guide->{dir};


# "..." as one character is any text; white space at the end does not count

sub pattern ($output) {
    $output =~ s/\s+\z//;
    my $all = join '.*?', map { quotemeta } split /…/, $output, -1;
    return qr/\A$all/s;
}


sub runs ($command, $output) {
    open my $fh, '>', "$dir/command" or die "$dir/command: $!";
    print $fh $guide->moved($command);
    close $fh;

    my $said = qx(sh $dir/command 2>$dir/stderr) =~ s/\r//gr;
    like($said, qr/@{[pattern($output)]}\s*\z/, $command)
        or diag RT::Guide::text("$dir/stderr"), $guide->log;
}


# A stream, which has begun when its first id has come.

sub listens ($command, $output) {
    my $pid = open my $fh, '-|', 'exec ' . $guide->moved($command)
        . " 2>$dir/stderr" or die "$command: $!";
    my $stream = { pid => $pid, fh => $fh, said => '', output => $output,
                   command => $command };

    $fh->blocking(0);
    ok(wait_for(sub { heard($stream) =~ /^id: .*\n/m }), "begins: $command");
    return $stream;
}


sub heard ($stream) {
    sysread $stream->{fh}, $stream->{said}, 65536, length $stream->{said};
    return $stream->{said};
}


sub ends ($stream) {
    my $pattern = pattern($stream->{output});

    ok(wait_for(sub { heard($stream) =~ $pattern }, 10),
       "got all: $stream->{command}")
        or diag "$stream->{said}\nis not\n$stream->{output}";
    kill TERM => $stream->{pid};
    close $stream->{fh};
}


for my $section ($guide->sections) {
    next if !@{ $section->{files} };
    $guide->follow($section);

    my @streams;
    for (@{ $section->{commands} }) {
        my ($command, $output) = @$_{qw(command output)};
        if ($command =~ /^curl -N /) {
            push @streams, listens($command, $output);
        } else {
            runs($command, $output);
        }
    }
    ends($_) for @streams;
}

$guide->finish;

done_testing();
