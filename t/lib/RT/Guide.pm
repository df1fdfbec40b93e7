package RT::Guide;

# docs/guide.md, as a reader would follow it: its files below a directory of
# its own, its ports exchanged for free ones, an nginx and a realtimed.
#
#     my $guide = RT::Guide->new;
#     for my $section ($guide->sections) {
#         $guide->follow($section);            # files, start or reload
#         say for @{ $section->{commands} };   # { command, output }
#     }
#
# The page has three kinds of blocks: a file is preceded by a line that is its
# name alone; "console" has commands after "$" and what they print; "sh" is for
# the reader's machine only and is not run here.

use v5.36;

use Cwd ();
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Test::More ();
use RT;

my $top = Cwd::abs_path("$FindBin::Bin/" . ($FindBin::Bin =~ m{/clients$}
                                            ? '../..' : '..'));
my @all;


sub text ($file) {
    open my $fh, '<', $file or die "$file: $!";
    local $/;
    return <$fh>;
}


sub new ($class) {
    my $dir = File::Temp::tempdir('rt-guide-XXXXXX', TMPDIR => 1);
    my $self = bless { dir => $dir, owner => $$, pids => [] }, $class;

    push @all, $self;
    $self->{text} = text("$top/docs/guide.md");

    # bound, so that nobody else gets them; nginx does
    for my $port (sort keys { map { $_ => 1 }
                              $self->{text} =~ /\b127\.0\.0\.1:(\d+)/g }->%*) {
        $self->{held}{$port} =
            IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1',
                                  ReuseAddr => 1) or die "no port: $!";
    }

    File::Path::make_path(map { "$dir/$_" } qw(etc/nginx/conf.d temp var/www
                                               run/realtime run/realtimed));
    return $self;
}


sub port ($self, $port) { return $self->{held}{$port}->sockport }


# where the reader's machine has it -> where this test has it

sub moved ($self, $text) {
    $text =~ s{\b127\.0\.0\.1:(\d+)}{'127.0.0.1:' . $self->port($1)}ge;
    $text =~ s{(?<![\w.])(/(?:run|var/www|var/lib|etc)/)}{$self->{dir}$1}g;
    return $text;
}


# Each: title, files [ name, text ], commands [ { command, output } ].

sub sections ($self) {
    my @sections;

    for my $part (split /^(?=## )/m, $self->{text}) {
        my ($title) = $part =~ /^## (.+)/ or next;
        my @files = $part =~ /^`(\/\S+)`:\n\n```\w*\n(.*?)^```$/msg;
        my @commands;

        for my $block ($part =~ /^```console\n(.*?)^```$/msg) {
            $block =~ s/(?:\\|\|)\K\n\s+/ /g;
            $block =~ s/\\ / /g;
            for (split /^(?=\$ )/m, $block) {
                my ($command, $output) = /^\$ ([^\n]+)\n(.*)/s;
                push @commands, { command => $command, output => $output };
            }
        }

        push @sections, {
            title => $title, commands => \@commands,
            files => [ map { [ @files[$_ * 2, $_ * 2 + 1] ] }
                       0 .. @files / 2 - 1 ]
        };
    }

    return @sections;
}


sub write_file ($self, $name, $text) {
    my $file = $self->{dir} . $name;

    File::Path::make_path(File::Basename::dirname($file));
    open my $fh, '>', $file or die "$file: $!";
    print $fh $self->moved($text);
    close $fh or die "$file: $!";
}


sub follow ($self, $section) {
    $self->write_file(@$_) for @{ $section->{files} };

    my $conf = join '', map { $_->[1] } @{ $section->{files} };

    $self->start_daemon if $conf =~ /realtime_worker/;
    $self->{started} ? kill(HUP => $self->{nginx}) : $self->start_nginx;

    for my $address ($self->moved($conf) =~ /^\s*listen\s+([^\s;]+)/mg) {
        my ($unix) = $address =~ /^unix:(.*)/;
        my $there = sub {
            return $unix ? IO::Socket::UNIX->new(Peer => $unix)
                         : IO::Socket::INET->new(PeerAddr => $address);
        };
        Test::More::ok(RT::wait_for($there),
                       "$section->{title}: $address listens")
            or Test::More::diag($self->log);
    }

    $self->linked if $conf =~ /realtime_worker/;
}


sub start ($self, @command) {
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/said";
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    push @{ $self->{pids} }, $pid;
    return $pid;
}


# what Debian's nginx.conf has around conf.d, and what a test needs

sub start_nginx ($self) {
    my $dir = $self->{dir};
    my $module = Cwd::abs_path(RT::module());
    my $user = $> ? '' : 'user root root;';
    my $temp = join ' ', map { "${_}_temp_path $dir/temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    $self->write_file('/etc/mime.types', text('/etc/nginx/mime.types'));

    open my $fh, '>', "$dir/nginx.conf" or die "$dir/nginx.conf: $!";
    print $fh <<"EOF_C";
load_module $module;
$user
daemon off;
worker_processes 2;
error_log $dir/error.log warn;
pid $dir/nginx.pid;

events { worker_connections 768; }

http {
    include $dir/etc/mime.types;
    default_type application/octet-stream;
    access_log off;
    gzip on;
    $temp
    realtime_drain 1s;
    include $dir/etc/nginx/conf.d/*.conf;
}
EOF_C
    close $fh;

    $self->{nginx} = $self->start(RT::nginx(), '-p', "$dir/", '-e', 'stderr',
                                  '-c', "$dir/nginx.conf");
    $self->{started} = 1;
}


# with the file that the guide installs, but as whoever runs the test

sub start_daemon ($self) {
    my $conf = text("$top/conf/realtimed.conf") =~ s/^group = .*\n//mr;

    File::Path::make_path("$self->{dir}/var/lib");
    $self->write_file('/etc/realtimed.conf', $conf);
    $self->start(Cwd::abs_path(RT::build_dir()) . '/realtimed', '-c',
                 "$self->{dir}/etc/realtimed.conf");

    my $socket = "$self->{dir}/run/realtimed/realtimed.sock";
    Test::More::ok(RT::wait_for(sub { -S $socket }), 'realtimed listens')
        or Test::More::diag($self->log);
}


# nginx has found the daemon: an auction that is not there is 404, not 503

sub linked ($self) {
    my $url = $self->moved('http://127.0.0.1:8083/auction/none/state');

    Test::More::ok(RT::wait_for(sub {
        return qx(curl -s -o /dev/null -w '%{http_code}' $url) eq '404';
    }), 'nginx and realtimed are linked') or Test::More::diag($self->log);
}


sub log ($self) {
    return join '', map { -e "$self->{dir}/$_" ? text("$self->{dir}/$_") : () }
        qw(said error.log);
}


# Ends what was started, looks into the log, and removes the directory.

sub finish ($self) {
    for my $pid (reverse @{ $self->{pids} }) {
        kill TERM => $pid;
        RT::wait_for(sub { waitpid($pid, POSIX::WNOHANG()) != 0 });
    }
    $self->{pids} = [];

    my @faults = grep { /\[(?:alert|emerg|error|crit)\]|Sanitizer|runtime err/
                        && !/access forbidden by rule|No such file/ }
        split /\n/, $self->log;
    Test::More::is("@faults", '', 'nothing is wrong in the logs');
}


END {
    my $status = $?;

    for my $self (@all) {
        next if $self->{owner} != $$;
        kill KILL => -$_ for @{ $self->{pids} };
        File::Path::remove_tree($self->{dir}) if !$ENV{RT_KEEP};
    }
    $? = $status;
}


1;
