# The end of an entity: an auction that is over goes after a while, with its
# name; its subscribers are told, its place is free, and a restart agrees.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP qw(decode_json);
use Test::More;
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $conf = "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n"
    . "[limits]\nentities = 2\nidle = 10ms\n";
my $w = worker_link->new(conf => $conf)->start;
my $terms = '{"kind":"english","start":1,"ends_in_ms":86400000}';


sub holds ($condition) {
    my $until = time + 30;
    while (!$condition->()) {
        return 0 if time > $until;
        sleep 0.01;
    }
    return 1;
}


sub status ($c) { return decode_json($c->ask('status')->{body}) }


# By default it stays for a week, evicted or not.

my $c = $w->connect;
$c->hello;

is($c->command($_, 'create', $terms)->{status}, 201, "$_") for qw(a b);
is($c->command('a', 'bid', '{"amount":5}', user => 'ann')->{status}, 201,
    'a bid');
is($c->command('a', 'cancel')->{status}, 200, 'a is over');
is($c->command('c', 'create', $terms)->{status}, 503, 'no place for c');
ok(holds(sub { status($c)->{evicted} == 1 }), 'a is idle');
is($w->stop, 0, 'stopped');


# With a short time it goes at the start, read or not.

open my $fh, '>>', "$w->{dir}/conf" or die "conf: $!";
print $fh "ended = 200ms\n";
close $fh;
$w->start;
$c = $w->connect;
$c->hello;

ok(holds(sub { status($c)->{entities} == 1 }), 'a is gone');
is($c->query('a', 'state')->{status}, 404, 'it is not known');
is($c->command('c', 'create', $terms)->{status}, 201, 'its place is free');


# Who follows it gets all of its events, and then the end.

$c->send('subscribe', 77, engine => 'auction', entity => 'c', from => 1,
    window => 1);
is($c->command('c', 'cancel')->{status}, 200, 'c is over');

my @got;

sub come () {
    push @got, splice(@{ $c->{frames} }), @{ $c->frames(0.1) // [] };
    return scalar @got;
}

ok(holds(sub { come() >= 1 }), 'its first event');
sleep 0.5;
come();
is(scalar @got, 1, 'the second waits to be taken');
is($c->query('c', 'state')->{status}, 200, 'and c waits for that');
$c->send('confirm', 77, version => 1);
ok(holds(sub { come() >= 2 }), 'the second event');
is($got[1]{version}, 2, 'its last one');
$c->send('confirm', 77, version => 1);
ok(holds(sub { come() >= 3 }), 'then');
is("$got[2]{frame} $got[2]{id} $got[2]{status}", 'reply 77 410', 'the end');
is(decode_json($got[2]{body})->{error}, 'ended', 'says why');
ok(holds(sub { status($c)->{entities} == 1 }), 'and c is gone');


# Its name is free, and begins anew.

my $r = $c->command('a', 'create', $terms);
is($r->{status}, 201, 'another a');
is($r->{version}, 1, 'begins at 1');
is($c->command('b', 'bid', '{"amount":7}', user => 'bob')->{version}, 2,
    'b was there all the time');
is(status($c)->{ended}, 2, 'two have ended');

$w->stop('KILL');
$w->start;
$c = $w->connect;
$c->hello;
is(decode_json($c->query('a', 'state')->{body})->{bids}, 0, 'a is the new one');
is(decode_json($c->query('b', 'state')->{body})->{bids}, 1, 'b is b');
is($c->query('c', 'state')->{status}, 404, 'c is gone');
is($w->stop, 0, 'stopped');

my ($code, $out) = $w->ctl('replay', '--check');
is($code, 0, 'the replay agrees') or diag $out;
unlike($w->log_text, qr/\[(?:alert|emerg|crit)\]/, 'nothing alarming');

done_testing;
