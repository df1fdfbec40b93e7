# SSE, polls and streams over HTTP/2, with curl as the client.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


if (qx(curl --version) !~ /HTTP2/) {
    plan skip_all => 'curl without HTTP/2';
}

my $rt = RT->new(workers => 2, http2 => 1, http => 'realtime_drain 1s;',
                 server => <<'EOF_S');
    location ~ ^/socket/(.+)$ {
        realtime_transports websocket;
        realtime_subscribe $1;
    }
EOF_S

for my $tls (0, 1) {
    my $name = $tls ? 'TLS' : 'prior knowledge';
    my %o = (tls => $tls);

    my $sse = $rt->h2('SSE', '/sub/a', %o);
    is($sse->status, 200, "$name: SSE");
    like($sse->{res}{head}, qr{^HTTP/2 }, "$name: is HTTP/2");
    like($sse->header('Content-Type'), qr{^text/event-stream}, 'type');
    is($sse->header('Transfer-Encoding'), undef, 'no chunks');
    my $stream = $rt->h2('Stream', '/sub/a', %o);
    is($stream->status, 200, "$name: stream");

    my $poll = $rt->h2('Poll', '/sub/a', %o);
    ok(wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == 1 }),
       "$name: a poll waits");

    my $id = $rt->publish_id('a', "one\ntwo");
    ok($_->wait_items(1), "$name: " . ref($_) . ' gets it')
        for $sse, $stream, $poll;
    is(($_->items)[0]{id}, $id, "$name: id") for $sse, $stream, $poll;
    is(($_->data)[0], "one\ntwo", "$name: data") for $sse, $stream, $poll;
    ok($poll->wait_eof, "$name: the poll is over");
    is($poll->header('Realtime-Last-Id'), $id, "$name: with its id");

    # through HTTP/2 as well

    my $r = $rt->h2('Stream', '/pub/a', %o, body => 'posted');
    ok($r->wait_eof, "$name: POST");
    is($r->status, 201, "$name: POST: 201");
    ok($_->wait_items(2), "$name: " . ref($_) . ' gets it, too')
        for $sse, $stream;

    # more than a window

    my @want;
    my $conn = $rt->conn;
    for my $n (1 .. 40) {
        push @want, "$n " . 'x' x 30_000;
        $conn->ask('POST', '/pub/a', [], $want[-1]);
    }
    for my $c ($sse, $stream) {
        ok($c->wait_items(42), "$name: more than a window");
        my @got = ($c->data)[2 .. 41];
        ok("@got" eq "@want", "$name: in order, to the byte");
    }

    # back with an id

    my $back = $rt->h2('SSE', '/sub/a', %o, id => $id);
    ok($back->wait_items(41), "$name: resumes");
    is(($back->data)[0], 'posted', "$name: from where it was");
    my $bad = $rt->h2('Poll', '/sub/a,,b', %o);
    ok($bad->wait_eof, "$name: a bad topic");
    is($bad->status, 400, "$name: a bad topic: 400");

    $_->close for $sse, $stream, $back;
    ok(wait_for(sub {
        !grep { $_ } values $rt->status->{zones}{main}{subscribers}->%*;
    }), "$name: they are gone") or diag show($rt->status);
}

# WebSocket is not for HTTP/2, and nothing breaks

my $said = qx(curl -s -o /dev/null -w '%{http_code}' --http2-prior-knowledge \\
              -m 5 -H 'Sec-WebSocket-Version: 13' \\
              -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \\
              http://127.0.0.1:$rt->{h2_port}/sub/a?last_event_id=bad);
is($said, 400, 'headers of WebSocket over HTTP/2');
my $told = $rt->h2('SSE', '/socket/a', headers => [ Accept => '*/*' ]);
ok($told->wait_eof, 'where only WebSockets are taken');
is($told->status, 426, 'a status, for Upgrade is malformed in HTTP/2');

# reload ends them cleanly

my $sse = $rt->h2('SSE', '/sub/a');
my $stream = $rt->h2('Stream', '/sub/a', tls => 1);
my $poll = $rt->h2('Poll', '/sub/a');
ok(wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == 1 }),
   'a poll waits');
ok($rt->reload, 'reload');
ok($_->wait_eof, ref($_) . ' ends') for $sse, $stream, $poll;
is($poll->{res} && $poll->{res}->body =~ s/\s//gr, '[]',
   'the poll has nothing');
ok(wait_for(sub { !$rt->leaving }), 'old processes are gone');

for my $c ($sse, $stream, $poll) {
    my $fh = delete $c->{sock};
    close $fh;
    is($? >> 8, 0, ref($c) . ': curl is content');
}

RT->end;
