package RT::Model;

# A model to hold nginx against: a ledger of what was published, and views,
# which are clients that note what they got.  verdict() compares the two.
#
#     my $model = RT::Model->new($rt, seed => 17);
#     $model->publisher(next => sub { $model->single('a', $model->text(10)) });
#     my $view = $model->view('sse', '/sub/a', [ 'a' ]);
#     ...
#     is_deeply([ $model->verdict ], [], 'all is accounted for');
#
# Each message but an empty one begins with its number, so that what a client
# gets is recognized, and compared byte by byte, when it comes.  A publication
# without an answer, because its process was killed, may or may not be there.

use v5.36;

use JSON::PP;

use RT::Loop;
use RT::Conn;

my $json = JSON::PP->new->utf8->canonical;


# Options: seed, churn (the index gives topics up, so that gaps may be told of
# topics which only share a hash with one that is forgotten).

sub new ($class, $rt, %o) {
    return bless {
        rt => $rt, state => ($o{seed} // 0) % 2 ** 31 + 1,
        churn => $o{churn}, views => [], publishers => [], faults => [],
        pubs => [], acks => [], at => {}, empties => {}, sent => 0, high => 0,
        doubts => 0, empty_doubts => 0,
    }, $class;
}


# numbers of our own, so that a seed gives the same sequence

sub rand ($self, $n) {
    my $x = $self->{state};
    $x ^= $x << 13 & 0xffff_ffff;
    $x ^= $x >> 17;
    $x ^= $x << 5 & 0xffff_ffff;
    $self->{state} = $x;
    return $x % $n;
}


sub pick ($self, @list) { return $list[ $self->rand(scalar @list) ] }


sub fault ($self, $what) {
    push @{ $self->{faults} }, $what if @{ $self->{faults} } < 50;
}


# Does a pattern, or name, cover a topic?

sub covers ($pattern, $topic) {
    my @p = split m{/}, $pattern;
    my @t = split m{/}, $topic;

    while (@p) {
        my $p = shift @p;
        return @t > 0 if $p eq '**' && !@p;
        my $t = shift @t // return 0;
        next if $p eq $t || $p eq '*';
        return 0 if $p !~ s/\*$// || index($t, $p) != 0;
    }
    return !@t;
}


# Messages.  A body is '' or made by text() or bytes(): a code, for it begins
# with the number.

my @words = ("x\ny\n", '"quoted"\\', "\xc3\xa9\xe2\x82\xac", "tab\t", 'plain ');

sub text ($self, $size) {
    my $word = $size < 400 ? $self->pick(@words) : 'x';
    return sub ($n) {
        my $text = "$n ";
        my $more = int($size / length $word);
        return $text . $word x $more;
    };
}


sub bytes ($self, $size) {
    my $byte = $self->rand(255);
    return sub ($n) { return "$n " . chr($byte) x $size . "\xff\0\r\n" };
}


sub message ($self, $topic, $body, %o) {
    my $pub = { topic => $topic, n => scalar @{ $self->{pubs} }, %o };
    $pub->{data} = ref $body ? $body->($pub->{n}) : $body;
    push @{ $self->{pubs} }, $pub;
    return $pub;
}


# Requests for a publisher.

sub single ($self, $topic, $body, %o) {
    return $self->repeat($self->message($topic, $body, %o));
}


sub repeat ($self, $pub) {
    my @h;
    push @h, 'Content-Type' => 'application/octet-stream' if $pub->{binary};
    push @h, 'Realtime-Event' => $pub->{event} if defined $pub->{event};
    push @h, 'Idempotency-Key' => $pub->{key} if defined $pub->{key};

    return {
        method => 'POST', uri => '/pub/' . RT::uri_escape($pub->{topic}),
        headers => \@h, body => $pub->{data}, pubs => [ $pub ],
    };
}


sub batch ($self, $uri, @pubs) {
    return {
        method => 'POST', uri => $uri, pubs => \@pubs,
        headers => [ 'Content-Type' => 'application/x-ndjson',
                     'Realtime-Batch' => 'on' ],
        body => join('', map { _line($_) } @pubs),
    };
}


sub _line ($pub) {
    my %l = (topic => $pub->{topic});
    $l{event} = $pub->{event} if defined $pub->{event};
    if ($pub->{binary}) {
        $l{base64} = MIME::Base64::encode($pub->{data}, '');
    } else {
        $l{data} = $pub->{data};
        utf8::decode($l{data});
    }
    return $json->encode(\%l) . "\n";
}


sub delete ($self, $topic) {
    return {
        method => 'DELETE', uri => '/pub/' . RT::uri_escape($topic),
        topic => $topic, headers => [], body => undef, pubs => [],
    };
}


# What a publisher was answered.

sub answered ($self, $q, $r) {
    my @pubs = @{ $q->{pubs} };
    my $want = $q->{want} // (@pubs ? 201 : 204);
    if ($r->status != $want) {
        $self->fault("$q->{method} $q->{uri}: " . $r->show);
        $self->doubted($q);
        return;
    }
    return if !@pubs;

    my $j = $r->json // {};
    my ($first, $last) = defined $j->{id} ? ($j->{id}, $j->{id})
                                          : @$j{qw(first_id last_id)};
    my $seq = RT::seq($first);
    if (!defined $seq || RT::seq($last) != $seq + $#pubs
        || (@pubs > 1 && $j->{count} != @pubs))
    {
        $self->fault("$q->{uri}: ids " . $r->body);
        return;
    }
    $self->{epoch} //= RT::epoch($first);
    $self->fault("epoch of $first") if RT::epoch($first) ne $self->{epoch};

    my $replay = ($r->header('Idempotent-Replay') // '') eq 'true';
    for my $pub (@pubs) {
        $self->_acked($pub, $seq++, $q, $replay);
    }
}


sub _acked ($self, $pub, $seq, $q, $replay) {
    my @seqs = @{ $pub->{seqs} // [] };

    if ($replay && $pub->{tries} < 2) {
        $self->fault("$pub->{n}: a replay the first time");
    }
    if (!$replay && $seq <= $q->{high}) {
        $self->fault("$pub->{n}: $seq was given out before it was sent");
    }
    return if grep { $_ == $seq } @seqs;
    if (@seqs && !$self->{churn}) {
        $self->fault("$pub->{n}: $seq, and before that @seqs");
    }

    $self->_place($pub, $seq);
    $pub->{acked} = 1;
    push @{ $self->{acks} },
        { seq => $seq, topic => $pub->{topic}, n => $pub->{n},
          sent => $q->{sent}, pub => $pub };
    push @{ $pub->{seqs} }, $seq;
    $self->{high} = $seq if $seq > $self->{high};
}


sub _place ($self, $pub, $seq) {
    my $other = $self->{at}{$seq} //= $pub;
    return if $other == $pub;
    $self->fault("$seq is message $other->{n} and $pub->{n}");
}


sub doubted ($self, $q) {
    for my $pub (@{ $q->{pubs} }) {
        $pub->{doubted}++;
        $self->{doubts}++;
        $self->{empty_doubts}++ if $pub->{data} eq '';
    }
}


sub publisher ($self, %o) {
    my $p = RT::Model::Publisher->new($self, %o);
    push @{ $self->{publishers} }, $p;
    return $p;
}


# Options: policy (of realtime_slow), several, conflated, bare, and the
# client's.

sub view ($self, $transport, $uri, $topics, %o) {
    my $v = RT::Model::View->new($self, $transport, $uri, $topics, %o);
    push @{ $self->{views} }, $v;
    return $v;
}


# All publishers end, a last message goes to each of these topics, and all
# views catch up with it.

sub settle ($self, @topics) {
    $_->{stopping} = 1 for @{ $self->{publishers} };
    RT::Loop::wait_for(sub {
        return !grep { !$_->{stopped} } @{ $self->{publishers} };
    }, $RT::timeout) or $self->fault('publishers do not end');

    $_->wake for @{ $self->{views} };
    $self->{quiet} = 1;
    RT::Loop::wait_for(sub {
        return !grep { !$_->here } @{ $self->{views} };
    }, $RT::timeout) or $self->fault('not all views come back');

    for my $topic (@topics) {
        my $q = $self->single($topic, $self->text(0));
        @$q{qw(high sent)} = ($self->{high}, ++$self->{sent});
        $_->{tries}++ for @{ $q->{pubs} };
        $self->answered($q, $self->{rt}->request(@$q{qw(method uri headers
                                                         body)}));
    }

    my @late;
    RT::Loop::wait_for(sub {
        @late = grep { !$_->current } @{ $self->{views} };
        return !@late;
    }, $RT::timeout);
    for my $v (@late) {
        $self->fault($v->name . ': does not catch up: '
                     . ($v->position // 'nothing') . ' of ' . $v->target);
    }
    $_->stop for @{ $self->{views} };
}


# What is wrong, as a list of strings.

sub verdict ($self) {
    my %acked = map { $_->{seq} => 1 } @{ $self->{acks} };
    my $top = $self->{high};
    my @holes = grep { !$acked{$_} } 1 .. $top;
    if (@holes > $self->{doubts}) {
        $self->fault(@holes . " seqs are nobody's, and only "
                     . "$self->{doubts} publications are in doubt");
    }
    for my $seq (keys %{ $self->{empties} }) {
        my $pub = $self->{at}{$seq};
        if ($pub ? $pub->{data} ne '' : !$self->{empty_doubts}) {
            $self->fault("$seq is empty and should not be");
        }
    }
    $self->{holes} = \@holes;
    $self->{acks} = [ sort { $a->{seq} <=> $b->{seq} } @{ $self->{acks} } ];

    for my $v (@{ $self->{views} }) {
        for my $chain (@{ $v->{chains} }) {
            $self->fault($v->name . ": $_") for $self->_judge($v, $chain);
        }
    }
    return @{ $self->{faults} };
}


# One chain: what came over connections that resumed each other.

sub _judge ($self, $v, $chain) {
    my @faults;
    my @bad = @{ $chain->{bad} // [] };
    push @faults, map { 'cannot read: ' . substr RT::show($_), 0, 300 } @bad;

    _number($self, $v, $chain) if $v->{bare};

    my $last = $chain->{begin};
    my %got = ($chain->{any} // {})->%*;
    my @gaps;
    for my $item (@{ $chain->{items} }) {
        if ($item->{gap}) {
            push @gaps, { $item->{gap}->%*, last => $last };
            next;
        }
        my $seq = $item->{seq} // next;
        push @faults, "$seq after $last: " . _around($chain, $seq)
            if defined $last && $seq <= $last;
        $got{$seq} = 1;
        $last = $seq;
        if ($chain->{fresh} && $seq <= $chain->{high}) {
            push @faults, "begins with $seq, which was there before";
        }
        my $pub = $self->{at}{$seq} or next;
        if (!$v->covered($pub->{topic})) {
            push @faults, "$seq is of topic $pub->{topic}";
        }
    }

    return @faults if $v->{conflated} && !@gaps;
    return @faults, 'a gap, though conflated' if $v->{conflated};

    push @faults, $self->_missing($v, $chain, \%got, \@gaps, $last);
    push @faults, map { $self->_gap($v, $chain, \%got, $_) } @gaps;
    return @faults;
}


# A bare WebSocket has no ids: they follow from what was published.  Of what
# may be there more than once it is not known which one came.

sub _number ($self, $v, $chain) {
    my $last = $chain->{begin} // 0;
    my @acks = grep { $v->covered($_->{topic}) } @{ $self->{acks} };

    for my $item (grep { !$_->{mark} } @{ $chain->{items} }) {
        shift @acks while @acks && $acks[0]{seq} <= $last;

        my $pub = defined $item->{n} ? $self->{pubs}[ $item->{n} ] : undef;
        my @seqs = $pub ? @{ $pub->{seqs} // [] } : ();
        $chain->{any}{$_} = 1 for @seqs;

        if (@acks && ($pub ? $pub == $acks[0]{pub}
                           : $acks[0]{pub}{data} eq ''))
        {
            $item->{seq} = $acks[0]{seq};
        } elsif (@seqs == 1 && !$pub->{doubted}) {
            $item->{seq} = $seqs[0];
        }
        $last = $item->{seq} if defined $item->{seq};
    }
}


sub _missing ($self, $v, $chain, $got, $gaps, $last) {
    my @faults;
    my $begin = $chain->{begin};
    my $end = $chain->{complete} ? $self->{high} : $last // 0;
    my $silent = $v->{bare} && $v->{policy} eq 'latest';
    my %begun;

    for my $ack (@{ $self->{acks} }) {
        my ($seq, $topic) = @$ack{qw(seq topic)};
        next if !$v->covered($topic);

        # without a known beginning: from the first one of each topic on

        $begun{$topic} = 1 if $got->{$seq} || !$chain->{earliest};
        next if $got->{$seq} || $silent;
        next if $seq > $end;

        my $after = defined $chain->{opened} && $ack->{sent} > $chain->{opened};
        if (defined $begin) {
            next if $seq <= $begin && !($chain->{fresh} && $after);
        } else {
            next if !$begun{$topic} && !$after;
        }
        next if grep { covers($_->{topic}, $topic) && $_->{from_seq} < $seq
                       && $seq <= $_->{to_seq} } @$gaps;
        push @faults, "$seq ($topic, message $ack->{n}) is missing, of "
            . RT::show($begin) . " to $end: " . _around($chain, $seq);
        last if @faults > 3;
    }
    return @faults;
}


# what came before and after a seq, for diagnostics

sub _around ($chain, $seq) {
    my @items = @{ $chain->{items} };
    my ($at) = grep { ($items[$_]{seq} // 0) > $seq } 0 .. $#items;
    $at //= @items;
    my $first = $at > 8 ? $at - 8 : 0;
    my $last = $at + 3 < $#items ? $at + 3 : $#items;
    return join ' ', map {
        my $g = $_->{gap};
        $g ? "[$g->{topic} $g->{from_seq} $g->{to_seq} $g->{reason}]"
           : $_->{mark} ? "($_->{mark})" : $_->{seq} // '?';
    } @items[ $first .. $last ];
}


sub _gap ($self, $v, $chain, $got, $gap) {
    my ($from, $to, $reason) = @$gap{qw(from_seq to_seq reason)};
    my $name = "gap $gap->{topic} $gap->{from} $gap->{to} $reason";
    my $wild = $gap->{topic} =~ /\*/;

    if (!grep { $_ eq $gap->{topic} || !$wild && covers($_, $gap->{topic}) }
        @{ $v->{topics} })
    {
        return "$name: a topic of others";
    }
    if ($v->{policy} eq 'close' && $reason eq 'lagged') {
        return "$name: should have been closed";
    }
    return "$name: " . RT::epoch($gap->{to})
        if RT::epoch($gap->{to}) ne $self->{epoch};
    return if $reason eq 'epoch' && $chain->{strange};
    return "$name: the epoch is right" if $reason eq 'epoch';
    return "$name: empty" if $from >= $to;
    if (defined $gap->{last} && $from < ($chain->{begin} // 0)) {
        return "$name: begins before what it had";
    }
    return if $wild;

    my ($lost, $had);
    for my $ack (@{ $self->{acks} }) {
        next if $ack->{seq} <= $from || $ack->{topic} ne $gap->{topic};
        last if $ack->{seq} > $to;
        $got->{ $ack->{seq} } ? ($had = $ack->{seq}) : ($lost = 1);
    }
    return "$name: had or gets $had" if $had;
    return if $lost || ($self->{churn} && $reason =~ /^(evicted|lagged)$/);
    return if grep { $from < $_ && $_ <= $to } @{ $self->{holes} };
    return "$name: nothing is missing";
}


package RT::Model::Publisher;

# One request after the other on a connection that is kept alive.

use v5.36;


# Options: next (code: a request, or nothing when there is none now), avoid
# (code: whether to stay away from the process with this pid).

sub new ($class, $model, %o) {
    my $self = bless { model => $model, rt => $model->{rt}, %o }, $class;
    RT::Loop::hook($self, sub { $self->_turn });
    return $self;
}


sub _turn ($self) {
    my $c = $self->{conn};

    if ($c && (my $r = shift @{ $c->{responses} })) {
        $self->_answer($r);
        $c->{eof} = 1 if ($r->header('Connection') // '') =~ /close/i;
    }

    if ($c && $c->{eof}) {
        $c->close;
        $self->{model}->doubted($self->{sent}) if $self->{sent};
        $self->{breaks}++ if $self->{sent};
        @$self{qw(sent asking pid)} = ();
        $c = $self->{conn} = undef;
    }
    return if $self->{sent} || $self->{asking};

    if ($self->{stopping}) {
        $c->close if $c;
        RT::Loop::unhook($self);
        $self->{stopped} = 1;
        return;
    }

    if (!$c) {
        $c = $self->{conn} = RT::Conn->new($self->{rt});
        if ($self->{avoid}) {
            $self->{asking} = 1;
            $c->request('GET', '/pid');
            return;
        }
    }
    $self->_send;
}


# lets go of its connection, when it has its answer

sub leave ($self) { $self->{conn}{eof} = 1 if $self->idle && $self->{conn} }


sub idle ($self) { return !$self->{sent} && !$self->{asking} }


sub _answer ($self, $r) {
    $self->{pid} = $r->pid;
    if (delete $self->{asking}) {
        $self->{conn}{eof} = 1 if $self->{avoid}->($r->pid // 0);
        return;
    }
    my $q = delete $self->{sent} or return;
    $self->{model}->answered($q, $r);
    $self->{done}++;
}


sub _send ($self) {
    my $q = $self->{next}->() or return;
    $q->{high} = $self->{model}{high};
    $q->{sent} = ++$self->{model}{sent};
    $_->{tries}++ for @{ $q->{pubs} };
    $self->{sent} = $q;
    $self->{conn}->request(@$q{qw(method uri headers body)});
}


package RT::Model::View;

# A client that comes back, and a chain for each time it began anew.

use v5.36;

my %class = (
    sse => 'RT::SSE', bare => 'RT::WebSocket', poll => 'RT::Model::Poll',
    stream => 'RT::Model::Stream', websocket => 'RT::Model::WebSocket',
);


sub new ($class, $model, $transport, $uri, $topics, %o) {
    my $self = bless {
        model => $model, transport => $transport, uri => $uri,
        topics => $topics, policy => 'gap', chains => [], again => 0,
        (map { defined $o{$_} ? ($_ => delete $o{$_}) : () }
             qw(policy several conflated)),
        ends => {}, opt => \%o,
    }, $class;
    $self->{several} //= 1 if @$topics > 1 || "@$topics" =~ /\*/;
    $self->{$transport} = 1;
    RT::Loop::hook($self, sub { $self->_turn });
    return $self;
}


sub name ($self) { return "$self->{transport} $self->{uri}" }


sub covered ($self, $topic) {
    return $self->{covers}{$topic} //=
        (grep { RT::Model::covers($_, $topic) } @{ $self->{topics} }) ? 1 : 0;
}


sub chain ($self) { return $self->{chains}[-1] }


# how to come back: with the last id, or as told

sub _connect ($self) {
    my $model = $self->{model};
    my %how = (delete $self->{how} // {})->%*;
    my $chain = $self->chain;
    my $id = $how{id};

    if (!%how && $chain && !$self->{bare}) {
        $id = $chain->{id};
    }
    if (%how || !defined $id) {
        $chain = { items => [], fresh => !defined $id, high => $model->{high},
                   %how };
        $chain->{begin} = RT::seq($id)
            if defined $id && !$how{strange} && !$how{earliest};
        push @{ $self->{chains} }, $chain;
    }

    my %o = ($self->{opt}->%*, nowait => 1, several => $self->{several});
    $o{id} = $id if defined $id;
    $self->{starts}++;
    $self->{seen} = 0;
    push @{ $chain->{items} }, { mark => 'connect ' . ($id // '') };
    $self->{client} = $class{ $self->{transport} }->open(
        $model->{rt}, $self->{uri}, %o, wait => 2,
        envelope => $self->{transport} eq 'websocket');
}


sub _turn ($self) {
    my $c = $self->{client};
    if (!$c) {
        $self->_connect if RT::Loop::now() >= $self->{again};
        return;
    }
    if ($self->{asleep} && RT::Loop::now() >= $self->{asleep}) {
        $self->wake;
    }
    $self->_collect;
    return if !$c->ended;

    my $end = $c->{close_code} // $c->status;
    $self->{ends}{$end}++;
    push @{ $self->chain->{items} }, { mark => "end $end" };
    $self->_ended($end) if $end;
    $self->_gone;
}


sub _ended ($self, $end) {
    my %good = (1012 => 1, 200 => 1, 101 => 1);
    $good{1013} = 1 if $self->{policy} eq 'close';
    $good{4000} = 1 if $self->{bare};
    return if $good{$end};
    my $c = $self->{client};
    $self->{model}->fault($self->name . ": ends with $end "
        . ($c->{close_reason} // ($c->{res} ? $c->{res}->show : '')));
}


sub _gone ($self) {
    $self->{client}->close;
    $self->{client} = undef;
    $self->{asleep} = 0;
    $self->{again} = RT::Loop::now()
        + ($self->{model}{quiet} ? 0 : $self->{model}->rand(100) / 1000);
}


sub _collect ($self) {
    my $c = $self->{client};
    my $chain = $self->chain;

    if (!defined $chain->{opened} && $c->opened) {
        my $id = $self->{bare} ? $c->header('Realtime-Last-Id')
                               : $c->{open_id};
        if (defined $id) {
            $chain->{opened} = $self->{model}{sent};
            $chain->{begin} = RT::seq($id) if $chain->{fresh};
        }
    }

    my $items = $c->{items};
    while ($self->{seen} < @$items) {
        push @{ $chain->{items} }, $self->_item($items->[ $self->{seen} ]);
        $items->[ $self->{seen}++ ] = undef;
    }
    if ($chain->{fresh} && defined $chain->{begin} && $self->{poll}) {

        # the position of its first answer, which may hold messages already

        my ($first) = map { $_->{seq} // () } @{ $chain->{items} };
        if (defined $first && $first <= $chain->{begin}) {
            $chain->{begin} = $first - 1;
        }
    }
    $chain->{id} = $c->last_id if defined $c->last_id;
    push @{ $chain->{bad} }, splice @{ $c->{bad} } if $c->{bad};
}


# compares and forgets the bytes

sub _item ($self, $item) {
    my $model = $self->{model};

    if (my $gap = $item->{gap}) {
        $self->{gaps}{ ref $gap ? $gap->{reason} : '' }++;
        return { gap => { %$gap, from_seq => RT::seq($gap->{from}),
                          to_seq => RT::seq($gap->{to}) } };
    }

    $self->{messages}++;
    my $seq = RT::seq($item->{id});
    if (!$self->{bare} && !defined $seq) {
        $model->fault($self->name . ': no id');
        return {};
    }

    if ($item->{data} eq '') {
        $model->{empties}{$seq} = 1 if defined $seq;
        return { seq => $seq };
    }

    my ($n) = $item->{data} =~ /^(\d+) /;
    my $pub = defined $n ? $model->{pubs}[$n] : undef;
    if (!$pub || $pub->{data} ne $item->{data}) {
        $model->fault($self->name . ': payload of ' . ($seq // '?') . ': '
                      . length($item->{data}) . ' bytes, '
                      . substr $item->{data}, 0, 40);
        return { seq => $seq };
    }
    for my $what (qw(topic event binary)) {
        next if $what ne 'binary' && !defined $item->{$what};
        next if $what eq 'event' && $self->{bare};
        if (($item->{$what} // 0) ne ($pub->{$what} // 0)) {
            $model->fault($self->name . ": message $n: $what "
                          . ($item->{$what} // 'none'));
        }
    }
    $model->_place($pub, $seq) if defined $seq;
    return { seq => $seq, n => $n };
}


# What a test does to it.

sub stall ($self, $seconds) {
    return if !$self->{client} || $self->{asleep};
    $self->{client}->pause;
    $self->{asleep} = RT::Loop::now() + $seconds;
    $self->{stalls}++;
}


sub wake ($self) {
    $self->{client}->resume if $self->{client};
    $self->{asleep} = 0;
}


# loses its connection, and what is on its way to it

sub drop ($self, %how) {
    return if !$self->{client};
    $self->_collect;
    $self->{client}->abort;
    push @{ $self->chain->{items} }, { mark => 'drop' };
    $self->{how} = \%how if %how;
    $self->_gone;
}


# an id of the past

sub old_id ($self) {
    my $chain = $self->chain or return;
    my @seqs = map { $_->{seq} // () } @{ $chain->{items} };
    return if !@seqs || !$self->{model}{epoch} || $self->{bare};
    return "$self->{model}{epoch}-" . $self->{model}->pick(@seqs);
}


sub target ($self) {
    return $self->{target} //= do {
        my $target = 0;
        for my $ack (@{ $self->{model}{acks} }) {
            next if !$self->covered($ack->{topic});
            $target = $ack->{seq} if $ack->{seq} > $target;
        }
        $target;
    };
}


sub position ($self) {
    my $chain = $self->chain or return;
    my $at = $chain->{begin} // 0;
    for my $item (reverse @{ $chain->{items} }) {
        my $seq = $item->{gap} ? $item->{gap}{to_seq} : $item->{seq}
            // (defined $item->{n}
                ? $self->{model}{pubs}[ $item->{n} ]{seqs}[0] : undef);
        next if !defined $seq;
        return $seq > $at ? $seq : $at;
    }
    return $at;
}


sub here ($self) {
    my $c = $self->{client};
    return $c && !$c->ended && ($c->opened || $self->{poll});
}


# has it all that was acknowledged?

sub current ($self) {
    return 0 if !$self->here;
    return 0 if $self->position < $self->target;
    $self->chain->{complete} = 1;
    return 1;
}


sub stop ($self) {
    RT::Loop::unhook($self);
    return if !$self->{client};
    $self->_collect;
    $self->{client}->close;
}


package RT::Model::Long;

# JSON::PP takes its time for long strings: they are taken out before it sees
# the text, and put back afterwards.

use v5.36;

use mro 'c3';
use RT::Poll;
use RT::Stream;
use RT::WebSocket;

for my $kind (qw(Poll Stream WebSocket)) {
    my $class = "RT::Model::$kind";
    no strict 'refs';
    @{"${class}::ISA"} = ('RT::Model::Long', "RT::$kind");
    mro::set_mro($class, 'c3');
}


sub _lift ($self, $text) {
    my $long = $self->{long} = [];
    return $text =~ s{:"([^"\\\x00-\x1f\x7f-\xff]{40,}+)"}
                     {push @$long, $1; ':"@' . $#$long . '"'}ger;
}


sub on_done ($self, $r) {
    $r->{body} = $self->_lift($r->{body});
    $self->next::method($r);
}


sub take_text ($self, $text) { $self->next::method($self->_lift($text)) }


sub take_json ($self, $m) {
    my $gap = ref $m eq 'HASH' ? $m->{gap} : undef;

    for my $h (grep { ref eq 'HASH' } $m, $gap) {
        for my $value (@$h{ grep { !ref $h->{$_} } keys %$h }) {
            $value = $self->{long}[$1] if $value =~ /^@(\d+)$/;
        }
    }
    $self->next::method($m);
}


1;
