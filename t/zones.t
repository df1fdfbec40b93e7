# Two zones: what is published in one is not seen in the other, ids of one mean
# nothing in the other, and a reload that changes one leaves the other alone.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my @transports = qw(sse websocket poll stream);

my $rt = RT->new(workers => 2, zone => [ 'main 1m', 'second 1m' ],
                 http => 'realtime_drain 1s;', server => <<'EOF_S');
    location ~ ^/pub2/(.+)$ { realtime_publish   $1 zone=second; }
    location ~ ^/sub2/(.+)$ { realtime_subscribe $1 zone=second; }
    location = /over {
        realtime_publish   over zone=second websocket;
        realtime_subscribe over zone=main;
    }
EOF_S

sub publish2 ($topic, $body) {
    my $r = $rt->request('POST', "/pub2/$topic", [], $body);
    return ($r->json // {})->{id};
}


# apart

my %one = map { $_ => $rt->client($_, '/sub/a') } @transports;
my %two = map { $_ => $rt->client($_, '/sub2/a') } @transports;
my $first = $rt->publish_id('a', 'to main');
my $second = publish2('a', 'to second');
is(seq($first), 1, 'the first of main');
is(seq($second), 1, 'the first of second');
isnt(epoch($first), epoch($second), 'two epochs');
for my $t (@transports) {
    ok($one{$t}->wait_items(1), "$t, main");
    ok($two{$t}->wait_items(1), "$t, second");
    is_deeply([ $one{$t}->data ], [ 'to main' ], "$t, main: only its own");
    is_deeply([ $two{$t}->data ], [ 'to second' ], "$t, second: only its own");
    $_->close for $one{$t}, $two{$t};

    my $c = $rt->client($t, '/sub2/a', id => $first);
    $c->wait_items(2);
    my @items = $c->items;
    is($items[0]{gap}{reason}, 'epoch', "$t: an id of the other zone: a gap")
        or diag show(@items);
    is($items[0]{gap}{from}, $first, "$t: from that id");
    is($items[1]{data}, 'to second', "$t: then what there is");
    $c->close;
}

my $zones = $rt->status->{zones};
is($zones->{$_}{messages_published}, 1, "$_: its counter") for qw(main second);
is($zones->{main}{epoch}, epoch($first), 'epoch of main');
is($zones->{second}{epoch}, epoch($second), 'epoch of second');

# one location may read one and write the other

my $ws = $rt->ws('/over');
my $there = $rt->sse('/sub2/over');
$ws->send_text('over');
ok($there->wait_data('over'), 'published in second');
$rt->publish('over', 'back');
ok($ws->wait_data('back'), 'subscribed in main');
is_deeply([ $ws->data ], [ 'back' ], 'and only there');
$_->close for $ws, $there;

# reloads

ok($rt->reload(zone => [ 'main 1m', 'second 2m' ]), 'second is resized');
is(epoch($rt->publish_id('a', 'x')), epoch($first), 'main is as it was');
isnt(epoch(publish2('a', 'x')), epoch($second), 'second is new');
my $list = $rt->poll_now('/sub/a', $first)->json // [];
is_deeply([ map { $_->{data} // show($_) } @$list ], [ 'x' ],
          'ids of main still hold');

ok($rt->reload(zone => [ 'second 2m', 'main 1m', 'third 1m' ],
               server => <<'EOF_S'), 'another order, and a third');
    location ~ ^/pub2/(.+)$ { realtime_publish   $1 zone=main; }
EOF_S
is(epoch(publish2('a', 'x')), epoch($first), 'main by its name');
isnt(epoch($rt->publish_id('a', 'x')), epoch($first),
     'the default is now second');
is(join(' ', sort keys $rt->status->{zones}->%*), 'main second third',
   'three zones');

ok($rt->reload(zone => 'main 1m', server => ''), 'two of them go');
is(epoch($rt->publish_id('a', 'x')), epoch($first), 'main is still there');
is(join(' ', keys $rt->status->{zones}->%*), 'main', 'alone');

# Another index is another memory of the same size: nginx neither takes the old
# one over, nor keeps it mapped in the master, nor the new one when it fails.

sub mapped {
    open my $f, '<', "/proc/$rt->{pid}/maps" or return 'unknown';
    return scalar grep { m{ rw-s .*/dev/zero } } <$f>;
}

my $limit = sub ($key) { "limit_req_zone $key zone=limit:1m rate=9r/s;" };
ok($rt->reload(http => $limit->('$uri')), 'a zone of another module');
my $mapped = mapped();
for my $index ('256k', '512k') {
    my $id = $rt->publish_id('a', 'x');
    ok($rt->reload(zone => "main 1m index=$index"), "index=$index");
    isnt(epoch($rt->publish_id('a', 'x')), epoch($id), 'is a new zone');
    is(mapped(), $mapped, 'and the old one is unmapped');
}

my $id = $rt->publish_id('a', 'x');
my $why = qr/\[emerg\].*limit_req "limit" uses the "\$args" key/;
$rt->allow($why);
$rt->write_config(zone => 'main 1m index=64k', http => $limit->('$args'));
kill 'HUP', $rt->{pid};
ok(wait_for(sub { $rt->log =~ $why }), 'a reload fails after a new index');
ok($rt->reload(zone => 'main 1m index=512k', http => $limit->('$uri')),
   'the next one does not');
is(epoch($rt->publish_id('a', 'x')), epoch($id), 'the zone is kept');
is(mapped(), $mapped, 'what the failed one had mapped is not');

RT->end;
