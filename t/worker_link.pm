package worker_link;

# The daemon alone: started, killed, spoken to over its socket in the frames
# of worker/rt_wire.h.

use v5.36;

use Exporter 'import';
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use IO::Socket::UNIX;
use RT::Guard;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(frame parse build_dir %TYPE %FIELD);

our %TYPE = (hello => 1, command => 2, query => 3, reply => 4, publish => 5,
    confirm => 6, subscribe => 7, event => 8, unsubscribe => 9, gone => 10,
    status => 11, snapshot => 12, ping => 13, pong => 14, close => 15,
    audience => 16, watchers => 17, notice => 18);

our %FIELD = (protocol => 1, frame_max => 2, inflight => 3, epoch => 5,
    position => 6, index => 7, zone_epoch => 8, window => 9,
    connection => 10, expect => 11, timeout => 12, status => 13,
    version => 14, retry => 15, from => 17, engine => 32, entity => 33,
    name => 34, key => 35, user => 36, args => 38, body => 39, topic => 40,
    event => 41, type => 42, zone => 43);

my %type_name = reverse %TYPE;
my %field_name = reverse %FIELD;


sub build_dir { return $ENV{RT_BUILD} // "$FindBin::Bin/../build" }


sub frame ($type, $id, %fields) {
    my $body = '';
    for my $name (sort { $FIELD{$a} <=> $FIELD{$b} } keys %fields) {
        my $tag = $FIELD{$name} // die "no field $name";
        my $value = $tag < 32 ? pack 'Q<', $fields{$name} : $fields{$name};
        $body .= pack('V', $tag | length($value) << 8) . $value;
    }
    return pack('VCCvQ<', 16 + length $body, $TYPE{$type}, 0, 0, $id) . $body;
}


# Takes whole frames off the front of a buffer.

sub parse ($buffer) {
    my @frames;
    while (length $$buffer >= 16) {
        my ($size, $type, $flags, undef, $id) = unpack 'VCCvQ<', $$buffer;
        last if length $$buffer < $size;
        my $rest = substr $$buffer, 16, $size - 16;
        substr $$buffer, 0, $size, '';
        my %f = (frame => $type_name{$type}, flags => $flags, id => $id);
        while (length $rest) {
            my $word = unpack 'V', $rest;
            my ($tag, $length) = ($word & 0xff, $word >> 8);
            my $value = substr $rest, 4, $length;
            substr $rest, 0, 4 + $length, '';
            $f{$field_name{$tag} // $tag}
                = $tag < 32 ? unpack 'Q<', $value : $value;
        }
        push @frames, \%f;
    }
    return @frames;
}


sub new ($class, %o) {
    my $dir = $o{dir} // File::Temp::tempdir('rt_worker_XXXXXX', TMPDIR => 1,
        CLEANUP => 1);
    my $self = bless { dir => $dir, data => "$dir/data",
        socket => "$dir/s", log => "$dir/log", conf => $o{conf} // '',
        allowed => $o{allowed} // [] }, $class;
    open my $fh, '>', "$dir/conf" or die "$dir/conf: $!";
    print $fh "[realtimed]\nlisten = unix:$dir/s\ndata = $dir/data\n",
        "log = $dir/log\nlog_level = info\n",
        "[limits]\nuser_commands = 0\n[realtimed]\n$self->{conf}";
    close $fh;
    return $self;
}


# perhaps by another command, which becomes it

sub start ($self, @command) {
    @command = (build_dir() . '/realtimed', '-c', "$self->{dir}/conf")
        if !@command;

    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        exec @command;
        die "exec: $!";
    }
    $self->{pid} = $pid;
    $self->{guard} = RT::Guard->new($pid, $self->{dir});
    return $self;
}


sub stop ($self, $signal = 'TERM') {
    my $pid = delete $self->{pid} // return;
    kill $signal, $pid;
    waitpid $pid, 0;
    my $status = $?;
    my $guard = delete $self->{guard};
    $guard->leave if $guard;        # gone already when all ends
    return $status;
}


sub DESTROY ($self) {
    local $?;
    $self->stop('KILL');
}


sub ctl ($self, @args) {
    open my $fh, '-|', build_dir() . '/realtimectl', '-c',
        "$self->{dir}/conf", @args or die "realtimectl: $!";
    local $/;
    my $out = <$fh> // '';
    close $fh;
    return ($? >> 8, $out);
}


sub connect ($self, $seconds = 20) {
    my $until = time + $seconds;
    while (time < $until) {
        my $s = IO::Socket::UNIX->new(Peer => $self->{socket});
        if ($s) {
            $s->blocking(0);
            return worker_link::client->new($s);
        }
        sleep 0.01;
    }
    die "realtimed does not listen";
}


sub log_text ($self) {
    open my $fh, '<', $self->{log} or return '';
    local $/;
    return <$fh> // '';
}


package worker_link::client;

use v5.36;
use Time::HiRes qw(time);

use Errno qw(EAGAIN EINTR);


sub new ($class, $socket) {
    return bless { s => $socket, in => '', out => '', frames => [], id => 0 },
        $class;
}


sub send ($self, $type, $id, %fields) {
    $self->{out} .= worker_link::frame($type, $id, %fields);
    return $self->flush;
}


sub raw ($self, $bytes) { $self->{out} .= $bytes; return $self->flush }


sub flush ($self) {
    local $SIG{PIPE} = 'IGNORE';
    while (length $self->{out}) {
        my $n = syswrite $self->{s}, $self->{out};
        last if !defined $n;
        substr $self->{out}, 0, $n, '';
    }
    return $self;
}


# Frames that have come, waiting at most that long for the first; undef at the
# end of the connection.

sub frames ($self, $wait = 0) {
    my @frames;
    my $until = time + $wait;
    while (1) {
        $self->flush;
        my $n = sysread $self->{s}, $self->{in}, 262144, length $self->{in};
        my $error = defined $n ? 0 : $! + 0;
        push @frames, worker_link::parse(\$self->{in});
        return \@frames if @frames;
        if ($error && $error != EAGAIN && $error != EINTR
            or defined $n && !$n)
        {
            return undef;
        }
        my $left = $until - time;
        return \@frames if $left <= 0;
        my $bits = '';
        vec($bits, fileno $self->{s}, 1) = 1;
        my $write = length $self->{out} ? $bits : undef;
        select $bits, $write, undef, $left < 0.05 ? $left : 0.05;
    }
}


sub hello ($self, %fields) {
    $self->send('hello', 0, protocol => 1, frame_max => 1048576, %fields);
    my $frames = $self->frames(20) // return;
    $self->{hello} = shift @$frames;
    push @{ $self->{frames} }, @$frames;
    return $self->{hello};
}


# One question, its answer; what else comes is kept.

sub ask ($self, $type, %fields) {
    my $id = ++$self->{id} + 1e9;
    $self->send($type, $id, %fields);
    my $until = time + 20;
    while (time < $until) {
        my $frames = $self->frames(1) // return;
        for my $i (0 .. $#$frames) {
            next if $frames->[$i]{frame} !~ /^(?:reply|pong)$/
                or $frames->[$i]{id} != $id;
            my ($answer) = splice @$frames, $i, 1;
            push @{ $self->{frames} }, @$frames;
            return $answer;
        }
        push @{ $self->{frames} }, @$frames;
    }
    return;
}


sub command ($self, $entity, $name, $body = '{}', %more) {
    return $self->ask('command', engine => 'auction', entity => $entity,
        name => $name, body => $body, %more);
}


sub query ($self, $entity, $name, $args = '', %more) {
    return $self->ask('query', engine => 'auction', entity => $entity,
        name => $name, args => $args, %more);
}


1;
