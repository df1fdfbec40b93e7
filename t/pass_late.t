# A command whose client has been given 504 is not decided any more: the time
# that the daemon was stopped counts, wherever the command waited.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, server => RT::Daemon::locations());

sub bid ($uri, $amount) {
    return $rt->request('POST', $uri, [ 'X-User' => "u$amount" ],
        qq({"amount":$amount}))->status;
}

sub bids { return $rt->get('/auction/1/state')->json->{bids} }


is($rt->request('POST', '/auction/1/create', [],
    '{"kind":"english","start":100,"ends_in_ms":600000}')->status, 201,
   'an auction');
is(bid('/auction/1/bid', 100), 201, 'a bid');

$d->signal('STOP');
is(bid('/quick/1/bid', 200 + $_), 504, "no answer to bid $_") for 1 .. 3;
is($rt->get('/quick/1/state')->status, 504, 'nor to a query');
$d->signal('CONT');

is(bids(), 1, 'none of them has been decided');
my ($m) = values $rt->status->{workers}{main}->%*;
cmp_ok($m->{busy}, '>=', 4, 'they are counted');

is(bid('/auction/1/bid', 300), 201, 'the next bid is');
is(bids(), 2, 'as it should');


# a process that connects to a daemon that does not run

$d->signal('STOP');
$rt->kill_hard($rt->workers);
ok(wait_for(sub { bid('/quick/1/bid', 400) == 504 }), 'no answer');
$d->signal('CONT');
is(bids(), 2, 'nor is this one decided');
is(bid('/auction/1/bid', 500), 201, 'the next bid is');

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
