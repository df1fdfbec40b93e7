# Gaps: what is lost is told, with exact bounds, and nothing else is lost.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my @transports = qw(sse websocket poll stream);

my $rt = RT->new(workers => 2, zone => 'main 1m', server => <<'EOF_S');
    location ~ ^/three/(.+)$ {
        realtime_history count=3;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/latest/(.+)$ {
        realtime_history count=3;
        realtime_slow latest;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/aged/(.+)$ {
        realtime_history count=100 age=1s;
        realtime_subscribe $1 patterns;
    }
    location ~ ^/all/(.+)$ {
        realtime_history count=100000 age=1d;
        realtime_subscribe $1 patterns;
    }
EOF_S


# What a client gets: gaps as a string, messages as their data.

sub told ($c) {
    return join ' ', map {
        my $g = $_->{gap};
        ref $g ? "gap($g->{topic} $g->{from} $g->{to} $g->{reason})"
               : $_->{data};
    } $c->items;
}


sub resumes ($transport, $uri, $id, $n, $want, $name, %o) {
    my $c = $rt->client($transport, $uri, id => $id, wait => 2, %o);
    $c->wait_items($n);
    RT::Loop::turn(0.02);
    my $got = told($c);
    ref $want ? like($got, $want, "$transport: $name")
              : is($got, $want, "$transport: $name");
    if ($transport eq 'sse') {
        for my $item (grep { $_->{gap} } $c->items) {
            is($item->{id}, $o{several} ? $id : $item->{gap}{to},
               "$transport: $name: id of the gap") or diag $item->{raw};
        }
    }
    $c->close;
    return;
}


# history, by number

my @id = ($rt->poll_now('/sub/x')->header('Realtime-Last-Id'));
my $epoch = epoch($id[0]);
push @id, $rt->publish_id('h', "m$_") for 1 .. 10;
is($id[10], "$epoch-10", 'ten messages');

for my $t (@transports) {
    resumes($t, '/three/h', $id[2], 4,
            "gap(h $id[2] $id[7] history) m8 m9 m10", 'beyond the history');
    resumes($t, '/three/h', $id[6], 4,
            "gap(h $id[6] $id[7] history) m8 m9 m10", 'one beyond');
    resumes($t, '/three/h', $id[7], 3, 'm8 m9 m10', 'just within');
    resumes($t, '/three/h', $id[0], 4,
            "gap(h $id[0] $id[7] history) m8 m9 m10", 'from the beginning');
    resumes($t, '/three/h', 'earliest', 3, 'm8 m9 m10', 'earliest');
    resumes($t, '/sub/h', $id[2], 8, 'm3 m4 m5 m6 m7 m8 m9 m10',
            'another location allows more');
}

my $ws = $rt->ws('/three/h', id => $id[2]);
is($ws->wait_close, 4000, 'a bare WebSocket is closed with 4000');
like($ws->close_reason, qr/history/, 'and the reason');
is_deeply([ $ws->data ], [], 'before anything else');
ok($ws->wait_eof, 'and ends');
$ws = $rt->ws('/three/h', id => $id[7]);
ok($ws->wait_items(3), 'a bare WebSocket without a gap');
is($ws->close_code, undef, 'stays');
$ws->close;
$ws = $rt->ws('/latest/h', id => $id[2]);
ok($ws->wait_data('m10'), 'realtime_slow latest: gets the newest');
is($ws->close_code, undef, 'and stays');
$ws->close;


# several topics: one gap for each that lost something

push @id, $rt->publish_id("i/$_", "i$_") for 1, 2, 1, 1, 1, 2;  # 11 .. 16
for my $t (@transports) {
    my $g1 = qr/gap\(i\/1 $id[10] $id[11] history\)/;
    my $gi = qr/gap\(i\/1 $id[1] $id[11] history\)/;
    my $gh = qr/gap\(h $id[1] $id[7] history\)/;
    resumes($t, '/three/i/1,i/2', $id[10], 6, qr/^$g1 i2 i1 i1 i1 i2$/,
            'one of two', several => 1);
    resumes($t, '/three/i/*', $id[10], 6, qr/^$g1 i2 i1 i1 i1 i2$/,
            'one of a pattern', several => 1);
    resumes($t, '/three/i/1,i/2,h', $id[1], 10,
            qr/^(?:$gi $gh|$gh $gi) m8 m9 m10 i2 i1 i1 i1 i2$/,
            'two of three', several => 1);
}


# another epoch, or a seq of the future

my $foreign = $epoch =~ s/(.)$/$1 eq "1" ? "2" : "1"/er;
for my $strange ("$foreign-3", '1-1', "$epoch-17",
                 "$epoch-18446744073709551615")
{
    for my $t (@transports) {
        resumes($t, '/three/h', $strange, 4,
                qr/^gap\(h $strange $id[7] epoch\) m8 m9 m10$/, "id $strange");
        resumes($t, '/sub/h', $strange, 11,
                qr/^gap\(h $strange $epoch-\d+ epoch\) m1 m2 .* m10$/,
                "id $strange, all there is");
        resumes($t, '/sub/never', $strange, 1,
                qr/^gap\(never $strange $epoch-\d+ epoch\)$/,
                "id $strange, no messages");
    }
    $ws = $rt->ws('/sub/h', id => $strange);
    is($ws->wait_close, 4000, "bare WebSocket, id $strange: 4000");
    like($ws->close_reason, qr/epoch/, 'and the reason');
}


# deleted

push @id, $rt->publish_id('d', "d$_") for 1 .. 3;      # 17 .. 19
my $done = $rt->sse('/sub/d', id => $id[18]);
ok($done->wait_data('d3'), 'a live subscriber');
is($rt->request('DELETE', '/pub/d')->status, 204, 'DELETE');
for my $t (@transports) {
    resumes($t, '/sub/d', $id[17], 1,
            qr/^gap\(d $id[17] $epoch-(?:19|[2-9]\d) deleted\)$/, 'deleted');
    resumes($t, '/sub/d', $id[19], 0, '', 'had all before it was deleted',
            wait => 0);
    resumes($t, '/sub/d', 'earliest', 0, '', 'earliest after it', wait => 0);
}
$rt->publish('d', 'd4');
push @id, $rt->publish_id('d', 'd5');
ok($done->wait_data('d5'), 'the live subscriber goes on');
is(told($done), 'd3 d4 d5', 'and is told of no gap, for it had all');
for my $t (@transports) {
    resumes($t, '/sub/d', $id[17], 3,
            qr/^gap\(d $id[17] $epoch-(?:19|20) deleted\) d4 d5$/,
            'deleted, then more');
}
$done->close;


# history, by age

my $old = $rt->publish_id('aged', 'old');
my $begun = now;
wait_for(sub { now() - $begun > 2.1 });
my $young = $rt->publish_id('aged', 'young');
for my $t (@transports) {
    resumes($t, '/aged/aged', $id[10], 2,
            "gap(aged $id[10] $old history) young", 'too old');
    resumes($t, '/aged/aged', $old, 1, 'young', 'young enough');
    resumes($t, '/aged/aged', 'earliest', 1, 'young', 'earliest by age');
}


# overwritten in the ring

my $c = $rt->conn;
my @e;
for my $n (1 .. 200) {
    my $r = $c->ask('POST', '/pub/e', [], "$n " . 'e' x 10_000);
    push @e, $r->json->{id};
}
my $info = $rt->get('/pub/e')->json // {};
my $kept = seq($info->{first_id}) - seq($e[0]);        # first kept, from 0
cmp_ok($kept, '>', 100, 'most were overwritten') or diag show($info);
my $bound = $e[$kept - 1];
my $rest = join ' ', map { "$_ " . 'e' x 10_000 } $kept + 1 .. 200;

sub brief ($text) { return $text =~ s/ e+//gr }

for my $t (@transports) {
    for my $from (0, $kept - 2) {
        my $c = $rt->client($t, '/all/e', id => $e[$from]);
        $c->wait_items(201 - $kept);
        is(brief(told($c)), brief("gap(e $e[$from] $bound evicted) $rest"),
           "$t: overwritten, from $from");
        $c->close;
    }
    my $c = $rt->client($t, '/all/e', id => $bound);
    $c->wait_items(200 - $kept);
    is(brief(told($c)), brief($rest), "$t: had all that was overwritten");
    $c->close;
    $c = $rt->client($t, '/all/e', id => 'earliest');
    $c->wait_items(200 - $kept);
    is(brief(told($c)), brief($rest), "$t: earliest");
    $c->close;

    # a topic of which nothing is left

    resumes($t, '/all/h', $id[9], 1, qr/^gap\(h $id[9] $epoch-\d+ evicted\)$/,
            'nothing left');
    resumes($t, '/all/h', $id[10], 0, '', 'nothing left, but it had all',
            wait => 0);
}

RT->end;
