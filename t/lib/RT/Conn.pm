package RT::Conn;

# A connection that speaks HTTP/1: writes requests, reads any number of
# responses, pipelined or not, and tells its children (SSE, stream, poll,
# WebSocket) of heads, body bytes and ends.

use v5.36;

use IO::Socket::INET;
use IO::Socket::SSL;
use JSON::PP;
use MIME::Base64 ();
use Scalar::Util ();
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);

use RT::Loop;
use RT::Response;

my $json = JSON::PP->new->utf8;


# Options: port, tls, pid (a connection to that very process), rcvbuf, fh (an
# open handle to read from, in place of a connection).

sub new ($class, $rt, %o) {
    my $self = bless {
        rt => $rt, in => '', out => '', methods => [], responses => [],
        eof => 0, paused => 0, items => [], opt => \%o,
    }, $class;

    if ($o{fh}) {
        $self->{sock} = $o{fh};
        $self->{sock}->blocking(0);

    } elsif ($o{pid}) {
        $self->{sock} = $self->_socket_to($o{pid});

    } else {
        $self->{sock} = $self->_socket;
    }

    RT::Loop::add($self);
    return $self;
}


sub _socket ($self) {
    my %o = $self->{opt}->%*;
    my $port = $o{port} // $self->{rt}{ $o{tls} ? 'tls_port' : 'port' };

    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;
    connect $s, pack_sockaddr_in($port, inet_aton('127.0.0.1'))
        or die "connect: $!\n";

    bless $s, 'IO::Socket::INET';
    if ($o{tls}) {
        IO::Socket::SSL->start_SSL($s, SSL_verify_mode => SSL_VERIFY_NONE,
                                   SSL_hostname => 'localhost', Timeout => 20)
            or die "tls: $SSL_ERROR\n";
    }
    $s->blocking(0);
    return $s;
}


# The kernel deals connections out to the processes, so we ask each one whose
# it is, and keep the one we want.  One that the kernel gave to a stopped
# process gets no answer: then we try another.

sub _socket_to ($self, $pid) {
    my %o = $self->{opt}->%*;
    delete $o{pid};

    for (1 .. 400) {
        my $c = RT::Conn->new($self->{rt}, %o);
        my $r = $c->ask('GET', '/pid', [], undef, 2);
        if ($r->body eq $pid) {
            RT::Loop::remove($c);
            return delete $c->{sock};
        }
        $c->close;
    }
    die "no connection to process $pid";
}


sub wants_read ($self) { return !$self->{paused} && !$self->{eof} }


sub wants_write ($self) { return length $self->{out} }


sub has_pending ($self) {
    return 0 if ref $self->{sock} ne 'IO::Socket::SSL';
    return $self->{sock}->pending;
}


# A reader that stops reading, and one that goes on: then with room, for into a
# small buffer the kernel may send 2 kB each 0.2 s only (its persist timer).

sub pause ($self) {
    $self->_buffer($self->{opt}{rcvbuf}) if $self->{opt}{rcvbuf};
    $self->{paused} = 1;
}


sub resume ($self, $rcvbuf = 1 << 18) {
    $self->_buffer($rcvbuf) if $self->{opt}{rcvbuf};
    $self->{paused} = 0;
}


sub _buffer ($self, $size) {
    setsockopt $self->{sock}, SOL_SOCKET, SO_RCVBUF, $size if $self->{sock};
}


sub write ($self, $bytes) {
    return if $self->{opt}{fh};
    $self->{out} .= $bytes;
    $self->flush;
}


sub flush ($self) {
    local $SIG{PIPE} = 'IGNORE';

    while (length $self->{out} && $self->{sock}) {
        my $n = syswrite $self->{sock}, $self->{out};
        if (!defined $n) {
            return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            $self->{out} = '';
            return;
        }
        substr($self->{out}, 0, $n) = '';
    }
}


sub readable ($self) {
    for (1 .. 16) {
        last if $self->{paused};
        my $n = sysread $self->{sock}, $self->{in}, 65536, length $self->{in};
        if (!defined $n) {
            last if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
            $self->{reset} = "$!";
            $n = 0;
        }
        if ($n == 0) {
            $self->{eof} = 1;
            last;
        }
        $self->parse;
    }

    if ($self->{eof}) {
        $self->parse;
        $self->_ended;
    }
}


sub _ended ($self) {
    my $r = $self->{res};
    if ($r && !$r->{done} && $r->{mode} eq 'eof') {
        $self->_done($r);
    } elsif ($r && !$r->{done} && $r->{mode} ne 'upgraded') {
        $r->{cut} = 1;                   # the peer went in the middle
    }
    $self->on_eof;
    $self->{opt}{fh} ? RT::Loop::remove($self) : $self->close;
}


sub close ($self) {
    RT::Loop::remove($self);
    $self->{eof} = 1;
    my $s = delete $self->{sock} or return;
    kill 'TERM', $self->{opt}{child} if $self->{opt}{child};
    if (ref $s eq 'IO::Socket::SSL') {
        $s->close(SSL_fast_shutdown => 1);
    } else {
        close $s;
    }
}


# closes with a reset

sub abort ($self) {
    if ($self->{sock} && !$self->{opt}{fh}) {
        setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    }
    $self->close;
}


sub request_bytes ($self, $method, $uri, $headers = [], $body = undef) {
    my @h = @$headers;
    my %given = map { lc $_ => 1 } @h[ grep { $_ % 2 == 0 } 0 .. $#h ];

    unshift @h, Host => 'localhost' if !$given{host};
    if (defined $body && !$given{'content-length'}
        && !$given{'transfer-encoding'})
    {
        push @h, 'Content-Length' => length $body;
    }

    my $text = "$method $uri HTTP/1.1\r\n";
    while (my ($name, $value) = splice @h, 0, 2) {
        $text .= length $value ? "$name: $value\r\n" : "$name:\r\n";
    }
    return $text . "\r\n" . ($body // '');
}


sub request ($self, $method, $uri, $headers = [], $body = undef) {
    push @{ $self->{methods} }, $method;
    $self->write($self->request_bytes($method, $uri, $headers, $body));
}


# the next complete response; one with status 0 if none came

sub response ($self, $seconds = $RT::timeout) {
    RT::Loop::wait_for(sub { @{ $self->{responses} } || $self->{eof} },
                       $seconds);
    return shift @{ $self->{responses} } // RT::Response->none;
}


sub ask ($self, $method, $uri, $headers = [], $body = undef,
         $seconds = $RT::timeout)
{
    $self->request($method, $uri, $headers, $body);
    return $self->response($seconds);
}


# the end of a stream: of its response, or of the connection

sub ended ($self) { return $self->{eof} || $self->{res} && $self->{res}{done} }


sub wait_end ($self, $seconds = $RT::timeout) {
    return RT::Loop::wait_for(sub { $self->ended }, $seconds);
}


sub wait_eof ($self, $seconds = $RT::timeout) {
    return RT::Loop::wait_for(sub { $self->{eof} }, $seconds);
}


sub parse ($self) {
    while (1) {
        my $r = $self->{res};

        if (!$r || $r->{done}) {
            $r = $self->_head or return;
            next if $r eq 'informational';
            $self->{res} = $r;
            $self->on_head($r);
        }

        if ($r->{mode} eq 'upgraded') {
            $self->on_bytes;
            return;
        }

        return if !$self->_body($r);
        $self->_done($r);
    }
}


sub _head ($self) {
    my $end = index $self->{in}, "\r\n\r\n";
    return if $end < 0;
    my $head = substr $self->{in}, 0, $end + 4, '';

    my ($first, @lines) = split /\r\n/, $head;
    my ($version, $status, $reason) =
        $first =~ m{^HTTP/(\d(?:\.\d)?) (\d+) ?(.*)$};
    if (!$status) {
        $self->{in} = '';
        $status = 0;
    }

    if ($status >= 100 && $status < 200 && $status != 101) {
        push @{ $self->{informational} }, $status;
        return 'informational';
    }

    my $r = RT::Response->new($status, $head, @lines);
    my $method = shift @{ $self->{methods} } // '';

    if ($status == 101) {
        $r->{mode} = 'upgraded';
    } elsif ($method eq 'HEAD' || $status == 204 || $status == 304) {
        $r->{mode} = 'none';
    } elsif (($r->header('Transfer-Encoding') // '') =~ /chunked/i) {
        $r->{mode} = 'chunked';
    } elsif ($version ne '2' && defined $r->header('Content-Length')) {
        $r->{mode} = 'length';
        $r->{left} = $r->header('Content-Length');
    } else {
        $r->{mode} = 'eof';
    }

    return $r;
}


# true when the body is complete

sub _body ($self, $r) {
    my $in = \$self->{in};

    if ($r->{mode} eq 'none') {
        return 1;
    }

    if ($r->{mode} eq 'eof') {
        $self->_bytes($r, substr $$in, 0, length $$in, '');
        return 0;
    }

    if ($r->{mode} eq 'length') {
        my $bytes = substr $$in, 0, $r->{left}, '';
        $r->{left} -= length $bytes;
        $self->_bytes($r, $bytes);
        return $r->{left} == 0;
    }

    while (1) {
        if ($r->{left}) {
            return 0 if !length $$in;
            my $bytes = substr $$in, 0, $r->{left}, '';
            $r->{left} -= length $bytes;
            $r->{crlf} = 1 if !$r->{left};
            $self->_bytes($r, $bytes);
        }
        if ($r->{crlf}) {
            return 0 if length $$in < 2;
            substr($$in, 0, 2, '') eq "\r\n" or $r->{broken} = 'chunk end';
            $r->{crlf} = 0;
        }
        next if $r->{left};

        if ($r->{last}) {
            return 0 if $$in !~ s/^\r\n//;
            return 1;
        }
        $$in =~ s/^([0-9A-Fa-f]+)[^\r\n]*\r\n// or return 0;
        $r->{left} = hex $1;
        $r->{last} = 1 if !$r->{left};
    }
}


sub _bytes ($self, $r, $bytes) {
    return if !length $bytes;
    $r->{body} .= $bytes;
    $self->on_body($r, $bytes);
}


sub _done ($self, $r) {
    $r->{done} = 1;
    push @{ $self->{responses} }, $r;
    $self->on_done($r);
}


# for the children

sub on_head ($self, $r) { }
sub on_body ($self, $r, $bytes) { }
sub on_done ($self, $r) { }
sub on_bytes ($self) { }
sub on_eof ($self) { }


# What subscribed clients share.  open() returns when the subscription is told
# of, unless "nowait".

sub open ($class, $rt, $uri, %o) {
    my $self = $class->new($rt, %o);
    $self->{uri} = $uri;
    $self->start($uri, %o);
    $self->wait_open unless $o{nowait};
    return $self;
}


sub id_headers ($self, %o) {
    return (defined $o{id} ? ('Last-Event-ID' => $o{id}) : (),
            $o{headers} ? @{ $o{headers} } : ());
}


sub wait_open ($self) {
    return RT::Loop::wait_for(sub { $self->{eof} || $self->opened },
                              $RT::timeout);
}


sub opened ($self) {
    my $r = $self->{res} or return 0;
    return $r->{done} if $r->status != 200;
    return $self->{open_id};
}


sub status ($self) { return $self->{res} ? $self->{res}->status : 0 }


sub header ($self, $name) {
    return $self->{res} ? $self->{res}->header($name) : undef;
}


sub eof ($self) { return $self->{eof} }


# Items in order of arrival: { id, data, ... } or { gap => { ... } }; data of a
# binary message is decoded, and "binary" is set.  After a gap a client of one
# topic stands at its end, one of several ("several") where it stood.

sub items ($self) { return @{ $self->{items} } }


sub messages ($self) { return grep { !$_->{gap} } @{ $self->{items} } }


sub gaps ($self) { return map { $_->{gap} // () } @{ $self->{items} } }


sub data ($self) { return map { $_->{data} } $self->messages }


sub last_id ($self) { return $self->{last_id} }


sub wait_items ($self, $n, $seconds = $RT::timeout) {
    RT::Loop::wait_for(sub { @{ $self->{items} } >= $n || $self->{eof} },
                       $seconds);
    return @{ $self->{items} } >= $n;
}


# all messages up to the one with this data

sub wait_data ($self, $data, $seconds = $RT::timeout) {
    my $seen = 0;
    return RT::Loop::wait_for(sub {
        while ($seen < @{ $self->{items} }) {
            my $item = $self->{items}[ $seen++ ];
            return 1 if defined $item->{data} && $item->{data} eq $data;
        }
        return;
    }, $seconds);
}


# One JSON message, as in envelopes and lines.  JSON::PP takes its time for
# long strings, so plain ones are read here.

my $plain = qr/"((?:[^"\\\x00-\x1f\x7f-\xff])*+)"/;

sub take_text ($self, $text) {
    if ($text =~ /^\{"id":$plain,"topic":$plain,
                     "time":(\d+),"data":$plain\}$/x)
    {
        $self->take_json({ id => $1, topic => $2, time => $3, data => $4 });
        return;
    }
    $self->take_json(eval { $json->decode($text) } // $text);
}


sub take_json ($self, $m) {
    if (ref $m ne 'HASH') {
        push @{ $self->{bad} }, $m;
        return;
    }
    if ($m->{open}) {
        push @{ $self->{opens} }, $m;
        $self->{last_id} = $self->{open_id} = $m->{open}{id};
        return;
    }
    if (defined $m->{base64}) {
        $m->{data} = MIME::Base64::decode($m->{base64});
        $m->{binary} = 1;
    } elsif (defined $m->{data}) {
        utf8::encode($m->{data});
    }
    if (defined $m->{id}) {
        $self->{last_id} = $m->{id};
    } elsif ($m->{gap} && !$self->{opt}{several}) {
        $self->{last_id} = $m->{gap}{to};
    }
    push @{ $self->{items} }, $m;
}


1;
