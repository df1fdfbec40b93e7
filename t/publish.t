# Publishing over HTTP: bodies as nginx may hold them, types, events, errors,
# and what GET and DELETE say.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

use JSON::PP;

my $rt = RT->new(server => <<'EOF_S', http => 'client_max_body_size 2m;');
    location ~ ^/file/(.+)$ {
        client_body_in_file_only clean;
        realtime_publish $1;
    }
    location ~ ^/tiny/(.+)$ {
        client_body_buffer_size 1k;
        realtime_publish $1;
    }
    location ~ ^/large/(.+)$ {
        realtime_message_max_size 2m;
        realtime_publish $1;
    }
    location ~ ^/hundred/(.+)$ {
        client_max_body_size 1k;
        realtime_message_max_size 100;
        realtime_publish $1;
    }
EOF_S

sub publish_to ($uri, $body, @headers) {
    return $rt->request('POST', $uri, \@headers, $body);
}


# the newest message of a topic, as a poll shows it

sub newest ($topic) {
    my $last = ($rt->get("/pub/$topic")->json // {})->{last_id} // return {};
    my $before = epoch($last) . '-' . (seq($last) - 1);
    my $list = $rt->poll_now("/sub/$topic", $before)->json;
    return ref $list eq 'ARRAY' ? $list->[-1] // {} : {};
}


sub is_error ($r, $status, $name) {
    is($r->status, $status, "$name: $status") or diag $r->show;
    like(($r->json // {})->{error}, qr/\w/, "$name: told in JSON")
        or diag $r->show;
    like($r->header('Content-Type'), qr{^application/json}, "$name: type");
}


# the answer

my $r = $rt->publish('a', 'one');
is($r->status, 201, 'POST') or diag $r->show;
like($r->body, qr/\}\n\z/, 'the answer is a line');
is($r->header('Content-Length'), length $r->body, 'of its length');
like($r->header('Content-Type'), qr{^application/json}, 'answer is JSON');
my $j = $r->json // {};
is(seq($j->{id}), 1, 'the first seq is 1') or diag $r->show;
is($j->{topic}, 'a', 'topic');
is($j->{subscribers}, 0, 'no subscribers');
is(join(' ', sort keys %$j), 'id subscribers topic', 'nothing else');
my $epoch = epoch($j->{id});

my $sse = $rt->sse('/sub/a');
$j = $rt->request('PUT', '/pub/a', [], 'two')->json // {};
is($j->{id}, "$epoch-2", 'PUT, and the next id');
is($j->{subscribers}, 1, 'one subscriber');
ok($sse->wait_items(1), 'it comes');
is(($sse->data)[0], 'two', 'data');
$sse->close;


# bodies

for my $uri (qw(/pub /file /tiny)) {
    for my $size (0, 1, 3000, 65536) {
        my $body = join '', map { chr 97 + ($_ * $_) % 26 } 1 .. $size;
        $r = publish_to("$uri/body", $body);
        is($r->status, 201, "$uri, $size bytes") or diag $r->show;
        same(newest('body')->{data}, $body, "$uri, $size bytes come");
    }
}

my $c = $rt->conn;
$r = $c->ask('POST', '/pub/chunked', [ 'Transfer-Encoding' => 'chunked' ],
             "5\r\nhello\r\n1\r\n,\r\n6\r\n world\r\n0\r\n\r\n");
is($r->status, 201, 'chunked') or diag $r->show;
is(newest('chunked')->{data}, 'hello, world', 'chunked comes whole');
$r = $c->ask('POST', '/pub/chunked', [ 'Transfer-Encoding' => 'chunked' ],
             "0\r\n\r\n");
is($r->status, 201, 'chunked and empty, on the same connection');
is(newest('chunked')->{data}, '', 'empty message');

$c->request('POST', '/pub/slow', [ 'Content-Length' => 4, Expect =>
            '100-continue' ], '');
ok(wait_for(sub { $c->{informational} }), '100 Continue');
$c->write('ab');
is($c->response(0.1)->status, 0, 'waits for all of the body');
$c->write('cd');
$r = $c->response;
is($r->status, 201, 'body in pieces');
is(newest('slow')->{data}, 'abcd', 'body in pieces comes whole');

$r = $c->ask('POST', '/pub/none', []);
is($r->status, 201, 'no body at all') or diag show($r);


# one connection, many publishes

my $pipeline = join '', map {
    $c->request_bytes('POST', '/pub/pipe', [], "message $_")
} 1 .. 20;
push $c->{methods}->@*, ('POST') x 20;
$c->write($pipeline);
my @seqs = map { seq(($c->response->json // {})->{id}) // 0 } 1 .. 20;
is_deeply(\@seqs, [ $seqs[0] .. $seqs[0] + 19 ], 'pipelined: ids in order');
my $list = $rt->poll_now('/sub/pipe', 'earliest')->json // [];
is_deeply([ map { $_->{data} } @$list ], [ map { "message $_" } 1 .. 20 ],
          'pipelined: messages in order');
ok(!$c->eof, 'the connection is kept');
is($c->ask('POST', '/pub/a', [], "\xff")->status, 400, 'an error on it');
is($c->ask('POST', '/pub/a', [], 'x')->status, 201, 'and kept after an error');
$c->close;


# types

my $binary = "\x00\x01\xfe\xff";
for ([ undef, 'text' ], [ 'text/plain', 'text' ], [ 'TEXT/HTML', 'text' ],
     [ 'text/plain; charset=utf-8', 'text' ], [ 'application/json', 'text' ],
     [ 'application/xml', 'text' ], [ 'application/problem+json', 'text' ],
     [ 'image/svg+xml', 'text' ], [ 'application/javascript', 'text' ],
     [ 'application/x-www-form-urlencoded', 'text' ],
     [ 'application/octet-stream', 'binary' ], [ 'image/png', 'binary' ],
     [ 'application/jsonish', 'binary' ], [ 'application/protobuf', 'binary' ])
{
    my ($type, $kind) = @$_;
    my @h = defined $type ? ('Content-Type' => $type) : ();
    my $name = $type // 'no type';

    $r = $rt->publish('type', "caf\xc3\xa9", @h);
    is($r->status, 201, "$name is accepted") or diag $r->show;
    my $m = newest('type');
    is($m->{type}, $type, "$name is shown") or diag show($m);

    if ($kind eq 'text') {
        is($m->{data}, "caf\x{e9}", "$name is text") or diag show($m);
        is_error($rt->publish('type', $binary, @h), 400, "$name, not UTF-8");
    } else {
        is($m->{base64}, 'Y2Fmw6k=', "$name is binary") or diag show($m);
        ok(!exists $m->{data}, "$name: no data");
        is($rt->publish('type', $binary, @h)->status, 201, "$name, any bytes");
        is(newest('type')->{base64}, 'AAH+/w==', "$name, any bytes come");
    }
}

$rt->publish('type', 'x', 'Content-Type' => 'text/x; a="b\\c"');
is(newest('type')->{type}, 'text/x; a="b\\c"', 'a type is escaped in JSON');

for my $bad ("\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "abc\xc3",
             "\xe2\x82", "\x80")
{
    is($rt->publish('type', $bad)->status, 400,
       'not UTF-8: ' . unpack 'H*', $bad);
}
for my $good ("\xf0\x9f\x98\x80", "\xef\xbf\xbf", "\x00\x1f\x7f\"\\/\r\n\t",
              "\xe2\x80\xa8")
{
    $r = $rt->publish('type', $good);
    is($r->status, 201, 'UTF-8: ' . unpack 'H*', $good) or diag $r->show;
    my $data = newest('type')->{data} // '';
    utf8::encode($data);
    is($data, $good, 'comes in JSON: ' . unpack 'H*', $good);
}


# events

$rt->publish('event', 'x', 'Realtime-Event' => 'price change');
is(newest('event')->{event}, 'price change', 'event');
$rt->publish('event', 'x');
ok(!exists newest('event')->{event}, 'no event');
$rt->publish('event', 'x', 'Realtime-Event' => 'e' x 128);
is(newest('event')->{event}, 'e' x 128, '128 bytes');
$rt->publish('event', 'x', 'Realtime-Event' => 'a "b" \\c');
is(newest('event')->{event}, 'a "b" \\c', 'an event is escaped in JSON');
is_error($rt->publish('event', 'x', 'Realtime-Event' => 'e' x 129), 400,
         'event of 129 bytes');
is_error($rt->publish('event', 'x', 'Realtime-Event' => 'realtime:gap'), 400,
         'reserved event');
is_error($rt->publish('event', 'x', 'Realtime-Event' => "a\x01b"), 400,
         'event with a control character');
is_error($rt->publish('event', 'x', 'Realtime-Event' => "a\tb"), 400,
         'event with a tab');


# limits and methods

is(publish_to('/hundred/l', 'x' x 100)->status, 201, 'as large as allowed');
is_error(publish_to('/hundred/l', 'x' x 101), 413, 'too large');
is_error(publish_to('/pub/l', 'x' x 65537), 413, 'default limit is 64k');
$r = $rt->request('POST', '/hundred/l', [ 'Transfer-Encoding' => 'chunked' ],
                  sprintf "%x\r\n%s\r\n0\r\n\r\n", 500, 'x' x 500);
is_error($r, 413, 'chunked and too large');
is_error(publish_to('/hundred/l', 'x' x 2000), 413,
         'beyond client_max_body_size');
$r = $rt->request('POST', '/hundred/l', [ 'Transfer-Encoding' => 'chunked' ],
                  sprintf "%x\r\n%s\r\n0\r\n\r\n", 2000, 'x' x 2000);
is_error($r, 413, 'chunked and beyond it');
is_error(publish_to('/large/l', 'x' x 1_500_000), 413,
         'more than a quarter of the ring');
is(publish_to('/large/l', 'x' x 500_000)->status, 201, 'large');
is(length newest('l')->{data}, 500_000, 'large comes');
is_error($rt->request('PATCH', '/pub/a', [], 'x'), 405, 'PATCH');


# GET and DELETE

is($rt->get('/pub/never')->status, 404, 'nothing known');
$rt->publish('info', $_) for qw(one three five);
$r = $rt->get('/pub/info');
is($r->status, 200, 'GET') or diag $r->show;
$j = $r->json // {};
is(join(' ', sort keys %$j),
   'bytes first_id last_id messages subscribers topic', 'GET: keys');
is($j->{topic}, 'info', 'GET: topic');
is($j->{messages}, 3, 'GET: messages');
cmp_ok($j->{bytes}, '>=', 12, 'GET: bytes');
is($j->{subscribers}, 0, 'GET: subscribers');
is(seq($j->{last_id}) - seq($j->{first_id}), 2, 'GET: first and last id')
    or diag $r->show;

$r = $rt->request('DELETE', '/pub/info');
is($r->status, 204, 'DELETE') or diag $r->show;
is($r->body, '', 'DELETE: no body');
is($rt->request('DELETE', '/pub/never')->status, 204, 'DELETE: not known');
$r = $rt->get('/pub/info');
ok($r->status == 404 || ($r->json // {})->{messages} == 0, 'forgotten')
    or diag $r->show;
is_deeply($rt->poll_now('/sub/info', 'earliest')->json, [], 'no history');
is(seq($rt->publish_id('info', 'x')), seq($j->{last_id}) + 1,
   'ids go on after DELETE');

RT->end;
