package RT::Poll;

# A long-poll client: asks again, with the id it was told, on the same
# connection.  It stops when the server closes, or at stop().

use v5.36;

use JSON::PP;

use parent 'RT::Conn';

my $json = JSON::PP->new->utf8;


sub start ($self, $uri, %o) {
    $self->{polls} = 0;
    $self->_ask($o{id}, $o{once} ? $o{wait} : 0);
}


# The first one does not wait: it tells where we stand, so that a test knows
# from when on messages must come.

sub _ask ($self, $id, $wait = $self->{opt}{wait}) {
    my %o = $self->{opt}->%*;
    $o{id} = $id;
    $self->request('GET', $self->{uri}, [
        Accept => 'application/json',
        defined $wait ? (Prefer => "wait=$wait") : (),
        $self->id_headers(%o),
    ]);
}


sub on_done ($self, $r) {
    shift @{ $self->{responses} };
    push @{ $self->{answers} }, $r;
    $self->{polls}++;
    $self->{over} = 1 if ($r->header('Connection') // '') =~ /close/i;
    return if $r->status != 200;

    my $list = eval { $json->decode($r->body) };
    if (ref $list ne 'ARRAY') {
        push @{ $self->{bad} }, $r->body;
        return;
    }

    $self->take_json($_) for @$list;
    my $id = $r->header('Realtime-Last-Id');
    $self->{open_id} //= $id;
    $self->{last_id} = $id;

    return if $self->{stopped} || $self->{opt}{once} || $self->{eof};
    return if $self->{over};
    $self->_ask($id);
}


sub stop ($self) { $self->{stopped} = 1 }


sub ended ($self) { return $self->{eof} || $self->{over} }


sub opened ($self) { return $self->{opt}{once} || $self->{polls} }


1;
