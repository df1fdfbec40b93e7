# A copy that is taken under load: a daemon starts on it, everything that was
# acknowledged before is in it, and retention waits.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use JSON::PP qw(decode_json);
use Time::HiRes qw(time);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $conf = "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n"
    . "snapshot_events = 5000\n";
my $w = worker_link->new(conf => $conf)->start;

my $c = $w->connect;
$c->hello;
is($c->command('a', 'create', '{"kind":"english","start":1,'
    . '"ends_in_ms":86400000}')->{status}, 201, 'an auction');

my ($next, $acked, %waiting) = (0, 0);

sub load ($until) {
    while (!$until->()) {
        while (keys %waiting < 300) {
            $waiting{++$next} = 1;
            $c->send('command', $next, engine => 'auction', entity => 'a',
                name => 'bid', user => 'u' . $next % 3, key => "k$next",
                body => qq({"amount":$next}));
        }
        for my $f (@{ $c->frames(0.01) // last }) {
            next if $f->{frame} ne 'reply' || $f->{status} != 201;
            delete $waiting{$f->{id}};
            $acked = $f->{id} if $f->{id} > $acked;
        }
    }
    return;
}

for my $round (1 .. 3) {
    my $start = $next;
    load(sub { $next > $start + 12000 });

    my $before = $acked;
    my $copy = worker_link->new(conf => $conf);
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        exec build_dir() . '/realtimectl', '-c', "$w->{dir}/conf", 'backup',
            $copy->{data};
        die "exec: $!";
    }
    my $done;
    load(sub { $done = waitpid($pid, 1) == $pid });
    is($?, 0, 'copied under load');

    my ($rc, $out) = $copy->ctl('journal', 'verify');
    is($rc, 0, 'it is whole') or diag $out;
    $copy->start;
    my $to = $copy->connect;
    $to->hello;
    my $price = decode_json($to->query('a', 'state')->{body})->{price};
    cmp_ok($price, '>=', $before, 'a daemon starts on it, nothing is lost');
    is($copy->stop, 0, 'and stops');
    ($rc, $out) = $copy->ctl('replay', '--check');
    is($rc, 0, 'its states are right') or diag $out;
}

my ($rc) = $w->ctl('backup', $w->{data});
isnt($rc, 0, 'not into a directory that is there');

is($w->stop, 0, 'it stops');
done_testing();
