# permessage-deflate, RFC 7692.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

use Compress::Raw::Zlib;
use Compress::Zlib ();

RT->need('realtime_deflate');

my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location ~ ^/off/(.+)$ {
        realtime_deflate off;
        realtime_publish   $1 websocket;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/all/(.+)$ {
        realtime_deflate on level=9 min=0;
        realtime_publish   $1 websocket;
        realtime_subscribe $1 patterns;
    }
EOF_S

sub inflate ($bytes) {
    my ($z) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15);
    my $out = '';
    $bytes .= "\0\0\xff\xff";
    my $status = $z->inflate($bytes, $out);
    return $status == Z_OK || $status == Z_BUF_ERROR ? $out : "broken: $status";
}


sub deflate ($bytes) {
    my ($z) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
                                                -AppendOutput => 1);
    my $out = '';
    $z->deflate($bytes, $out);
    $z->flush($out, Z_SYNC_FLUSH);
    return $out =~ s/\0\0\xff\xff\z//r;
}


sub ws ($uri, $offer = 'permessage-deflate', %o) {
    return $rt->ws($uri, handshake => { 'Sec-WebSocket-Extensions' => $offer },
                   %o);
}


# what came, and whether it was compressed

sub frames ($ws) {
    return map {
        $_->{opcode} > 2 ? ()
            : [ $_->{rsv} == 4 ? inflate($_->{payload}) : $_->{payload},
                $_->{rsv} ]
    } $ws->{frames}->@*;
}


# negotiation

for my $offer ('permessage-deflate',
               'permessage-deflate; client_max_window_bits',
               'permessage-deflate; server_no_context_takeover; '
               . 'client_no_context_takeover',
               'x-other, permessage-deflate')
{
    my $ws = ws('/sub/a', $offer);
    is($ws->status, 101, $offer);
    my $agreed = $ws->header('Sec-WebSocket-Extensions') // '';
    like($agreed, qr/^permessage-deflate\b/, 'is agreed to');
    like($agreed, qr/server_no_context_takeover/,
         'each message stands alone, for it is compressed for all');
    $ws->close;
}
for my $offer ('x-other', 'permessage-deflate; nonsense=1') {
    my $ws = ws('/sub/a', $offer);
    is($ws->status, 101, "$offer: no error");
    is($ws->header('Sec-WebSocket-Extensions'), undef, 'but not agreed to');
}
is(ws('/off/a')->header('Sec-WebSocket-Extensions'), undef, 'off');

# from the server

my @c = map { ws('/sub/a') } 1 .. 2;
my $plain = $rt->ws('/sub/a');
my $enveloped = ws('/sub/a', 'permessage-deflate', envelope => 1,
                   nowait => 1);
ok(wait_for(sub { $enveloped->status == 101 }), 'with envelopes');
my $json = join ',', map { "{\"n\":$_}" } 1 .. 500;
my @sent = ($json, 'short', "caf\xc3\xa9 " x 100, 'x' x 60_000, 'x' x 255,
            'x' x 256);
$rt->publish('a', $_) for @sent;
for my $c (@c) {
    ok($c->wait_items(6), 'messages come') or diag show(frames($c));
    my @f = frames($c);
    is_deeply([ map { $_->[0] } @f ], \@sent, 'and inflate');
    is_deeply([ map { $_->[1] } @f ], [ 4, 0, 4, 4, 0, 4 ],
              'short ones are not compressed');
    my ($first) = $c->{frames}->@*;
    cmp_ok(length $first->{payload}, '<', length($json) / 2, 'it is worth it');
}
is_deeply($c[0]{frames}, $c[1]{frames}, 'the same bytes for all');
ok($plain->wait_items(6), 'who did not ask');
is_deeply([ $plain->data ], \@sent, 'gets it plain');
ok(wait_for(sub { frames($enveloped) >= 5 }), 'envelopes come');
my @e = map { json_of($_->[0]) // {} } frames($enveloped);
ok($e[0]{open}, 'open');
is($e[1]{data}, $json, 'message');

# from the client

for my $uri ('/room/b', '/all/room/b') {
    my $ws = ws($uri);
    my $seen = $rt->sse('/sub/room/b');
    $ws->send_text(deflate($json), rsv => 4);
    $ws->send_text('not compressed');
    my $z = deflate("frag " x 1000);
    $ws->write(RT::WebSocket::frame(1, substr($z, 0, 3), fin => 0, rsv => 4)
               . RT::WebSocket::frame(9, 'ping')
               . RT::WebSocket::frame(0, substr $z, 3));
    $ws->send_text(deflate(''), rsv => 4);
    $ws->trickle(RT::WebSocket::frame(2, deflate("\xff" x 300), rsv => 4));
    ok($seen->wait_items(5), "$uri: compressed messages of clients");
    is_deeply([ $seen->data ], [ $json, 'not compressed', "frag " x 1000, '',
                                 "\xff" x 300 ], "$uri: are inflated")
        or diag show(map { substr $_, 0, 60 } $seen->data);
    $_->close for $ws, $seen;
}

# RFC 7692, 7.2.3, octet by octet; and deflaters that differ from ours

sub raw ($bytes, $flush, %o) {
    my ($z) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
                                                -AppendOutput => 1, %o);
    my $out = '';
    $z->deflate($bytes, $out);
    $z->flush($out, $flush);
    return $out =~ s/\0\0\xff\xff\z//r;
}


my $text = join ' ', map { $_ * 7919 % 1000 } 1 .. 60;
my @good = (
    [ '7.2.3.1', "\xf2\x48\xcd\xc9\xc9\x07\x00", 'Hello' ],
    [ '7.2.3.3', "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 'Hello' ],
    [ '7.2.3.4', "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 'Hello' ],
    [ '7.2.3.5', "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
      'Hello' ],
    [ '7.2.3.6', "\x00", '' ],
    [ 'not even that', '', '' ],
    [ 'two final blocks', "\xf3\x48\xcd\xc9\xc9\x07\x00" x 2 . "\x00",
      'HelloHello' ],
    [ 'a final block alone', raw($text, Z_FINISH), $text ],
    [ 'a window of 9 bits', raw($text x 9, Z_SYNC_FLUSH, -WindowBits => -9),
      $text x 9 ],
    [ 'not compressed', raw($text, Z_SYNC_FLUSH,
                            -Level => Z_NO_COMPRESSION), $text ],
    [ 'Huffman only', raw($text, Z_SYNC_FLUSH,
                          -Strategy => Z_HUFFMAN_ONLY), $text ],
    [ 'as large as may be', deflate('x' x 65536), 'x' x 65536 ],
    [ 'larger than it was', raw('x' x 65536, Z_SYNC_FLUSH,
                                -Level => Z_NO_COMPRESSION), 'x' x 65536 ],
);
{
    my $ws = ws('/room/good');
    my $seen = $rt->sse('/sub/room/good');
    for my $case (@good) {
        my ($name, $bytes, $want) = @$case;
        $ws->send_text($bytes, rsv => 4);
        $ws->send_text("after $name");
        $seen->wait_data("after $name");
        my @data = $seen->data;
        same($data[-2], $want, "$name: inflates");
    }
    is(scalar $seen->data, 2 * @good, 'each is one message');
    $_->close for $ws, $seen;
}


# malice; what is cut off anywhere, or goes on behind its end, is an error

my $bomb = deflate("\0" x 10_000_000);
cmp_ok(length $bomb, '<', 60_000, 'a bomb');
my %bad = (
    'a bomb' => [ RT::WebSocket::frame(2, $bomb, rsv => 4), 1009 ],
    'too large before it is inflated' => [
        RT::WebSocket::frame(2, "\0" x 100_000, rsv => 4), 1009 ],
    'a little too large, not compressed' => [
        RT::WebSocket::frame(2, raw('x' x 65537, Z_SYNC_FLUSH,
                                    -Level => Z_NO_COMPRESSION), rsv => 4),
        1009 ],
    'a little too large' => [ RT::WebSocket::frame(2, deflate('x' x 65537),
                              rsv => 4), 1009 ],
    'no deflate' => [ RT::WebSocket::frame(1, "\xff" x 20, rsv => 4),
                      qr/^100[27]$/ ],
    'not UTF-8' => [ RT::WebSocket::frame(1, deflate("\xff"), rsv => 4),
                     1007 ],
    'compressed ping' => [ RT::WebSocket::frame(9, 'x', rsv => 4), 1002 ],
    'compressed continuation' => [
        RT::WebSocket::frame(1, 'x', fin => 0, rsv => 4)
        . RT::WebSocket::frame(0, 'x', rsv => 4), 1002 ],
    'a bomb in pieces' => [
        RT::WebSocket::frame(2, substr($bomb, 0, 5000), fin => 0, rsv => 4)
        . RT::WebSocket::frame(0, substr $bomb, 5000), 1009 ],
    'a bomb of final blocks' => [
        RT::WebSocket::frame(2, raw('x' x 2000, Z_FINISH) x 50, rsv => 4),
        1009 ],
    'another after a final block' => [
        RT::WebSocket::frame(1, raw($text, Z_FINISH) . 'garbage', rsv => 4),
        1007 ],
    'behind its end' => [
        RT::WebSocket::frame(1, deflate($text) . "\xff\xff", rsv => 4), 1007 ],
    'too far back' => [
        RT::WebSocket::frame(1, "\xf2\x00\x11\x00\x00", rsv => 4), 1007 ],
    'a reserved block type' => [
        RT::WebSocket::frame(1, "\x06", rsv => 4), 1007 ],
    'a stored block of another length' => [
        RT::WebSocket::frame(1, "\x00\x05\x00\xfb\xffHello\x00", rsv => 4),
        1007 ],
    'its header and checksum' => [
        RT::WebSocket::frame(1, Compress::Zlib::memGzip($text), rsv => 4),
        1007 ],
);
for my $z (deflate($text), raw($text, Z_FINISH),
           raw($text, Z_SYNC_FLUSH, -Level => Z_NO_COMPRESSION))
{
    my $n = length $z;
    for my $cut (2, 3, 5, 20, int($n / 2), $n - 20, $n - 3, $n - 2) {
        $bad{"cut off after $cut of $n"} = [
            RT::WebSocket::frame(1, substr($z, 0, $cut), rsv => 4), 1007 ];
    }
}
for my $name (sort keys %bad) {
    my ($bytes, $code) = $bad{$name}->@*;
    my $ws = ws('/room/bad');
    $ws->write($bytes);
    my $got = $ws->wait_close;
    ref $code ? like($got, $code, $name) : is($got, $code, $name);
    $ws->close;
}
{
    my $ws = $rt->ws('/room/bad');
    $ws->write(RT::WebSocket::frame(1, deflate('x'), rsv => 4));
    is($ws->wait_close, 1002, 'compressed, and not agreed to');
    $ws->close;
}
is_deeply($rt->poll_now('/sub/room/bad', 'earliest')->json, [],
          'nothing of it is published');

RT->end;
