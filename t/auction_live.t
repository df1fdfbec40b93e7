# Live auctions: how many watch and the closing clock, on the topic, counted
# over all processes; nothing of it disturbs what is journaled.  A WebSocket
# that is closed is told to the daemon.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker . 'realtime_drain 300ms;', workers => 2,
                 server => RT::Daemon::locations());

sub create ($name, $ms, $clock_ms) {
    return $rt->request('POST', "/auction/$name/create", [],
        qq({"kind":"english","start":100,"ends_in_ms":$ms,)
        . qq("clock_ms":$clock_ms}))->status;
}

sub bid ($name, $amount, $user = 'ann') {
    return $rt->request('POST', "/auction/$name/bid", [ 'X-User' => $user ],
        qq({"amount":$amount}))->status;
}

sub clocks ($sse) {
    return map json_of($_->{data}),
        grep { ($_->{event} // '') eq 'clock' } $sse->items;
}

sub events ($sse) {
    return map json_of($_->{data}), grep { !exists $_->{event} } $sse->items;
}

# the number that was told last

sub watchers ($sse, $n) {
    my $told;
    wait_for(sub {
        my @c = clocks($sse);
        $told = @c ? $c[-1]{watchers} : undef;
        return defined $told && $told == $n;
    });
    return $told;
}

sub link_counters {
    my ($w) = values $rt->status->{workers}{main}->%*;
    return $w->{link};
}


# two EventSources in two processes; one of a pattern; a poll

my ($p1, $p2) = $rt->workers;
my $one = $rt->sse('/sub/auction/1', pid => $p1);
my $two = $rt->sse('/sub/auction/1', pid => $p2);
is(create(1, 600_000, 250), 201, 'with a clock');
is(create(2, 600_000, 0), 201, 'without');
my $none = $rt->sse('/sub/auction/2');

is(watchers($one, 2), 2, 'two watch');
is(watchers($two, 2), 2, 'and both know');
my $all = $rt->sse('/sub/auction/*', pid => $p1);
is(watchers($one, 3), 3, 'a pattern watches, too');
ok(wait_for(sub { clocks($all) }), 'and is told');
$all->close;
is(watchers($one, 2), 2, 'it leaves');

my $c = (clocks($one))[-1];
is(join(' ', sort keys %$c), 'ends_at now price type version watchers',
   'what a clock says');
is($c->{type}, 'clock', 'its type');
is($c->{price}, 100, 'the price');
is($c->{version}, 1, 'the version');
is($c->{ends_at}, $rt->get('/auction/1/state')->json->{ends_at}, 'the end');

is(bid(1, 100 + $_, "u$_"), 201, "bid $_") for 1 .. 3;
$two->close;
is(watchers($one, 1), 1, 'one leaves, one watches');
$c = (clocks($one))[-1];
is("$c->{version} $c->{price}", '4 103', 'with what has been bid');


# a reload: old and new processes count together

ok($rt->reload, 'reload');
my $three = $rt->sse('/sub/auction/1');
is(bid(1, 200), 201, 'a bid after a reload');
ok(wait_for(sub { $one->ended }), 'the old process is gone');
my $back = $rt->sse('/sub/auction/1', id => $one->last_id);
is(watchers($three, 2), 2, 'two again');
ok(wait_for(sub { 5 <= (() = (events($one), events($back))) }),
   'a client that came back');
is(join(' ', map $_->{version}, events($one), events($back)), '1 2 3 4 5',
   'has each event once');


# the daemon dies: no clocks, then clocks again

$d->kill;
my $before = clocks($three);
$d->start;
my $four = $rt->sse('/sub/auction/1');
is(watchers($three, 3), 3, 'a new daemon counts anew');
ok(clocks($three) > $before, 'and says so');


# the end: a clock at each interval, though nobody comes or goes; then it is
# closed, and that is the last word

my $sse = $rt->sse('/sub/auction/end');
is(create('end', 3000, 250), 201, 'one that ends');
ok(wait_for(sub {
    return grep { $_->{type} eq 'closed' } events($sse);
}), 'it is closed');
my @items = map json_of($_->{data}), $sse->items;
is($items[0]{type}, 'created', 'first it is created');
is($items[-1]{type}, 'closed', 'last it is closed');
my @c = clocks($sse);
ok(@c >= 4, 'clocks before: ' . @c);
is((grep { $_->{watchers} != 1 } @c), 0, 'all of one watcher');
is((grep { $_->{now} >= $_->{ends_at} } @c), 0, 'none after the end');
is(join(' ', map $_->{type}, @items[1 .. $#items - 1]),
   join(' ', ('clock') x (@items - 2)), 'and nothing else');

is(clocks($none), 0, 'no clock without clock_ms');


# a WebSocket of commands that is closed, and one that never sent any

my $gones = link_counters()->{gones};
my $ws = $rt->ws('/alone/1/ws?user=ann', enveloped => 1);
$ws->send_text('{"id":1,"command":"bid","data":{"amount":5000}}');
ok(wait_for(sub { $ws->{frames}->@* }), 'a command over WebSocket');
$ws->close;
ok(wait_for(sub { link_counters()->{gones} > $gones }), 'its end is told');
is(link_counters()->{gones}, $gones + 1, 'once');

$_->close for $three, $four, $back, $none, $sse;
$rt->finish;
RT::Daemon::END_ALL();
done_testing();
