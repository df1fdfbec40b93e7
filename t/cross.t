# From every process to every process.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


for my $workers (1, 2, 4) {
    my $rt = RT->new(workers => $workers);
    my @pids = $rt->wait_workers;

    my %c;
    for my $pid (@pids) {
        $c{"sse $pid"} = $rt->sse('/sub/a', pid => $pid);
        $c{"websocket $pid"} = $rt->ws('/room/a', pid => $pid);
        $c{"stream $pid"} = $rt->stream('/sub/a,room/a', pid => $pid);
        $c{"poll $pid"} = $rt->poll('/sub/a', pid => $pid);
        is($c{"sse $pid"}->header('X-Pid'), $pid, 'a client of each process');
    }

    my @said;
    for my $pid (@pids) {
        my $pub = $rt->conn(pid => $pid);
        for my $n (1 .. 3) {
            push @said, "$n by $pid";
            my $r = $pub->ask('POST', '/pub/a', [], $said[-1]);
            my $count = ($r->json // {})->{subscribers} // -1;
            ok($count >= 2 * $workers && $count <= 3 * $workers,
               "$workers: all subscribers are counted, polls if they wait")
                or diag $r->show;
        }
    }
    my @spoken;
    for my $pid (@pids) {
        push @spoken, "spoken by $pid";
        $c{"websocket $pid"}->send_text($spoken[-1]);
        $c{"websocket $_"}->wait_data($spoken[-1]) for @pids;
    }

    for my $name (sort keys %c) {
        my $c = $c{$name};
        my @want = $name =~ /^websocket/ ? @spoken
                 : $name =~ /^stream/    ? (@said, @spoken) : @said;
        ok($c->wait_items(scalar @want), "$workers: $name gets all")
            or diag show($c->data);
        is_deeply([ $c->data ], \@want, "$workers: $name: each once, in order");
    }

    # idempotency, info and delete are everybody's

    my @conns = map { $rt->conn(pid => $_) } @pids;
    my $first = $conns[0]->ask('POST', '/pub/x', [ 'Idempotency-Key' => 'k' ],
                               'x');
    for my $conn (@conns) {
        my $r = $conn->ask('POST', '/pub/x', [ 'Idempotency-Key' => 'k' ], 'x');
        is($r->body, $first->body, "$workers: the same answer everywhere");
        is(($conn->ask('GET', '/pub/x')->json // {})->{messages}, 1,
           "$workers: one message, seen everywhere");
    }
    is($conns[-1]->ask('DELETE', '/pub/x')->status, 204, 'DELETE');
    my $r = $conns[0]->ask('GET', '/sub/x', [
        Accept => 'application/json', 'Last-Event-ID' => 'earliest',
        Prefer => 'wait=0' ]);
    is_deeply($r->json, [], "$workers: deleted everywhere");

    # a poll and a publish that cross each other

    my $id = $rt->poll_now('/sub/race')->header('Realtime-Last-Id');
    my $lost = 0;
    for my $n (1 .. 100) {
        my ($p, $q) = ($conns[$n % @conns], $conns[($n + 1) % @conns]);
        $p = $rt->conn(pid => $pids[0]) if $p == $q;
        $p->request('GET', '/sub/race', [ Accept => 'application/json',
                    'Last-Event-ID' => $id, Prefer => 'wait=5' ]);
        $q->request('POST', '/pub/race', [], $n);
        my ($got, $ack) = ($p->response, $q->response);
        my $list = $got->json // [];
        $lost++ if @$list != 1 || $list->[0]{data} ne $n;
        $id = ($ack->json // {})->{id};
        $p->close if $workers == 1;
    }
    is($lost, 0, "$workers: no poll misses the message that comes with it");

    $rt->finish;
}

RT->end;
