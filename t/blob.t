# Large messages, whose data lies apart from them in the ring: whole, in order,
# and what is lost is told, exactly, to all kinds of readers.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $seed = $ENV{RT_SEED} // (time ^ $$ << 8) & 0x7fff_ffff;
srand $seed;
note "RT_SEED=$seed";

my $http = <<'EOF_H';
    realtime_message_max_size 512k;
    realtime_history count=100000;
    client_max_body_size 1m;
    client_body_buffer_size 512k;
EOF_H
my $server = <<'EOF_S';
    location ~ ^/newest/(.+)$ {
        realtime_conflate 20ms;
        realtime_subscribe $1 patterns;
    }
EOF_S


# data that can be checked by itself

sub data ($topic, $n, $size) {
    return "$topic $n $size " . substr "$n," x (1 + $size / 2), 0, $size;
}


sub is_whole ($data) {
    my ($topic, $n, $size) = $data =~ /^(\S+) (\d+) (\d+) / or return;
    return $data eq data($topic, $n, $size);
}


# Gaps of one topic: something of it is missing, up to the end of the gap, and
# nothing in it came.

sub exact ($items, $topic, @published) {
    my (%seqs, %got, @faults);
    $seqs{ $_->{seq} } = 1 for grep { $_->{topic} eq $topic } @published;
    $got{ seq($_->{id}) } = 1 for grep { !$_->{gap} } @$items;

    for my $gap (map { $_->{gap} // () } @$items) {
        next if $gap->{topic} ne $topic;
        my ($from, $to) = (seq($gap->{from}), seq($gap->{to}));
        my $said = "gap $topic $from-$to $gap->{reason}";
        push @faults, "$said: ends at no message" if !$seqs{$to};
        push @faults, "$said: $_ came"
            for grep { $from < $_ && $_ <= $to && $got{$_} } keys %seqs;
    }
    return @faults;
}


# the processes have nothing to do any more

sub ticks ($rt) {
    my $sum = 0;
    for my $pid ($rt->workers) {
        open my $f, '<', "/proc/$pid/stat" or next;
        my @v = split ' ', (<$f> // '') =~ s/.*\) //r;
        $sum += $v[11] + $v[12];
    }
    return $sum;
}


sub rests ($rt, $name) {
    my ($was, $since) = (ticks($rt), now);
    ok(wait_for(sub {
        my $t = ticks($rt);
        ($was, $since) = ($t, now) if $t > $was + 1;
        return now > $since + 0.5;
    }), "$name: the processes come to rest");
}


# many at a time

my @topics = qw(l/1 l/2 l/3);
my %topics_of = (
    '/sub/l/1' => [ 'l/1' ], '/sub/l/2' => [ 'l/2' ], '/sub/l/*' => \@topics,
    '/sub/l/1,l/2,l/3' => \@topics,
);

sub size {
    my $kind = int rand 40;
    return 100_000 + int rand 300_000 if $kind == 0;
    return $kind < 16 ? 16_000 + int rand 30_000 : int rand 500;
}


sub hammer ($workers) {
    my $name = "$workers processes";
    my $rt = RT->new(workers => $workers, zone => 'main 2m', http => $http,
                     server => $server, listen => 'sndbuf=64k');
    my @kinds = (
        [ sse => '/sub/l/1' ], [ sse => '/sub/l/*' ],
        [ sse => '/sub/l/1,l/2,l/3' ], [ websocket => '/sub/l/1' ],
        [ stream => '/sub/l/*' ], [ poll => '/sub/l/2' ],
    );
    my @f = map {
        my ($t, $uri) = @$_;
        $rt->follower(transport => $t, uri => $uri,
                      several => @{ $topics_of{$uri} } > 1);
    } @kinds;
    my %slow = map {
        $_ => $rt->sse($_, rcvbuf => 4096, several => @{ $topics_of{$_} } > 1)
    } keys %topics_of;
    $_->pause for values %slow;
    my @newest = map { $rt->sse("/newest/$_", several => $_ ne 'l/1') }
        'l/1', 'l/*', 'l/1,l/2,l/3';

    my ($n, $sum) = (0, 0);
    my @pubs = map {
        $rt->publisher(depth => 3, next => sub {
            return if $sum > 8_000_000;
            my ($topic, $size) = ($topics[rand 3], size());
            $sum += $size;
            return $topic, data($topic, ++$n, $size);
        });
    } 1 .. 6;

    # some lose their connection, others come and want all that there is

    my ($next, @old) = (0);
    ok(wait_for(sub {
        if ($sum > $next) {
            $next = $sum + 500_000;
            $f[rand @f]->drop;
            my ($uri) = grep { rand 4 < 1 } sort keys %topics_of;
            $uri //= '/sub/l/1';
            push @old, $rt->sse($uri, id => 'earliest', nowait => 1,
                                several => @{ $topics_of{$uri} } > 1);
        }
        return !grep { !$_->done } @pubs;
    }), "$name: published $n") or return;

    my @acks = map { $_->acks } @pubs;
    is(scalar @acks, $n, "$name: all were acknowledged")
        or diag show(map { $_->{refused}[0] // () } @pubs);
    my %end;
    for my $topic (@topics) {
        my $data = data($topic, ++$n, 10);
        $end{$topic} = $data;
        push @acks, { topic => $topic, data => $data,
                      seq => seq($rt->publish_id($topic, $data)) };
    }
    @acks = sort { $a->{seq} <=> $b->{seq} } @acks;
    my $stat = $rt->status->{zones}{main};
    cmp_ok($stat->{messages_evicted}, '>', 50, "$name: the ring went round");
    $_->resume for values %slow;

    my $account = sub ($what, $uri, $items, $first, @bad) {
        my %mine = map { $_ => 1 } @{ $topics_of{$uri} };
        my @mine = grep { $mine{ $_->{topic} } } @acks;
        my @faults = (@bad, RT::Follower::check($items, $first, @mine),
                      map { exact($items, $_, @mine) } keys %mine);
        is(scalar @faults, 0, "$name: $what $uri: all is accounted for")
            or diag "RT_SEED=$seed\n", join "\n", splice @faults, 0, 5;
    };

    my $gaps = 0;
    for my $i (0 .. $#f) {
        my ($t, $uri) = @{ $kinds[$i] };
        my $f = $f[$i];
        my @ends = @end{ @{ $topics_of{$uri} } };
        ok(wait_for(sub { !grep { !$f->has($_) } @ends }),
           "$name: $t $uri is up to date");
        $f->stop;
        $account->($t, $uri, $f->{items}, $f->{first_id}, @{ $f->{bad} // [] });
    }
    for my $uri (sort keys %slow) {
        my $c = $slow{$uri};
        ok($c->wait_data($end{$_}), "$name: a slow one, $uri, has the end")
            for @{ $topics_of{$uri} };
        $account->('slow', $uri, $c->{items}, $c->{open_id});
        $gaps += $c->gaps;
    }
    cmp_ok($gaps, '>', 0, "$name: slow ones have lost something");

    # who wants all gets each topic from some message on, and is told what it
    # loses then

    for my $c (@old) {
        my $uri = $c->{uri} =~ s/\?.*//r;
        my @faults;
        for my $topic (@{ $topics_of{$uri} }) {
            $c->wait_data($end{$topic});
            my @mine = grep { $_->{gap} ? $_->{gap}{topic} eq $topic
                                        : index($_->{data}, "$topic ") == 0 }
                $c->items;
            my ($begin) = grep { !$_->{gap} } @mine;
            push @faults, "$topic: nothing came" if !$begin;
            next if !$begin;
            my $first = seq($begin->{id}) - 1;
            my @all = grep { $_->{topic} eq $topic } @acks;
            push @faults, RT::Follower::check(\@mine, "0-$first", @all),
                exact(\@mine, $topic, @all);
        }
        is(scalar @faults, 0, "$name: from the earliest on, $uri")
            or diag "RT_SEED=$seed\n", join "\n", splice @faults, 0, 5;
        $c->close;
    }

    for my $c (@newest) {
        my @ends = $c->{uri} eq '/newest/l/1' ? 'l/1' : @topics;
        ok($c->wait_data($end{$_}), "$name: $c->{uri} has the newest")
            for @ends;
        my @seqs = map { seq($_->{id}) } $c->messages;
        is(join(' ', @seqs), join(' ', sort { $a <=> $b } @seqs),
           "$name: $c->{uri} in order");
        is(scalar(grep { !is_whole($_) } $c->data), 0,
           "$name: $c->{uri} whole");
    }

    rests($rt, $name);
    $rt->finish;
}

hammer($_) for 2, 4;


# The ring passes a blob while the message, behind it, is still there.  Those
# who still want it are told, once, and get what comes later.

{
    my $rt = RT->new(zone => 'main 1m', http => $http, listen => 'sndbuf=16k');
    my @transports = qw(sse websocket stream poll);
    my $conn = $rt->conn;
    my $post = sub ($topic, $data) {
        my $r = $conn->ask('POST', "/pub/$topic", [], $data);
        return seq(($r->json // {})->{id}) // fail('published: ' . $r->show);
    };
    my $held = sub { $conn->ask('GET', '/pub/h')->json->{messages} };

    # who is behind, in the middle of the one before, and would go on with it

    my $old = $rt->publish_id('h', 'old');
    my @behind = map {
        $rt->stream($_, rcvbuf => 4096, several => $_ ne '/sub/h')
    } '/sub/h', '/sub/h,other', '/sub/h*';
    $_->pause for @behind;
    my @before = map { $post->('h', data('h', $_, 100_000 * $_)) } 1, 2;
    my $large = $post->('h', data('h', 3, 150_000));
    is($held->(), 4, 'all are held');
    for my $c (@behind) {
        $c->resume(4096);
        ok(wait_for(sub { $c->items && ($c->pause, 1) }),
           "$c->{uri}: has the first");
        $held->() for 1, 2;
        is(scalar(() = $c->items), 1, "$c->{uri}: and not the second");
    }

    my $n = 0;
    while ($held->() && $n < 2000) {
        $post->('fill', data('fill', ++$n, 1000));
    }
    my $evicted = $rt->status->{zones}{main}{messages_evicted};
    is($evicted, $large - 1, 'its data is gone, and its record is not');

    my $id = epoch($old) . "-$before[-1]";
    for my $t (@transports) {
        for my $uri ('/sub/h', '/sub/h,other', '/sub/h*') {
            my $c = $rt->client($t, $uri, id => $id,
                                several => $uri ne '/sub/h');
            ok(wait_for(sub { $c->gaps }), "$t $uri: a gap");
            my ($gap) = $c->gaps;
            is(show(seq($gap->{from}), seq($gap->{to}), $gap->{topic},
                    $gap->{reason}),
               "$before[-1] $large h evicted", "$t $uri: of that message");
            is(scalar(() = $c->items), 1, "$t $uri: and nothing else");
            $c->close;
        }
        my $c = $rt->client($t, '/sub/h*', id => 'earliest', several => 1);
        is(scalar(() = $c->items), 0, "$t: nothing is left from the earliest");
        $c->close;
    }

    rests($rt, 'a blob is gone');
    $_->resume for @behind;
    my $last = data('h', 4, 20_000);
    my $seq = $post->('h', $last);
    for my $c (@behind) {
        ok($c->wait_data($last), "$c->{uri}: behind, has the last one");
        my @h = ((map { { topic => 'h', seq => $before[ $_ - 1 ],
                          data => data('h', $_, 100_000 * $_) } } 1, 2),
                 { topic => 'h', seq => $large, data => data('h', 3, 150_000) },
                 { topic => 'h', seq => $seq, data => $last });
        my @faults = (RT::Follower::check($c->{items}, $c->{open_id}, @h),
                      exact($c->{items}, 'h', @h));
        is(scalar @faults, 0, "$c->{uri}: and is told of the others")
            or diag join "\n", @faults;
        my ($gap) = $c->gaps;
        is(show(seq($gap->{from}), seq($gap->{to})), "$before[-1] $large",
           "$c->{uri}: of the large one alone");
        is(scalar($c->gaps), 1, "$c->{uri}: once");
    }
    rests($rt, 'all have it');

    # who repeats a message takes no room

    my $again = sub {
        return $conn->ask('POST', '/pub/again', [ 'Idempotency-Key' => 'k' ],
                          data('again', 1, 100_000));
    };
    my $first = $again->()->json->{id};
    my $stat = $rt->status->{zones}{main};
    my @other = grep { $_ ne $first } map { $again->()->json->{id} } 1 .. 10;
    is(scalar @other, 0, 'the same message each time');
    is($rt->status->{zones}{main}{messages_evicted}, $stat->{messages_evicted},
       'and nothing goes for it');
}

RT->end;
