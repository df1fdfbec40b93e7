# What one user may do: so many open auctions, so many commands a second.
# Others do not notice; a restart forgets no open auction.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP qw(decode_json);
use Test::More;
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $terms = '{"kind":"english","start":1,"ends_in_ms":86400000}';

my $w = worker_link->new(conf => "[limits]\nuser_entities = 2\n")->start;
my $c = $w->connect;
$c->hello;

sub create ($name, $user) {
    my $answer = $c->command($name, 'create', $terms, user => $user);
    return $answer->{status} == 201 ? 201
        : "$answer->{status} " . decode_json($answer->{body})->{error};
}

is(create('a1', 'ann'), 201, 'ann opens one');
is(create('a2', 'ann'), 201, 'and a second one');
is(create('a3', 'ann'), '429 user_entities', 'but no third one');
is(create('a1', 'ann'), '409 exists', 'what exists says so');
is(create('b1', 'bob'), 201, 'bob may');
is(create('n1', ''), 201, 'and whoever has no name');

$w->stop;
$w->start;
$c = $w->connect;
$c->hello;
is(create('a3', 'ann'), '429 user_entities', 'so it is from a snapshot');
is(create('b2', 'bob'), 201, 'bob opens a second one');

$w->stop('KILL');
$w->start;
$c = $w->connect;
$c->hello;
is(create('b3', 'bob'), '429 user_entities', 'and from the journal');
is($c->command('a1', 'cancel', '{}', user => 'ann')->{status}, 200, 'one ends');
is(create('a3', 'ann'), 201, 'ann may open one again');
is(create('a4', 'ann'), '429 user_entities', 'only one');
is(decode_json($c->ask('status')->{body})->{user_limits}, 2,
    'they are counted');
$w->stop;


# 10 at once; whatever time passes here, fewer than 10 more.

$w = worker_link->new(conf => "[limits]\nuser_commands = 10\n")->start;
$c = $w->connect;
$c->hello;
is($c->command('x', 'create', $terms, user => 'house')->{status}, 201,
    'an auction');

$c->raw(join '', map { frame('command', $_, engine => 'auction', entity => 'x',
    name => 'bid', user => 'ann', body => qq({"amount":$_})) } 1 .. 200);

my (%status, $retry);
while (keys %status < 200) {
    for my $f (@{ $c->frames(20) // last }) {
        $status{$f->{id}} = $f->{status};
        $retry = $f->{retry} if $f->{status} == 429;
    }
}
is((grep { $status{$_} == 201 } 1 .. 10), 10, '10 commands at once');
cmp_ok((grep { $_ == 429 } values %status), '>', 0, 'then 429');
is($retry, 1, 'with Retry-After');
is($c->command('x', 'bid', '{"amount":1000}', user => 'bob')->{status}, 201,
    'bob may bid');

my $answer;
my $until = time + 20;
do {
    select undef, undef, undef, 0.1;
    $answer = $c->command('x', 'bid', '{"amount":2000}', user => 'ann');
} while ($answer->{status} == 429 && time < $until);
is($answer->{status}, 201, 'ann may again, later');

is($w->stop, 0, 'a stop');
unlike($w->log_text, qr/\[(?:alert|emerg|crit)\]/, 'the log is clean');

done_testing();
