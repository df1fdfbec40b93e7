# Publications of a daemon that the zone refuses: each is a gap, for those who
# listen and for those who come back, and nothing else is lost.  The daemon is
# one of ours that says what realtimed would not.

use v5.36;
no warnings 'qw';           # topics with commas

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use File::Temp ();
use Test::More;
use RT;
use worker_link qw(frame parse);

RT->need('realtime_pass');

my $dir = File::Temp::tempdir('rt-refused-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $listen = IO::Socket::UNIX->new(Local => "$dir/s", Listen => 16)
    or die "$dir/s: $!";
$listen->blocking(0);

my $rt = RT->new(workers => 2, zone => 'main 1m',
    http => "realtime_worker main unix:$dir/s;",
    server => <<'EOF_S');
        location ~ ^/conflated/(.+)$ {
            realtime_conflate 10ms;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/oldest/(.+)$ {
            realtime_start oldest;
            realtime_subscribe $1 patterns;
        }
        location = /command {
            realtime_pass main engine=auction entity=a command=b;
        }
EOF_S


# the links of both processes; what is written must go out whole

my (@links, %buffer, $confirmed);
my ($position, $lost) = (0, 1);

sub accepted {
    while (my $s = $listen->accept) {
        $s->blocking(1);
        push @links, $s;
        $buffer{$s} = '';
        syswrite $s, frame('hello', 0, protocol => 2, frame_max => 1 << 20,
            inflight => 100, epoch => 5, position => 0, index => 0);
    }
    return scalar @links;
}

sub publish ($link, $topic, $data, $flags = 0) {
    my $bytes = frame('publish', 0, position => ++$position, index => 0,
        topic => $topic, body => $data, type => 'text/plain');
    substr $bytes, 5, 1, chr $flags;
    return $bytes;
}

sub send_all ($link, $bytes) {
    while (length $bytes) {
        my $n = syswrite $link, $bytes or die "write: $!";
        substr $bytes, 0, $n, '';
    }
    return;
}

sub confirmed ($link) {
    return wait_for(sub {
        $link->blocking(0);
        while (sysread $link, $buffer{$link}, 65536, length $buffer{$link}) { }
        $link->blocking(1);
        for my $f (parse(\$buffer{$link})) {
            $confirmed = $f->{position} if $f->{frame} eq 'confirm';
        }
        return ($confirmed // 0) == $position;
    });
}

ok(wait_for(sub { accepted() == 2 }), 'both processes come');


# who listens; gaps without their epoch

sub told ($c) {
    return join ' ', map {
        my $g = $_->{gap};
        ref $g ? 'gap(' . join(' ', $g->{topic}, seq($g->{from}),
                               seq($g->{to}), $g->{reason}) . ')'
               : $_->{data};
    } $c->items;
}

my %listens;
for my $transport (qw(sse stream websocket)) {
    for my $uri (qw(/sub/a /sub/* /sub/a,other /sub/**)) {
        $listens{"$transport $uri"} = $rt->client($transport, $uri);
    }
}
my $bare = $rt->ws('/sub/a');
my $poll = $rt->poll('/sub/a', wait => 60);
ok(wait_for(sub {
    my $n = $rt->status->{zones}{main}{subscribers};
    return $n->{sse} + $n->{stream} + $n->{websocket} + $n->{poll} == 14;
}), 'all are there') or diag show($rt->status->{zones}{main}{subscribers});

my $large = 'x' x 400_000;
my $link = $links[0];
send_all($link, join '', publish($link, 'a', 'one'),
    publish($link, 'a', "\xff"), publish($link, 'a', 'three'),
    publish($link, 'a', $large), publish($link, 'a', '', $lost),
    publish($link, 'a', 'six'));
ok(confirmed($link), 'all are confirmed');

my $all = 'one gap(a 1 2 refused) three gap(a 3 4 refused) '
    . 'gap(a 4 5 refused) six';
for my $name (sort keys %listens) {
    my $c = $listens{$name};
    ok($c->wait_items(6), "$name: all come");
    is(told($c), $all, "$name: and what is lost is told");
}
is($bare->wait_close, 4000, 'a bare WebSocket is closed');
is($bare->close_reason, 'refused', 'with the reason');
is(join(' ', $bare->data), 'one', 'after what came before');
ok($poll->wait_items(1), 'a poll ends');


# what was sent twice, over another link, is not told twice

my $was = $position;
$position = 1;
send_all($links[1], publish($links[1], 'a', "\xff"));
ok(confirmed($links[1]), 'a repetition is confirmed');
$position = $was;
send_all($link, publish($link, 'a', 'seven'));
my $sse = $listens{'sse /sub/a'};
ok($sse->wait_data('seven'), 'it goes on');
is(told($sse), "$all seven", 'without another gap');


# who comes back; who has claimed nothing is told nothing

my $epoch = epoch($sse->last_id);
for my $transport (qw(sse stream poll websocket)) {
    for my $uri (qw(/sub/a /sub/* /sub/a,other)) {
        my $c = $rt->client($transport, $uri, id => "$epoch-0");
        ok($c->wait_items(7), "$transport $uri: back");
        is(told($c), "$all seven", "$transport $uri: all is told");
        $c->close;
    }
    for my $uri (qw(/oldest/a /oldest/*)) {
        my $c = $rt->client($transport, $uri);
        ok($c->wait_items(4), "$transport $uri: new");
        is(told($c), 'one three six seven', "$transport $uri: what there is");
        $c->close;
    }
}


# conflated: the newest one is lost

my $conflated = $rt->sse('/conflated/b');
ok($conflated->wait_open, 'conflated');
send_all($link, publish($link, 'b', "\xff"));
ok($conflated->wait_items(1), 'is told, too');
like(told($conflated), qr/^gap\(b \d+ \d+ refused\)$/, 'of the newest');


# a topic that is none has no readers; counters and log

send_all($link, publish($link, 'a/*/b', 'x'));
ok(confirmed($link), 'a topic that is none is passed over');
my $zone = $rt->status->{zones}{main};
is($zone->{worker_publications_refused}, 5, 'all are counted');
like($rt->get('/status?format=prometheus')->body,
    qr/^realtime_gaps_total\{zone="main",reason="refused"\} [1-9]/m,
    'gaps by their reason');
like($rt->log, qr{\[warn\].* to "a" was refused: $_}, "logged: $_")
    for 'data is not valid UTF-8', 'it is too large',
        'it is larger than a frame';

$_->close for values %listens, $conflated, $bare, $poll;
close $_ for @links, $listen;
$rt->finish;
done_testing();
