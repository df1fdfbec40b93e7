package RT::WebSocket;

# A WebSocket client with a frame codec that can also do wrong: frame() makes
# any bytes a test wants, and early() sends them with the handshake.

use v5.36;

use Digest::SHA ();
use MIME::Base64 ();

use parent 'RT::Conn';

use constant {
    CONTINUATION => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9,
    PONG => 10,
};

my $guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';


# Options: envelope (ask for them), enveloped (expect them), protocol, origin,
# early (bytes after the handshake, in the same write), mute (answers neither
# ping nor close), those of RT::Conn, and handshake: headers in place of the
# usual ones (undef: left out; an array: a line for each).

sub start ($self, $uri, %o) {
    $uri .= ($uri =~ /\?/ ? '&' : '?') . 'envelope=1' if $o{envelope};
    $self->{key} = MIME::Base64::encode(pack('N4', map rand 2 ** 32, 1 .. 4),
                                        '');
    $self->{frames} = [];
    $self->{fragments} = undef;

    my %h = (
        'Upgrade' => 'websocket', 'Connection' => 'Upgrade',
        'Sec-WebSocket-Key' => $self->{key}, 'Sec-WebSocket-Version' => 13,
        $o{protocol} ? ('Sec-WebSocket-Protocol' => $o{protocol}) : (),
        defined $o{origin} ? (Origin => $o{origin}) : (),
        $o{handshake} ? %{ $o{handshake} } : (),
    );
    my @h;
    for my $name (sort keys %h) {
        my @lines = ref $h{$name} ? @{ $h{$name} } : $h{$name};
        push @h, map { $name => $_ } grep { defined } @lines;
    }

    push @{ $self->{methods} }, $o{method} // 'GET';
    $self->write($self->request_bytes($o{method} // 'GET', $uri,
                                      [ @h, $self->id_headers(%o) ])
                 . ($o{early} // ''));
}


sub opened ($self) {
    my $r = $self->{res} or return 0;
    return $r->{done} if $r->status != 101;
    return $self->{close_code} || !$self->_envelopes || $self->{open_id};
}


sub _envelopes ($self) {
    return $self->{opt}{envelope} || $self->{opt}{enveloped}
        || ($self->header('Sec-WebSocket-Protocol') // '') eq 'realtime.json';
}


sub accepted ($self) {
    my $want = Digest::SHA::sha1_base64($self->{key} . $guid) . '=';
    return ($self->header('Sec-WebSocket-Accept') // '') eq $want;
}


# The bytes of a frame.  Options: fin, rsv (bits 4 2 1), mask (0, or a key of
# four bytes), length (a lie), form (7, 16, 64: the size of the length field).

sub frame ($opcode, $payload = '', %o) {
    my $length = $o{length} // length $payload;
    my $form = $o{form} // ($length < 126 ? 7 : $length < 65536 ? 16 : 64);
    my $mask = $o{mask} // pack 'N', int rand 2 ** 32;
    my $masked = $mask eq '0' ? 0 : 0x80;

    my $fin = $o{fin} // 1;
    my $bytes = pack 'C', $fin << 7 | ($o{rsv} // 0) << 4 | $opcode;
    $bytes .= $form == 7  ? pack('C', $masked | $length)
            : $form == 16 ? pack('Cn', $masked | 126, $length)
            :               pack('CQ>', $masked | 127, $length);
    return $bytes . $payload if !$masked;
    return $bytes . $mask . ($payload ^. _key($mask, length $payload));
}


sub _key ($mask, $length) {
    return substr $mask x ($length / 4 + 1), 0, $length;
}


sub send_text ($self, $text, %o) { $self->write(frame(TEXT, $text, %o)) }


sub send_binary ($self, $data, %o) { $self->write(frame(BINARY, $data, %o)) }


sub ping ($self, $data = '') { $self->write(frame(PING, $data)) }


sub send_close ($self, $code = undef, $reason = '') {
    $self->{said_close} = 1;
    $self->write(frame(CLOSE, defined $code ? pack('n', $code) . $reason : ''));
}


# one byte per write, each on its way before the next

sub trickle ($self, $bytes) {
    for my $byte (split //, $bytes) {
        last if $self->{eof};
        $self->write($byte);
        RT::Loop::turn(0);
    }
}


sub on_bytes ($self) {
    while (my $f = $self->_frame) {
        push @{ $self->{frames} }, $f;
        $self->_take($f);
    }
}


sub _frame ($self) {
    my $in = \$self->{in};
    return if length $$in < 2;

    my ($first, $second) = unpack 'CC', $$in;
    my ($at, $length) = (2, $second & 0x7f);
    if ($length == 126) {
        return if length $$in < 4;
        ($at, $length) = (4, unpack 'x2 n', $$in);
    } elsif ($length == 127) {
        return if length $$in < 10;
        ($at, $length) = (10, unpack 'x2 Q>', $$in);
    }
    return if length $$in < $at + $length;

    my %f = (
        fin => $first >> 7, rsv => ($first >> 4) & 7, opcode => $first & 15,
        masked => $second >> 7, payload => substr($$in, $at, $length),
    );
    substr($$in, 0, $at + $length) = '';
    return \%f;
}


sub _take ($self, $f) {
    my $op = $f->{opcode};
    push @{ $self->{bad} }, $f if $f->{masked} || $f->{rsv};

    if ($op == PING) {
        $self->{pings}++;
        $self->write(frame(PONG, $f->{payload})) unless $self->{opt}{mute};

    } elsif ($op == PONG) {
        push @{ $self->{pongs} }, $f->{payload};

    } elsif ($op == CLOSE) {
        my $empty = length $f->{payload} < 2;
        $self->{closes}++;
        $self->{close_code} = $empty ? 1005 : unpack 'n', $f->{payload};
        $self->{close_reason} = $empty ? '' : substr $f->{payload}, 2;
        if (!$self->{said_close} && !$self->{opt}{mute}) {
            $self->{said_close} = 1;
            $self->write(frame(CLOSE, $f->{payload}));
        }

    } elsif ($op <= BINARY) {
        if ($op != CONTINUATION) {
            $self->{fragments} = { op => $op, data => '' };
        }
        my $m = $self->{fragments};
        if (!$m) {
            push @{ $self->{bad} }, $f;
            return;
        }
        $m->{data} .= $f->{payload};
        if ($f->{fin}) {
            $self->{fragments} = undef;
            $self->_message($m->{op}, $m->{data});
        }

    } else {
        push @{ $self->{bad} }, $f;
    }
}


sub _message ($self, $op, $data) {
    if ($self->_envelopes) {
        $self->take_text($data);
        return;
    }
    push @{ $self->{items} },
        { data => $data, $op == BINARY ? (binary => 1) : () };
}


sub close_code ($self) { return $self->{close_code} }


sub close_reason ($self) { return $self->{close_reason} }


# waits for the server's close: its code; 0 when the connection ends without

sub wait_close ($self, $seconds = $RT::timeout) {
    RT::Loop::wait_for(sub { $self->{eof} || defined $self->{close_code} },
                       $seconds);
    return $self->{close_code} // ($self->{eof} ? 0 : undef);
}


# sends a ping and waits for its pong: the server has read all before it

sub sync ($self, $seconds = $RT::timeout) {
    my $data = 'sync' . ++$self->{syncs};
    $self->ping($data);
    return RT::Loop::wait_for(sub {
        return $self->{eof} || grep { $_ eq $data } @{ $self->{pongs} };
    }, $seconds) && !$self->{eof};
}


1;
