# Model-based: random publishing, subscribing, stalling, resuming, deleting,
# reloading and killing, in a zone so small that the ring wraps all the time
# and the index fills; and what each client got is compared with a ledger.
#
# RT_SEED repeats a sequence, RT_SECONDS makes each part longer.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Model;


my $seed = $ENV{RT_SEED} // (time ^ $$ << 8) & 0x7fff_ffff;
my $seconds = $ENV{RT_SECONDS} // 3;
note "RT_SEED=$seed";

my @few = qw(m/a m/b m/c/1 m/c/2);
my $http = <<'EOF_H';
    realtime_message_max_size 128k;
    client_max_body_size 1m;
    client_body_buffer_size 1m;
    realtime_drain 300ms;
    realtime_keepalive 1s;
    realtime_history count=100000;
EOF_H
my $server = <<'EOF_S';
    location = /batch { realtime_publish m/**; }
    location ~ ^/latest/(.+)$ {
        realtime_slow latest;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/close/(.+)$ {
        realtime_slow close;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/three/(.+)$ {
        realtime_history count=3;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/conflated/(.+)$ {
        realtime_conflate 50ms;
        realtime_subscribe $1 patterns;
    }
EOF_S


# what publishers do; the index is filled by topics of which nobody hears twice

sub size ($m) {
    my $n = $m->rand(100);
    return $n < 10 ? 0 : $n < 70 ? $m->rand(200) : $n < 90 ? $m->rand(3000)
         : $n < 98 ? $m->rand(20_000) : $m->rand(100_000);
}


sub message ($m, $topic) {
    my $size = size($m);
    my $kind = $m->rand(10);
    return $m->message($topic, '') if !$size;
    return $m->message($topic, $m->bytes($size), binary => 1) if $kind < 2;
    return $m->message($topic, $m->text($size), event => "e$size")
        if $kind < 3;
    return $m->message($topic, $m->text($size));
}


sub next_request ($m, $recent) {
    my $kind = $m->rand(100);
    my $topic = $m->pick(@few);

    if ($m->{churn} && $kind < 30) {
        $topic = 'm/f/' . $m->rand(1000) . '/' . 'n' x (1 + $m->rand(180));
    }
    if ($kind % 10 == 0) {
        my @pubs = map { message($m, $m->pick(@few, $topic)) }
            0 .. $m->rand(6);
        my $sum = 0;
        $sum += length $_->{data} for @pubs;
        return $m->batch('/batch', @pubs) if $sum < 200_000;
    }
    if ($kind % 10 == 1) {
        if (@$recent > 8 || @$recent && $m->rand(2)) {
            return $m->repeat(splice @$recent, $m->rand(scalar @$recent), 1);
        }
        my $pub = message($m, $topic);
        $pub->{key} = "k$pub->{n}";
        push @$recent, $pub;
        return $m->repeat($pub);
    }
    return $m->delete($topic) if $kind == 2;
    return $m->repeat(message($m, $topic));
}


sub views ($m) {
    my %all = (
        '/sub' => [ [ 'm/a' ], [ 'm/b', 'm/c/1' ], [ 'm/*' ], [ 'm/**' ] ],
        '/latest' => [ [ 'm/a' ], [ 'm/c/*' ] ],
        '/close' => [ [ 'm/b' ] ],
        '/three' => [ [ 'm/c/1', 'm/c/2' ] ],
        '/conflated' => [ [ 'm/a', 'm/b' ] ],
    );
    my @transports = qw(sse websocket stream poll bare);
    my $n = $m->rand(5);

    for my $path (sort keys %all) {
        my ($policy) = $path =~ /(latest|close)/;
        for my $topics (@{ $all{$path} }) {
            for (1 .. 2) {
                my $t = $transports[ $n++ % 5 ];
                $m->view($t, "$path/" . join(',', @$topics), $topics,
                         rcvbuf => 4096, policy => $policy,
                         conflated => $path eq '/conflated');
            }
            $n++;
        }
    }
}


# what happens to clients and processes

sub happen ($m, $rt, $did) {
    my $v = $m->pick(@{ $m->{views} });
    my $kind = $m->rand(100);
    my $what = $kind < 35 ? 'stall' : $kind < 65 ? 'drop'
             : $kind < 75 ? 'fresh' : $kind < 82 ? 'rewind'
             : $kind < 86 ? 'earliest' : $kind < 89 ? 'strange'
             : $kind < 94 ? 'kill' : $kind < 96 ? 'reload' : 'nothing';
    my $id = $v->old_id;

    if ($what eq 'kill') {
        my %p = $rt->processes;
        $rt->kill_hard($m->pick(sort keys %p)) if %p;

    } elsif ($what eq 'reload') {
        return if $rt->leaving || $did->{reload};
        kill 'HUP', $rt->{pid};

    } elsif ($what eq 'stall') {
        $v->stall($m->rand(10) ? $m->rand(700) / 1000 : 1.5);

    } elsif ($what eq 'drop') {
        $v->drop;

    } elsif ($what eq 'fresh') {
        $v->drop(fresh => 1);

    } elsif ($what eq 'nothing' || $v->{bare} || $v->{conflated}) {
        return;

    } elsif ($what eq 'rewind') {
        return if !$id;
        $v->drop(id => $id);

    } elsif ($what eq 'earliest') {
        $v->drop(id => 'earliest', earliest => 1);

    } else {
        $v->drop(id => '1-' . $m->rand(1000), earliest => 1, strange => 1);
    }
    $did->{$what}++;
}


for my $workers (1, 2, 4) {
    my $churn = $workers == 2;
    my $name = "$workers processes";
    my $rt = RT->new(workers => $workers, listen => 'sndbuf=16k',
                     zone => 'main 1m' . ($churn ? ' index=64k' : ''),
                     http => $http, server => $server);

    my $m = RT::Model->new($rt, seed => $seed + $workers, churn => $churn);
    views($m);
    my @recent;
    $m->publisher(next => sub { next_request($m, \@recent) }) for 1 .. 3;

    # for a while, and until the ring has wrapped

    my $end = now() + $seconds;
    my ($next, %did) = (0);
    wait_for(sub {
        if (now() >= $next) {
            happen($m, $rt, \%did);
            $next = now() + 0.015;
        }
        return if now() < $end;
        $end = now() + 0.2;
        return @{ $m->{acks} } > 200
            && (($rt->status // {})->{zones}{main}{messages_evicted} // 0)
               > 100;
    }, $seconds + 60);
    wait_for(sub { !$rt->leaving });
    $m->settle(@few);

    my @faults = $m->verdict;
    is_deeply(\@faults, [], "$name: all is accounted for")
        or diag "RT_SEED=$seed", map { "\n$_" }
            @faults[0 .. (@faults > 9 ? 9 : $#faults)];

    # that it was a test at all

    my ($messages, %gaps, %ends) = (0);
    for my $v (@{ $m->{views} }) {
        $messages += $v->{messages} // 0;
        $gaps{$_} += $v->{gaps}{$_} for keys %{ $v->{gaps} };
        $ends{$_} += $v->{ends}{$_} for keys %{ $v->{ends} };
    }
    note 'did: ', show(\%did), ', gaps: ', show(\%gaps), ', ends: ',
        show(\%ends), ', published ', scalar @{ $m->{acks} }, ', in doubt ',
        $m->{doubts}, ", received $messages";
    cmp_ok(scalar @{ $m->{acks} }, '>', 200, "$name: published");
    cmp_ok($messages, '>', 1000, "$name: received");

    # what the zone says of itself

    my $status;
    ok(wait_for(sub {
        $status = $rt->status->{zones}{main};
        return !grep { $_ } values %{ $status->{subscribers} };
    }), "$name: no subscriber is left") or diag show($status);
    is($status->{messages_published}, $m->{high}, "$name: published")
        or diag show($status);
    cmp_ok($status->{messages_evicted}, '>', 100, "$name: the ring wrapped");
    cmp_ok($status->{ring_used_bytes}, '<=', $status->{ring_bytes},
           "$name: a ring is a ring");
    $rt->finish;
}

RT->end;
