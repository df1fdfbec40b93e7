# Long-polls: at once, later, never.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


for my $workers (1, 2) {
    my $rt = RT->new(workers => $workers, server => <<'EOF_S');
        location ~ ^/short/(.+)$ {
            realtime_poll_timeout 700ms;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my $name = "$workers processes";

    my $waiting = sub ($n) {
        wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == $n })
            or diag "not $n polls: " . show($rt->status);
    };

    # at once

    my $r = $rt->poll_now('/sub/a');
    is($r->status, 200, "$name: a poll that does not wait") or diag $r->show;
    is($r->body =~ s/\s//gr, '[]', 'has nothing');
    my $id = $r->header('Realtime-Last-Id');
    is(seq($id), 0, 'and tells where we are');

    my $first = $rt->publish_id('a', 'one');
    my $second = $rt->publish_id('a', "caf\xc3\xa9", 'Realtime-Event' => 'e',
                                 'Content-Type' => 'text/x');
    my $third = $rt->publish_id('a', "\0\xff", 'Content-Type' => 'image/png');
    $r = $rt->get('/sub/a', Accept => 'application/json',
                  'Last-Event-ID' => $id);
    my $list = $r->json // [];
    is(scalar @$list, 3, 'messages since') or diag $r->show;
    is($r->header('Realtime-Last-Id'), $third, 'the new id');
    is_deeply([ map { $_->{id} } @$list ], [ $first, $second, $third ], 'ids');
    is(join(' ', sort keys $list->[0]->%*), 'data id time topic', 'keys');
    is(join(' ', sort keys $list->[1]->%*), 'data event id time topic type',
       'keys with event and type');
    is(join(' ', sort keys $list->[2]->%*), 'base64 id time topic type',
       'keys of a binary message');
    is($list->[1]{data}, "caf\x{e9}", 'data');
    is($list->[2]{base64}, 'AP8=', 'base64');
    like($list->[0]{time}, qr/^\d{13}$/, 'time');

    # when it comes

    my $c = $rt->conn;
    $c->request('GET', "/sub/a", [ Accept => 'application/json',
                                   'Last-Event-ID' => $third ]);
    $waiting->(1);
    ok(!$c->{res}, 'nothing yet');
    $id = $rt->publish_id('a', 'later');
    $r = $c->response;
    is_deeply([ map { $_->{data} } @{ $r->json // [] } ], [ 'later' ],
              'answered when a message comes');
    is($r->header('Realtime-Last-Id'), $id, 'with its id');

    $r = $c->ask('GET', "/sub/a?last_event_id=$third",
                 [ Accept => 'application/json' ]);
    is_deeply([ map { $_->{data} } @{ $r->json // [] } ], [ 'later' ],
              'on the same connection, by query');
    $waiting->(0);

    # without an id, from now on

    $c->request('GET', "/sub/a", [ Accept => 'application/json' ]);
    $waiting->(1);
    $rt->publish('b', 'elsewhere');
    $rt->publish('a', 'now');
    $r = $c->response;
    is_deeply([ map { $_->{data} } @{ $r->json // [] } ], [ 'now' ],
              'without an id: what comes next');

    # times

    for (['realtime_poll_timeout', '/short/a', []],
         ['Prefer: wait=1', '/sub/a', [ Prefer => 'wait=1' ]],
         ['Prefer among others', '/sub/a',
          [ Prefer => 'respond-async, wait=1' ]],
         ['Prefer in two lines', '/sub/a',
          [ Prefer => 'respond-async', Prefer => 'wait=1' ]],
         ['Prefer beyond the timeout', '/short/a', [ Prefer => 'wait=600' ]])
    {
        my ($what, $uri, $headers) = @$_;
        last if $workers > 1;
        my $before = now;
        $r = $c->ask('GET', $uri, [ Accept => 'application/json', @$headers ]);
        my $took = now() - $before;
        is($r->body =~ s/\s//gr, '[]', "$what: nothing came");
        cmp_ok($took, '>=', 0.6, "$what: it waited");
        cmp_ok($took, '<', 10, "$what: not for long");
        is(seq($r->header('Realtime-Last-Id')), seq($id) + 2, "$what: id");
    }
    ok(!$c->eof, 'all on one connection');

    $c->request('GET', "/sub/a", [ Accept => 'application/json',
                                   Prefer => 'wait=x' ]);
    $waiting->(1);
    $c->close;
    $waiting->(0);
    pass('a client that goes is noticed');

    # several topics, and many clients

    my $before = $rt->poll_now('/sub/x')->header('Realtime-Last-Id');
    my @c = map { $rt->conn } 1 .. 20;
    for my $c (@c) {
        $c->request('GET', '/sub/x,y/*', [ Accept => 'application/json',
                                           'Last-Event-ID' => $before ]);
    }
    $waiting->(20);
    $rt->publish('y/1', 'for all');
    my @got = map { ($_->response->json // [])->[0]{data} } @c;
    is_deeply(\@got, [ ('for all') x 20 ], 'many waiting polls');
    $waiting->(0);

    # a client that goes on asking

    my $p = $rt->poll('/sub/p,q', several => 1);
    my $pub = $rt->publisher(next => do {
        my $n = 0;
        sub { $n++ < 100 ? ($n % 2 ? 'p' : 'q', "m$n") : () };
    });
    ok($p->wait_items(100), 'one hundred messages over polls')
        or diag scalar($p->items) . ' came';
    is_deeply([ $p->data ], [ map { "m$_" } 1 .. 100 ], 'each once, in order');
    $p->close;

    # HEAD and HTTP/1.0

    my $old = $rt->conn;
    push $old->{methods}->@*, 'GET';
    $old->write("GET /sub/a HTTP/1.0\r\nAccept: application/json\r\n"
                . "Last-Event-ID: $third\r\n\r\n");
    $r = $old->response;
    is(($r->json // [])->[0]{data}, 'later', 'HTTP/1.0');

    $rt->finish;
}

RT->end;
