# realtime_message_rate: a WebSocket that says too much is closed.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

RT->need('realtime_message_rate');

my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location ~ ^/rate/(.+)$ {
        realtime_message_rate 1/s burst=5;
        realtime_publish   $1 websocket;
        realtime_subscribe $1;
    }
    location ~ ^/fast/(.+)$ {
        realtime_message_rate 1000/s burst=1000;
        realtime_publish   $1 websocket;
        realtime_subscribe $1;
    }
EOF_S

my $c = $rt->ws('/rate/r');
$c->write(join '', map { RT::WebSocket::frame(1, "r$_") } 1 .. 50);
is($c->wait_close, 1008, 'beyond the rate: 1008');
like($rt->log, qr/\[info\].* session closed with 1008: too many messages, /,
     'is logged');
ok($c->wait_eof, 'and the connection ends');
my $said = scalar @{ $rt->poll_now('/sub/r', 'earliest')->json // [] };
cmp_ok($said, '>=', 5, 'the burst was published');
cmp_ok($said, '<=', 8, 'and no more');

# slower than that is fine, and pings do not count

$c = $rt->ws('/rate/s');
$c->send_text("s$_") for 1 .. 4;
ok($c->wait_items(4), 'within the burst');
$c->ping("p$_") for 1 .. 30;
ok($c->sync, 'pings do not count');
my $begun = now;
wait_for(sub { now() - $begun > 1.5 });
$c->send_text('s5');
ok($c->wait_data('s5'), 'a second later there is room again');
is($c->close_code, undef, 'and nobody is closed');

$c = $rt->ws('/fast/f');
$c->write(join '', map { RT::WebSocket::frame(1, "f$_") } 1 .. 500);
ok($c->wait_data('f500'), 'a high rate');

$c = $rt->ws('/room/off');
$c->write(join '', map { RT::WebSocket::frame(1, "o$_") } 1 .. 500);
ok($c->wait_data('o500'), 'no limit unless there is one');

RT->end;
