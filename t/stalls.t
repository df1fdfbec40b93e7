# No client holds up the others: a flood of commands and thousands of
# subscriptions are served a part a turn, and each still gets all of its own.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(time);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $terms = '{"kind":"english","start":1,"ends_in_ms":86400000}';
my $w = worker_link->new->start;
my ($flood, $other) = map { my $c = $w->connect; $c->hello; $c } 1, 2;

is($other->command('a', 'create', $terms)->{status}, 201, 'create');


# What both have sent while the daemon was stopped: it reads the flood first,
# all at once, and yet the other one need not wait for its end.

sub both ($bytes, $counter) {
    my $before = decode_json($other->ask('status')->{body});
    kill 'STOP', $w->{pid};
    $flood->raw($bytes);
    my $sent = length($bytes) - length $flood->{out};
    $other->send('status', 7);
    kill 'CONT', $w->{pid};

    my $answer;
    my $until = time + 20;
    while (!$answer && time < $until) {
        ($answer) = grep { $_->{id} == 7 } @{ $other->frames(1) // last };
    }
    return ($sent, $counter->(decode_json($answer->{body}))
        - $counter->($before));
}

sub take ($c, $type, $n) {
    my @taken;
    my $until = time + 60;
    while (@taken < $n && time < $until) {
        for my $f (@{ $c->frames(1) // last }) {
            push @taken, $f if $f->{frame} eq $type;
        }
    }
    return @taken;
}

my $create = sub ($n) {
    return frame('command', $n, engine => 'auction', entity => "flood-$n",
        name => 'create', body => $terms);
};

my $n = 1200;
my ($sent, $done) = both(join('', map { $create->($_) } 1 .. $n),
    sub ($s) { $s->{commands} });
my $read = int $sent / length $create->(1000);
cmp_ok($read, '>', 500, "a flood of $read commands was there");
cmp_ok($done, '<', $read / 2, "another was answered after $done of them");
is(scalar(grep { $_->{status} == 201 } take($flood, 'reply', $n)), $n,
    'each has its answer');


# Events: each subscription gets all, in order, whoever was described for.

my @amounts = map { $_ * 10 } 1 .. 60;
is($other->command('a', 'bid', qq({"amount":$_}), user => 'u' . $_ % 3)
    ->{status}, 201, "bid $_") || last for @amounts[0 .. 29];

my $streams = 2000;
$flood->raw(frame('subscribe', $_, engine => 'auction', entity => 'a',
    from => 1)) for 1 .. $streams;

my %next;
my $bad = 0;

sub events ($n) {
    for my $f (take($flood, 'event', $n)) {
        my $version = ++$next{$f->{id}};
        $bad++ if $f->{version} != $version
            || decode_json($f->{body})->{version} != $version;
    }
}

events($streams * 31);
is($other->command('a', 'bid', qq({"amount":$_}), user => 'u' . $_ % 3)
    ->{status}, 201, "bid $_") || last for @amounts[30 .. 34];
events($streams * 5);

is(scalar(keys %next), $streams, "$streams subscriptions of one auction");
is($bad, 0, 'each gets each event once, in order');
is(scalar(grep { $_ != 36 } values %next), 0, 'and none is missing');


# The first event of an auction that has many is searched for; that takes more
# than one turn.

my $past = $w->connect;
$past->hello;
is($past->command('b', 'create', $terms)->{status}, 201, 'another auction');
$past->raw(join '', map { frame('command', $_, engine => 'auction',
    entity => 'b', name => 'bid', user => 'u' . $_ % 3,
    body => qq({"amount":${\ ($_ * 10)}})) } 1 .. 255);
is(scalar(take($past, 'reply', 255)), 255, 'has many bids');

kill 'STOP', $w->{pid};
$past->raw(join '', map { frame('subscribe', $_, engine => 'auction',
    entity => 'b', from => 1, window => 1) } 1 .. $streams);
kill 'CONT', $w->{pid};
is(scalar(take($past, 'event', $streams)), $streams, 'each gets the first');
cmp_ok(decode_json($other->ask('status')->{body})->{link}{events_deferred},
    '>', 0, 'they are served in more than one turn');


# A snapshot stops the thread for its fork() only, and says for how long.

is($other->ask('snapshot')->{status}, 200, 'a snapshot');
cmp_ok(decode_json($other->ask('status')->{body})->{snapshot_pause_us}, '>', 0,
    'its pause is in the status');

is($w->stop, 0, 'a stop');
unlike($w->log_text, qr/\[(?:alert|emerg|crit)\]/, 'the log is clean');

done_testing();
