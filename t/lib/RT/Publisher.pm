package RT::Publisher;

# Publishes one message after the other on a connection that is kept alive, and
# notes what was acknowledged.  When the connection breaks it makes another;
# a message without an answer is in doubt and not sent again.

use v5.36;

use RT::Conn;
use RT::Loop;


# Options: next (code: topic, data, headers ...; nothing when all is sent), and
# of the connection.

sub new ($class, $rt, %o) {
    my $self = bless {
        rt => $rt, next => delete $o{next}, opt => \%o, acks => [],
        doubts => [], refused => [], breaks => 0,
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
    my ($topic, $data, @headers) = $self->{next}->();
    if (!defined $topic) {
        $self->stop;
        return;
    }
    $self->{sent} = { topic => $topic, data => $data };
    $self->{conn}->request('POST', '/pub/' . RT::uri_escape($topic), \@headers,
                           $data);
}


sub _turn ($self) {
    my $c = $self->{conn};
    my $r = shift @{ $c->{responses} };
    my $sent = $self->{sent};

    if ($r) {
        my $id = $r->status == 201 ? ($r->json // {})->{id} : undef;
        if (defined $id) {
            push @{ $self->{acks} },
                { %$sent, id => $id, seq => RT::seq($id), pid => $r->pid };
        } else {
            push @{ $self->{refused} }, $r->show;
        }
        $sent = undef;
        $c->{eof} = 1 if ($r->header('Connection') // '') =~ /close/i;
    }

    if ($c->{eof}) {
        push @{ $self->{doubts} }, $sent if $sent;
        $self->{breaks}++;
        $c->close;
        $self->_connect;
        $sent = undef;
    }

    $self->_send if !$sent;
}


sub stop ($self) {
    RT::Loop::unhook($self);
    $self->{conn}->close;
    $self->{done} = 1;
}


sub done ($self) { return $self->{done} }


sub acks ($self) { return @{ $self->{acks} } }


1;
