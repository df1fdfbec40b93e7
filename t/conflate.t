# realtime_conflate and realtime_debounce: the newest, not all.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


RT->need('realtime_conflate');

my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location ~ ^/conflated/(.+)$ {
        realtime_conflate 300ms;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/debounced/(.+)$ {
        realtime_debounce 500ms;
        realtime_subscribe $1 patterns;
    }
    location /outer/ {
        realtime_conflate 1h;
        location ~ ^/outer/(.+)$ {
            realtime_conflate off;
            realtime_subscribe $1 patterns;
        }
    }
EOF_S

for my $t (qw(sse websocket stream)) {
    my $conflated = $rt->client($t, '/conflated/a,b', several => 1);
    my $debounced = $rt->client($t, '/debounced/a');
    my $all = $rt->client($t, '/outer/a');

    # two topics, for about a second

    my ($n, $begun) = (0, now);
    my $end = $begun + 1;
    my $pub = $rt->publisher(pace => 0.01, next => sub {
        return if now() > $end;
        return ++$n % 2 ? 'a' : 'b', "$t $n";
    });
    ok(wait_for(sub { $pub->done }), "$t: published");
    my @acks = $pub->acks;
    my ($last_a) = map { $_->{data} } grep { $_->{topic} eq 'a' } reverse @acks;
    my ($last_b) = map { $_->{data} } grep { $_->{topic} eq 'b' } reverse @acks;
    cmp_ok(scalar @acks, '>', 20, "$t: many");

    ok($conflated->wait_data($_), "$t: conflated: the newest") for $last_a,
        $last_b;
    my $intervals = (now() - $begun) / 0.3;
    my @got = $conflated->messages;
    my @faults = RT::Follower::check($conflated->{items}, undef);
    is_deeply(\@faults, [], "$t: conflated: in order, none twice");
    cmp_ok(scalar @got, '<=', 2 * ($intervals + 2),
           "$t: conflated: one per topic and interval");
    cmp_ok(scalar @got, '>=', 4, "$t: conflated: but not only the last");
    is(scalar($conflated->gaps), 0, "$t: conflated: no gap");

    ok($debounced->wait_data($last_a), "$t: debounced: the newest");
    is_deeply([ $debounced->data ], [ $last_a ], "$t: debounced: only that");

    ok($all->wait_data($last_a), "$t: off: the newest");
    is(scalar($all->messages), scalar(grep { $_->{topic} eq 'a' } @acks),
       "$t: off: all");

    # back again

    for my $path (qw(conflated debounced)) {
        my $c = $rt->client($t, "/$path/a,b", several => 1,
                            id => $acks[0]{id});
        ok($c->wait_items(2), "$t, $path: back");
        is_deeply([ $c->data ], [ sort { $a eq $last_a ? -1 : 1 }
                                  $last_a, $last_b ],
                  "$t, $path: the newest of each topic")
            if $acks[-1]{topic} eq 'b';
        is(scalar($c->gaps), 0, "$t, $path: no gap");
        $c->close;
    }

    # a single message is not held back by a conflated location

    wait_for(sub { now() > $end + 0.7 });
    $begun = now;
    $rt->publish('a', "$t alone");
    ok($conflated->wait_data("$t alone"), "$t: conflated: a single one");
    ok($debounced->wait_data("$t alone"), "$t: debounced: a single one");
    $_->close for $conflated, $debounced, $all;
}

RT->end;
