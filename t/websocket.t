# WebSocket: bare and in envelopes, publishing over it, and how it closes.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


for my $workers (1, 2) {
    my $rt = RT->new(workers => $workers, server => <<'EOF_S');
        location ~ ^/small/(.+)$ {
            realtime_message_max_size 100;
            realtime_publish   $1 websocket;
            realtime_subscribe $1;
        }
        location ~ ^/enveloped/(.+)$ {
            realtime_envelope on;
            realtime_publish   $1 websocket;
            realtime_subscribe $1;
        }
        location = /other {
            realtime_publish   there websocket;
            realtime_subscribe here;
        }
EOF_S
    my $name = "$workers processes";

    # bare

    my $ws = $rt->ws('/sub/a');
    ok($ws->accepted, "$name: open");
    $rt->publish('a', "caf\xc3\xa9");
    $rt->publish('a', "\0\xff", 'Content-Type' => 'image/png');
    $rt->publish('a', '');
    $rt->publish('a', 'x' x 126);
    $rt->publish('a', 'x' x 65536);
    ok($ws->wait_items(5), "$name: bare messages");
    my @m = $ws->items;
    is($m[0]{data}, "caf\xc3\xa9", 'text');
    ok(!$m[0]{binary}, 'text frame');
    is($m[1]{data}, "\0\xff", 'binary');
    ok($m[1]{binary}, 'binary frame');
    is($m[2]{data}, '', 'empty');
    is(length $m[3]{data}, 126, '16-bit length');
    is(length $m[4]{data}, 65536, '64-bit length');
    is_deeply($ws->{bad}, undef, 'no bad frame');

    # envelopes

    for my $how ([ '/sub/e', envelope => 1 ],
                 [ '/sub/e', protocol => 'realtime.json' ],
                 [ '/enveloped/e', enveloped => 1 ])
    {
        my ($uri, %o) = @$how;
        my $e = $rt->ws($uri, %o);
        like($e->{open_id}, qr/^[0-9a-f]+-\d+$/, "$uri @{[%o]}: open")
            or diag show($e->{frames});
        is_deeply([ sort keys $e->{opens}[0]{open}->%* ],
                  $o{protocol} ? [ qw(client id user) ] : [ 'id' ],
                  'nothing else in it');
        is($e->header('Realtime-Last-Id'), $e->{open_id}, 'as in the header');
        my $id = $rt->publish_id('e', "\"caf\xc3\xa9\"\n",
                                 'Realtime-Event' => 'e');
        $rt->publish('e', "\0\xff", 'Content-Type' => 'image/png');
        ok($e->wait_items(2), 'messages');
        my @m = $e->items;
        is($m[0]{id}, $id, 'id');
        is($m[0]{topic}, 'e', 'topic');
        is($m[0]{event}, 'e', 'event');
        is($m[0]{data}, "\"caf\xc3\xa9\"\n", 'data');
        like($m[0]{time}, qr/^\d{13}$/, 'time');
        ok(!exists $m[0]{type}, 'no type');
        is($m[1]{base64}, 'AP8=', 'base64');
        is($m[1]{type}, 'image/png', 'type');
        ok(!(grep { $_->{opcode} != RT::WebSocket::TEXT } $e->{frames}->@*),
           'text frames') or diag show($e->{frames});
        $e->close;
    }

    # publishing

    my @room = map { $rt->ws('/room/r') } 1 .. 4;
    my $enveloped = $rt->ws('/room/r', envelope => 1);
    my $sse = $rt->sse('/sub/room/r');
    $room[0]->send_text("caf\xc3\xa9");
    $_->wait_items(1) for @room, $enveloped, $sse;
    $room[1]->send_binary("\0\xff");
    $_->wait_items(2) for @room, $enveloped, $sse;
    $room[2]->send_text('');
    $_->wait_items(3) for @room, $enveloped, $sse;
    $room[3]->write(RT::WebSocket::frame(1, 'fr', fin => 0)
                    . RT::WebSocket::frame(0, 'ag', fin => 0)
                    . RT::WebSocket::frame(0, 'ment'));
    $_->wait_items(4) for @room, $enveloped, $sse;
    $enveloped->send_text('{"bare":"data"}');
    for my $c (@room, $enveloped, $sse) {
        $c->wait_items(5);
        is_deeply([ $c->data ], [ "caf\xc3\xa9", "\0\xff", '', 'fragment',
                                  '{"bare":"data"}' ],
                  ref($c) . ': what clients said, to all and themselves')
            or diag show($c->items);
    }
    my @e = $enveloped->items;
    is($e[1]{base64}, 'AP8=', 'binary frames are binary') or diag show($e[1]);
    is($e[3]{topic}, 'room/r', 'topic of the location');

    my $other = $rt->ws('/other');
    my ($here, $there) = ($rt->sse('/sub/here'), $rt->sse('/sub/there'));
    $other->send_text('to there');
    ok($there->wait_items(1), 'one topic to publish, another to subscribe');
    $rt->publish('here', 'to here');
    ok($other->wait_items(1), 'comes on the other');
    is_deeply([ $other->data ], [ 'to here' ], 'and only that');

    my @burst = map { "m$_" } 1 .. 200;
    my $b = $rt->ws('/room/burst');
    $b->write(join '', map { RT::WebSocket::frame(1, $_) } @burst);
    ok($b->wait_items(200), 'a burst in one write');
    is_deeply([ $b->data ], \@burst, 'comes in order');

    # closes

    my $c = $rt->ws('/sub/a');
    $c->send_text('x');
    is($c->wait_close, 1008, 'where nothing may be published: 1008');
    ok($c->wait_eof, 'and the connection ends');

    for my $code (1000, 1001, 3000, 4999) {
        $c = $rt->ws('/sub/a');
        $c->send_close($code, 'bye');
        is($c->wait_close, $code, "close $code is echoed");
        ok($c->wait_eof, 'and the connection ends');
        is($c->{closes}, 1, 'one close frame');
    }
    $c = $rt->ws('/sub/a');
    $c->send_close;
    like($c->wait_close, qr/^100[05]$/, 'a close without code');
    ok($c->wait_eof, 'and the connection ends');

    $c = $rt->ws('/room/a');
    $c->send_text("\xff");
    is($c->wait_close, 1007, 'not UTF-8: 1007');
    $c = $rt->ws('/small/s');
    $c->send_text('x' x 100);
    ok($c->wait_items(1), 'as large as allowed');
    $c->send_text('x' x 101);
    is($c->wait_close, 1009, 'larger: 1009');
    $c = $rt->ws('/small/s');
    $c->write(RT::WebSocket::frame(1, 'x' x 60, fin => 0)
              . RT::WebSocket::frame(0, 'x' x 60));
    is($c->wait_close, 1009, 'larger in fragments: 1009');

    # what a client publishes right before the end comes back first

    for my $last ([ 1000, RT::WebSocket::frame(8, pack 'n', 1000) ],
                  [ 1002, RT::WebSocket::frame(3, '') ])
    {
        my ($code, $bytes) = @$last;
        $c = $rt->ws('/room/last');
        $c->write(RT::WebSocket::frame(1, "before $code") . $bytes);
        is($c->wait_close, $code, "$code right behind a message");
        is_deeply([ $c->data ], [ "before $code" ], 'which comes first');
        ok($c->wait_eof, 'and the connection ends');
        is($c->{closes}, 1, 'with one close frame');
    }

    # a client that is gone without a word

    my $before = $rt->status->{zones}{main}{subscribers}{websocket};
    my @gone = map { $rt->ws('/sub/gone') } 1 .. 5;
    ok(wait_for(sub {
        $rt->status->{zones}{main}{subscribers}{websocket} == $before + 5;
    }), 'counted');
    $_->abort for @gone[ 0 .. 2 ];
    $_->close for @gone[ 3 .. 4 ];
    ok(wait_for(sub {
        $rt->status->{zones}{main}{subscribers}{websocket} == $before;
    }), 'noticed when gone');

    $rt->finish;
}

# a proxy that hands on the key and not the Upgrade

my $lost = RT->new->request('GET', '/sub/a', [
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version' => 13 ]);
is($lost->status, 400, 'a key without Upgrade');
like($lost->body, qr/proxy/, 'says whose fault it is');

RT->end;
