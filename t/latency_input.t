# What one WebSocket client sends, however fast, does not keep others waiting:
# pings, and small deflated frames that inflate to 64k.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Compress::Raw::Zlib;
use Test::More;
use RT;
use RT::Latency;


my $rt = RT->new(zone => 'main 16m', listen => 'rcvbuf=256k',
    server => <<'EOC');
        location ~ ^/in/(.+)$ {
            realtime_publish   in/$1 websocket;
            realtime_subscribe other;
        }
EOC

my $latency = RT::Latency->new($rt);


sub bomb {
    my ($z) = Compress::Raw::Zlib::Deflate->new(
        -WindowBits => -MAX_WBITS, -Level => Z_BEST_COMPRESSION,
        -AppendOutput => 1);
    my $out = '';

    $z->deflate('a' x 65536, $out);
    $z->flush($out, Z_SYNC_FLUSH);
    return substr $out, 0, -4;
}


my $ping = RT::WebSocket::frame(RT::WebSocket::PING);
my $frame = RT::WebSocket::frame(RT::WebSocket::TEXT, bomb(), rsv => 4);

ok(length $frame < 200, 'a small frame');

$latency->ok(sub ($end) {
    $latency->pour($rt->ws('/in/a'), $ping x 40000, 1.5);
}, 'pings');

$latency->ok(sub ($end) {
    my $ws = $rt->ws('/in/a', handshake => {
        'Sec-WebSocket-Extensions' => 'permessage-deflate',
    });

    like($ws->header('Sec-WebSocket-Extensions'), qr/permessage-deflate/,
         'deflate');
    $latency->pour($ws, $frame x 700, 1.5);
}, 'frames that inflate');

ok($rt->status->{zones}{main}{messages_published} > 100, 'they were taken');

RT->end;
