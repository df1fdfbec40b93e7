package RT::Native;

# A session of the subprotocol "realtime.json": operations go out, and what
# comes back is sorted into replies (by ref), errors without a ref, pings, and
# the items of RT::Conn: messages and gaps, of all topics in order of arrival.

use v5.36;

use JSON::PP;

use parent 'RT::WebSocket';

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


# Options: those of RT::WebSocket.  A session is open when its position came.

sub open ($class, $rt, $uri, %o) {
    return $class->SUPER::open($rt, $uri, protocol => 'realtime.json',
                               several => 1, %o);
}


sub take_json ($self, $m) {
    if (ref $m ne 'HASH') {
        push @{ $self->{bad} }, $m;
        return;
    }

    my $ref = $m->{ref};

    if (defined $ref && !$self->{replies}{$ref}) {
        $self->{replies}{$ref} = $m;
        $m->{at} = @{ $self->{items} };      # messages that came before it

    } elsif (defined $ref) {
        push @{ $self->{bad} }, $m;          # a second reply

    } elsif ($m->{error}) {
        push @{ $self->{errors} }, $m->{error};

    } elsif ($m->{ping}) {
        push @{ $self->{pinged} }, $m->{ping};

    } else {
        $self->SUPER::take_json($m);
    }
}


# one operation; with a ref of its own unless told

sub say_json ($self, $m) { $self->send_text($json->encode($m)) }


sub send_op ($self, $op, $args, $ref = ++$self->{refs}) {
    $self->say_json({ $op => $args, defined $ref ? (ref => $ref) : () });
    return $ref;
}


# its reply, {} if none came

sub reply ($self, $ref, $seconds = $RT::timeout) {
    RT::Loop::wait_for(sub { $self->{eof} || $self->{replies}{$ref} },
                       $seconds);
    return $self->{replies}{$ref} // {};
}


sub op ($self, $op, %args) {
    return $self->reply($self->send_op($op, \%args));
}


sub subscribe ($self, $topic, @id) {
    return $self->op(subscribe => topic => $topic, @id ? (id => @id) : ());
}


# many at once, one write; how many were taken

sub subscribe_all ($self, @topics) {
    my @refs = map { ++$self->{refs} } @topics;
    my $i = 0;

    $self->write(join '', map {
        RT::WebSocket::frame(RT::WebSocket::TEXT, $json->encode({
            subscribe => { topic => $_ }, ref => $refs[$i++],
        }))
    } @topics);

    RT::Loop::wait_for(sub {
        $self->{eof} || !grep { !$self->{replies}{$_} } @refs;
    }, $RT::timeout);
    return scalar grep { ($self->{replies}{$_} // {})->{ok} } @refs;
}


sub errors ($self) { return @{ $self->{errors} // [] } }


# messages of one topic

sub of ($self, $topic) {
    return map { $_->{data} } grep { $_->{topic} eq $topic } $self->messages;
}


1;
