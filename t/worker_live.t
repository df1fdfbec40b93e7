# Live messages over the daemon's socket: who is asked, what is said to whom,
# and what becomes of questions without an answer.  And connections that end.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use JSON::PP qw(decode_json);
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $small = "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n";
my $w = worker_link->new(conf => $small)->start;
my $c = $w->connect;
$c->hello;

sub create ($name, %terms) {
    my $text = JSON::PP->new->encode({ kind => 'english', start => 100,
        ends_in_ms => 600_000, clock_ms => 250, %terms });
    return $c->command($name, 'create', $text)->{status};
}

sub counters { return decode_json($c->ask('status')->{body})->{link} }

# The next frame of that type, and if there is none the others stay.
# Publications are confirmed on the way.

sub next_frame ($x, $type, $seconds = 5) {
    my $until = time + $seconds;
    my @others;
    while (time < $until) {
        push @{ $x->{frames} }, @{ $x->frames(0.05) // return };
        while (my $f = shift @{ $x->{frames} }) {
            if ($f->{frame} eq 'publish') {
                $x->send('confirm', 0, position => $f->{position},
                    index => $f->{index});
                push @{ $x->{published} }, decode_json($f->{body})->{type};
            }
            return $f if $f->{frame} eq $type;
            push @others, $f if $f->{frame} ne 'publish';
        }
    }
    unshift @{ $x->{frames} }, @others;
    return;
}

# the next question, answered by a table of numbers

sub answer ($x, %watchers) {
    my $ask = next_frame($x, 'audience') // return;
    my @topics = split /\n/, $ask->{body};
    $x->send('watchers', $ask->{id},
        body => pack 'Q<*', map $watchers{$_} // 0, @topics);
    return @topics;
}

sub publisher ($zone, $protocol = 2) {
    my $x = $w->connect;
    $x->hello(zone => $zone, zone_epoch => 1, protocol => $protocol);
    return $x;
}


# nobody to ask; then somebody who does not know the frames

is(create('a'), 201, 'a clock');
is(create('b', clock_ms => 0), 201, 'and none');
is(create('d', starts_in_ms => 500_000), 201, 'and one that is yet to begin');
sleep 0.6;
is(counters()->{audiences}, 0, 'no link, no question');

my $old = publisher('old', 1);
sleep 0.6;
is(counters()->{audiences}, 0, 'none to a peer of version 1');


# numbers and messages

my $z = publisher('z');
is(join(' ', answer($z)), 'auction/a', 'the topics of open ones with a clock');
is(join(' ', answer($z)), 'auction/a', 'again');
is(counters()->{notices}, 0, 'nobody watches, nothing is said');

answer($z, 'auction/a' => 3);
my $n = next_frame($z, 'notice');
is($n->{topic}, 'auction/a', 'a message: its topic');
is($n->{event}, 'clock', 'its name');
is($n->{type}, 'application/json', 'its type');
is($n->{id}, 0, 'its id');
ok(!exists $n->{position}, 'no place');
my $body = decode_json($n->{body});
is(join(' ', sort keys %$body), 'ends_at now price type version watchers',
    'what it says');
is($body->{watchers}, 3, 'how many watch');
is($body->{price}, 100, 'the price');
is($body->{version}, 1, 'the version');
ok(abs($body->{now} / 1000 - time) < 60, 'the time');

answer($z, 'auction/a' => 3) for 1 .. 2;
is(counters()->{notices}, 1, 'the same number is not told again');
answer($z, 'auction/a' => 2);
is(decode_json(next_frame($z, 'notice')->{body})->{watchers}, 2, 'another is');

$c->command('a', 'bid', '{"amount":150,"max":900}', user => 'ann');
answer($z, 'auction/a' => 1);
$n = next_frame($z, 'notice');
$body = decode_json($n->{body});
is("$body->{version} $body->{price}", '2 150', 'what has happened since');
unlike($n->{body}, qr/ann|900/, 'and no more than that');


# each zone has its own number

my $y = publisher('y');
answer($y, 'auction/a' => 9);
is(decode_json(next_frame($y, 'notice')->{body})->{watchers}, 9,
    'another zone');
answer($z, 'auction/a' => 1);
ok(!next_frame($z, 'notice', 0.1), 'is nothing to the first');


# no answer: no other question, and the other zone does not mind

ok(next_frame($z, 'audience'), 'a question');
ok(answer($y), 'not answered in one zone') for 1 .. 4;
ok(!next_frame($z, 'audience', 0.1), 'which is not asked again');


# the publisher goes, another link of the zone is asked; an answer too late

my $z2 = publisher('z');
ok(!next_frame($z2, 'audience', 0.6), 'the second link is not asked');
undef $z;
answer($z2, 'auction/a' => 5);
is(decode_json(next_frame($z2, 'notice')->{body})->{watchers}, 5,
    'until the first is gone');


# a watcher that takes another one's place changes no number: it is told at
# each tenth count

my $notices = counters()->{notices};
answer($z2, 'auction/a' => 5) for 1 .. 9;
is(counters()->{notices}, $notices, 'nine counts of the same number');
answer($z2, 'auction/a' => 5);
is(decode_json(next_frame($z2, 'notice')->{body})->{watchers}, 5,
    'the tenth is told');
answer($z2, 'auction/a' => 5) for 1 .. 2;
is(counters()->{notices}, $notices + 1, 'and not those after it');


# what was told over another link may have been lost with it

my $z3 = publisher('z');
undef $z2;
answer($z3, 'auction/a' => 5);
is(decode_json(next_frame($z3, 'notice')->{body})->{watchers}, 5,
    'the same number, told to another publisher');
$z2 = $z3;
undef $z3;
$z2->send('watchers', 1, body => 'x' x 8);
ok(answer($z2), 'an answer to another question is ignored');


# an answer of a wrong size ends the link

my $ask = next_frame($z2, 'audience');
my $bad = counters()->{bad_frames};
$z2->send('watchers', $ask->{id}, body => 'x' x 9);
next_frame($z2, 'none', 1);
is(counters()->{bad_frames}, $bad + 1, 'numbers of a wrong size');
ok(answer($y), 'the other zone goes on');
undef $y;


# many at once: in several frames, each as large as the peer takes

is((grep { create('m' x 40 . $_) != 201 } 1 .. 300), 0, 'many clocks');
my $m = $w->connect;
$m->hello(zone => 'm', zone_epoch => 1, protocol => 2, frame_max => 4096);
my %seen;
my ($questions, $long) = (0, 0);
my $until = time + 10;
while (keys %seen < 301 && time < $until) {
    my $f = next_frame($m, 'audience') // last;
    $long = length $f->{body} if length $f->{body} > $long;
    my @topics = split /\n/, $f->{body};
    sleep 0.6 if !$questions++;             # so that all are due
    $seen{$_}++ for @topics;
    $m->send('watchers', $f->{id}, body => pack 'Q<*', map 1, @topics);
}
is(scalar keys %seen, 301, 'all are asked for');
ok($questions >= 2, "in $questions questions");
ok($long < 4096, "that the peer takes: $long");
undef $m;
$m = publisher('m');
$ask = next_frame($m, 'audience');
sleep 0.6;
$m->send('watchers', $ask->{id},
    body => pack 'Q<*', map 0, split /\n/, $ask->{body});
my @topics = answer($m);
is(scalar @topics, 256, 'at most 256 in one');
undef $m;


# the closing clock, then the end, and no more after it

my $x = publisher('x');
is(create('e', ends_in_ms => 2600), 201, 'it ends soon');
my @clocks;
my $t = time + 10;
while (time < $t) {
    my $f = shift @{ $x->{frames} };
    if (!$f) {
        push @{ $x->{frames} }, @{ $x->frames(0.05) };
        next;
    }
    if ($f->{frame} eq 'audience') {
        $x->send('watchers', $f->{id}, body => pack 'Q<*',
            map { $_ eq 'auction/e' ? 4 : 0 } split /\n/, $f->{body});
    }
    push @clocks, decode_json($f->{body}) if $f->{frame} eq 'notice';
    next if $f->{frame} ne 'publish';
    $x->send('confirm', 0, position => $f->{position}, index => $f->{index});
    last if decode_json($f->{body})->{type} eq 'closed'
        && $f->{topic} eq 'auction/e';
}
ok(time < $t, 'it has ended');
ok(@clocks >= 3 && @clocks <= 10, 'clocks: ' . @clocks);
is((grep { $_->{watchers} != 4 } @clocks), 0, 'though nobody came or went');
ok($clocks[-1]{ends_at} > $clocks[-1]{now}, 'all before the end');
answer($x, 'auction/e' => 7);
ok(!next_frame($x, 'notice', 0.5), 'none after it');
undef $x;


# connections that are closed

my $gones = counters()->{gones};
$c->send('gone', 0, connection => 5);
is(counters()->{gones}, $gones + 1, 'GONE is counted');
is($c->command('a', 'bid', '{"amount":1000}', user => 'bob',
    connection => 5)->{status}, 201, 'and harmless');
is(decode_json($c->ask('status')->{body})->{visits}, 0,
    'an auction follows nobody');

is($w->stop, 0, 'it stops');
my ($rc, $out) = $w->ctl('replay', '--check');
is($rc, 0, 'replay --check') or diag $out;
($rc, $out) = $w->ctl('journal', 'cat');
like($out, qr/"closed"/, 'the journal has what has happened');
unlike($out, qr/"clock"/, 'and no clock');


# nobody is told what the disk does not have: here that takes up to a second

$w = worker_link->new(conf => "${small}[auction]\ndurability = none\n")->start;
$c = $w->connect;
$c->hello;
$z = publisher('z');
is(create('n', clock_ms => 250), 201, 'answered before it is on disk');

for my $version (2 .. 4) {
    is($c->command('n', 'bid', qq({"amount":${version}00}), user => "u$version")
        ->{version}, $version, "version $version");
    answer($z, 'auction/n' => $version);
    $n = next_frame($z, 'notice');
    my $told = decode_json($n->{body})->{version};
    my $status = decode_json($c->ask('status')->{body})->{journal};
    ok($status->{durable_seq} >= $told, "version $told is on disk when told");
}


# and is lost with the link that waits for the disk

for my $round (1 .. 3) {
    my $version = 4 + $round;
    my $next = publisher('z');
    is($c->command('n', 'bid', qq({"amount":${version}00}), user => "v$round")
        ->{version}, $version, "version $version");
    answer($z, 'auction/n' => 100 + $round);
    undef $z;
    $z = $next;
    answer($z, 'auction/n' => 100 + $round);
    $n = next_frame($z, 'notice');
    is($n && decode_json($n->{body})->{watchers}, 100 + $round,
        'told by the next one');
}

is($w->stop, 0, 'it stops, too');

done_testing();
