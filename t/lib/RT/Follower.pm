package RT::Follower;

# A client that comes back: whenever its connection ends, or a test drops it,
# it connects again with the last id it was told.  It keeps all that it got,
# over all connections, and account() compares that with what was published.

use v5.36;

use RT::Loop;


# Options: transport, uri, several (more than one topic), and of the client.

sub new ($class, $rt, %o) {
    my $self = bless {
        rt => $rt, opt => \%o, items => [], starts => 0, ends => [],
    }, $class;

    $self->_connect;
    $self->{client}->wait_open;
    $self->_collect;
    $self->{first_id} = $self->{client}{open_id};
    RT::Loop::hook($self, sub { $self->_turn });
    return $self;
}


sub _connect ($self) {
    my %o = $self->{opt}->%*;
    my ($transport, $uri) = delete @o{qw(transport uri)};
    $o{id} = $self->{id} if defined $self->{id};
    delete $o{pid} if $self->{starts};

    $self->{starts}++;
    $self->{seen} = 0;
    $self->{client} = $self->{rt}->client($transport, $uri, %o, nowait => 1);
}


sub _collect ($self) {
    my $c = $self->{client};
    my $items = $c->{items};

    push @{ $self->{items} }, @$items[ $self->{seen} .. $#$items ];
    $self->{seen} = @$items;
    $self->{id} = $c->last_id if defined $c->last_id;
    push @{ $self->{bad} }, splice @{ $c->{bad} } if $c->{bad};
}


sub _turn ($self) {
    $self->_collect;
    my $c = $self->{client};
    return if !$c->ended;

    push @{ $self->{ends} }, $c->{close_code} // $c->status;
    $c->close;
    $self->_connect if !$self->{stopped};
}


# loses the connection now; what is on its way is lost with it

sub drop ($self) {
    $self->_collect;
    $self->{client}->abort;
    push @{ $self->{ends} }, 'drop';
    $self->_connect;
}


sub stop ($self) {
    RT::Loop::unhook($self);
    $self->_collect;
    $self->{client}->close;
    $self->{stopped} = 1;
}


sub pid ($self) { return $self->{client}->header('X-Pid') // 0 }


sub id_seq ($self) { return RT::seq($self->{id}) // -1 }


sub has ($self, $data) {
    my $items = $self->{items};
    $self->{has_seen} //= 0;
    while ($self->{has_seen} < @$items) {
        my $item = $items->[ $self->{has_seen}++ ];
        $self->{has_data}{ $item->{data} } = 1 if defined $item->{data};
    }
    return $self->{has_data}{$data};
}


sub gaps ($self) { return map { $_->{gap} // () } @{ $self->{items} } }


# What is wrong, as a list of strings: each message that was published after
# the first connection came once and in order, or a gap covers it.

sub account ($self, @published) {
    my @bad = map { 'cannot read: ' . RT::show($_) } @{ $self->{bad} // [] };
    return @bad, check($self->{items}, $self->{first_id}, @published);
}


# the same for the items of any client

sub check ($items, $first_id, @published) {
    my (@faults, %got, @gaps);
    my $last = RT::seq($first_id) // 0;
    my $first = $last;
    my %data = map { $_->{seq} => $_->{data} } @published;

    for my $item (@$items) {
        if (my $gap = $item->{gap}) {
            push @gaps, [ RT::seq($gap->{from}), RT::seq($gap->{to}) ];
            next;
        }
        my $seq = RT::seq($item->{id});
        if (!defined $seq) {
            push @faults, 'no id: ' . RT::show($item);
            next;
        }
        push @faults, "$seq after $last" if $seq <= $last;
        push @faults, "$seq twice" if $got{$seq}++;
        if (defined $data{$seq} && $data{$seq} ne $item->{data}) {
            push @faults, "$seq is '" . substr($item->{data}, 0, 20)
                . "', not '" . substr($data{$seq}, 0, 20) . "'";
        }
        $last = $seq if $seq > $last;
    }

    for my $p (@published) {
        my $seq = $p->{seq};
        next if $got{$seq} || $seq <= $first;
        next if grep { $_->[0] < $seq && $seq <= $_->[1] } @gaps;
        push @faults, "$seq ('" . substr($p->{data}, 0, 20) . "') is missing";
    }

    return @faults;
}


1;
