package RT::Publisher;

# Publishes one message after the other on a connection that is kept alive, or
# several at a time (pipelined), and notes what was acknowledged.  When the
# connection breaks it makes another; messages without an answer are in doubt
# and not sent again.

use v5.36;

use RT::Conn;
use RT::Loop;


# Options: next (code: topic, data, headers ...; nothing when all is sent),
# depth (how many may be unanswered), pace (seconds between two), and of the
# connection.

sub new ($class, $rt, %o) {
    my $self = bless {
        rt => $rt, next => delete $o{next}, depth => delete $o{depth} // 1,
        pace => delete $o{pace}, due => 0, opt => \%o, sent => [],
        acks => [], doubts => [], refused => [], breaks => 0,
    }, $class;

    $self->_connect;
    $self->_send;
    RT::Loop::hook($self, sub { $self->_turn });
    return $self;
}


sub _connect ($self) {
    $self->{conn} = RT::Conn->new($self->{rt}, $self->{opt}->%*);
    delete $self->{opt}{pid};
}


sub _send ($self) {
    my $c = $self->{conn};
    my $bytes = '';

    while (!$self->{last} && @{ $self->{sent} } < $self->{depth}) {
        if ($self->{pace}) {
            last if RT::now() < $self->{due};
            $self->{due} = RT::now() + $self->{pace};
        }
        my ($topic, $data, @headers) = $self->{next}->();
        if (!defined $topic) {
            $self->{last} = 1;
            last;
        }
        push @{ $self->{sent} }, { topic => $topic, data => $data };
        push @{ $c->{methods} }, 'POST';
        $bytes .= $c->request_bytes('POST', '/pub/' . RT::uri_escape($topic),
                                    \@headers, $data);
    }

    $c->write($bytes) if length $bytes;
    $self->stop if $self->{last} && !@{ $self->{sent} };
}


sub _turn ($self) {
    my $c = $self->{conn};
    my $over = $c->{eof};

    while (my $r = shift @{ $c->{responses} }) {
        my $sent = shift @{ $self->{sent} };
        my $id = $r->status == 201 ? ($r->json // {})->{id} : undef;
        if (defined $id) {
            push @{ $self->{acks} },
                { %$sent, id => $id, seq => RT::seq($id), pid => $r->pid };
        } else {
            push @{ $self->{refused} }, $r->show;
        }
        $over = 1 if ($r->header('Connection') // '') =~ /close/i;
    }

    if ($over) {
        push @{ $self->{doubts} }, splice @{ $self->{sent} };
        $self->{breaks}++;
        $c->close;
        $self->_connect;
    }

    $self->_send;
}


sub stop ($self) {
    RT::Loop::unhook($self);
    $self->{conn}->close;
    $self->{done} = 1;
}


sub done ($self) { return $self->{done} }


sub acks ($self) { return @{ $self->{acks} } }


1;
