# Variables, as an access log sees them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Native;


my $rt = RT->new(http => <<'EOF_H', server => <<'EOF_S');
    log_format rt '$request_uri topic=$realtime_topic id=$realtime_id '
                  'transport=$realtime_transport messages=$realtime_messages '
                  'bytes=$realtime_bytes subscribers=$realtime_subscribers '
                  'gaps=$realtime_gaps';
EOF_H
    access_log access.log rt;
    location ~ ^/three/(.+)$ {
        realtime_history count=3;
        realtime_subscribe $1 patterns;
    }
    location = /several { realtime_subscribe a b; }
    location = /plain { return 204; }
EOF_S

# the line of a request, by its tag in the query; it comes at the end

sub logged ($tag) {
    my $line;
    wait_for(sub {
        open my $f, '<', "$rt->{dir}/access.log" or return;
        ($line) = grep { /\?\Q$tag\E[ &]/ } <$f>;
        return $line;
    });
    return { ($line // '') =~ /(\w+)=(\S*)/g };
}


sub post ($tag) {
    my $r = $rt->request('POST', "/pub/a?$tag", [], 'x' x 100);
    return ($r->json // {})->{id};
}


my $id = post('first');
my $v = logged('first');
is($v->{topic}, 'a', 'publish: topic') or diag show($v);
is($v->{id}, $id, 'publish: id');
is($v->{subscribers}, 0, 'publish: subscribers');

my %c = map { $_ => $rt->client($_, "/sub/a?$_") } qw(sse websocket stream);
post('second');
$id = post('third');
is(logged('second')->{subscribers}, 3, 'publish: subscribers, three');

for my $t (sort keys %c) {
    $c{$t}->wait_items(2);
    is($c{$t}->last_id, $id, "$t got both");
    $c{$t}->close;
    my $v = logged($t);
    is($v->{transport}, $t, "$t: transport") or diag show($v);
    is($v->{topic}, 'a', "$t: topic");
    is($v->{id}, $id, "$t: id of the last one sent");
    is($v->{messages}, 2, "$t: messages");
    cmp_ok($v->{bytes}, '>=', 200, "$t: bytes");
    cmp_ok($v->{bytes}, '<', 1000, "$t: not too many");
    is($v->{gaps}, 0, "$t: gaps");
}

my $epoch = epoch($id);
$rt->poll_now("/sub/a?poll", "$epoch-1");
$v = logged('poll');
is($v->{transport}, 'poll', 'poll: transport');
is($v->{messages}, 2, 'poll: messages');
is($v->{id}, $id, 'poll: id');
is($v->{topic}, 'a', 'poll: topic');

$rt->publish('a', "m$_") for 1 .. 5;
$rt->poll_now("/three/a?gap", "$epoch-1");
$v = logged('gap');
is($v->{gaps}, 1, 'a gap') or diag show($v);
is($v->{messages}, 3, 'and three messages');

$rt->get('/plain?plain');
$v = logged('plain');
ok(!(grep { /\d/ && $_ ne '0' } values %$v), 'elsewhere they say nothing')
    or diag show($v);

# a session of several topics: the sum of them, also where nginx ends it

$rt->write_config(main => 'worker_shutdown_timeout 1s;',
                  http => "$rt->{http} realtime_drain 1h;");
ok($rt->reload, 'reload');
my %several = map { $_ => RT::Native->open($rt, "/several?$_") }
    qw(leaves ends);
$rt->publish($_, 'x' x 100) for qw(a b b);
ok($_->wait_items(3), 'several topics') for values %several;
$several{leaves}->close;
$v = logged('leaves');
is($v->{messages}, 3, 'several topics: messages') or diag show($v);
ok($rt->reload, 'reload');
my $ended = logged('ends');
is_deeply($ended, $v, 'the same with worker_shutdown_timeout')
    or diag show($ended);

RT->end;
