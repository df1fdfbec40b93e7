# A reader that stops reading and is overtaken by the ring: realtime_slow.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


sub id_before ($id) { return epoch($id) . '-' . (seq($id) - 1) }


for my $workers (1, 2) {
    my $rt = RT->new(workers => $workers, zone => 'main 1m',
                     listen => 'sndbuf=16k', server => <<'EOF_S');
        location ~ ^/latest/(.+)$ {
            realtime_slow latest;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/close/(.+)$ {
            realtime_slow close;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/oldest/(.+)$ {
            realtime_start oldest;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my %c;
    my @transports = qw(sse websocket stream);
    for my $t (@transports) {
        for my $how (qw(sub latest close)) {
            $c{"$t $how"} = $rt->client($t, "/$how/s", rcvbuf => 4096);
        }
        $c{"$t several"} = $rt->client($t, '/sub/s,t', rcvbuf => 4096,
                                       several => 1);
    }
    $c{'bare sub'} = $rt->ws('/sub/s', rcvbuf => 4096);
    $c{'bare latest'} = $rt->ws('/latest/s', rcvbuf => 4096);
    $c{'bare close'} = $rt->ws('/close/s', rcvbuf => 4096);
    my $quick = $rt->sse('/sub/s');

    $rt->publish('s', 'before');
    ok($_->wait_data('before'), 'all are there') for values %c;
    $_->pause for values %c;

    # five rings full, while they sleep

    my $n = 0;
    my $pub = $rt->publisher(next => sub {
        return if $n == 500;
        my $size = 10_000 - $n;
        return 's', ++$n . ' ' . 'x' x $size;
    });
    ok(wait_for(sub { $pub->done }), 'a publisher is not held up');
    my @acks = $pub->acks;
    is(scalar @acks, 500, 'nothing is refused') or diag $pub->{refused}[0];
    my $last = $acks[-1];

    ok($quick->wait_data($last->{data}), 'a quick reader has it all');
    my @faults = RT::Follower::check($quick->{items}, $quick->{open_id}, @acks);
    is_deeply(\@faults, [], 'and exactly so')
        or diag explain [ @faults[0 .. 3] ];
    note 'gaps of a quick reader: ', scalar $quick->gaps;

    $_->resume for values %c;

    for my $t (@transports) {
        for my $how (qw(sub several)) {
            my $c = $c{"$t $how"};
            my $name = "$workers processes, $t $how";
            ok($c->wait_data($last->{data}), "$name: gets the last one");

            my @gaps = $c->gaps;
            ok(scalar @gaps, "$name: is told of a gap");
            ok(!(grep { $_->{reason} ne 'lagged' || $_->{topic} ne 's' } @gaps),
               "$name: lagged") or diag show(\@gaps);
            @faults = RT::Follower::check($c->{items}, $c->{open_id}, @acks);
            is_deeply(\@faults, [], "$name: all is accounted for")
                or diag explain [ @faults[0 .. 3] ];

            # from: what it had; to: just before what follows

            my @items = $c->items;
            for my $at (grep { $items[$_]{gap} } 1 .. $#items - 1) {
                my $gap = $items[$at]{gap};
                is($gap->{from}, $items[$at - 1]{id}, "$name: from");
                is(seq($gap->{to}), seq($items[$at + 1]{id}) - 1, "$name: to");
                next if $t ne 'sse';
                is($items[$at]{id}, $how eq 'sub' ? $gap->{to} : $gap->{from},
                   "$name: id of the gap");
            }
        }

        my $c = $c{"$t latest"};
        ok($c->wait_data($last->{data}), "$t latest: gets the last one");
        my @items = $c->items;
        my ($at) = grep { $items[$_]{gap} } 0 .. $#items;
        @items = @items[ $at + 1 .. $#items ] if defined $at;
        cmp_ok(scalar @items, '<', 100, "$t latest: not all");
        is_deeply([ RT::Follower::check($c->{items}, undef) ], [],
                  "$t latest: in order");

        $c = $c{"$t close"};
        ok($c->wait_end, "$t close: ends");
        is($c->close_code, 1013, "$t close: 1013") if $t eq 'websocket';
        ok($t eq 'websocket' || $c->{res}{done}, "$t close: a clean end")
            or diag "reset: $c->{reset}";
    }

    is($c{'bare sub'}->wait_close, 4000, 'a bare WebSocket: 4000');
    like($c{'bare sub'}->close_reason, qr/lagged/, 'and the reason');
    ok($c{'bare latest'}->wait_data($last->{data}), 'bare, latest');
    is($c{'bare close'}->wait_close, 1013, 'bare, close: 1013');

    # deleted before it was sent

    my $c = $rt->sse('/sub/gone', rcvbuf => 4096);
    $rt->publish('gone', 'g0');
    $c->wait_data('g0');
    $c->pause;
    my @gone = map { $rt->publish_id('gone', "g$_ " . 'x' x 10_000) } 1 .. 50;
    $rt->request('DELETE', '/pub/gone');
    my $after = $rt->publish_id('gone', 'after');
    $c->resume;
    ok($c->wait_data('after'), 'a slow reader of a deleted topic');
    my @gaps = $c->gaps;
    is(scalar @gaps, 1, 'has one gap') or diag show(\@gaps);
    is($gaps[0]{reason}, 'deleted', 'deleted');
    my @had = grep { /^g/ } $c->data;
    is($gaps[0]{from}, $gone[@had - 2], 'from what it had') if @had > 1;
    is($gaps[0]{to}, $gone[-1], 'to the last one deleted');

    # the same for readers of patterns that began with the oldest: they are
    # told of what is taken from them, and not of what was gone before

    $rt->publish('del/past', 'past');
    $rt->request('DELETE', '/pub/del/past');
    my $first = $rt->publish_id('del/a', 'first');
    $rt->publish('del/a', "a$_ " . 'x' x 10_000) for 1 .. 50;
    my %lost = map { ($_ => $rt->publish_id("del/$_", 'lost')) } qw(b c);

    my @late = (
        $rt->sse('/sub/del/*', id => 'earliest', rcvbuf => 4096, several => 1),
        $rt->stream('/oldest/del/**', rcvbuf => 4096, several => 1),
        $rt->stream('/sub/del/*', id => id_before($first), rcvbuf => 4096,
                    several => 1),
    );
    for my $c (@late) {
        $c->wait_data('first');
        $c->pause;
    }
    $rt->request('DELETE', "/pub/del/$_") for qw(b past);
    for my $c (@late) {
        $c->resume(4096);
        wait_for(sub { grep { /^a10 / } $c->data });
        $c->pause;
    }
    $rt->request('DELETE', '/pub/del/c');
    $rt->publish('del/b', 'after');
    $_->resume for @late;

    for my $c (@late) {
        ok($c->wait_data('after'), 'a slow reader of a pattern');
        is(scalar grep({ /^a/ && $_ ne 'after' } $c->data), 50,
           'gets what is left');
        is(scalar grep({ $_ eq 'lost' } $c->data), 0, 'not what is deleted');
        is(join(' ', sort map { "$_->{topic} $_->{to} $_->{reason}" } $c->gaps),
           "del/b $lost{b} deleted del/c $lost{c} deleted",
           'and is told what was taken, once') or diag show($c->gaps);
    }

    $rt->finish;
}


# A poll that gathers its answer in many steps, while others have theirs, is
# overtaken in the middle: it must answer what it has.  In a round, many polls
# start at once and more than the ring holds is published behind them.

my $rt = RT->new(zone => 'main 1m', http => <<'EOF_H', server => <<'EOF_S');
    realtime_slow            close;
    realtime_history         count=1000000;
    client_max_body_size     4m;
    client_body_buffer_size  4m;
EOF_H
    location = /batch { realtime_publish p/**; }
EOF_S

my $publisher = $rt->conn;
my $batch = qq({"topic":"p/a","data":"x"}\n) x 1500;

sub batches ($n) {
    $publisher->request('POST', '/batch', [
        'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
    ], $batch) for 1 .. $n;
    is($publisher->response->status, 201, 'a batch') for 1 .. $n;
}

my ($cut, $round, @faults) = (0, 0);

while ($round++ < 20 && !$cut && !@faults) {
    my $began = $rt->poll_now('/sub/p/a')->header('Realtime-Last-Id');
    batches(5);

    my @c = map { $rt->conn } 1 .. 60;
    $_->request('GET', '/sub/p/a', [
        Accept => 'application/json', 'Last-Event-ID' => $began,
    ]) for @c;
    batches(15);

    for my $c (@c) {
        my $r = $c->response;
        my @ids = $r->body =~ /"(?:id|to)":"([^"]+)"/g;
        my $last = $ids[-1] // $began;

        $cut++ if @ids < 7500;
        push @faults, $r->header('Realtime-Last-Id') . ", not $last"
            if $r->header('Realtime-Last-Id') ne $last;
        $c->close;
    }
}

ok($cut, 'polls were overtaken');
is(scalar @faults, 0, 'each answers what is before its id')
    or diag $faults[0];

$rt->finish;

RT->end;
