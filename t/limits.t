# Limits: subscribers of a topic, and an index that is full.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


for my $workers (1, 2) {
    my $rt = RT->new(workers => $workers, server => <<'EOF_S');
        location ~ ^/two/(.+)$ {
            realtime_subscriber_limit 2;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my @pids = $rt->wait_workers;
    my $name = "$workers processes";

    for my $transport (qw(sse websocket stream)) {
        my $topic = "t/$transport";
        my @two = map { $rt->client($transport, "/two/$topic",
                                    pid => $pids[$_ % @pids]) } 0, 1;
        is_deeply([ map { $_->status } @two ],
                  [ ($transport eq 'websocket' ? 101 : 200) x 2 ],
                  "$name, $transport: two");
        for my $other (qw(sse websocket stream)) {
            my $third = $rt->client($other, "/two/$topic");
            is($third->status, 503, "$name, $transport: a third, $other: 503");
            $third->close;
        }
        is($rt->poll_now("/two/$topic")->status, 503, 'a third, poll: 503');
        my $elsewhere = $rt->client($transport, "/two/$topic/other");
        isnt($elsewhere->status, 503, 'another topic');
        $elsewhere->close;
        is(($rt->publish($topic, 'x')->json // {})->{subscribers}, 2,
           'two are counted');

        $two[0]->abort;
        my $again;
        ok(wait_for(sub {
            $again = $rt->client($transport, "/two/$topic");
            return 1 if $again->status != 503;
            $again->close;
            return;
        }), "$name, $transport: when one leaves, another may come");
        $_->close for $two[1], $again;
    }

    my @c = map { $rt->conn(pid => $pids[$_ % @pids]) } 0, 1;
    $_->request('GET', '/two/polled', [ Accept => 'application/json' ]) for @c;
    ok(wait_for(sub {
        $rt->status->{zones}{main}{subscribers}{poll} == 2;
    }), 'two polls wait');
    my $sse = $rt->sse('/two/polled');
    is($sse->status, 503, "$name: waiting polls are counted");
    $rt->publish('polled', 'x');
    is(scalar(grep { $_->response->status == 200 } @c), 2,
       'both are answered');
    ok(wait_for(sub {
        $sse->close;
        $sse = $rt->sse('/two/polled');
        return $sse->status == 200;
    }), 'and count no more');
    $rt->finish;
}


# A session of several topics that is refused for the last of them has left the
# first, and nothing comes between the bytes of a slow answer.

{
    my $rt = RT->new(server => <<'EOF_S');
        location /several {
            realtime_subscriber_limit 1;
            realtime_start oldest;
            realtime_subscribe $arg_t patterns;
            limit_rate 100;
        }
EOF_S
    $rt->publish('x/a', "old $_") for 1 .. 3;
    my $other = $rt->sse('/sub/x/b');
    my $c = $rt->conn;
    $c->request('GET', '/several?t=x/a,x/b', [
        'Upgrade' => 'websocket', 'Connection' => 'Upgrade',
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Protocol' => 'realtime.json',
    ]);
    ok(wait_for(sub { length $c->{in} }), 'several topics: an answer begins');
    is($rt->publish('x/a', 'new')->json->{subscribers}, 0,
       'the topic that was not refused has no subscriber');
    my $r = $c->response;
    is($r->status, 503, 'several topics: 503');
    like(($r->json // {})->{error}, qr/as many subscribers as allowed/,
         'and the whole answer');
    unlike($r->show, qr/"(?:old|new)/, 'with nothing else in it');
    $_->close for $c, $other;
    $rt->finish;
}


# The index: idle topics are given up, longest idle first.

my $rt = RT->new(zone => 'main 1m', http => <<'EOF_H', server => <<'EOF_S');
    large_client_header_buffers 8 64k;
EOF_H
    location ~ ^/all/(.+)$ {
        realtime_history count=1000000;
        realtime_subscribe $1 patterns;
    }
EOF_S
my $c = $rt->conn;
my $pad = 'n' x 240;

sub post ($n) { return $c->ask('POST', "/pub/t$n/$pad", [], 'x') }


sub known ($n) { return $rt->get("/pub/t$n/$pad")->status == 200 }


my $sse = $rt->sse("/sub/t1/$pad");
my $worst = 201;
for my $n (1 .. 1500) {
    my $r = post($n);
    $worst = $r->status if $r->status != 201;
    if ($n % 50 == 0) {
        post(2);                         # keeps this one in use
    }
}
is($worst, 201, 'more topics than the index holds: none is refused');
ok(known(1500), 'the newest is there');
ok(known(1), 'one with a subscriber is there');
ok(known(2), 'one in use is there');
ok(!known(3), 'the one that was longest idle is not');
my ($oldest) = grep { known($_) } 3 .. 1500;
ok(!(grep { !known($_) } $oldest .. 1500), 'longest idle first');
$rt->publish("t1/$pad", 'still');
ok($sse->wait_data('still'), 'its subscriber is served');

# what was given up is a gap

my $id = $rt->poll_now('/sub/t3')->header('Realtime-Last-Id');
my $early = epoch($id) . '-' . 0;
my $list = $rt->poll_now("/all/t3/$pad", $early)->json;
is(ref $list && $list->[0]{gap}{from}, $early, 'a topic given up is a gap')
    or diag show($list);
$list = $rt->poll_now("/all/t*/*", $early)->json;
ok(ref $list && (grep { $_->{gap} && $_->{gap}{topic} =~ /^t\*/ } @$list),
   'under a pattern, the gap names the pattern')
    or diag show(ref $list ? $list->[0] : $list);

# subscribers have their share of the index, and no more; others go on, and
# there is room again when they leave

my @subs;
my $refused;
for my $round (1 .. 100) {
    my @topics = map { "s$round-$_/$pad" } 1 .. 20;
    my $s = $rt->sse('/sub/' . join ',', @topics);
    push @subs, $s;
    $refused = $s->header('X-Pid') ? $s->{res} : undef if $s->status == 503;
    last if $s->status != 200;
    for my $topic (@topics) {
        my $r = $c->ask('POST', "/pub/$topic", [], 'x');
        $refused = $r if $r->status == 503;
    }
    my $r = $c->ask('POST', "/pub/fresh$round/$pad", [], 'x');
    $refused = $r if $r->status == 503;
    last if $refused;
}
ok($refused, 'at last there is no room');
for my $n (1 .. 100) {
    push @subs, $rt->sse("/sub/u$n/$pad");
    last if $subs[-1]->status == 503;
}
is($subs[-1]->status, 503, 'for one more subscriber: 503');
my $r = $c->ask('POST', "/pub/last/$pad", [], 'x');
is($r->status, 201, 'for a new topic there is') or diag $r->show;
$rt->publish("s1-1/$pad", 'known');
ok($subs[0]->wait_data('known'), 'topics that are there are served');

$_->close for @subs;
ok(wait_for(sub {
    my $r = $c->ask('POST', "/pub/last/$pad", [], 'x');
    return $r->status == 201;
}), 'when they leave, there is room');

RT->end;
