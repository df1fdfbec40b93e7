# A full disk: commands get 503, nothing that was acknowledged is lost, and it
# goes on when there is room again.  Needs root, for a small file system in a
# mount namespace of its own.  And a reader that takes no answers.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use JSON::PP qw(decode_json);
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';
plan skip_all => 'no mount namespace'
    if $> != 0 || system('unshare -m true 2>/dev/null') != 0;

my $w = worker_link->new(conf => "[journal]\nsegment_size = 2m\n"
    . "buffer_size = 2m\nspares = 1\nsnapshot_events = 0\n");
mkdir $w->{data};

$w->start('unshare', '-m', 'sh', '-c', "mount -t tmpfs -o size=7m none"
    . " $w->{data} && exec " . build_dir() . "/realtimed -c $w->{dir}/conf");

my $c = $w->connect;
$c->hello;
is($c->command('a', 'create', '{"kind":"english","start":1,'
    . '"ends_in_ms":86400000}')->{status}, 201, 'create');

my ($next, %status, %waiting) = (0);

sub bids ($seconds, $until_status) {
    my $end = time + $seconds;
    while (time < $end) {
        while (keys %waiting < 500) {
            my $n = ++$next;
            $waiting{$n} = 1;
            $c->send('command', $n, engine => 'auction', entity => 'a',
                name => 'bid', user => 'u' . $n % 3,
                body => qq({"amount":$n}));
        }
        my $seen = 0;
        for my $f (@{ $c->frames(0.01) // last }) {
            next if $f->{frame} ne 'reply';
            $status{$f->{id}} = $f->{status};
            delete $waiting{$f->{id}};
            $seen ||= $f->{status} == $until_status;
        }
        return 1 if $seen;
    }
    return 0;
}

ok(bids(300, 503), 'full: 503');
my $s = decode_json($c->ask('status')->{body});
ok($s->{journal}{failing}, 'the status says that it fails');
like($w->log_text, qr/\[crit\].*waits/, 'and so does the log, once');
is(scalar(my @crit = $w->log_text =~ /\[crit\]/g), 1, 'once');

sub collect ($seconds) {
    my $end = time + $seconds;
    while (keys %waiting && time < $end) {
        for my $f (splice(@{ $c->{frames} }), @{ $c->frames(0.05) // last }) {
            next if $f->{frame} ne 'reply';
            $status{$f->{id}} = $f->{status};
            delete $waiting{$f->{id}};
        }
    }
    return;
}

collect(1);
system 'nsenter', '-t', $w->{pid}, '-m', 'mount', '-o', 'remount,size=64m',
    $w->{data};
collect(20);
is(keys %waiting, 0, 'room again: every command has its answer');
ok(bids(20, 201), 'and new ones are accepted');
collect(20);
$s = decode_json($c->ask('status')->{body});
ok(!$s->{journal}{failing}, 'the status says so');

my ($from, %there) = (1);
while (1) {
    my $list = decode_json($c->query('a', 'history', "from=$from")->{body});
    my $events = $list->{events};
    last if !@$events;
    $there{$_->{amount} // 0}++ for @$events;
    $from = $events->[-1]{version} + 1;
}
my @lost = grep { $status{$_} == 201 && !$there{$_} } keys %status;
is(@lost, 0, 'nothing acknowledged is lost');
my @more = grep { ($status{$_} // 0) == 503 && $there{$_} } keys %status;
is(@more, 0, 'nothing refused has happened');


# who takes no answers is not read from; the others do not notice

my $deaf = $w->connect;
$deaf->hello;
for (1 .. 400) {
    last if length $deaf->{out};
    $deaf->send('query', $_, engine => 'auction', entity => 'a',
        name => 'history') for 1 .. 20;
}
sleep 0.5;
my $start = time;
is($c->query('a', 'state')->{status}, 200, 'others are served');
ok(time - $start < 2, 'at once');
my ($kb) = qx(cat /proc/$w->{pid}/status) =~ /VmRSS:\s+(\d+)/;
cmp_ok($kb, '<', 300_000, 'and memory is bounded');
undef $deaf;

is($w->stop, 0, 'it stops');
done_testing();
