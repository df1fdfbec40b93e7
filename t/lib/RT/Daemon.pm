package RT::Daemon;

# realtimed for a test: its own directory, started and killed at will.
#
#     my $d = RT::Daemon->new;
#     my $rt = RT->new(http => $d->worker, server => RT::Daemon::locations());
#     $d->kill; $d->start; $d->stop;
#
# Options: data, socket (of another one), conf (lines for the file).

use v5.36;

use File::Path ();
use File::Temp ();
use POSIX ();
use Test::More ();
use Time::HiRes;

use RT::Guard;
use RT::Loop;

my @all;


sub program { return RT::build_dir() . '/realtimed' }


sub need ($class) {
    Test::More::plan(skip_all => 'no realtimed') if !-x program();
    RT->need('realtime_pass');
}


sub new ($class, %o) {
    my $dir = File::Temp::tempdir('rt-daemon-XXXXXX', TMPDIR => 1);
    my $self = bless { dir => $dir, %o }, $class;
    $self->{socket} //= "$dir/s";
    push @all, $self;

    open my $f, '>', "$dir/conf" or die "$dir/conf: $!";
    print $f "[realtimed]\nlisten = unix:$self->{socket}\n",
        "data = $dir/data\nlog = $dir/log\nlog_level = info\n",
        "[limits]\nuser_commands = 0\n",
        "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n", $o{conf} // '';
    close $f;

    return $self->start;
}


sub start ($self) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/out";
        open STDERR, '>>', "$self->{dir}/out";
        { exec program(), '-c', "$self->{dir}/conf" }
        POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    $self->{guard} = RT::Guard->new($pid, $self->{dir});
    RT::Loop::wait_for(sub {
        return $self->log =~ /\[notice\] $pid: \S+ listens on/;
    }, $RT::timeout) or die 'realtimed does not start: ' . $self->log;
    return $self;
}


sub signal ($self, $name) { return kill $name, $self->{pid} }


sub kill ($self) { return $self->stop('KILL') }


# The exit status; 0 for none.  It is told to go on before it is told to end: at
# its end LeakSanitizer stops it, and a SIGCONT would undo that.

sub stop ($self, $name = 'TERM') {
    my $pid = delete $self->{pid} // return 0;
    my $guard = delete $self->{guard};
    CORE::kill 'CONT', $pid;
    CORE::kill $name, $pid;

    my $ended = RT::Loop::wait_for(sub {
        return waitpid($pid, POSIX::WNOHANG()) == $pid;
    }, 2 * $RT::timeout);
    my $status = $?;

    if (!$ended) {
        Test::More::diag("realtimed hangs at SIG$name");
        CORE::kill 'KILL', $pid;
        waitpid $pid, 0;
        $status = $?;
    }
    $guard->leave;
    return $name eq 'KILL' && $ended ? 0 : $status;
}


sub log ($self) {
    open my $f, '<', "$self->{dir}/log" or return '';
    local $/;
    return <$f> // '';
}


sub out ($self) {
    open my $f, '<', "$self->{dir}/out" or return '';
    local $/;
    return <$f> // '';
}


sub address ($self) { return "unix:$self->{socket}" }


sub worker ($self, @more) {
    return join(' ', 'realtime_worker main', map $_->address, $self, @more)
        . ';';
}


sub locations {
    return <<'EOF_L';
        location ~ ^/auction/([^/]+)/ws$ {
            realtime_pass main engine=auction entity=$1 user=$arg_user;
            realtime_subscribe auction/$1;
        }
        location ~ ^/quick/([^/]+)/(\w+)$ {
            realtime_pass main engine=auction entity=$1 command=$2
                user=$http_x_user timeout=300ms;
        }
        location ~ ^/alone/([^/]+)/ws$ {
            realtime_pass main engine=auction entity=$1 user=$arg_user;
        }
        location ~ ^/auction/([^/]+)/(\w+)$ {
            realtime_pass main engine=auction entity=$1 command=$2
                user=$http_x_user;
        }
EOF_L
}


# what a sanitizer or an assertion has said, and the directory

sub END_ALL {
    for my $self (@all) {
        my $status = $self->stop;
        my $out = $self->out;
        Test::More::ok($status == 0 && $out !~ /Sanitizer|runtime error/,
                       'realtimed ends cleanly')
            or Test::More::diag("status $status\n", $out, $self->log);
        File::Path::remove_tree($self->{dir});
    }
    @all = ();
}


END {
    local $?;
    for my $self (@all) {
        $self->stop('KILL');
        File::Path::remove_tree($self->{dir});
    }
}


1;
