# realtimed over its socket: hello, answers, versions, what a bad frame costs,
# subscriptions, publication over several links, signals, options.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use IO::Socket::UNIX;
use JSON::PP qw(decode_json);
use Socket ();
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $small = "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n";
my $w = worker_link->new(conf => $small)->start;

sub holds ($condition) {
    my $until = time + 30;
    while (!$condition->()) {
        return 0 if time > $until;
        sleep 0.01;
    }
    return 1;
}


# how many of our connections the daemon has seen the end of

sub departed {
    return scalar(() = $w->log_text =~ /peer $$ (?:is|closed)/g);
}


# an answer to what follows shows that it has been read

sub confirm ($zone, $frame) {
    $zone->send('confirm', 0, position => $frame->{position},
        index => $frame->{index});
    is($zone->query('42', 'state')->{status}, 200, 'confirmed');
}


# closes a connection and waits until the daemon knows

sub leave {
    my $n = departed();
    undef $_[0];
    holds(sub { departed() > $n }) or diag 'nobody has seen it leave';
}


my $c = $w->connect;
my $hello = $c->hello;
is($hello->{protocol}, 2, 'hello: protocol');
ok($hello->{epoch}, 'hello: epoch');


# commands and queries

my $terms = '{"kind":"english","start":100,"increment":50,'
    . '"ends_in_ms":600000}';

my $r = $c->command('42', 'create', $terms);
is($r->{status}, 201, 'create');
is($r->{version}, 1, 'its version');
is(decode_json($r->{body})->{state}, 'open', 'it is open');

$r = $c->command('42', 'bid', '{"amount":150,"max":400}', user => 'ann');
is($r->{status}, 201, 'bid');
is(decode_json($r->{body})->{leader}, 'ann', 'ann leads');

$r = $c->command('42', 'bid', '{"amount":150}', user => 'bob');
is($r->{status}, 409, 'too low');
is(decode_json($r->{body})->{minimum}, 200, 'and what is enough');

is($c->command('42', 'bid', '{"amount":200}', user => 'bob',
    expect => 1)->{status}, 412, 'another version is expected');
is($c->command('42', 'bid', '{"amount":200}')->{status}, 401, 'who');
is($c->command('43', 'bid', '{"amount":200}')->{status}, 404, 'no such');
is($c->ask('command', engine => 'what', entity => 'x', name => 'y',
    body => '')->{status}, 404, 'no such engine');
$r = $c->command('42', 'bid', '{"amount":1,}', user => 'bob');
is($r->{status}, 400, 'bad JSON');
like(decode_json($r->{body})->{message}, qr{at byte 13}, 'and where');
is($c->command('42', 'bid', '{"a":' x 20, user => 'bob')->{status}, 400,
    'nested too deep');


# what is no text does not reach the journal

for my $user ("\xff", "a\nb", "\xc2\x85", "\xed\xa0\x80", "a\0") {
    $r = $c->command('42', 'bid', '{"amount":900}', user => $user);
    is($r->{status}, 400, 'a user that is no text');
    is(decode_json($r->{body})->{error}, 'bad_user', 'and says so');
    is($c->query('42', 'state', '', user => $user)->{status}, 400,
        'nor may look');
}
for my $string ('"\u0001"', '"\n"', "\"\xed\xa0\x80\"", "\"\xff\"") {
    is($c->command('nul', 'create', $terms =~ s/\}$/,"currency":$string}/r)
        ->{status}, 400, 'a string that is none');
}
is($c->command("a\x7f", 'create', $terms)->{status}, 400, 'nor a name');
my $bell = $w->connect;
$bell->hello(zone => "bell\a", zone_epoch => 5);
ok(!keys decode_json($c->ask('status')->{body})->{zones}->%*,
   'nor a zone of such a name');
undef $bell;

$r = $c->query('42', 'state');
is($r->{version}, 2, 'a query tells the version');
is(decode_json($r->{body})->{price}, 150, 'and the state');

$r = $c->ask('ping', body => 'hello');
is($r->{body}, 'hello', 'pong');


# a bad frame closes its connection, and only that

my %bad = (
    'a size too small' => pack('V', 3),
    'a size too large' => pack('V', 0x7fffffff),
    'an unknown type' => pack('VCCvQ<', 16, 99, 0, 0, 1),
    'reserved bytes' => pack('VCCvQ<', 16, 11, 0, 1, 1),
    'a field beyond the end' => pack('VCCvQ<V', 20, 11, 0, 0, 1, 0xffffff23),
    'a missing field' => pack('VCCvQ<', 16, 2, 0, 0, 1),
    'a second hello' => frame('hello', 0, protocol => 1, frame_max => 65536),
    'a reply' => frame('reply', 1, status => 200, body => ''),
);

for my $name (sort keys %bad) {
    my $b = $w->connect;
    $b->hello;
    $b->raw($bad{$name});
    my ($frames, $until) = ([], time + 5);
    $frames = $b->frames(1) while defined $frames && time < $until;
    ok(!defined $frames, "closed after $name");
}

my $b = $w->connect;
$b->raw(frame('ping', 1));
ok(!defined $b->frames(5), 'closed without a hello');

is(decode_json($c->ask('status')->{body})->{link}{bad_frames},
    1 + keys %bad, 'they are counted');
like($w->log_text, qr/\[info\] \d+: peer \d+ sent a bad frame: /, 'and logged');


# pieces: a frame byte by byte, and many frames at once

my $bytes = frame('query', 5, engine => 'auction', entity => '42',
    name => 'state');
for my $byte (split //, $bytes) {
    $c->raw($byte);
}
is($c->frames(5)->[0]{id}, 5, 'byte by byte');
$c->raw(join '', map { frame('query', 100 + $_, engine => 'auction',
    entity => '42', name => 'state') } 1 .. 500);
my @ids;
while (@ids < 500) {
    push @ids, map { $_->{id} } @{ $c->frames(5) // last };
}
is("@ids", join(' ', 101 .. 600), 'all at once');


# events: from the first one, and on; a slow reader waits for itself

$c->send('subscribe', 7, engine => 'auction', entity => '42', from => 1,
    window => 3);
$c->command('42', 'bid', "{\"amount\":$_}", user => 'cat')
    for 500, 600, 700, 800;

sub events ($c, $n) {
    my @got = splice @{ $c->{frames} };
    my $until = time + 5;
    while (@got < $n && time < $until) {
        push @got, @{ $c->frames(0.2) // last };
    }
    push @got, @{ $c->frames(0.2) // [] };
    return grep { $_->{frame} eq 'event' } @got;
}

my @events = events($c, 3);
is(join(' ', map { $_->{version} } @events), '1 2 3', 'as far as the window');
$c->send('confirm', 7, version => 2);
push @events, events($c, 2);
$c->send('confirm', 7, version => 3);
push @events, events($c, 1);
is(join(' ', map { $_->{version} } @events), '1 2 3 4 5 6', 'all, once');
is(decode_json($events[-1]{body})->{price}, 800, 'with their content');
$c->command('42', 'bid', '{"amount":900}', user => 'bob');
@events = events($c, 1);
is($events[0]{version}, 7, 'live');
is($events[0]{flags} & 1, 1, 'and says so');
$c->send('unsubscribe', 7);
$c->command('42', 'bid', '{"amount":950}', user => 'cat');
is(scalar events($c, 0), 0, 'no more');
$c->send('subscribe', 8, engine => 'auction', entity => 'none', from => 1);
is($c->frames(5)->[0]{status}, 404, 'events of nothing');


# publication: one of two links; the other takes over

my ($p, $q) = ($w->connect, $w->connect);
my $zone = { position => 0, index => 0 };
for my $x ($p, $q) {
    my $h = $x->hello(zone => 'z', zone_epoch => 5);
    is($h->{position}, 0, 'a new zone begins at nothing');
}

sub published ($x, $n = 1) {
    my @got = grep { $_->{frame} eq 'publish' } splice @{ $x->{frames} };
    my $until = time + 5;
    while (@got < $n && time < $until) {
        push @got, grep { $_->{frame} eq 'publish' }
            @{ $x->frames(0.2) // last };
    }
    return @got;
}

$c->command('42', 'bid', '{"amount":1000}', user => 'bob');
$c->command('42', 'bid', '{"amount":1050}', user => 'cat');
my @p = published($p, 2);
is(@p, 2, 'two publications');
is($p[0]{topic}, 'auction/42', 'their topic');
is(decode_json($p[1]{body})->{leader}, 'cat', 'their content');
is(scalar published($q, 0), 0, 'none to the other');

confirm($p, $p[0]);
leave($p);
my @q = published($q, 1);
is(@q, 1, 'what was not confirmed comes over the other');
is($q[0]{position}, $p[1]{position}, 'and is the same');

# away for a while, then back with what the zone remembers

leave($q);
$c->command('42', 'bid', '{"amount":1100}', user => 'bob');
$p = $w->connect;
$p->hello(zone => 'z', zone_epoch => 5, epoch => $hello->{epoch},
    position => $q[0]{position}, index => $q[0]{index});
@p = published($p, 1);
is(@p, 1, 'exactly what was missed');
is(decode_json($p[0]{body})->{price}, 1100, 'which is this');
confirm($p, $p[0]);

# a new zone of the same name: from what was confirmed

leave($p);
$c->command('42', 'bid', '{"amount":1150}', user => 'cat');
$p = $w->connect;
my $h = $p->hello(zone => 'z', zone_epoch => 6);
is($h->{position}, $p[0]{position}, 'a new zone learns where it begins');
@p = published($p, 1);
is(decode_json($p[0]{body})->{price}, 1150, 'and misses nothing');


# an older incarnation of the zone does not take over

leave($p);
$q = $w->connect;
$q->hello(zone => 'z', zone_epoch => 6);
published($q, 1);
$p = $w->connect;
$p->hello(zone => 'z', zone_epoch => 7);
published($p, 1);
leave($p);
$c->command('42', 'bid', '{"amount":1200}', user => 'bob');
is(scalar published($q, 0), 0, 'nothing to the older one');


# two instances of nginx with zones of one name: said once

$p = $w->connect;
$p->hello(zone => 'z', zone_epoch => 7);
for my $epoch (8, 7, 8) {
    my $rival = $w->connect;
    $rival->hello(zone => 'z', zone_epoch => $epoch);
    push @p, $rival;
}
is(() = $w->log_text =~ /zone "z" of process \d+ has come while/g, 2,
   'a zone that has come twice is logged, each time once');
undef $q;
undef $p;
@p = ();


# signals and the end

kill 'HUP', $w->{pid};
is($c->query('42', 'state')->{status}, 200, 'it goes on after SIGHUP');
like($w->log_text, qr/SIGHUP received/, 'which is logged');

rename $w->{log}, "$w->{log}.1";
kill 'HUP', $w->{pid};
ok(holds(sub { -e $w->{log} }), 'a second one opens the log again');
kill 'HUP', $w->{pid};
ok(holds(sub { $w->log_text =~ /SIGHUP received/ }), 'into a new file');

is($w->stop, 0, 'SIGTERM: it stops');
my @last = @{ $c->frames(1) // [] };
is($last[0]{frame}, 'close', 'it has said so');
ok(!-e $w->{socket}, 'the socket is gone');

my ($rc, $out) = $w->ctl('replay', '--check');
is($rc, 0, 'replay --check') or diag $out;

$w->start;
$c = $w->connect;
$c->hello;
my $state = decode_json($c->query('42', 'state')->{body});
is($state->{price}, 1200, 'it is all there');
is(decode_json($c->ask('status')->{body})->{replayed}, 0, 'by the snapshot');
is($c->ask('snapshot')->{status}, 200, 'a snapshot when asked');


# a zone that has not confirmed anything before the daemon ends: from where it
# began, not from the journal's beginning and not from nowhere

$p = $w->connect;
$p->hello(zone => 'fresh', zone_epoch => 5);
my @prices;
for my $signal (qw(TERM KILL)) {
    $w->stop($signal);
    $w->start;
    $c = $w->connect;
    $c->hello;
    push @prices, 1250 + 50 * @prices;
    $c->command('42', 'bid', qq({"amount":$prices[-1]}), user => "u$#prices");
    $p = $w->connect;
    $p->hello(zone => 'fresh', zone_epoch => 5);
    is(join(' ', map { decode_json($_->{body})->{price} }
                 published($p, scalar @prices)),
       "@prices", "$signal before anything was confirmed");
}


# a journal is one daemon's; damage is told with file and offset

my $other = worker_link->new(conf => $small, dir => $w->{dir});
$other->{socket} = "$w->{dir}/other";
my $realtimed = build_dir() . '/realtimed';
$out = qx($realtimed --listen unix:$w->{dir}/o --data $w->{data} 2>&1);
like($out, qr/\[emerg\].*used by another process/, 'a second daemon');

$w->stop('KILL');
unlink glob "$w->{data}/snapshot-*";
open my $fh, '+<', "$w->{data}/00000001.seg" or die;
seek $fh, 300, 0;
print $fh 'xx';
close $fh;
$out = qx($realtimed --listen unix:$w->{dir}/o --data $w->{data} 2>&1);
isnt($?, 0, 'it does not start on a damaged journal');
like($out, qr/damaged at 00000001\.seg:\d+ \(seq \d+\)/, 'and says where');
($rc, $out) = $w->ctl('journal', 'repair');
is($rc, 0, 'repaired');
($rc, $out) = $w->ctl('journal', 'verify');
is($rc, 0, 'what is left is whole');
ok(-e "$w->{data}/00000001.seg.damaged", 'the rest is kept');


# whoever comes while it is starting is waited on, and whoever goes is logged

for my $round (1 .. 10) {
    $w = worker_link->new(conf => $small)->start;
    my @early = map { $w->connect } 1 .. 3;
    is(scalar grep({ $_->hello } @early), 3, 'early clients are waited on')
        or diag $w->log_text;
    @early = ();
    $w->connect->hello;
    ok(holds(sub { departed() == 4 }), 'each one that goes is logged')
        or diag $w->log_text;
    $w->stop;
}


# durability batch: answered at once, on disk soon; ready is told to systemd

my $notify = "$w->{dir}/notify";
my $n = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(),
    Local => $notify) or die;
$w = worker_link->new(conf => "$small\n[auction]\ndurability = batch\n");
{
    local $ENV{NOTIFY_SOCKET} = $notify;
    $w->start;
}
$c = $w->connect;
$c->hello;
$c->command('b', 'create', $terms);
for my $amount (1 .. 20) {
    $r = $c->command('b', 'bid', "{\"amount\":${amount}000}", user => 'ann');
    is($r->{status}, 201, 'batch') if $r->{status} != 201;
}
recv $n, my $text, 100, 0;
is($text, 'READY=1', 'ready');
ok(holds(sub {
    return ($w->ctl('status'))[1] =~ /"seq":(\d+),"durable_seq":\1,/;
}), 'it is written soon');
$w->stop('KILL');
$w->start;
$c = $w->connect;
$c->hello;
is(decode_json($c->query('b', 'state')->{body})->{price}, 20000,
    'it was on disk soon');


# only certain users may connect; the kernel says who it is

SKIP: {
    skip 'not root', 2 if $> != 0;
    for my $peers ('daemon', 'nobody') {
        my $p = worker_link->new(
            conf => "mode = 0666\npeers = $peers\n$small");
        chmod 0755, $p->{dir};
        $p->start;
        $p->connect->hello;
        my $nobody = getpwnam 'nobody';
        my $pid = fork // die;
        if ($pid == 0) {
            $> = $nobody;
            exec 'true' if $p->connect->hello;
            exec 'false';
        }
        waitpid $pid, 0;
        is($? == 0, $peers eq 'nobody', "nobody, when $peers may");
    }
}


# options

$out = qx($realtimed -c $w->{dir}/conf -t 2>&1);
is($?, 0, '-t');
like($out, qr/test is successful/, 'says so');

for my $line ("[realtimed]\nwhat = 1", "[journal]\nsegment_size = 1x",
    "[auction]\ndurability = maybe", "[limits]\nidle = -1", "what")
{
    open my $fh, '>', "$w->{dir}/bad" or die;
    print $fh "[realtimed]\nlisten = unix:/x\ndata = /x\n$line\n";
    close $fh;
    $out = qx($realtimed -c $w->{dir}/bad -t 2>&1);
    isnt($?, 0, "refused: $line");
    like($out, qr{\[emerg\].*/bad:\d+\n}, 'with the line');
}

$out = qx($realtimed --what 2>&1);
isnt($?, 0, 'an unknown option');

done_testing();
