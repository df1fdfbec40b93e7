# permessage-deflate, RFC 7692.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

use Compress::Raw::Zlib;

RT->need('realtime_deflate');

my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location ~ ^/off/(.+)$ {
        realtime_deflate off;
        realtime_publish   $1;
        realtime_subscribe $1;
    }
    location ~ ^/all/(.+)$ {
        realtime_deflate on level=9 min=0;
        realtime_publish   $1;
        realtime_subscribe $1;
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
my @sent = ($json, 'short', "caf\xc3\xa9 " x 100, 'x' x 60_000);
$rt->publish('a', $_) for @sent;
for my $c (@c) {
    ok($c->wait_items(4), 'messages come') or diag show(frames($c));
    my @f = frames($c);
    is_deeply([ map { $_->[0] } @f ], \@sent, 'and inflate');
    is_deeply([ map { $_->[1] } @f ], [ 4, 0, 4, 4 ],
              'short ones are not compressed');
    my ($first) = $c->{frames}->@*;
    cmp_ok(length $first->{payload}, '<', length($json) / 2, 'it is worth it');
}
is_deeply($c[0]{frames}, $c[1]{frames}, 'the same bytes for all');
ok($plain->wait_items(4), 'who did not ask');
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

# malice

my $bomb = deflate("\0" x 10_000_000);
cmp_ok(length $bomb, '<', 60_000, 'a bomb');
my %bad = (
    'a bomb' => [ RT::WebSocket::frame(2, $bomb, rsv => 4), 1009 ],
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
);
for my $name (sort keys %bad) {
    my ($bytes, $code) = $bad{$name}->@*;
    my $ws = ws('/room/bad');
    $ws->write($bytes);
    my $got = $ws->wait_close;
    ref $code ? like($got, $code, $name) : is($got, $code, $name);
    $ws->close;
}
is_deeply($rt->poll_now('/sub/room/bad', 'earliest')->json, [],
          'nothing of it is published');

RT->end;
