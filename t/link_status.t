# What realtime_status tells of daemons: of all processes, whichever is asked.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;

RT::Daemon->need;

my $d = RT::Daemon->new;
my $drain = "realtime_drain 60s;\n";
my $rt = RT->new(workers => 4, zone => 'main 1m index=16k',
                 http => $drain . $d->worker,
                 server => RT::Daemon::locations());

my $terms = '{"kind":"english","start":100,"ends_in_ms":600000}';


# what each process says; text asks no daemon, and counts no question

sub ask ($pid, $uri) {
    my $c = $rt->conn(pid => $pid);
    my $r = $c->ask('GET', $uri);
    $c->close;
    return $r;
}


sub link_of ($pid) {
    return ask($pid, '/status')->json->{workers}{main}{ $d->address };
}


sub gauges ($pid) {
    my $text = ask($pid, '/status?format=prometheus')->body;
    my $address = quotemeta $d->address;
    my %g = $text =~ /^realtime_worker_(\w+)\{worker="main",address="$address"\}
                      \ (\d+)$/xmg;
    return join ' ', map { "$_=" . ($g{$_} // '') }
        qw(up linked waiting streams);
}


# all of them, and the same from each

sub all_say ($want, $name) {
    my %says;
    wait_for(sub {
        %says = map { $_ => gauges($_) } $rt->workers;
        return 4 == grep { $_ eq $want } values %says;
    });
    is_deeply([ values %says ], [ ($want) x 4 ], $name);
}


all_say('up=1 linked=4 waiting=0 streams=0', 'all are linked');
my $link = link_of(($rt->workers)[0]);
is_deeply([ @$link{qw(state processes linked streams)} ], [ 'up', 4, 4, 0 ],
          'in JSON') or diag show($link);

is($rt->request('POST', '/auction/1/create', [], $terms)->status, 201,
   'an auction');
my %sse = map {
    $_ => $rt->sse('/auction/1/events?from=1', pid => $_)
} $rt->workers;
ok($_->wait_items(1), 'a stream in each process') for values %sse;
all_say('up=1 linked=4 waiting=0 streams=4', 'streams of all processes');

# a process is killed, and another one takes its place

my ($pid) = $rt->workers;
$rt->kill_worker($pid);
$rt->wait_workers;
all_say('up=1 linked=4 waiting=0 streams=3', 'what it had is gone');
(delete $sse{$pid})->close;

# the daemon owes answers

my @waiting = map { $rt->conn(pid => $_) } $rt->workers;
$d->signal('STOP');
$_->request('POST', '/auction/1/bid', [ 'X-User' => 'ann' ],
            '{"amount":500}') for @waiting;
all_say('up=1 linked=4 waiting=4 streams=3', 'answers owed to all processes');
$d->signal('CONT');
ok($_->response, 'an answer') for @waiting;
all_say('up=1 linked=4 waiting=0 streams=3', 'none are owed');
$_->close for @waiting;
($pid) = keys %sse;
(delete $sse{$pid})->close;
all_say('up=1 linked=4 waiting=0 streams=2', 'a stream ends');

# after a reload, with the links in another order

my $other = RT::Daemon->new;
ok($rt->reload(http => $drain . $other->worker($d)), 'reload');
ok(wait_for(sub {
    my $all = link_of(($rt->workers)[0]);
    my $old = $rt->leaving;
    return $old && $all->{processes} == 4 + $old && $all->{linked} == 4 + $old;
}), 'old processes count while they are there');
$rt->kill_hard($rt->leaving);
all_say('up=1 linked=4 waiting=0 streams=0', 'and not when they were killed');
$_->close for values %sse;

# a user that is no text is refused before anything is decided

is($rt->request('POST', '/auction/2/create', [], $terms)->status, 201,
   'an auction');
is($rt->request('POST', '/auction/2/bid', [ 'X-User' => "\xff" ],
                '{"amount":500}')->status, 400, 'a bidder that is no text');
is($rt->get('/auction/2/state')->json->{bids}, 0, 'has not bid');
is($rt->status->{zones}{main}{worker_publications_refused}, 0,
   'so nothing is refused later');

# the daemon is gone

$d->stop;
all_say('up=0 linked=0 waiting=0 streams=0', 'none are linked');
is(link_of(($rt->workers)[0])->{state}, 'down', 'down, in JSON');

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
