# A process dies in the middle of an append, at each point that has a name,
# under load: what was acknowledged stays, what was half done is repaired, and
# other processes' clients notice nothing.  Then one is stopped, or dies, while
# it copies a large message into the ring and nobody may pass it.
#
# Only the build with sanitizers knows how to die.  RT_SEED repeats the load,
# RT_DEATHS (3) is how often it dies at each point.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Model;


{
    open my $so, '<:raw', RT::module() or plan(skip_all => 'no module');
    local $/;
    <$so> =~ /RT_DIE/ or plan(skip_all => 'a build that cannot be told to die');
}

my $seed = $ENV{RT_SEED} // (time ^ $$ << 8) & 0x7fff_ffff;
my $deaths = $ENV{RT_DEATHS} // 3;
note "RT_SEED=$seed";

# In the order of an append; and within how many passages it happens, but not at
# the first: who then repairs, or takes a slot over, would die where he begins,
# and his successor, too, for ever.

my @points = (
    [ add => 4 ], [ taken => 4 ], [ hang => 4 ], [ hung => 4 ], [ added => 4 ],
    [ unhang => 4 ], [ unhung => 4 ], [ unlisted => 4 ], [ key => 4 ],
    [ blob => 5 ], [ copied => 5 ],
    [ evict => 20 ], [ floor => 20 ], [ evicted => 20 ], [ write => 30 ],
    [ written => 30 ], [ commit => 20 ], [ head => 20 ], [ mark => 20 ],
    [ committed => 20 ], [ prev => 20 ], [ next => 20 ], [ last => 20 ],
    [ first => 5 ], [ seq => 20 ], [ linked => 20 ], [ keyed => 4 ],
);

my $rt = RT->new(
    workers => 3, zone => 'main 1m index=256k', listen => 'sndbuf=16k',
    http => <<'EOF_H', server => 'location = /batch { realtime_publish m/**; }',
    realtime_history count=100000;
    realtime_drain 100ms;
    client_max_body_size 1m;
EOF_H
);
$rt->allow(qr/worker process \d+ exited on signal 9/);
$rt->allow(qr/shared memory zone "main" was locked by/);

my $m = RT::Model->new($rt, seed => $seed);
my @topics = map { "m/$_" } qw(a b c/1 c/2);
my ($point, $spared, $gate, $new) = ('', 0, 1, 0);
my @again;

sub body {
    return $m->text(16_384 + $m->rand(40_000)) if $point =~ /^(?:blob|copied)/;
    return $m->text($m->rand(20) ? $m->rand(300) : $m->rand(8000));
}


# who asks for a topic that is not there adds it, and removes it again

sub nobody {
    return {
        method => 'GET', uri => '/sub/nobody/' . ++$new, want => 200,
        headers => [ Accept => 'application/json', Prefer => 'wait=0' ],
        pubs => [], body => undef,
    };
}


sub next_request {
    return if $gate;
    my $kind = $m->rand(10);
    return nobody() if $point =~ /^un/ && $kind < 5;

    # one that had no answer is asked for again, with its key

    if ($kind < 2 || $point =~ /key/) {
        my ($pub) = grep { $_->{doubted} && !$_->{acked} } @again;
        @again = grep { !$_->{acked} } @again;
        if (!$pub) {
            $pub = $m->message($m->pick(@topics), body());
            $pub->{key} = "key $pub->{n}";
            push @again, $pub;
        }
        return $m->repeat($pub);
    }
    if ($kind < 4 && $point !~ /^(?:blob|copied)/) {
        my @pubs = map { $m->message($m->pick(@topics), body()) }
            0 .. $m->rand(8);
        return $m->batch('/batch', @pubs);
    }
    return $m->delete($m->pick(@topics)) if $kind == 4 && !$m->rand(20);

    my $topic = $m->pick(@topics);
    $topic = 'm/new/' . ++$new if $point =~ /^(?:add|taken|h[au]ng)/;
    $topic = 'm/few/' . $m->rand(60) if $point eq 'first';
    return $m->single($topic, body());
}


# who was killed, by the log

open my $log, '<', "$rt->{dir}/error.log" or die "error.log: $!";
my ($died, %dead) = (0);

sub died {
    seek $log, 0, 1;
    while (my $line = <$log>) {
        next if $line !~ /process (\d+) exited on signal 9/;
        $died++;
        $dead{$1} = 1;
    }
    return $died;
}


my @transports = qw(sse websocket stream poll bare);
$m->view($transports[$_], $_ % 2 ? '/sub/m/**' : '/sub/m/a,m/c/1',
         $_ % 2 ? [ 'm/**' ] : [ 'm/a', 'm/c/1' ], rcvbuf => 4096) for 0 .. 4;
$m->view($transports[$_], '/sub/m/b', [ 'm/b' ]) for 0 .. 4;

my @publishers = map {
    $m->publisher(next => \&next_request, avoid => sub ($pid) {
        return $pid == $spared;
    });
} 1 .. 4;

for (@points) {
    ($point, my $most) = @$_;

    $gate = 1;
    wait_for(sub { !grep { !$_->idle } @publishers });
    my $times = 2 + $m->rand($most);
    ok($rt->reload(main => "env RT_DIE=$point:$times;"), "$point: reload");
    $spared = ($rt->wait_workers)[-1];
    $_->leave for @publishers;

    my %quiet;
    for my $t (qw(sse websocket stream)) {
        $quiet{$t} = eval { $rt->client($t, '/sub/m/a', pid => $spared) }
            // last;
    }
    my $before = died();
    $gate = 0;
    ok(wait_for(sub { died() >= $before + $deaths }), "$point: it died")
        or diag 'died ', $died - $before, " times at $point:$times";
    $gate = 1;
    ok(wait_for(sub { !grep { !$_->idle } @publishers }),
       "$point: publishers are answered");

    # who comes first after a death repairs, and may come to the same point;
    # subscribers that come back may take any process to the index's points

    wait_for(sub {
        died();
        return $dead{$spared} || !grep { $_->ended } values %quiet;
    });
    if ($dead{$spared}) {
        note "$point: the spared one died, too";
        like($point, qr/^(?:head|mark|prev|next|last|first|seq|taken
                         |add(?:ed)?|(?:un)?h[au]ng|unlisted)$/x,
             "$point: is in a repair, or in a subscription, too");
        $_->close for values %quiet;
        next;
    }

    is(scalar keys %quiet, 3, "$point: there were clients elsewhere");
    my @mine = grep { $_->{topic} eq 'm/a' } @{ $m->{acks} };
    my $last = (sort { $a->{seq} <=> $b->{seq} } @mine)[-1];
    for my $t (sort keys %quiet) {
        my $c = $quiet{$t};
        wait_for(sub {
            return $c->ended || !$last
                || (RT::seq($c->last_id) // 0) >= $last->{seq};
        });
        ok(!$c->ended, "$point: $t elsewhere goes on");
        my @acks = map { { %$_, data => $_->{pub}{data} } } @mine;
        my @faults = RT::Follower::check($c->{items}, $c->{open_id}, @acks);
        is_deeply(\@faults, [], "$point: $t elsewhere has it all")
            or diag explain [ @faults[0 .. 4] ];
        $c->close;
    }
}

# nobody dies any more; all must be in order

$gate = 1;
ok($rt->reload(main => ''), 'reload');
$spared = 0;
$_->leave for @publishers;
($point, $gate) = ('', 0);
my $at = @{ $m->{acks} };
ok(wait_for(sub { @{ $m->{acks} } > $at + 100 }), 'publishing goes on');
$m->settle(@topics);
my @faults = $m->verdict;
is_deeply(\@faults, [], 'all is accounted for')
    or diag "RT_SEED=$seed", map { "\n$_" }
        @faults[0 .. (@faults > 9 ? 9 : $#faults)];
note died(), ' deaths, ', scalar @{ $m->{acks} }, " acknowledged, $m->{doubts}"
    . ' in doubt, ', scalar @{ $m->{holes} }, ' without an owner';

like($rt->log, qr/\[notice\].*repaired after the death of a process/,
     'repairs are in the log');


# The ring, read from its tail, and what the index says of each topic.

my %held;
my ($first, $id) = (undef, 'earliest');
while (1) {
    my $r = $rt->poll_now('/sub/m/**', $id);
    my $list = $r->json // [];
    last if !@$list;
    push @{ $held{ $_->{topic} } }, $_ for grep { !$_->{gap} } @$list;
    $first //= seq($list->[0]{id});
    $id = $r->header('Realtime-Last-Id');
}
cmp_ok(scalar keys %held, '>=', 4, 'topics are held');

my $status = $rt->status->{zones}{main};
my $known = 0;
my @bad;
my %all = map { $_->{topic} => 1 } @{ $m->{pubs} };
for my $topic (sort keys %all) {
    my $r = $rt->get('/pub/' . RT::uri_escape($topic));
    $known++ if $r->status == 200;
    my @held = @{ $held{$topic} // [] };
    next if !@held && $r->status == 404;

    my $j = $r->json // {};
    my $bytes = 0;
    for my $message (@held) {
        my $data = $message->{data};
        utf8::encode($data);
        $bytes += length $data;
    }
    my $want = @held ? "$held[0]{id} $held[-1]{id}" : '';
    my $told = @held ? "$j->{first_id} $j->{last_id}" : '';
    push @bad, "$topic: " . show($j) . ', not ' . @held . " $bytes $want"
        if $j->{messages} != @held || $j->{bytes} != $bytes || $told ne $want;
}
is_deeply(\@bad, [], 'counts of all topics agree with what is there');
cmp_ok($status->{topics}, '>=', $known, 'so does the number of topics');
cmp_ok($status->{topics}, '<=', keys %all, 'which have all been published to');
is($status->{messages_published}, $m->{high}, 'messages published');
cmp_ok($status->{messages_evicted}, '<', $first, 'and evicted');
cmp_ok($status->{ring_used_bytes}, '<=', $status->{ring_bytes}, 'ring bytes');
ok(wait_for(sub {
    my $s = $rt->status->{zones}{main}{subscribers};
    return !grep { $_ } values %$s;
}), 'no subscriber is left') or diag show($rt->status);

$rt->finish;


# A process stops with its large message half published.  Others publish as far
# as the ring has room, and then are refused at once; when it goes on, or is
# dead, they go on.

sub state_of ($pid) {
    open my $f, '<', "/proc/$pid/stat" or return '';
    return (<$f> // '') =~ /\) (\S) / ? $1 : '';
}


# whoever connects by chance may come to the stopped one, and wait

sub stop_one ($rt, $topic, $data) {
    my ($pid, $other) = $rt->wait_workers;
    my $stopped = $rt->conn(pid => $pid);
    my $conn = $rt->conn(pid => $other);
    $stopped->request('POST', "/pub/$topic", [], $data);
    ok(wait_for(sub { state_of($pid) eq 'T' }), "$topic: it is stopped");
    return ($pid, $stopped, $conn);
}


# how often a process has gone to sleep

sub switches ($pid) {
    open my $f, '<', "/proc/$pid/status" or return;
    return (map { /^voluntary_ctxt_switches:\s+(\d+)/ } <$f>)[0];
}


# until one is refused, or so many; while it waits for that its process serves
# another connection, if they were close enough for it to be seen

sub fill ($conn, $topic, $most, $beside = undef) {
    my @acks;
    while (@acks < $most) {
        my $data = @acks . ' ' . 'x' x 10_000;
        my ($at, $first) = (now(), 1);
        $conn->request('POST', "/pub/$topic", [], $data);
        if ($beside) {
            $beside->request('GET', '/status');
            my $close = now() < $at + 0.05;
            $beside->response;
            $first = !$close || !@{ $conn->{responses} };
        }
        my $r = $conn->response;
        ok($first, 'others are served meanwhile')
            if $beside && $r->status != 201;
        return ($r, @acks) if $r->status != 201;
        push @acks, { seq => seq($r->json->{id}), data => $data };
    }
    return (undef, @acks);
}


my $stop = RT->new(
    workers => 2, zone => 'main 1m index=256k',
    main => 'env RT_DIE=copied:1:stop;',
    http => 'realtime_history count=100000; client_body_buffer_size 64k;',
);

my $large = 'large ' . 'y' x 60_000;
my $sse = $stop->sse('/sub/p', pid => ($stop->wait_workers)[1]);
my ($pid, $stopped, $conn) = stop_one($stop, 'p', $large);

my ($publisher) = grep { $_ != $pid } $stop->workers;
my $beside = $stop->conn(pid => $publisher);
my ($r, @acks) = fill($conn, 'p', 200, $beside);
is($r && $r->status, 503, 'the ring is full up to what it holds');
cmp_ok(scalar @acks, '>', 50, 'and no earlier');
like($r->json->{error}, qr/held by another process/, 'which the answer says');
is($conn->ask('POST', '/pub/p', [], 'z' x 20_000)->status, 503,
   'nor is there room for a blob');
is($conn->ask('GET', '/status')->status, 200, 'all else is served');

my ($waits, @refused) = switches($publisher);
push @refused, $conn->ask('POST', '/pub/p', [], 'z' x 20_000) for 1 .. 20;
is((grep { $_->status != 503 } @refused), 0, 'twenty more are refused');
cmp_ok(switches($publisher) - $waits, '<', 500, 'without waiting again');

is($conn->ask('POST', '/pub/p', [ 'Content-Type' => 'application/x-ndjson',
        'Realtime-Batch' => 'on' ], join '', map {
            '{"data":"' . 'b' x 10_000 . "\"}\n" } 1 .. 3)->status, 503,
   'a batch is refused as a whole');

kill 'CONT', $pid;
$r = $stopped->response;
is($r->status, 201, 'it goes on, and publishes');
push @acks, { seq => seq(($r->json // {})->{id}), data => $large };
my $before = epoch($sse->{open_id}) . "-$acks[-2]{seq}";
push @acks, (fill($conn, 'p', 1))[1];
is(show(map { length($_->{data} // '') }
        @{ $stop->poll_now('/sub/p', $before)->json // [] }),
   length($large) . ' ' . length $acks[-1]{data},
   'which the next one does not push out');
($r, my @more) = fill($conn, 'p', 200);
is($r, undef, 'so does the other one, round the ring');
push @acks, @more;
ok($sse->wait_data($more[-1]{data}), 'a subscriber has the last one');
is_deeply([ RT::Follower::check($sse->{items}, $sse->{open_id}, @acks) ], [],
          'and all the others');
is(scalar($sse->gaps), 0, 'without a gap') or diag show($sse->gaps);

# it dies, and nobody takes its place

ok($stop->reload, 'reload');
($pid, $stopped) = stop_one($stop, 'q', $large);
$stop->write_config(main => '');
kill 'HUP', $stop->{pid};
ok(wait_for(sub { $stop->workers == 3 }), 'new ones come');
$conn = $stop->conn(pid => ($stop->workers)[-1]);
($r, @acks) = fill($conn, 'q', 200);
is($r && $r->status, 503, 'it is in the way');
ok($stop->kill_worker($pid), 'it dies');
($r, @acks) = fill($conn, 'q', 200);
is($r, undef, 'and is not in the way any more');
$stopped->close;

RT->end;
