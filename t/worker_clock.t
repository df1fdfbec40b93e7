# The wall clock is set while the daemon runs, and while it does not: forwards,
# backwards, and on a machine that was suspended.  The journal's time goes on.

use v5.36;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/lib";
use File::Temp ();
use JSON::PP qw(decode_json);
use RT;
use RT::Daemon;
use Test::More;
use Time::HiRes qw(time sleep);
use worker_link;


my $realtimed = build_dir() . '/realtimed';
RT::Daemon->need;

my ($faketime) = grep { -e } glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
plan skip_all => 'libfaketime is missing: set clocks are not tested'
    if !$faketime;

# a sanitizer wants to be the first

my ($asan) = qx(ldd $realtimed) =~ /=> (\S*libasan\S*)/;
my $preload = join ' ', $asan // (), $faketime;

my $dir = File::Temp::tempdir('rt_clock_XXXXXX', TMPDIR => 1, CLEANUP => 1);
my ($day, $hour) = (86400, 3600);


sub set ($seconds) {
    open my $fh, '>', "$dir/offset.new" or die "$dir: $!";
    printf $fh "%+d\n", $seconds;
    close $fh;
    rename "$dir/offset.new", "$dir/offset" or die "$dir: $!";
}

sub start ($w, @options) {
    $w->start('env', "LD_PRELOAD=$preload", 'FAKETIME_NO_CACHE=1',
        "FAKETIME_TIMESTAMP_FILE=$dir/offset", @{ $w->{clocks} },
        $realtimed, '-c', "$w->{dir}/conf", @options);
    my $c = $w->connect;
    $c->hello;
    return $c;
}

sub status ($c) { return decode_json($c->ask('status')->{body}) }
sub state_of ($c, $name) {
    return decode_json($c->query($name, 'state')->{body})->{state};
}

sub create ($c, $name, $ms) {
    return $c->command($name, 'create',
        qq({"kind":"english","start":100,"ends_in_ms":$ms}))->{status};
}

sub logged ($w, $re) { return scalar(() = $w->log_text =~ /$re/g) }

my $held = qr/\[crit\] .* the wall clock is \S+ s ahead of the journal's time, /
    . 'which does not follow it';


# a day ahead

set(0);
my $w = worker_link->new;
$w->{clocks} = ['FAKETIME_DONT_FAKE_MONOTONIC=1'];
my $c = start($w);

is(create($c, 'a', 30 * 60_000), 201, 'an auction');
my $s = status($c);
is("$s->{clock_held} $s->{clock_steps} $s->{clock_steps_refused}", '0 0 0',
    'nothing has been set');
cmp_ok(abs $s->{clock_offset_ms}, '<', 1000, 'it is the wall clock\'s time');
my $time = $s->{time};

set($day);
ok(wait_for(sub { status($c)->{clock_held} }), 'a day ahead: not followed');
$s = status($c);
is("$s->{clock_steps} $s->{clock_steps_refused}", '1 1', 'it is counted');
cmp_ok($s->{clock_offset_ms}, '>', 86_300_000, 'by how much');
is(logged($w, $held), 1, 'and logged at crit, once');
is(state_of($c, 'a'), 'open', 'nothing is closed by it');
is($c->command('a', 'bid', '{"amount":150}', user => 'ann')->{status}, 201,
    'bids are taken');
cmp_ok(status($c)->{time} - $time, '<', $hour * 1000, 'time has not leapt');
$time = status($c)->{time};
ok(wait_for(sub { status($c)->{time} > $time + 100 }), 'and goes on');


# over restarts

is($w->stop, 0, 'it stops');
$c = start($w);
$s = status($c);
is("$s->{clock_held} " . state_of($c, 'a'), '1 open', 'so after a restart');
is(logged($w, $held), 2, 'logged again');
$time = $s->{time};
$w->stop('KILL');
$c = start($w);
is(status($c)->{clock_held} . ' ' . state_of($c, 'a'), '1 open',
    'and after a crash');
cmp_ok(status($c)->{time}, '>=', $time, 'time has not gone back');

set(0);
ok(wait_for(sub { !status($c)->{clock_held} }), 'the wall clock comes back');
like($w->log_text, qr/\[notice\] .*journal's time again/, 'which is logged');


# less than the limit: it is followed slowly

set(300);
ok(wait_for(sub { status($c)->{clock_offset_ms} > 200_000 }),
    'five minutes ahead');
my $offset = status($c)->{clock_offset_ms};
$time = status($c)->{time};
is(status($c)->{clock_held}, 0, 'within the limit');
ok(wait_for(sub { status($c)->{clock_offset_ms} < $offset - 100 }),
    'it catches up');
cmp_ok(status($c)->{time} - $time, '<', 250_000, 'and does not leap');
like($w->log_text, qr/\[warn\] .*ahead of the journal's time, which runs/,
    'logged');


# a day back

$time = status($c)->{time};
set(-$day);
ok(wait_for(sub { status($c)->{clock_offset_ms} < -86_000_000 }), 'a day back');
cmp_ok(status($c)->{time}, '>=', $time, 'time does not go back');
$time = status($c)->{time};
$offset = status($c)->{clock_offset_ms};
ok(wait_for(sub { status($c)->{time} > $time + 500 }), 'nor stand still');
cmp_ok(status($c)->{clock_offset_ms}, '>', $offset, 'it runs slower');
like($w->log_text, qr/\[crit\] .*behind the journal's time/, 'logged');
is(create($c, 'b', 300), 201, 'an auction');
ok(wait_for(sub { state_of($c, 'b') eq 'closed' }), 'that ends in time');

is($w->stop, 0, 'it stops');
$c = start($w);
cmp_ok(status($c)->{time}, '>=', $time, 'nor back at a restart');
$time = status($c)->{time};
ok(wait_for(sub { status($c)->{time} > $time + 200 }), 'and goes on');


# accepted

set(2 * $hour);
ok(wait_for(sub { status($c)->{clock_held} }), 'two hours ahead');
is(state_of($c, 'a'), 'open', 'still open');
my ($rc, $out) = $w->ctl('accept-time');
is($rc, 0, 'accept-time');
cmp_ok(decode_json($out)->{step_ms}, '>', 5_000_000, 'it leaps');
is(state_of($c, 'a'), 'closed', 'what has ended is closed');
$s = status($c);
is($s->{clock_held}, 0, 'the wall clock is followed');
cmp_ok(abs $s->{clock_offset_ms}, '<', 1000, 'and has no lead');
($rc, $out) = $w->ctl('accept-time');
cmp_ok(decode_json($out)->{step_ms}, '<', 1000, 'nothing more to accept');

is($w->stop, 0, 'it stops');
set(4 * $hour);
$c = start($w, '--accept-time');
$s = status($c);
is($s->{clock_held}, 0, 'accepted by an option');
cmp_ok(abs $s->{clock_offset_ms}, '<', 1000, 'at the start');
is(create($c, 'd', 60_000), 201, 'an auction');


# where nothing but the wall clock says how long it was stopped

is($w->stop, 0, 'it stops');
unlink "$w->{data}/clock" or die "clock: $!";
set(4 * $hour + 120);
$c = start($w);
cmp_ok(abs status($c)->{clock_offset_ms}, '<', 10_000,
    'another boot, some minutes: the wall clock is followed at once');
is(create($c, 'c', 60_000), 201, 'an auction');

is($w->stop, 0, 'it stops');
unlink "$w->{data}/clock" or die "clock: $!";
set(2 * $day);
$c = start($w);
is(status($c)->{clock_held} . ' ' . state_of($c, 'c'), '1 open',
    'a long time: it is not');
is($w->stop, 0, 'it stops');

open my $fh, '>', "$w->{data}/clock" or die "clock: $!";
print $fh "no time\n";
close $fh;
$c = start($w);
is(state_of($c, 'c'), 'open', 'a file that is not whole');
like($w->log_text, qr/\[warn\] .*clock" is not understood/, 'is logged');
is($w->stop, 0, 'it stops');
($rc, $out) = $w->ctl('replay', '--check');
is($rc, 0, 'replay --check') or diag $out;


# a machine that was suspended: all clocks are later

set(0);
$w = worker_link->new;
$w->{clocks} = [];
$c = start($w);
is(create($c, 's', $hour * 1000), 201, 'an auction of an hour');
set(2 * $hour);
ok(wait_for(sub { state_of($c, 's') eq 'closed' }),
    'it has ended while the machine was suspended');
$s = status($c);
is("$s->{clock_held} $s->{clock_steps}", '0 0', 'that is no step');
cmp_ok(abs $s->{clock_offset_ms}, '<', 1000, 'and no difference');
is($w->stop, 0, 'it stops');


# nginx's counters

set(0);
$w = worker_link->new;
$w->{clocks} = ['FAKETIME_DONT_FAKE_MONOTONIC=1'];
$c = start($w);
my $rt = RT->new(http => "realtime_worker main unix:$w->{socket};");

sub metric ($name) {
    my $text = $rt->get('/status?format=prometheus')->body;
    my ($n) = $text =~ /^realtime_worker_clock_$name\{worker="main",
                        address="unix:$w->{socket}"\}\ (-?\d+)$/xm;
    return $n // 'none';
}

ok(wait_for(sub { metric('steps_total') ne 'none' }), 'in Prometheus');
is(join(' ', map metric($_), qw(held steps_total steps_refused_total)),
    '0 0 0', 'nothing has been set');
set(-$day);
ok(wait_for(sub { metric('steps_total') == 1 }), 'a day back');
cmp_ok(metric('offset_milliseconds'), '<', -86_000_000, 'by how much');
set($day);
ok(wait_for(sub { metric('held') == 1 }), 'a day ahead');
is(metric('steps_refused_total'), 1, 'which is refused');
my ($m) = values $rt->status->{workers}{main}->%*;
is("$m->{clock_held} $m->{clock_steps} $m->{clock_steps_refused}", '1 2 1',
    'and in JSON');
$rt->finish;
is($w->stop, 0, 'it stops');

done_testing();
