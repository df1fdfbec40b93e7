# Body filters of nginx and of other modules at a location with subscribers: the
# header promises nothing that is not done to the messages.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my ($brotli) = grep { -e } $ENV{TEST_BROTLI_MODULE} // (),
    map { "$_/ngx_http_brotli_filter_module.so" }
    qx(@{[RT::nginx()]} -V 2>&1) =~ /--modules-path=(\S+)/;

my $rt = RT->new(
    http2 => 1, workers => 1,
    main => $brotli ? "load_module $brotli;" : '',
    http => 'charset_map koi8-r utf-8 { C0 D18E; D2 D180; }'
        . ($brotli ? ' brotli on; brotli_types *; brotli_min_length 0;' : ''),
    server => <<'EOF_S');
    gzip on;
    gzip_min_length 0;
    gzip_types *;
    gzip_vary on;
    charset_types *;
    location ~ ^/converted/(.+)$ {
        charset koi8-r;
        source_charset utf-8;
        override_charset on;
        realtime_subscribe $1;
    }
    location ~ ^/named/(.+)$ {
        charset koi8-r;
        realtime_subscribe $1;
    }
    location ~ ^/same/(.+)$ {
        charset utf-8;
        source_charset utf-8;
        realtime_subscribe $1;
    }
EOF_S

my %type = (SSE => 'text/event-stream', Stream => 'application/x-ndjson');
my $data = "\xd1\x8e\xd1\x80";         # "yu", "er"
my $have = qx(curl --version) =~ /HTTP2/;
my $n = 0;

for my $accept ('gzip', 'br', 'gzip, br, zstd') {
    for my $place (qw(sub converted named same)) {
        for my $class (qw(SSE Stream)) {
            for my $version ('1.1', $have ? '2' : ()) {
                my $topic = 't' . ++$n;
                my $name = "$accept: $place, $class, HTTP/$version";
                my @headers = (headers => [ 'Accept-Encoding' => $accept ]);
                my $uri = "/$place/$topic?last_event_id=earliest";
                my $c = $version eq '2'
                    ? $rt->h2($class, $uri, @headers)
                    : "RT::$class"->open($rt, $uri, @headers);

                is($c->status, 200, $name);
                is($c->header('Content-Encoding'), undef, "$name: no encoding");
                is($c->header('Content-Type'), $type{$class}, "$name: type");
                $rt->publish($topic, $data);
                ok($c->wait_items(1), "$name: a message");
                ok((($c->data)[0] // '') eq $data, "$name: as it was sent");
                $c->close;
            }
        }
    }
}

note($brotli ? "with $brotli" : 'without brotli');

RT->end;
