# realtime_start: where a subscriber without an id begins.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location ~ ^/newest/(.+)$ { realtime_start newest;
                             realtime_subscribe $1 patterns; }
    location ~ ^/oldest/(.+)$ { realtime_start oldest;
                             realtime_subscribe $1 patterns; }
    location ~ ^/three/(.+)$  { realtime_start 3;
                             realtime_subscribe $1 patterns; }
    location ~ ^/many/(.+)$   { realtime_start 1000;
                             realtime_subscribe $1 patterns; }
    location ~ ^/short/(.+)$  {
        realtime_start oldest;
        realtime_history count=4;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/none/(.+)$ {
        realtime_start oldest;
        realtime_history off;
        realtime_subscribe $1 patterns;
    }
    location /outer/ {
        realtime_start 2;
        location ~ ^/outer/(.+)$ { realtime_subscribe $1 patterns; }
    }
EOF_S

my @ids;
for my $n (1 .. 10) {
    push @ids, $rt->publish_id('a', "m$n");
    $rt->publish('b', "other $n");
}

my %first = ('/sub' => 11, '/newest' => 11, '/oldest' => 1, '/three' => 8,
             '/many' => 1, '/short' => 7, '/none' => 11, '/outer' => 9);

for my $transport (qw(sse websocket poll stream)) {
    my %c;
    for my $path (sort keys %first) {
        $c{$path} = $rt->client($transport, "$path/a");
        my $empty = $rt->client($transport, "$path/never");
        is($empty->items + 0, 0, "$transport, $path: a topic without messages");
        $empty->close;
    }
    for my $path (sort keys %first) {
        my $c = $c{$path};
        my $n = 11 - $first{$path};
        ok($c->wait_items($n), "$transport, $path: begins") if $n;
        is_deeply([ map { $_->{data} // show($_) } $c->items ],
                  [ map { "m$_" } $first{$path} .. 10 ],
                  "$transport, $path: where it begins");
        $c->close;
    }

    # with an id it is not asked

    my $c = $rt->client($transport, '/three/a', id => $ids[1]);
    $c->wait_items(8);
    is_deeply([ $c->data ], [ map { "m$_" } 3 .. 10 ],
              "$transport: an id wins");
    $c->close;
    $c = $rt->client($transport, '/three/a', id => 'earliest');
    $c->wait_items(10);
    is_deeply([ $c->data ], [ map { "m$_" } 1 .. 10 ],
              "$transport: earliest wins");
    $c->close;
    $c = $rt->client($transport, '/three/a', id => '');
    $c->wait_items(3);
    is_deeply([ $c->data ], [ qw(m8 m9 m10) ],
              "$transport: an empty id is none");
    $c->close;

    # several topics keep one order

    $c = $rt->client($transport, '/oldest/a,b', several => 1);
    $c->wait_items(20);
    is_deeply([ $c->data ], [ map { ("m$_", "other $_") } 1 .. 10 ],
              "$transport: several topics");
    $c->close;
}

my $c = $rt->sse('/three/a');
$rt->publish('a', 'live');
ok($c->wait_data('live'), 'and then what comes');
is_deeply([ $c->data ], [ qw(m8 m9 m10 live) ], 'in order');

RT->end;
