# Processes of nginx and the daemon are killed while publications are on their
# way, at random moments: each comes into the ring once, in order.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $rounds = $ENV{RT_ROUNDS} || 9;
my $bids = 250;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, workers => 2, zone => 'main 64m',
                 server => RT::Daemon::locations() . <<'EOF_S');
        location = /all {
            realtime_history count=1000000 age=1h;
            realtime_start oldest;
            realtime_subscribe auction/1;
        }
EOF_S

my $r = $rt->request('POST', '/auction/1/create', [],
    '{"kind":"english","start":1,"increment":1,"ends_in_ms":600000}');
is($r->status, 201, 'create');

my $amount = 10;

for my $round (1 .. $rounds) {
    my ($dies, $lives) = $round % 2 ? $rt->workers : reverse $rt->workers;

    my $ws = $rt->ws('/alone/1/ws?user=ann', pid => $lives, enveloped => 1);
    $ws->write(join '', map {
        my $text = '{"id":1,"command":"bid","data":{"amount":' . ++$amount
            . '}}';
        RT::WebSocket::frame(1, $text);
    } 1 .. $bids);

    select undef, undef, undef, rand 0.02;
    $rt->kill_hard($dies);

    if ($round % 3 == 0) {
        $rt->kill_hard($lives);
        $d->kill;
        $d->start;
    }

    wait_for(sub {
        my %now = map { $_ => 1 } $rt->workers;
        return 2 == keys %now && !$now{$dies}
            && ($round % 3 || !$now{$lives});
    });
    wait_for(sub { $ws->{frames}->@* > $bids || $ws->{eof} });
    $ws->close;
}

my $version;
ok(wait_for(sub {
    $version = $rt->get('/auction/1/state')->header('Realtime-Version');
}), 'the daemon is there');
ok($version > $bids * $rounds / 2, "version $version");

my $all = $rt->stream('/all');
ok(wait_for(sub {
    my @i = $all->items;
    return @i && json_of($i[-1]{data})->{version} == $version;
}), 'the last has come');

my @v = map json_of($_->{data})->{version}, $all->items;
is(scalar @v, $version, 'as many as there are');
is((grep { $v[$_] != $_ + 1 } 0 .. $#v), 0, 'in order, once');

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
