# Commands and queries over HTTP: what goes to the daemon, what comes back, and
# what is refused here.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, workers => 2, http2 => 1,
                 server => RT::Daemon::locations() . <<'EOF_S');
        location ~ ^/small/(\w+)$ {
            realtime_message_max_size 100;
            realtime_pass main engine=auction entity=small command=$1;
        }
        location ~ ^/engine/(\w*)/(.*)/(\w+)$ {
            realtime_pass main engine=$1 entity=$2 command=$3;
        }
EOF_S

my $terms = '{"kind":"english","start":100,"increment":50,'
    . '"ends_in_ms":600000}';

sub post ($uri, $body = '{}', @headers) {
    return $rt->request('POST', $uri, \@headers, $body);
}

sub bid ($amount, $user, @headers) {
    return post('/auction/42/bid', qq({"amount":$amount}),
                'X-User' => $user, @headers);
}


# a life

my $r = post('/auction/42/create', $terms);
is($r->status, 201, 'create') or diag $r->show;
is($r->json->{state}, 'open', 'its answer');
is($r->header('Realtime-Version'), 1, 'its version');
is($r->header('Content-Type'), 'application/json', 'its type');

is(post('/auction/42/create', $terms)->status, 409, 'there is one');

$r = bid(150, 'ann');
is($r->status, 201, 'bid');
is($r->json->{leader}, 'ann', 'ann leads');
is($r->header('Realtime-Version'), 2, 'version 2');

$r = bid(150, 'bob');
is($r->status, 409, 'too low');
is($r->json->{error}, 'too_low', 'says so');
is($r->json->{minimum}, 200, 'and what is enough');
ok(length $r->json->{message}, 'in words');

is(post('/auction/42/bid', '{"amount":200}')->status, 401, 'nobody');
is(post('/auction/nono/bid', '{"amount":200}', 'X-User' => 'bob')->status, 404,
   'no such auction');
is(post('/auction/42/what', '{}', 'X-User' => 'bob')->status, 404,
   'no such command');


# versions

$r = bid(200, 'bob', 'If-Match' => 1);
is($r->status, 412, 'If-Match: too old');
is($r->header('Realtime-Version'), 2, 'and what it is');
is(bid(200, 'bob', 'If-Match' => '"2"')->status, 201, 'If-Match: an ETag');
$r = bid(250, 'ann', 'If-Match' => 3);
is($r->status, 201, 'If-Match: the version');
is($r->header('Realtime-Version'), 4, 'version 4');
is(bid(300, 'bob', 'If-Match' => '*')->status, 201, 'If-Match: any');
is(bid(350, 'ann', 'If-Match' => 'x')->status, 400, 'If-Match: none');

# as they come back from a client that compresses, or that knows several

$r = post('/auction/etag/create', '{"kind":"english","start":100,'
          . '"ends_in_ms":600000}', 'X-User' => 'eve');
is($r->status, 201, 'another auction');
my $amount = 100;
for (['W/"2"', 412, 'weak, of another version'], ['W/"1"', 201, 'weak'],
     ['"1", "3", 4', 412, 'none of a list'],
     ['"1", W/"2" , 9', 201, 'one of a list'], ['"1" "3"', 400, 'no list'])
{
    my ($versions, $status, $name) = @$_;
    $r = post('/auction/etag/bid', sprintf('{"amount":%d}', $amount += 100),
              'X-User' => "u$amount", 'If-Match' => $versions);
    is($r->status, $status, "If-Match: $name");
}


# once

my @key = ('Idempotency-Key' => 'k1');
my $first = bid(400, 'ann', @key);
is($first->status, 201, 'with a key');
ok(!defined $first->header('Idempotent-Replay'), 'the first time');
my $again = bid(400, 'ann', @key);
is($again->status, 201, 'with the key again');
is($again->header('Idempotent-Replay'), 'true', 'is a replay');
is($again->body, $first->body, 'of the first answer');
is($again->header('Realtime-Version'), $first->header('Realtime-Version'),
   'with its version');
is(bid(450, 'ann', @key)->status, 422, 'for another body');
is(bid(450, 'bob', 'Idempotency-Key' => '')->status, 400, 'no key');
is(bid(450, 'bob', 'Idempotency-Key' => 'k' x 256)->status, 400,
   'a long key');
is(bid(450, 'bob', 'Idempotency-Key' => 'k' x 255)->status, 201,
   'the longest key');


# queries

$r = $rt->get('/auction/42/state');
is($r->status, 200, 'state');
is($r->json->{price}, 450, 'the price');
is($r->header('ETag'), '"7"', 'ETag');
is($rt->get('/auction/42/state', 'If-None-Match' => '"7"')->status, 304,
   'not modified');
is($rt->get('/auction/42/state', 'If-None-Match' => '"6"')->status, 200,
   'modified');
$r = $rt->get('/auction/42/history?from=2&limit=2');
is_deeply([ map $_->{version}, $r->json->{events}->@* ], [ 2, 3 ],
          'arguments are handed on');
is($rt->get('/auction/42/at?version=2')->json->{price}, 150, 'the state then');
is($rt->get('/auction/42/nono')->status, 404, 'no such query');
$r = $rt->request('HEAD', '/auction/42/state');
is($r->status, 200, 'HEAD');
is($r->body, '', 'has no body');


# bad input

$r = post('/auction/42/bid', '{"amount":1,}', 'X-User' => 'ann');
is($r->status, 400, 'bad JSON');
like($r->json->{message}, qr/at byte 13/, 'and where');
is(post('/auction/42/bid', '', 'X-User' => 'ann')->status, 422,
   'no body is {}');
$r = $rt->request('PUT', '/auction/42/bid', [], '{}');
is($r->status, 405, 'PUT');
is($r->header('Allow'), 'GET, HEAD, POST', 'what is allowed');
is($r->json->{error}, 'method', 'in JSON');
is(post('/small/create', ' ' x 101)->status, 413, 'too large');
is(post('/small/create', ' ' x 100)->status, 400, 'not too large');
is(post('/engine/nono/42/bid')->status, 404, 'no such engine');
for my $uri ('/engine//42/bid', '/engine/' . 'e' x 33 . '/42/bid',
             '/engine/auction//bid', '/engine/auction/' . 'e' x 201 . '/bid',
             '/engine/auction/42/' . 'c' x 65)
{
    $r = post($uri);
    is($r->status, 400, substr $uri, 0, 24);
    is($r->json->{error}, 'bad_request', 'in JSON');
}
is(post('/auction/42/bid', '{"amount":500}', 'X-User' => 'u' x 256)->status,
   400, 'a long user');
is(bid(500, 'ann')->status, 201, 'and the link has survived all of it');
is($rt->get('/auction/a%2Fb/state')->status, 404, 'an odd name');
is($rt->get('/alone/42/ws')->status, 426, 'no WebSocket');


# a body that comes slowly, requests in one write

{
    my $c = $rt->conn;
    my $body = '{"amount":550}';
    $c->write("POST /auction/42/bid HTTP/1.1\r\nHost: x\r\nX-User: bob\r\n"
              . 'Content-Length: ' . length($body) . "\r\n\r\n"
              . substr $body, 0, 5);
    push @{ $c->{methods} }, 'POST';
    RT::Loop::turn(0.05);
    $c->write(substr $body, 5);
    ok(wait_for(sub { $c->{responses}->@* && $c->{responses}[0]{done} }),
       'a slow body');
    is($c->{responses}[0]->status, 201, 'is a bid');
    $c->close;

    $c = $rt->conn;
    my $bytes = '';
    for my $amount (map 550 + 50 * $_, 1 .. 20) {
        my $text = qq({"amount":$amount});
        $bytes .= "POST /auction/42/bid HTTP/1.1\r\nHost: x\r\n"
            . "X-User: u$amount\r\nContent-Length: " . length($text)
            . "\r\n\r\n$text";
        push @{ $c->{methods} }, 'POST';
    }
    $c->write($bytes);
    ok(wait_for(sub { 20 == grep { $_->{done} } $c->{responses}->@* }),
       '20 in one write');
    is((grep { $_->status == 201 } $c->{responses}->@*), 20, 'all are bids');
    $c->close;
}


# HTTP/2

{
    my $said = qx(curl -s --http2-prior-knowledge -w ' %{http_code}' \\
        -H 'X-User: h2' -d '{"amount":1600}' \\
        http://127.0.0.1:$rt->{h2_port}/auction/42/bid);
    like($said, qr/"leader":"h2".* 201$/s, 'over HTTP/2');
}


# what the client does not wait for is done nevertheless

{
    $d->signal('STOP');
    my $c = $rt->conn;
    my $text = '{"amount":1700}';
    $c->write("POST /auction/42/bid HTTP/1.1\r\nHost: x\r\nX-User: gone\r\n"
              . 'Content-Length: ' . length($text) . "\r\n\r\n$text");
    RT::Loop::turn(0.1);
    $c->close;
    $d->signal('CONT');
    ok(wait_for(sub {
        return $rt->get('/auction/42/state')->json->{leader} eq 'gone';
    }), 'a client that leaves');
}


my $status = $rt->status->{workers}{main}{ $d->address };
is($status->{state}, 'up', 'status: the link');
is($status->{waiting}, 0, 'status: no answer is owed');
ok($status->{commands} > 30, 'status: the daemon speaks') or diag show($status);

for my $conf ('realtime_pass', 'realtime_pass main',
              'realtime_pass nono engine=a entity=b',
              'realtime_pass main engine=a entity=b what=c',
              'realtime_pass main engine=a entity=b timeout=x',
              'realtime_pass main engine=a entity=b; realtime_publish x')
{
    my ($ok) = RT->try_config(http => 'realtime_worker main unix:/tmp/x;',
                              server => "location /x { $conf; }");
    is($ok, '', "refused: $conf");
}
for my $conf ('realtime_worker main', 'realtime_worker main 127.0.0.1',
              'realtime_worker main unix:/a unix:/a',
              'realtime_worker main unix:/a; realtime_worker main unix:/b')
{
    my ($ok) = RT->try_config(http => "$conf;");
    is($ok, '', "refused: $conf");
}

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
