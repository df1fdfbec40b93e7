# What nginx itself does well stays nginx's: authorization, limits, rewrites,
# compression, proxies before us, and subrequests that are not for us.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

use Compress::Raw::Zlib;

my $rt = RT->new(workers => 2, http => <<'EOF_H', server => <<'EOF_S');
    limit_conn_zone $server_name zone=conns:1m;
    limit_req_zone $server_name zone=reqs:1m rate=1r/s;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    gzip on;
    gzip_min_length 0;
    gzip_types *;
EOF_H
    location = /auth {
        internal;
        if ($http_x_key != secret) { return 401; }
        return 204;
    }
    location ~ ^/private/(.+)$ {
        auth_request /auth;
        realtime_publish   $1;
        realtime_subscribe $1;
    }
    location ~ ^/conns/(.+)$ {
        limit_conn conns 2;
        realtime_subscribe $1;
    }
    location ~ ^/reqs/(.+)$ {
        limit_req zone=reqs burst=2 nodelay;
        realtime_publish $1;
    }
    location ~ ^/denied/(.+)$ {
        deny all;
        realtime_publish   $1;
        realtime_subscribe $1;
    }
    location /old/ { rewrite ^/old/(.+)$ /sub/$1 last; }
    location ~ ^/proxy(/.*)$ {
        proxy_pass http://127.0.0.1:$server_port$1$is_args$args;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
    location ~ ^/mirrored/(.+)$ {
        mirror /mirror;
        realtime_publish $1;
    }
    location = /mirror { realtime_publish mirror; }
    location /pages/ { ssi on; alias ./; }
EOF_S

my @transports = qw(sse websocket poll stream);


# auth_request, deny

for my $t (@transports) {
    my $c = $rt->client($t, '/private/p', nowait => 1);
    ok(wait_for(sub { $c->status || $c->eof }), "$t: without a key");
    is($c->status, 401, "$t: 401");
    $c->close;
    $c = $rt->client($t, '/private/p', headers => [ 'X-Key' => 'secret' ]);
    my $r = $rt->request('POST', '/private/p', [ 'X-Key' => 'secret' ],
                         "for $t " . 'x' x 20_000);
    is($r->status, 201, "$t: POST with a key");
    ok($c->wait_items(1), "$t: with a key");
    same(($c->data)[0], "for $t " . 'x' x 20_000, "$t: data");
    $c->close;

    $c = $rt->client($t, '/denied/p', nowait => 1);
    wait_for(sub { $c->status || $c->eof });
    is($c->status, 403, "$t: deny");
    $c->close;
}
is($rt->request('POST', '/private/p', [], 'x' x 20_000)->status, 401,
   'POST without a key');
is($rt->request('POST', '/denied/p', [], 'x')->status, 403, 'POST: deny');


# limit_conn, limit_req

for my $t (qw(sse websocket stream)) {
    my @c = map { $rt->client($t, '/conns/c') } 1 .. 2;
    my $third = $rt->client($t, '/conns/c');
    is($third->status, 503, "$t: limit_conn");
    $_->abort for @c;
    ok(wait_for(sub {
        $third->close;
        $third = $rt->client($t, '/conns/c');
        return $third->status != 503;
    }), "$t: when they leave, another may come");
    $third->close;
    ok(wait_for(sub {
        !$rt->status->{zones}{main}{subscribers}{$t};
    }), "$t: all gone");
}
my @status = map { $rt->request('POST', '/reqs/r', [], 'x')->status } 1 .. 5;
is(join(' ', @status[0 .. 2, 4]), '201 201 201 503', 'limit_req')
    or diag "@status";


# rewrite, HEAD

my $c = $rt->sse('/old/r');
$rt->publish('r', 'rewritten');
ok($c->wait_data('rewritten'), 'rewrite');
for my $accept ('text/event-stream', 'application/json') {
    my $head = $rt->conn;
    $head->request('HEAD', '/sub/r', [ Accept => $accept ]);
    $head->request('GET', '/pid');
    my $r = $head->response;
    ok($r->status, "HEAD for $accept is answered");
    $head->close;
}


# gzip does not hold messages back

for my $accept ('text/event-stream', 'application/x-ndjson') {
    my $conn = $rt->conn;
    $conn->request('GET', '/sub/z', [ Accept => $accept,
                                      'Accept-Encoding' => 'gzip' ]);
    wait_for(sub { $conn->{res} });
    wait_for(sub { ($rt->get('/pub/z')->json // {})->{subscribers} });
    $rt->publish('z', 'compressed?');
    ok(wait_for(sub {
        my $body = $conn->{res}->body;
        if (($conn->header('Content-Encoding') // '') eq 'gzip') {
            my ($z) = Compress::Raw::Zlib::Inflate->new(-WindowBits => 31);
            my $in = $body;
            $z->inflate($in, $body);
        }
        return $body =~ /compressed\?/;
    }), "$accept through gzip") or diag $conn->{res} && $conn->{res}->show;
    $conn->close;
}


# a proxy with its defaults: buffering on

for my $t (@transports) {
    my $c = $rt->client($t, '/proxy/sub/proxied', wait => 20);
    my $id = $rt->publish_id('proxied', "through a proxy, $t");
    ok($c->wait_data("through a proxy, $t"), "$t through a proxy");
    is($c->last_id, $id, "$t through a proxy: id");
    $c->close;
}
$c = $rt->ws('/proxy/room/w');
$c->send_text('said');
ok($c->wait_data('said'), 'WebSocket through a proxy, both ways');
$c->send_close(1000);
is($c->wait_close, 1000, 'and its close');


# subrequests: a mirror publishes or not, an include ends, and nothing hangs

my $r = $rt->request('POST', '/mirrored/m', [], 'x');
is($r->status, 201, 'a mirrored publication') or diag $r->show;
is(($rt->get('/pub/m')->json // {})->{messages}, 1, 'published once');
is($rt->get('/pub/mirror')->status, 404, 'and not by the subrequest');

for my $uri ('/sub/ssi', '/pub/m', '/status') {
    open my $f, '>', "$rt->{dir}/page.html";
    print $f "before <!--# include virtual=\"$uri\" --> after\n";
    close $f;
    $r = $rt->get('/pages/page.html');
    is($r->status, 200, "include of $uri");
    like($r->body, qr/before .* after/s, "include of $uri: the page is whole")
        or diag $r->show;
}
is($rt->publish('ssi', 'x')->status, 201, 'all is well');

RT->end;
