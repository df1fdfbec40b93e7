# Reload: clients are told goodbye, come back with their id, and miss nothing.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my @transports = qw(sse websocket poll stream);

for my $workers (1, 2) {
    my $rt = RT->new(workers => $workers, http => <<'EOF_H');
        realtime_drain 1s;
        realtime_history count=100000;
EOF_H
    my $name = "$workers processes";

    # goodbyes

    my $before = $rt->publish_id('quiet', 'x');
    my %c = map { $_ => $rt->client($_, '/sub/quiet') }
        qw(sse websocket stream);
    $c{bare} = $rt->ws('/room/quiet');
    my $poll = $rt->conn;
    $poll->request('GET', '/sub/quiet', [ Accept => 'application/json' ]);
    ok(wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == 1 }),
       "$name: a poll waits");

    ok($rt->reload, "$name: reload");
    for my $t (sort keys %c) {
        ok($c{$t}->wait_end, "$name: $t ends");
        next if $t !~ /websocket|bare/;
        is($c{$t}->close_code, 1012, "$name: $t: 1012");
    }
    for my $t (qw(sse stream)) {
        ok($c{$t}{res}{done} && !$c{$t}{reset}, "$name: $t: a clean end")
            or diag show($c{$t}{reset}, $c{$t}{res}{body});
    }
    my $r = $poll->response;
    is($r->body =~ s/\s//gr, '[]', "$name: the poll has nothing");
    is($r->header('Realtime-Last-Id'), $before, "$name: and an id");
    is(epoch($rt->publish_id('quiet', 'x')), epoch($before),
       "$name: the same epoch");
    ok(wait_for(sub { !$rt->leaving }), "$name: old processes are gone");

    # under traffic, again and again

    my @f = map {
        $rt->follower(transport => $transports[$_ % 4], uri => $_ < 4
                      ? '/sub/t/1' : '/sub/t/1,t/2,t/3', several => $_ >= 4);
    } 0 .. 7;
    my ($n, $stop) = (0, 0);
    my @pubs = map {
        my $p = $_;
        $rt->publisher(next => sub {
            return if $stop;
            return 't/' . (1 + $n % 3), "$p-" . ++$n;
        });
    } 1 .. 2;

    for my $round (1 .. 3) {
        my $at = $n;
        ok(wait_for(sub { $n > $at + 50 }), "$name: traffic");
        ok($rt->reload, "$name: reload $round under traffic");
    }
    my $at = $n;
    wait_for(sub { $n > $at + 50 });
    ok(wait_for(sub { !$rt->leaving }), "$name: old processes are gone")
        or diag show([ $rt->leaving ]);
    $stop = 1;
    wait_for(sub { !grep { !$_->done } @pubs });

    my $last = $rt->publish_id('t/1', 'the end');
    my @acks = map { $_->acks } @pubs;
    cmp_ok(scalar @acks, '>', 200, "$name: published");
    is(scalar(map { $_->{refused}->@* } @pubs), 0, "$name: none refused")
        or diag show(map { $_->{refused}[0] // () } @pubs);

    for my $f (@f) {
        my $t = $f->{opt}{transport};
        ok(wait_for(sub { $f->has('the end') }), "$name: $t is up to date")
            or diag show($f->{ends}, $f->{id});
        $f->stop;
        my @mine = $f->{opt}{several} ? @acks
                                      : grep { $_->{topic} eq 't/1' } @acks;
        my @faults = $f->account(@mine);
        is_deeply(\@faults, [], "$name: $t missed nothing")
            or diag explain [ @faults[0 .. 4] ];
        is(scalar($f->gaps), 0, "$name: $t: no gap") or diag show($f->gaps);
        cmp_ok($f->{starts}, '>=', 2, "$name: $t came back") if $t ne 'poll';
        if ($t eq 'websocket') {
            is_deeply([ grep { $_ ne 1012 } $f->{ends}->@* ], [],
                      "$name: closed with 1012 each time");
        }
    }

    # another size: another zone, another epoch, and a warning

    unlike($rt->log, qr/\[warn\]/, "$name: no warning so far");
    my $id = $rt->publish_id('t/1', 'old zone');
    ok($rt->reload(zone => 'main 2m'), "$name: reload with another size");
    my $new = $rt->publish_id('t/1', 'new zone');
    isnt(epoch($new), epoch($id), "$name: a new epoch");
    is(seq($new), 1, "$name: begins with 1");
    like($rt->log, qr/\[warn\].*main/, "$name: a warning") or diag $rt->log;
    my $list = $rt->poll_now('/sub/t/1', $id)->json // [];
    is($list->[0]{gap}{reason}, 'epoch', "$name: whoever returns is told")
        or diag show($list);
    is($list->[1]{data}, 'new zone', "$name: and goes on");

    # a reload after that changes nothing; another index is another zone

    ok($rt->reload, "$name: reload after the other size") or last;
    is(epoch($rt->publish_id('t/1', 'again')), epoch($new),
       "$name: the zone is kept again");
    ok($rt->reload(zone => 'main 2m index=512k'), "$name: another index")
        or last;
    $id = $rt->publish_id('t/1', 'other index');
    isnt(epoch($id), epoch($new), "$name: a new epoch");
    ok($rt->reload, "$name: reload after the other index") or last;
    is(epoch($rt->publish_id('t/1', 'again')), epoch($id),
       "$name: and that zone is kept");

    $rt->finish;
}


# stop: the same goodbyes

my $rt = RT->new(workers => 2, http => 'realtime_drain 1s;');
my %c = map { $_ => $rt->client($_, '/sub/a') } qw(sse websocket stream);
my $poll = $rt->conn;
$poll->request('GET', '/sub/a', [ Accept => 'application/json' ]);
wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == 1 });
$rt->quit;
for my $t (sort keys %c) {
    ok($c{$t}->wait_end, "quit: $t ends");
    ok($c{$t}{res}{done}, "quit: $t: a clean end") if $t ne 'websocket';
}
is($c{websocket}->close_code, 1012, 'quit: 1012');
my $r = $poll->response;
is($r->body =~ s/\s//gr, '[]', 'quit: the poll has nothing');
ok(wait_for(sub { $rt->_reaped }), 'nginx ends by itself');
$rt->finish;


# A fast stop in the middle of it: the rest at once.  The processes get from
# here what the master would send them: it kills those that have not gone after
# a second, and beside a busy program a second is nothing.

$rt = RT->new(workers => 2, http => 'realtime_drain 1h;');
my @p = $rt->workers;
%c = map { $_->[0] => $rt->client($_->[0], '/sub/a', pid => $p[$_->[1]]) }
    [ sse => 0 ], [ websocket => 1 ], [ stream => 0 ];
$rt->quit;
ok(wait_for(sub { $rt->leaving == 2 }), 'stop: both processes are leaving');
kill 'TERM', $rt->leaving;
ok($c{$_}->wait_end, "stop: $_ ends") for sort keys %c;
is($c{websocket}->close_code, 1012, 'stop: 1012');
ok(wait_for(sub { $rt->_reaped }), 'nginx ends fast');

RT->end;
