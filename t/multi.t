# Many topics on one connection keep the order of the zone, whoever publishes,
# in whichever process.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


for my $workers (1, 2, 4) {
    my $rt = RT->new(workers => $workers, server => <<'EOF_S');
        location ~ ^/all/(.+)$ {
            realtime_history count=10000;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my @pids = $rt->wait_workers;
    my @topics = map { "t/$_" } 1 .. 20;
    my $list = join ',', @topics;

    my @clients = map {
        my $pid = $_;
        map { $rt->client($_, "/all/$list", pid => $pid, several => 1) }
            qw(sse websocket poll stream);
    } @pids;
    push @clients, map { $rt->sse($_, several => 1) } '/all/t/*', '/all/**';
    my $start = $clients[0]->last_id;

    my @pubs;
    for my $p (0 .. 3) {
        my $n = 0;
        push @pubs, $rt->publisher(
            pid => $pids[$p % @pids],
            next => sub {
                return if $n == 100;
                return $topics[($n * 7 + $p) % 20], "$p-" . ++$n;
            });
    }
    ok(wait_for(sub { !grep { !$_->done } @pubs }), "$workers: published");
    my @acks = sort { $a->{seq} <=> $b->{seq} } map { $_->acks } @pubs;
    is(scalar @acks, 400, "$workers: all are acknowledged");
    is_deeply([ map { $_->{seq} } @acks ], [ 1 .. 400 ],
              "$workers: one order over all processes");
    my %pid = map { $_->{pid} => 1 } @acks;
    is(scalar keys %pid, $workers, "$workers: through each process");

    for my $c (@clients) {
        $c->wait_items(400);
        is_deeply([ map { $_->{data} // show($_) } $c->items ],
                  [ map { $_->{data} } @acks ],
                  "$workers: " . ref($c) . ' sees that order');
        is_deeply([ map { $_->{id} } $c->items ], [ map { $_->{id} } @acks ],
                  "$workers: and those ids");
    }

    # the same again from the history

    for my $t (qw(sse websocket poll stream)) {
        my $c = $rt->client($t, "/all/$list", id => $start, several => 1);
        $c->wait_items(400);
        is_deeply([ map { $_->{data} // show($_) } $c->items ],
                  [ map { $_->{data} } @acks ],
                  "$workers: $t, from the history");
    }

    $rt->finish;
}

RT->end;
