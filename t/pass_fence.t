# Fences before commands: what a location refuses over POST no WebSocket does,
# a page of another site commands nothing, and what is no text goes nowhere.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, server => <<'EOF_S');
    location ~ ^/a/[^/]+/(?:create|cancel)$ { deny all; }
    location ~ ^/a/([^/]+)/(\w+)$ {
        realtime_pass main engine=auction entity=$1 command=$2 user=$arg_user;
    }
    location ~ ^/get/([^/]+)/(\w+)$ {
        realtime_pass main engine=auction entity=$1 command=$2 user=$arg_user;
        limit_except GET { deny all; }
    }
    location ~ ^/getws/([^/]+)$ {
        realtime_pass main engine=auction entity=$1 user=$arg_user;
        realtime_subscribe auction/$1;
        limit_except GET { deny all; }
        if ($arg_if) { set $x 1; }
    }
    location ~ ^/both/([^/]+)$ {
        realtime_pass main engine=auction entity=$1 user=$arg_user;
        limit_except GET POST { deny all; }
    }
    location ~ ^/house/([^/]+)/(\w*)$ {
        realtime_pass main engine=auction entity=$1 command=$2 user=$arg_user;
    }
EOF_S

my $terms = '{"kind":"english","start":100,"ends_in_ms":600000}';

sub post ($uri, $body, @headers) {
    return $rt->request('POST', $uri, [ @headers ], $body);
}

sub answers ($ws) {
    return grep { exists $_->{id} && !exists $_->{topic} }
           map { json_of($_->{payload}) // {} }
           grep { $_->{opcode} == 1 } $ws->{frames}->@*;
}

sub ask ($ws, $text) {
    my $n = answers($ws);
    $ws->send_text($text);
    wait_for(sub { answers($ws) > $n || $ws->{eof} });
    return (answers($ws))[$n] // {};
}

sub version { return $rt->get('/a/1/state')->header('Realtime-Version') }

is(post('/house/1/create', $terms)->status, 201, 'create');


# a path with a command: that one, and no other

is(post('/a/1/cancel?user=eve', '{}')->status, 403, 'the fence');

my $ws = $rt->ws('/a/1/bid?user=ann', enveloped => 1);
my $a = ask($ws, '{"id":1,"command":"cancel","data":{}}');
is($a->{error}{code}, 'forbidden', 'another command') or diag explain $a;
$a = ask($ws, '{"id":2,"command":"bid","data":{"amount":100}}');
is($a->{ok}{leader}, 'ann', 'its own') or diag explain $a;
$a = ask($ws, '{"id":3,"data":{"amount":200}}');
is($a->{ok}{price}, 200, 'which need not be said') or diag explain $a;
$ws->close;

is(version(), 3, 'the auction has two bids');


# limit_except decides about POST, and so about commands

is(post('/get/1/bid?user=eve', '{"amount":300}')->status, 403, 'POST');

for my $uri ('/get/1/bid?user=eve', '/getws/1?user=eve',
             '/getws/1?user=eve&if=1')
{
    $ws = $rt->ws($uri, enveloped => 1);
    ok($ws->accepted, "$uri: a WebSocket");
    $ws->send_text('{"id":1,"command":"bid","data":{"amount":300}}');
    is($ws->wait_close, 1008, "$uri: sends no commands");
}
is(version(), 3, 'nothing came of it');

$ws = $rt->ws('/both/1?user=bob', enveloped => 1);
$a = ask($ws, '{"id":1,"command":"bid","data":{"amount":300}}');
is($a->{ok}{leader}, 'bob', 'where POST may, so may a WebSocket');


# another site

for my $uri ('/a/1/bid?user=ann', '/a/1/state?user=ann') {
    my $r = post($uri, '{"amount":1000}', Origin => 'https://evil.example',
                 'Content-Type' => 'text/plain', Cookie => 'session=ann');
    is($r->status, 403, "$uri from another site") or diag $r->show;
    is($r->json->{error}, 'origin', 'its code');
}
is(post('/a/1/bid?user=ann', '{"amount":1000}',
        Origin => 'http://localhost:' . $rt->port,
        Host => 'localhost:' . $rt->port)->status, 201, 'its own site');


# text that is none

my $before = version();

for my $bad ("\xff", "ann\xc3", "\xed\xa0\x80", "\xc2\x85") {
    my $name = sprintf '%vx', $bad;
    my $r = post("/a/1/bid?user=$bad", '{"amount":2000}');
    is($r->status, 400, "user $name") or diag $r->show;
    like($r->json->{message}, qr/UTF-8/, "user $name: why");
    is($rt->ws("/both/1?user=$bad")->status, 400, "user $name, WebSocket");
    is(post("/house/$bad/create", $terms)->status, 400, "entity $name");
    is($rt->get("/a/$bad/state")->status, 400, "query of $name");
}
is($rt->get("/a/1/history?from=\xff")->status, 400, 'an argument');
is(post('/house/%01/create', $terms)->status, 400, 'a control character');
is(post('/house/1/', '{}')->status, 400, 'no command');

$a = ask($ws, '{"id":9,"command":"bid\u0000","data":{"amount":2000}}');
is($a->{error}{code}, 'bad_request', 'a control character in a command');
$a = ask($ws, '{"id":9,"command":"bid","key":"\u0001","data":{"amount":2000}}');
is($a->{error}{code}, 'bad_request', 'and in a key');

is(version(), $before, 'nothing came of it');

is(post("/a/1/bid?user=ren\xc3\xa9", '{"amount":2000}')->json->{leader},
   "ren\x{e9}", 'a name in UTF-8');

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
