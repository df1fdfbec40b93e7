# Retention: a zone that owes nothing keeps no segment, one that has not
# confirmed keeps what it has not, over a kill, too; and a snapshot that cannot
# be written is said to have failed.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use JSON::PP qw(decode_json);
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $w = worker_link->new(conf => "[journal]\nsegment_size = 2m\n"
    . "buffer_size = 2m\nspares = 1\nretain = 2m\nsnapshot_events = 0\n"
    . "[limits]\nidempotency_keys = 100\n")->start;

my ($c, $key) = ($w->connect, 0);
my $hello = $c->hello(zone => 'main', zone_epoch => 7);


sub create ($entity) {
    return $c->command($entity, 'create', '{"kind":"english","start":1,'
        . '"ends_in_ms":86400000}')->{status};
}


# publications that have come, and those that must

sub published ($n) {
    my $until = time + 20;
    my @got;
    while (@got < $n && time < $until) {
        push @got, grep { $_->{frame} eq 'publish' }
            splice(@{ $c->{frames} }), @{ $c->frames(0.1) // last };
    }
    return @got;
}


sub confirm ($f) {
    return $c->send('confirm', 0, position => $f->{position},
        index => $f->{index});
}


# bids with keys that are refused: journaled answers, and no publication

sub refused ($bytes) {
    my $journal = sub { decode_json($c->ask('status')->{body})->{journal} };
    my $start = $journal->();
    while (1) {
        my $n = 2000;
        for (1 .. $n) {
            $key++;
            $c->send('command', $key, engine => 'auction', entity => 'a',
                name => 'bid', user => 'u', key => "k$key",
                body => '{"amount":0}');
        }
        my $until = time + 20;
        while ($n > 0 && time < $until) {
            $n -= grep { $_->{frame} eq 'reply' }
                splice(@{ $c->{frames} }), @{ $c->frames(0.1) // last };
        }
        my $now = $journal->();
        return if $now->{seq} == $start->{seq};
        return if $now->{segments} >= $bytes;
    }
}


sub segments { return decode_json($c->ask('status')->{body})
    ->{journal}{segments} }

sub first_segment { return (sort glob "$w->{data}/*.seg")[0] }


# two snapshots, again until that holds: the file of the zones comes first

sub drops ($below, $seconds = 20) {
    my $until = time + $seconds;
    while (time < $until) {
        $c->command('a', 'bid', '{"amount":0}', user => 'u',
            key => 'd' . ++$key);
        my ($rc, $out) = $w->ctl('snapshot');
        return 0 if $rc;
        return 1 if segments() <= $below;
        sleep 0.2;
    }
    return 0;
}


is(create('a'), 201, 'an auction');
my ($p) = published(1);
ok($p, 'it is published');
confirm($p);
refused(4);
cmp_ok(segments(), '>=', 4, 'refusals fill segments');
ok(drops(3), 'a zone that owes nothing keeps none of them');

# away, owing nothing

$c = $w->connect;
$c->hello;
refused(6);
ok(drops(3), 'nor does one that is away and owes nothing');

# it owes one: that is kept, and after a kill it is still

is(create('b'), 201, 'what it does not get');
$w->ctl('snapshot');
refused(6);
$w->stop('KILL');
$w->start;
$c = $w->connect;
$c->hello;
ok(!drops(3, 3), 'is kept');
$c = $w->connect;
$c->hello(zone => 'main', zone_epoch => 7, epoch => $hello->{epoch},
    position => $p->{position}, index => $p->{index});
my ($late) = published(1);
like($late->{topic}, qr/b$/, 'and published when it comes back');
confirm($late);
ok(drops(4), 'then it goes');

unlike($w->log_text, qr/away too long/, 'nothing was missed');

# a snapshot that cannot have its name

create('c');
my $seq = decode_json($c->ask('status')->{body})->{journal}{seq};
mkdir sprintf('%s/snapshot-%020d', $w->{data}, $seq);
my ($rc, $out) = $w->ctl('snapshot');
isnt($rc, 0, 'a snapshot that failed is not 200');
like($out, qr/could not be written/, 'and says so');

$w->stop;
done_testing();
