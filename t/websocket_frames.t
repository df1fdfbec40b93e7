# Malice in frames, RFC 6455: what each gets, whole, byte by byte, and in the
# same packet as the handshake.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2);

sub f { return RT::WebSocket::frame(@_) }


my @bad = (
    # name                         bytes                           close code
    [ 'no mask',                   f(1, 'x', mask => 0),           1002 ],
    [ 'ping without mask',         f(9, 'x', mask => 0),           1002 ],
    [ 'RSV1',                      f(1, 'x', rsv => 4),            1002 ],
    [ 'RSV2',                      f(1, 'x', rsv => 2),            1002 ],
    [ 'RSV3',                      f(2, 'x', rsv => 1),            1002 ],
    [ 'RSV1 on a ping',            f(9, 'x', rsv => 4),            1002 ],
    (map { [ "opcode $_",          f($_, 'x'),                     1002 ] }
     3 .. 7, 11 .. 15),
    [ 'fragmented ping',           f(9, 'x', fin => 0),            1002 ],
    [ 'fragmented close',          f(8, '', fin => 0),             1002 ],
    [ 'long ping',                 f(9, 'x' x 126),                1002 ],
    [ 'long ping, 64-bit form',    f(9, 'x', form => 64),          1002 ],
    [ 'continuation of nothing',   f(0, 'x'),                      1002 ],
    [ 'open continuation of nothing', f(0, 'x', fin => 0),         1002 ],
    [ 'text inside a message',     f(1, 'x', fin => 0) . f(1, 'y'), 1002 ],
    [ 'binary inside a text',      f(1, 'x', fin => 0) . f(2, 'y'), 1002 ],
    [ 'continuation after the end',
      f(1, 'x', fin => 0) . f(0, 'y') . f(0, 'z'),                 1002 ],
    [ '16-bit length too long',    f(1, 'x', form => 16),          1002 ],
    [ '64-bit length too long',    f(1, 'x' x 300, form => 64),    1002 ],
    [ 'highest bit of the length', f(1, '', form => 64,
                                     length => 1 << 63),    qr/^100[29]$/ ],
    [ '2^40 bytes',                f(1, '', form => 64,
                                     length => 1 << 40),           1009 ],
    [ 'more than allowed',         f(2, 'x', form => 64,
                                     length => 65537),             1009 ],
    [ 'more than allowed in fragments',
      f(2, 'x' x 40000, fin => 0) . f(0, 'x' x 40000),             1009 ],
    [ 'text that is not UTF-8',    f(1, "abc\xff"),                1007 ],
    [ 'overlong UTF-8',            f(1, "\xc0\xaf"),               1007 ],
    [ 'surrogate',                 f(1, "\xed\xa0\x80"),           1007 ],
    [ 'beyond Unicode',            f(1, "\xf4\x90\x80\x80"),       1007 ],
    [ 'UTF-8 cut at the end',      f(1, "caf\xc3"),                1007 ],
    [ 'UTF-8 cut at the end of fragments',
      f(1, 'x', fin => 0) . f(0, "caf\xc3"),                       1007 ],
    [ 'UTF-8 broken by a fragment',
      f(1, "\xc3", fin => 0) . f(0, 'x'),                          1007 ],
    [ 'close of one byte',         f(8, 'x'),                      1002 ],
    (map { [ "close $_",           f(8, pack 'n', $_),             1002 ] }
     0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535),
    [ 'close reason not UTF-8',    f(8, pack('n', 1000) . "\xff"),
                                                            qr/^100[27]$/ ],
    [ 'long close',                f(8, pack('n', 1000) . 'x' x 124), 1002 ],
);

# all at once: many clients, then look what each was told

my @tried;
for my $case (@bad) {
    my ($name, $bytes, $code) = @$case;

    my $ws = $rt->ws('/room/bad');
    $ws->write($bytes);
    push @tried, [ "$name", $ws, $code ];

    push @tried, [ "$name, with the handshake",
                   $rt->ws('/room/bad', early => $bytes, nowait => 1), $code ];

    next if length $bytes > 400;
    $ws = $rt->ws('/room/bad');
    $ws->trickle($bytes);
    push @tried, [ "$name, byte by byte", $ws, $code ];
}
wait_for(sub { !grep { !$_->[1]->eof } @tried });
for my $try (@tried) {
    my ($name, $ws, $code) = @$try;
    my $got = $ws->wait_close(0);
    ref $code ? like($got, $code, "$name: $code")
              : is($got, $code, "$name: $code");
    is($ws->status, 101, "$name: after the handshake");
    is($ws->{closes}, 1, "$name: one close frame") if $got;
}
is(scalar(grep { !$_->[1]->eof } @tried), 0, 'all connections end');

my @logged = $rt->log =~ /\[info\].*(closed with 100\d: \w.*client: 127)/g;
is(scalar @logged, scalar @tried, 'each is logged once, with the reason');

# where one may not publish, a broken frame is still a broken frame

for my $case (@bad[0, 2, 6]) {
    my $ws = $rt->ws('/sub/bad');
    $ws->write($case->[1]);
    is($ws->wait_close, 1002, "$case->[0], subscriber only");
}

# what was whole before a broken frame is published, and nothing of it

my @heard = grep { !/^[xy]{0,2}$/ } map { $_->{data} // '' }
    @{ $rt->poll_now('/sub/room/bad', 'earliest')->json // [] };
is_deeply(\@heard, [], 'nothing broken is published') or diag show(\@heard);


# good ones, cut in every way

my $long = join '', map { chr 32 + $_ % 90 } 1 .. 1000;
my @good = (
    [ 'text',            f(1, 'hello'),                          'hello' ],
    [ '16-bit length',   f(1, $long),                            $long ],
    [ 'mask of zeros',   f(1, 'hello', mask => "\0\0\0\0"),      'hello' ],
    [ 'fragments',       f(1, 'a', fin => 0) . f(0, 'b', fin => 0)
                         . f(0, 'c'),                            'abc' ],
    [ 'empty fragments', f(1, '', fin => 0) . f(0, '', fin => 0)
                         . f(0, 'c') ,                           'c' ],
    [ 'UTF-8 over fragments', f(1, "\xf0\x9f", fin => 0)
                         . f(0, "\x98", fin => 0) . f(0, "\x80"),
                                                      "\xf0\x9f\x98\x80" ],
    [ 'ping inside',     f(1, 'a', fin => 0) . f(9, 'p') . f(0, 'b'), 'ab' ],
    [ 'pong unasked',    f(10, 'p') . f(1, 'x'),                 'x' ],
    [ 'several',         f(1, '1') . f(2, "\xff") . f(1, '3'), '1', "\xff",
                                                                 '3' ],
);
for my $case (@good) {
    my ($name, $bytes, @want) = @$case;
    my $uri = '/room/' . ($name =~ s/\W/-/gr);
    my @all;

    my $ws = $rt->ws($uri);
    $ws->write($bytes);
    push @all, @want if $ws->wait_items(@all + @want);

    $ws->trickle($bytes);
    push @all, @want if $ws->wait_items(@all + @want);

    my $early = $rt->ws($uri, early => $bytes);
    ok($ws->wait_items(@all + @want, 3), "$name: with the handshake, at once");
    push @all, @want;

    my $partly = $rt->ws($uri, early => substr $bytes, 0, 5);
    $partly->write(substr $bytes, 5);
    push @all, @want if $ws->wait_items(@all + @want);

    is_deeply([ $ws->data ], \@all, $name) or diag show($ws->items);
    is(scalar @all, 4 * @want, "$name: in all four ways");
    is_deeply($ws->{pongs}, undef, "$name: no pong unasked")
        if $name ne 'ping inside';
}

# pings

my $ws = $rt->ws('/sub/ping', early => f(9, 'early'));
ok(wait_for(sub { $ws->{pongs} }, 8), 'ping with the handshake, at once');
$ws->{pongs} //= [ 'none' ];
is_deeply($ws->{pongs}, [ 'early' ], 'its pong');
$ws->ping('x' x 125);
ok(wait_for(sub { $ws->{pongs}->@* > 1 }), 'a ping of 125 bytes');
is($ws->{pongs}[1], 'x' x 125, 'comes back whole');
$ws->trickle(f(9, "\0\xff"));
ok(wait_for(sub { $ws->{pongs}->@* > 2 }), 'a ping in pieces');
is($ws->{pongs}[2], "\0\xff", 'comes back whole, too');
$ws->ping('');
ok(wait_for(sub { $ws->{pongs}->@* > 3 }), 'an empty ping');
$ws->write(join '', map { f(9, "n$_") } 1 .. 500);
ok(wait_for(sub { ($ws->{pongs}[-1] // '') eq 'n500' || $ws->eof }),
   'many pings') or diag show($ws->close_code);
is($ws->{pongs}[-1], 'n500', 'the last one is answered');
ok($ws->sync, 'and it still serves');

# nothing after a close

$ws = $rt->ws('/room/after');
$ws->write(f(8, pack 'n', 1000) . f(1, 'late'));
is($ws->wait_close, 1000, 'close');
ok($ws->wait_eof, 'end');
is_deeply($rt->poll_now('/sub/room/after', 'earliest')->json, [],
          'what follows a close is not published');
$ws = $rt->ws('/room/after', early => f(8, pack 'n', 1001));
is($ws->wait_close, 1001, 'close with the handshake');
ok($ws->wait_eof, 'end');

# a frame of which the end never comes, and a client that goes

$ws = $rt->ws('/room/half');
$ws->write(substr f(1, 'x' x 1000), 0, 500);
RT::Loop::turn(0.02) for 1 .. 3;
$ws->close;
ok(wait_for(sub {
    !($rt->get('/pub/room/half')->json // {})->{subscribers};
}), 'a client that goes in the middle of a frame');

RT->end;
