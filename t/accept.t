# Which transport a request gets, and the headers of each answer.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S');
    location ~ ^/poll-first/(.+)$ {
        realtime_transports poll sse;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/ws-only/(.+)$ {
        realtime_transports websocket;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/no-ws/(.+)$ {
        realtime_transports sse poll stream;
        realtime_subscribe $1 patterns;
    }
    location /inherited/ {
        realtime_transports stream;
        location ~ ^/inherited/(.+)$ { realtime_subscribe $1 patterns; }
    }
EOF_S

$rt->publish('a', 'x');

my %types = (
    sse => qr{^text/event-stream(?:;|$)}, poll => qr{^application/json(?:;|$)},
    stream => qr{^application/x-ndjson(?:;|$)},
);

# the head of an answer, whether it ends or not

sub head ($uri, @headers) {
    my $c = $rt->conn;
    $c->request('GET', $uri, [ @headers ]);
    wait_for(sub { $c->{eof} || ($c->{res} && ($c->status == 101
             || $c->{res}{done} || length $c->{res}{body})) });
    my $r = $c->{res} // RT::Response->none;
    $c->close;
    return $r;
}


sub is_transport ($uri, $accept, $transport, $name = undef) {
    $name //= "$uri, " . ($accept // 'no Accept');
    my @h = defined $accept ? (Accept => $accept) : ();
    my $r = head($uri, @h, 'Last-Event-ID' => 'earliest');
    is($r->status, 200, "$name: status") or diag $r->show;
    like($r->header('Content-Type'), $types{$transport}, "$name: $transport");
    is($r->header('Cache-Control'), 'no-cache', "$name: Cache-Control");
    is($r->header('X-Accel-Buffering'), 'no', "$name: X-Accel-Buffering");
    like($r->header('Realtime-Last-Id'), qr/^[0-9a-f]+-\d+$/,
         "$name: Realtime-Last-Id");
    return $r;
}


is_transport('/sub/a', 'text/event-stream', 'sse');
is_transport('/sub/a', 'application/json', 'poll');
is_transport('/sub/a', 'application/x-ndjson', 'stream');
is_transport('/sub/a', 'Text/Event-Stream; q=1', 'sse');
is_transport('/sub/a', 'application/json, text/plain, */*', 'poll');
is_transport('/sub/a', 'text/event-stream, */*;q=0.1', 'sse');
is_transport('/sub/a', undef, 'sse', 'no Accept');
is_transport('/sub/a', '*/*', 'sse');
is_transport('/sub/a', 'text/html', 'sse');
is_transport('/sub/a', 'text/html,application/xhtml+xml,*/*;q=0.8', 'sse');
is_transport('/poll-first/a', '*/*', 'poll');
is_transport('/poll-first/a', 'text/event-stream', 'sse');
is_transport('/inherited/a', undef, 'stream');

# lines of one name are one list

my $r = head('/sub/a', Accept => 'image/png', 'Last-Event-ID' => 'earliest',
             accept => 'text/event-stream;q=0.5', ACCEPT => 'application/json');
is($r->status, 200, 'Accept in three lines') or diag $r->show;
like($r->header('Content-Type'), $types{poll}, 'Accept in three lines: poll');

$r = head('/sub/a', Accept => 'application/json',
          'Last-Event-ID' => 'earliest');
ok(defined $r->header('Content-Length'), 'a poll has a length');
$r = head('/sub/a', Accept => 'text/event-stream');
is($r->header('Content-Length'), undef, 'SSE has none');
is($r->header('Transfer-Encoding'), 'chunked', 'but chunks');


# HEAD is where GET would begin, and holds nothing up

my $head = $rt->conn;
my $zero = $r->header('Realtime-Last-Id') =~ s/-\d+\z/-0/r;
for my $type (qw(text/event-stream application/json application/x-ndjson)) {
    for my $id ('', $zero) {
        my $r = $head->ask('HEAD', '/sub/a', [ Accept => $type,
                                               'Last-Event-ID' => $id ]);
        is($r->status, 200, "HEAD, $type, '$id'") or diag $r->show;
        is($r->header('Content-Type'), $type, 'its type');
        is($r->header('Realtime-Last-Id'), $id || $zero =~ s/0\z/1/r,
           'its position');
    }
}
is($head->ask('HEAD', '/sub/a', [ Accept => 'image/png' ])->status, 406,
   'HEAD is refused as GET is');
ok(!$head->eof, 'all on one connection');
ok(wait_for(sub {
    !grep { $_ } values $rt->status->{zones}{main}{subscribers}->%*;
}), 'nobody stays') or diag show($rt->status);
$head->close;


# no

for (['/sub/a', 'image/png'], ['/poll-first/a', 'application/x-ndjson'],
     ['/ws-only/a', 'text/event-stream'], ['/ws-only/a', 'application/json'],
     ['/inherited/a', 'text/event-stream'])
{
    my ($uri, $accept) = @$_;
    my $r = head($uri, Accept => $accept);
    is($r->status, 406, "$uri, $accept: 406") or diag $r->show;
}
is($rt->ws('/no-ws/a')->status, 406, 'WebSocket is not allowed');
is($rt->ws('/ws-only/a')->status, 101, 'only WebSocket is allowed');
for my $accept ('*/*', 'text/html') {
    $r = head('/ws-only/a', Accept => $accept);
    is($r->status, 426, "WebSocket first, $accept: 426") or diag $r->show;
    like($r->header('Upgrade'), qr/websocket/i, '426 says to what');
    like($r->header('Connection'), qr/\bupgrade\b/i, 'for this hop');
}
for my $method (qw(POST PUT DELETE PATCH)) {
    $r = $rt->request($method, '/sub/a', [], 'x');
    is($r->status, 405, "$method: 405") or diag $r->show;
    is($r->header('Allow'), 'GET, HEAD', "$method: Allow");
}


# the WebSocket handshake

my $ws = $rt->ws('/sub/a', protocol => 'other, realtime.json');
is($ws->status, 101, 'WebSocket');
ok($ws->accepted, 'Sec-WebSocket-Accept');
like($ws->header('Upgrade'), qr/^websocket$/i, 'Upgrade');
like($ws->header('Connection'), qr/^upgrade$/i, 'Connection');
is($ws->header('Sec-WebSocket-Protocol'), 'realtime.json', 'subprotocol');
is($ws->header('Sec-WebSocket-Extensions'), undef, 'no extension unasked');
is($ws->header('Content-Length'), undef, 'no length');
is($ws->header('Transfer-Encoding'), undef, 'no chunks');
like($ws->header('Realtime-Last-Id'), qr/^[0-9a-f]+-1$/, 'Realtime-Last-Id');
is($ws->header('Cache-Control'), 'no-cache', 'Cache-Control');
is($ws->header('X-Accel-Buffering'), 'no', 'X-Accel-Buffering');
$ws = $rt->ws('/sub/a', protocol => 'chat');
is($ws->status, 101, 'another subprotocol is no error');
is($ws->header('Sec-WebSocket-Protocol'), undef, 'and not agreed to');
is($rt->ws('/sub/a', handshake => { Upgrade => 'WebSocket' })->status, 101,
   'case of Upgrade');
is($rt->ws('/sub/a', handshake => { Connection => 'keep-alive, Upgrade' })
       ->status, 101, 'a list in Connection');
is($rt->ws('/sub/a', handshake => { Connection => [ 'keep-alive', 'Upgrade' ],
                                    Upgrade => [ 'h2c', 'websocket' ] })
       ->status, 101, 'lists in lines');
$ws = $rt->ws('/sub/a', enveloped => 1, handshake => {
    'Sec-WebSocket-Protocol' => [ 'other', 'realtime.json' ],
});
is($ws->header('Sec-WebSocket-Protocol'), 'realtime.json',
   'subprotocols in two lines');

for (['version 8', { 'Sec-WebSocket-Version' => 8 }],
     ['version 13 and 8', { 'Sec-WebSocket-Version' => [ 13, 8 ] }],
     ['no version', { 'Sec-WebSocket-Version' => undef }])
{
    my $ws = $rt->ws('/sub/a', handshake => $_->[1]);
    like($ws->status, qr/^4\d\d$/, "$_->[0]: refused");
    is($ws->header('Sec-WebSocket-Version'), 13, "$_->[0]: told which")
        or diag $ws->{res}->show;
}
for (['no Connection', { Connection => undef }],
     ['Connection without Upgrade', { Connection => 'keep-alive, x-upgrade' }],
     ['two keys', { 'Sec-WebSocket-Key' => [ ('A' x 22 . '==') x 2 ] }],
     ['no key', { 'Sec-WebSocket-Key' => undef }],
     ['a short key', { 'Sec-WebSocket-Key' => 'c2hvcnQ=' }],
     ['a key that is no base64', { 'Sec-WebSocket-Key' => '?' x 24 }])
{
    is($rt->ws('/sub/a', handshake => $_->[1])->status, 400, $_->[0]);
}
$ws = $rt->ws('/sub/a', method => 'POST',
              handshake => { 'Content-Length' => 0 });
like($ws->status, qr/^40[05]$/, 'POST is no handshake');
is($rt->ws('/sub/a', method => 'HEAD')->status, 400, 'nor is HEAD');

# curl asks for HTTP/2 so; it means nothing here

$r = head('/sub/a', Upgrade => 'h2c', Connection => 'Upgrade, HTTP2-Settings',
          'HTTP2-Settings' => 'AAMAAABkAAQAAP__', Accept => '*/*');
is($r->status, 200, 'Upgrade: h2c') or diag $r->show;
like($r->header('Content-Type'), $types{sse}, 'Upgrade: h2c gets SSE');

# HTTP/1.0

my $c = $rt->conn;
push $c->{methods}->@*, 'GET';
$c->write("GET /sub/a HTTP/1.0\r\nAccept: text/event-stream\r\n"
          . "Last-Event-ID: earliest\r\n\r\n");
ok(wait_for(sub { $c->{res} && $c->{res}{body} =~ /data: ?x\n\n/ }),
   'SSE over HTTP/1.0') or diag $c->{res} ? $c->{res}->show : 'no answer';
is($c->header('Transfer-Encoding'), undef, 'without chunks');

RT->end;
