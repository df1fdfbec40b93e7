# What comes out of a variable is no wildcard, list or further segment of a
# topic, a WebSocket does nothing that its location refuses over POST, and who
# may speak in a room may not empty it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(locations => 0, server => <<'EOF_S');
    # fences before a location that takes everything
    location ~ ^/pub/auction/ { deny all; }
    location ~ ^/sub/secret/  { deny all; }

    location ~ ^/pub/(.+)$ { realtime_publish   $1; }
    location ~ ^/sub/(.+)$ { realtime_subscribe $1; }

    location = /arg        { realtime_publish   $arg_t; }
    location = /encoded    { realtime_subscribe $arg_t encoded; }
    location = /prefix     { realtime_publish   public/$arg_t; }
    location = /inner      { realtime_publish   room/$arg_r/$arg_u; }
    location = /beside     { realtime_publish   room-$arg_t; }
    location = /batch      { realtime_publish   user/$arg_u/**; }
    location = /stars      { realtime_subscribe user/$arg_u/* feed/$arg_f*; }
    location = /user       { realtime_subscribe user/${arg_u}/inbox,all; }
    location = /lists      { realtime_subscribe public/$arg_t patterns; }
    location = /two        { realtime_subscribe a/$arg_x/$arg_y patterns; }
    location = /everything { realtime_subscribe **; }

    location ~ ^/room/(\w+)$ {
        realtime_publish   room/$1;
        realtime_subscribe room/$1;
        limit_except GET { deny all; }
    }
    location ~ ^/open/(\w+)$ {
        realtime_publish   room/$1;
        realtime_subscribe room/$1;
    }
    location ~ ^/talk/([^/]+)$ {
        realtime_publish   room/$1 websocket;
        realtime_subscribe here;
    }
    location = /session {
        realtime_publish   room/**;
        realtime_subscribe room/**;
        realtime_protocol  native;
    }
EOF_S

my @batch = ('Content-Type' => 'application/x-ndjson',
             'Realtime-Batch' => 'on');

my $all = $rt->sse('/everything');

sub line ($topic) { return qq({"topic":"$topic","data":"forged"}\n) }

sub post ($uri, $body = 'x', @headers) {
    return $rt->request('POST', $uri, [ @headers ], $body);
}

sub refused ($r, $why, $name) {
    is($r->status, 400, "$name: 400") or diag $r->show;
    like(($r->json // {})->{error}, $why, "$name: why") or diag $r->show;
}


# publishing: a star of the client gives no permission

for my $path ('**', '*/42', '%2A%2A', '%2a/42', 'auction*', 'auction/*',
              'a*/42')
{
    my $r = post("/pub/$path", line('auction/42'), @batch);
    isnt($r->status, 201, "a batch to /pub/$path") or diag $r->show;
}
refused(post('/pub/**', line('auction/42'), @batch), qr/star/, '/pub/**');
refused(post('/pub/a,b'), qr/comma/, 'a comma');
is(post('/pub/auction/42')->status, 403, 'the fence itself');

for my $uri ('/arg?t=**', '/arg?t=a/*', '/prefix?t=**', '/prefix?t=x/**',
             '/inner?r=a&u=**', '/inner?r=*&u=b', '/beside?t=*',
             '/batch?u=*', '/batch?u=**')
{
    refused(post($uri, line('user/ann/x'), @batch), qr/star/, $uri);
}
is($rt->get('/arg?t=**')->status, 400, 'GET');
is($rt->request('DELETE', '/arg?t=**')->status, 400, 'DELETE');

refused(post('/inner?r=a/b&u=c'), qr/slash/, 'a slash within the topic');
refused(post('/beside?t=a/b'), qr/slash/, 'a slash beside text');
refused(post('/inner?r=a&u='), qr/empty/, 'an empty user');
is(post('/inner?r=a&u=b')->status, 201, 'as it should be');
is(post('/prefix?t=a/b/c')->status, 201, 'slashes at the end');
is(post('/beside?t=42')->status, 201, 'beside text');

is(post('/batch?u=ann', line('user/ann/x'), @batch)->status, 201,
   "the directive's own wildcard");
is(post('/batch?u=ann', line('user/bob/x'), @batch)->status, 400,
   'and no further');
is(post('/batch?u=ann/x', line('user/ann/x/y'), @batch)->status, 400,
   'a user with a slash');


# subscribing

sub poll ($uri) {
    return $rt->get($uri, Accept => 'application/json',
                    Prefer => 'wait=0', 'Last-Event-ID' => 'earliest');
}

sub topics ($uri) {
    my $r = poll($uri);
    return $r->status == 200 ? join ' ', map { $_->{topic} } $r->json->@*
                             : $r->show;
}

for my $path ('**', 'secret*', '*/1', '%2A%2A', 'a/**') {
    refused(poll("/sub/$path"), qr/star/, "/sub/$path");
    is($rt->ws("/sub/$path")->status, 400, "/sub/$path, WebSocket");
}
refused(poll('/sub/a,secret/1'), qr/comma/, 'a list');
refused(poll('/encoded?t=%2A%2A'), qr/star/, 'an encoded star');
refused(poll('/encoded?t=a%2Cb'), qr/comma/, 'an encoded comma');
refused(poll('/encoded?t=a,b'), qr/comma/, 'a comma in what is encoded');
refused(poll('/stars?u=*&f=a'), qr/star/, 'a user named *');
refused(poll('/stars?u=ann/bob&f=a'), qr/slash/, 'a user with a slash');
refused(poll('/stars?u=ann&f='), qr/empty/, 'nothing before a star');
refused(poll('/stars?u=ann'), qr/empty/, 'no value before a star');
refused(poll('/user?u=a,all'), qr/comma/, 'a user with a comma');
refused(poll('/user?u='), qr/empty/, 'no user');

post("/pub/$_") for qw(user/ann/inbox user/ann/2 user/bob/inbox feed/ab feed/b
                       all public/one public/two secret2 a/1/2 a/3/2);

is(topics('/stars?u=ann&f=a'), 'user/ann/x user/ann/inbox user/ann/2 feed/ab',
   "the directive's own stars");
is(topics('/user?u=ann'), 'user/ann/inbox all', "the directive's own list");
is(topics('/encoded?t=user%2Fann%2F2'), 'user/ann/2', 'encoded');


# "patterns" lets them count, with the text around each

is(topics('/lists?t=one,two'), 'public/one public/two', 'a list');
is(topics('/lists?t=one,secret2'), 'public/one', 'the prefix is a fence');
is(topics('/lists?t=t*'), 'public/two', 'a pattern');
is(topics('/lists?t=**'), 'public/a/b/c public/one public/two',
   'everything below');
is(topics('/two?x=1,3&y=2'), 'a/1/2 a/3/2', 'a list within');
refused(poll('/two?x=1,3&y=2,4'), qr/two lists/, 'two lists');
refused(poll('/two?x=1/2&y=3'), qr/slash/, 'slashes stay what they are');
refused(poll('/lists?t=' . join(',', ('x') x 257)), qr/too long/,
        'a list that is too long');


# a WebSocket, which is a GET, gets no further than POST

is(post('/room/r')->status, 403, 'POST is denied');

for my $room ('/room/r', '/open/r') {
    my $ws = $rt->ws($room);
    ok($ws->accepted, "$room: a WebSocket may listen");
    $ws->send_text('forged');
    $ws->wait_close;
    is($ws->close_code, 1008, "$room: and may not speak");
}

my $session = $rt->ws('/session', enveloped => 1);
$session->send_text('{"publish":{"topic":"room/r","data":"forged"},"ref":7}');
ok(wait_for(sub { grep { $_->{payload} =~ /"ref":7/ }
                      $session->{frames}->@* }), 'a session is answered');
like((grep { $_->{payload} =~ /"ref":7/ } $session->{frames}->@*)[0]{payload},
     qr/forbidden/, 'with forbidden');
$session->close;

my $talk = $rt->ws('/talk/r');
$talk->send_text('said');
ok($talk->sync, 'where the directive has the word, it may speak');
is($rt->ws('/talk/%2A')->status, 400, 'in a room with a name');
$talk->close;


# a room is not emptied by who may speak in it

is(post('/open/r')->status, 201, 'POST in a room');
my $r = $rt->request('DELETE', '/open/r');
is($r->status, 405, 'DELETE in a room') or diag $r->show;
is($r->header('Allow'), 'GET, HEAD, POST, PUT', 'what is allowed');
is($rt->request('DELETE', '/pub/room/r')->status, 204,
   'where one only publishes');


# nothing that was refused is there

post('/pub/end', 'end');
ok(wait_for(sub { grep { $_ eq 'end' } $all->data }), 'messages came');
is(join(' ', grep { /forged|said/ } $all->data), 'forged said',
   'of a batch and of a room what may be');

RT->end;
