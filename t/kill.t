# kill -9 of a process under load: only its own connections are lost, and who
# comes back misses nothing.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my @transports = qw(sse websocket poll stream);

for my $workers (2, 4) {
    my $rt = RT->new(workers => $workers,
                     http => 'realtime_history count=100000;');
    my $name = "$workers processes";
    my ($n, $stop) = (0, 0);
    my @pids = $rt->wait_workers;

    # one follower of each kind in each process, and publishers in all

    my @f;
    for my $pid (@pids) {
        push @f, map { $rt->follower(transport => $_, uri => '/sub/a',
                                     pid => $pid) } @transports;
    }
    my @pubs = map {
        my $p = $_;
        $rt->publisher(pid => $pids[$p % @pids], depth => 20, next => sub {
            return if $stop;
            return 'a', "$p-" . ++$n . ' ' . 'x' x ($n * 37 % 500);
        });
    } 0 .. 3;

    my $spared = $pids[-1];
    for my $round (1 .. 8) {
        my $at = $n;
        ok(wait_for(sub { $n > $at + 200 }), "$name: traffic");

        # the last process lives on, the others fall one after the other

        my @victims = grep { $_ != $spared } $rt->wait_workers;
        my $victim = $victims[$round % @victims];
        ok($rt->kill_worker($victim), "$name: killed, round $round");
        is(scalar($rt->wait_workers), $workers, "$name: there is a new one");
    }
    my $at = $n;
    ok(wait_for(sub { $n > $at + 60 }), "$name: publishing goes on");
    $stop = 1;
    ok(wait_for(sub { !grep { !$_->done } @pubs }), "$name: publishers end");
    $rt->publish('a', 'the end');

    my @acks = map { $_->acks } @pubs;
    my %seqs;
    is(scalar(grep { $seqs{ $_->{seq} }++ } @acks), 0, "$name: no id twice");
    is(scalar(map { $_->{refused}->@* } @pubs), 0, "$name: none refused")
        or diag show(map { $_->{refused}[0] // () } @pubs);

    for my $i (0 .. $#f) {
        my $f = $f[$i];
        my $t = $f->{opt}{transport};
        my $kept = $i >= @f - 4;
        ok(wait_for(sub { $f->has('the end') }), "$name: $t is up to date")
            or diag show($f->{ends});
        $f->stop;
        my @faults = $f->account(@acks);
        is_deeply(\@faults, [], "$name: $t missed nothing")
            or diag explain [ @faults[0 .. 4] ];
        is(scalar($f->gaps), 0, "$name: $t: no gap") or diag show($f->gaps);
        is($f->{starts}, 1, "$name: $t in the spared process was not disturbed")
            if $kept;
    }

    # nobody is counted who is not there

    ok(wait_for(sub {
        my $s = $rt->status->{zones}{main}{subscribers};
        return !grep { $_ } values %$s;
    }), "$name: no subscriber is left in the counters")
        or diag show($rt->status);
    is(($rt->publish('a', 'x')->json // {})->{subscribers}, 0,
       "$name: nor for the topic");
    is(scalar($rt->wait_workers), $workers, "$name: all processes serve");

    $rt->finish;
}

RT->end;
