# The Origin of a WebSocket.

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
     [ '/hosts/a', 'null',                        'example.net', 403 ])
{
    my ($uri, $origin, $host, $want) = @$_;
    is(status($uri, $origin, $host), $want,
       "$uri, " . ($origin // 'no origin') . ", host $host: $want");
}

# other transports leave that to CORS

for my $transport (qw(sse poll stream)) {
    my $c = $rt->client($transport, '/sub/a',
                        headers => [ Origin => 'http://evil.example' ]);
    is($c->status, 200, "$transport from another origin");
    $c->close;
}
is($rt->publish('a', 'x', Origin => 'http://evil.example')->status, 201,
   'POST from another origin');

RT->end;
