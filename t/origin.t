# Which Origins may ask, over whatever transport, and what CORS says.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S');
    location ~ ^/any/(.+)$ {
        realtime_origin any;
        realtime_subscribe $1;
    }
    location ~ ^/hosts/(.+)$ {
        realtime_origin example.com www.example.org;
        realtime_publish   $1;
        realtime_subscribe $1;
    }
    location ~ ^/ports/(.+)$ {
        realtime_origin https://a.example:443 b.example:443 https://c.example:*;
        realtime_subscribe $1;
    }
    location ~ ^/fenced/(.+)$ {
        realtime_origin example.com;
        realtime_publish $1;
        limit_except GET POST { deny all; }
        auth_request /never;
    }
    location = /never { internal; return 401; }
    location /outer/ {
        realtime_origin any;
        location ~ ^/outer/(.+)$ { realtime_subscribe $1; }
    }
EOF_S

sub status ($uri, $origin, $host = undef) {
    my $ws = $rt->ws($uri, origin => $origin,
                     $host ? (handshake => { Host => $host }) : ());
    my $status = $ws->status;
    $ws->close;
    return $status;
}

my $port = $rt->port;

# uri, origin, host, status
for ([ '/sub/a',   undef,                         'example.net', 101 ],
     [ '/sub/a',   'http://example.net',          'example.net', 101 ],
     [ '/sub/a',   'https://example.net',         'example.net', 101 ],
     [ '/sub/a',   'http://EXAMPLE.net',          'example.net', 101 ],
     [ '/sub/a',   "http://localhost:$port",   "localhost:$port", 101 ],
     [ '/sub/a',   'http://evil.example',         'example.net', 403 ],
     [ '/sub/a',   'http://example.net.evil.example', 'example.net', 403 ],
     [ '/sub/a',   'http://notexample.net',       'example.net', 403 ],
     [ '/sub/a',   'http://sub.example.net',      'example.net', 403 ],
     [ '/sub/a',   'http://evil.example/example.net', 'example.net', 403 ],
     [ '/sub/a',   'http://example.net@evil.example', 'example.net', 403 ],
     [ '/sub/a',   'null',                        'example.net', 403 ],
     [ '/sub/a',   'garbage',                     'example.net', 403 ],
     [ '/room/a',  'http://evil.example',         'example.net', 403 ],
     [ '/any/a',   'http://evil.example',         'example.net', 101 ],
     [ '/any/a',   'null',                        'example.net', 101 ],
     [ '/outer/a', 'http://evil.example',         'example.net', 101 ],
     [ '/hosts/a', undef,                         'example.net', 101 ],
     [ '/hosts/a', 'https://example.com',         'example.net', 101 ],
     [ '/hosts/a', 'http://example.com',          'example.net', 101 ],
     [ '/hosts/a', 'https://www.example.org',     'example.net', 101 ],
     [ '/hosts/a', 'https://Example.COM',         'example.net', 101 ],
     [ '/hosts/a', 'https://example.org',         'example.net', 403 ],
     [ '/hosts/a', 'https://sub.example.com',     'example.net', 403 ],
     [ '/hosts/a', 'https://example.com.evil.example', 'example.net', 403 ],
     [ '/hosts/a', 'null',                        'example.net', 403 ],
     [ '/sub/a',   'https://example.net',         'example.net:443', 101 ],
     [ '/sub/a',   'https://example.net:443',     'example.net', 101 ],
     [ '/sub/a',   'http://example.net',          'example.net:80', 101 ],
     [ '/sub/a',   'https://[::1]',               '[::1]:443', 101 ],
     [ '/sub/a',   'http://example.net',          'example.net:443', 403 ],
     [ '/sub/a',   'https://example.net',         'example.net:8443', 403 ],
     [ '/sub/a',   'https://example.net:8443',    'example.net:443', 403 ],
     [ '/ports/a', 'https://a.example',           'example.net', 101 ],
     [ '/ports/a', 'http://a.example',            'example.net', 403 ],
     [ '/ports/a', 'https://a.example:8443',      'example.net', 403 ],
     [ '/ports/a', 'https://b.example',           'example.net', 101 ],
     [ '/ports/a', 'http://b.example',            'example.net', 403 ],
     [ '/ports/a', 'https://b.example:8443',      'example.net', 403 ],
     [ '/ports/a', 'https://c.example:8443',      'example.net', 101 ])
{
    my ($uri, $origin, $host, $want) = @$_;
    is(status($uri, $origin, $host), $want,
       "$uri, " . ($origin // 'no origin') . ", host $host: $want");
}

# the same for all transports, and for whoever publishes

my %accept = (sse => 'text/event-stream', poll => 'application/json',
              stream => 'application/x-ndjson');
my @evil = (Origin => 'http://evil.example');

for my $transport (sort keys %accept) {
    my $r = $rt->get('/sub/a', Accept => $accept{$transport},
                     Prefer => 'wait=0', @evil);
    is($r->status, 403, "$transport from another origin") or diag $r->show;
}
for my $method (qw(POST PUT DELETE)) {
    my $r = $rt->request($method, '/pub/a', [ @evil,
                         'Content-Type' => 'text/plain' ],
                         $method eq 'DELETE' ? undef : 'forged');
    is($r->status, 403, "$method from another origin") or diag $r->show;
    like($r->json->{error}, qr/realtime_origin/, "$method: which directive");
}
my $r = $rt->request('GET', '/pub/a', []);
is($r->status, 404, 'nothing came of it') or diag $r->show;
my $line = 'Origin "http://evil.example" is not allowed by realtime_origin';
ok(wait_for(sub { index($rt->log, $line) >= 0 }), 'the log names both');
is($rt->publish('a', 'x', Origin => "http://localhost:$port",
                Host => "localhost:$port")->status, 201, 'the same origin');
is($r->header('Vary'), undef, 'of "same" nothing is said');


# CORS

sub cors ($method, $uri, @headers) {
    my $r = $rt->request($method, $uri, [ @headers ],
                         $method eq 'POST' ? 'x' : undef);
    return join ' ', $r->status,
        map { $r->header("Access-Control-$_") // '-' }
            qw(Allow-Origin Allow-Credentials);
}

my @listed = (Origin => 'https://example.com');
my @preflight = ('Access-Control-Request-Method' => 'POST');

is(cors('POST', '/hosts/a', @listed), '201 https://example.com true',
   'a listed origin is echoed');
is(cors('GET', '/hosts/a*', @listed), '400 https://example.com true',
   'with errors, too');
is(cors('POST', '/hosts/a', @evil), '403 - -', 'another is not');
is(cors('POST', '/hosts/a'), '201 - -', 'a program');
is(cors('POST', '/fenced/a', @listed), '401 https://example.com true',
   "with nginx's own refusals");
is(cors('OPTIONS', '/fenced/a', @listed, @preflight),
   '204 https://example.com true', 'a preflight goes before the fences');
is(cors('OPTIONS', '/hosts/a', @evil, @preflight), '403 - -',
   'a preflight of another');
is(cors('OPTIONS', '/sub/a', @evil, @preflight), '403 - -', 'and of "same"');
is(cors('OPTIONS', '/hosts/a', @listed), '405 https://example.com true',
   'OPTIONS that is no preflight');

$r = $rt->request('OPTIONS', '/hosts/a', [ @listed, @preflight ]);
for my $name (qw(Last-Event-ID Content-Type Idempotency-Key Prefer If-Match
                 Authorization Realtime-Event Realtime-Batch))
{
    like($r->header('Access-Control-Allow-Headers'), qr/(^|, )$name(,|$)/,
         "$name may be sent");
}
is($r->header('Access-Control-Allow-Methods'), 'GET, HEAD, POST, PUT, DELETE',
   'methods');
is($r->body, '', 'no body');

$r = $rt->publish('b', 'x');
$r = $rt->request('POST', '/hosts/b', [ @listed ], 'x');
like($r->header('Access-Control-Expose-Headers'), qr/\bRealtime-Last-Id\b/,
     'what may be read');
is($r->header('Vary'), 'Origin', 'Vary');
is($rt->request('POST', '/hosts/b', [], 'x')->header('Vary'), 'Origin',
   'Vary without an Origin');

RT->end;
