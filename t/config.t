# Which configurations nginx takes, and which it refuses with a word.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


sub good ($name, %o) {
    my ($ok, $said) = RT->try_config(%o);
    ok($ok, $name) or diag $said;
}


sub bad ($name, $like, %o) {
    my ($ok, $said) = RT->try_config(%o);
    ok(!$ok, "$name is refused") or diag $said;
    like($said, qr/\[emerg\].*$like/, "$name: why") if !$ok;
}


# all that there is, with the values of the interface

good('a large configuration', zone => [ 'main 1m', 'other 2m index=512k' ],
     http => <<'EOF_H', server => <<'EOF_S');
    realtime_drain 5s;
    realtime_transports poll sse;
    realtime_history count=10 age=1d;
    realtime_start oldest;
    realtime_slow latest;
    realtime_keepalive 20s;
    realtime_retry 500ms;
    realtime_poll_timeout 1m;
    realtime_origin any;
    realtime_envelope on;
    realtime_message_max_size 1k;
    realtime_subscriber_limit 1000;
EOF_H
    realtime_transports sse;
    realtime_history off;
    realtime_start 5;
    realtime_slow close;
    location /a/ {
        realtime_transports sse websocket poll stream;
        realtime_history count=5;
        realtime_start newest;
        realtime_slow gap;
        realtime_keepalive 1s;
        realtime_origin same;
        realtime_envelope off;
        realtime_message_max_size 1m;
        realtime_subscriber_limit 0;
        realtime_publish a/$arg_x/** zone=other;
        realtime_subscribe a b,c $arg_topics d/** zone=other encoded;
    }
    location /b/ {
        realtime_history age=1500ms;
        realtime_origin example.com www.example.com;
        realtime_subscribe $arg_t encoded;
    }
    location /c/ {
        realtime_publish c;
        realtime_subscribe c;
    }
EOF_S

good('the sample of the interface', locations => 0, zone => 'main 64m',
     server => <<'EOF_S');
    location ~ ^/pub/(.+)$ { realtime_publish   $1; }
    location ~ ^/sub/(.+)$ { realtime_subscribe $1 patterns; }
    location ~ ^/room/(.+)$ {
        realtime_publish   room/$1 websocket;
        realtime_subscribe room/$1;
    }
    location = /words {
        realtime_publish   ${arg_a}b/*/$arg_c-$1$2/** websocket zone=main;
        realtime_subscribe patterns $arg_a,b encoded x zone=main patterns;
    }
    location = /status  { realtime_status; }
EOF_S

good('a zone without locations', locations => 0);
good('locations without any of ours', locations => 0, zone => '');


# zones

bad('a zone that is too small', 'main', zone => 'main 512k');
bad('a zone without a size', 'realtime_zone', zone => 'main');
bad('a zone with a bad size', '', zone => 'main x');
bad('a zone without a name', 'empty zone name', zone => '"" 1m');
bad('the same zone twice', 'main', zone => [ 'main 1m', 'main 1m' ]);
bad('an index larger than the zone', '', zone => 'main 1m index=2m');
bad('a bad index', '', zone => 'main 1m index=x');
bad('an unknown parameter of a zone', '', zone => 'main 1m what=1');
bad('no zone', 'zone', zone => '');
bad('an unknown zone', 'nozone',
    server => 'location /x { realtime_publish x zone=nozone; }');


# values

for my $line ('realtime_transports sse carrier', 'realtime_transports',
              'realtime_history', 'realtime_history count=x',
              'realtime_history age=x', 'realtime_history count=-1',
              'realtime_history what', 'realtime_start', 'realtime_start x',
              'realtime_start -1', 'realtime_slow fast', 'realtime_keepalive x',
              'realtime_retry x', 'realtime_poll_timeout x', 'realtime_origin',
              'realtime_envelope maybe', 'realtime_message_max_size x',
              'realtime_subscriber_limit x', 'realtime_subscriber_limit -1')
{
    bad($line, '', server => "$line;");
}
for my $line ('realtime_publish', 'realtime_subscribe', 'realtime_publish a b',
              'realtime_publish a/*b/c', 'realtime_publish a,$arg_b',
              'realtime_publish a patterns', 'realtime_publish a$',
              'realtime_publish a zone=main websocket more',
              'realtime_subscribe patterns,', 'realtime_subscribe a,,b',
              'realtime_subscribe $arg_a,b//c patterns',
              'realtime_subscribe $no_such_variable',
              'realtime_subscribe a${arg_b', 'realtime_subscribe a/$ encoded',
              'realtime_status x')
{
    bad($line, '', server => "location /x { $line; }");
}
bad('realtime_drain x', '', http => 'realtime_drain x;');


# what is refused says what would do, and where it is

for (['realtime_history 100', 'count=number'],
     ['realtime_slow drop', 'gap, latest or close'],
     ['realtime_deflate maybe', 'on.* or .*off'],
     ['realtime_deflate on level=10', '1 to 9'],
     ['realtime_conflate x', 'a time or'], ['realtime_debounce x', 'a time or'],
     ['realtime_start x', 'newest, oldest'], ['realtime_message_rate 5', 'N/s'],
     ['realtime_transports carrier', 'sse, websocket'])
{
    my ($line, $allowed) = @$_;
    bad($line, "$allowed.*nginx.conf:\\d+", server => "$line;");
}
bad('a zone that is not defined', 'other.*nginx.conf:\\d+',
    server => 'location /x { realtime_subscribe x zone=other; }');
bad('something for zone=', 'zone=name',
    server => 'location /x { realtime_publish x other; }');
bad('a worker that is not defined', 'main.*nginx.conf:\\d+',
    server => 'location /x { realtime_pass main engine=a entity=b; }');
bad('a parameter of realtime_pass', 'entity=',
    http => 'realtime_worker main unix:/nowhere;',
    server => 'location /x { realtime_pass main engine=a what=b; }');
bad('an address without unix:', 'unix:path',
    http => 'realtime_worker main /run/realtimed.sock;');


# what else would take the location

for my $ours ('realtime_subscribe a', 'realtime_publish a', 'realtime_status',
              'realtime_protocol native')
{
    for my $other ('proxy_pass http://127.0.0.1:1', 'empty_gif',
                   'stub_status')
    {
        bad("$ours, then $other", 'conflicts.*nginx.conf:\\d+',
            server => "location /x { $ours; $other; }");
        bad("$other, then $ours", '',
            server => "location /x { $other; $ours; }");
    }
}
good('proxy_pass in an if of the location', server => <<'EOF_S');
    location /x {
        realtime_subscribe a;
        if ($arg_x) { proxy_pass http://127.0.0.1:1; }
        limit_except GET { deny all; }
    }
EOF_S


# places

for (['realtime_zone', 'realtime_zone x 1m'], ['realtime_drain',
      'realtime_drain 1s'], ['realtime_publish', 'realtime_publish x'],
     ['realtime_subscribe', 'realtime_subscribe x'], ['realtime_status',
      'realtime_status'])
{
    my ($name, $line) = @$_;
    bad("$name in a server", "$name", server => "$line;");
}
for my $line ('realtime_start 1', 'realtime_slow gap', 'realtime_retry 1s',
              'realtime_history off', 'realtime_transports sse')
{
    bad("$line, twice", 'duplicate', server => "$line; $line;");
}

done_testing();
