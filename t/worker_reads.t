# Old records are read off the thread of logic: what needs them waits, and
# everybody else is answered.  A segment is a FIFO for a while, so that whoever
# opens it to read stands still until the test lets go.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Fcntl qw(O_WRONLY O_NONBLOCK);
use JSON::PP qw(decode_json);
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $w = worker_link->new(conf => "[limits]\nidle = 100ms\n"
    . "[journal]\nsegment_size = 2m\nbuffer_size = 2m\n")->start;

my $terms = '{"kind":"english","start":1,"ends_in_ms":86400000}';
my $many = 700;


sub holds ($condition) {
    my $until = time + 30;
    while (!$condition->()) {
        return 0 if time > $until;
        sleep 0.01;
    }
    return 1;
}


sub status ($c) { return decode_json($c->ask('status')->{body}) }


# what has come that nobody asked for

sub come ($c) {
    return (splice(@{ $c->{frames} }), @{ $c->frames(0.1) // [] });
}


# Frames in one write; the answers come by id, in the order of their arrival.

sub all ($c, @frames) {
    $c->raw(join '', @frames);
    my @got;
    return holds(sub { push @got, come($c); @got >= @frames }) ? @got : ();
}


sub bid ($id, $entity, $amount) {
    return frame('command', $id, engine => 'auction', entity => $entity,
        name => 'bid', user => $amount % 2 ? 'ann' : 'bob',
        body => qq({"amount":$amount}));
}


sub query ($id, $entity, $name, $args = '') {
    return frame('query', $id, engine => 'auction', entity => $entity,
        name => $name, args => $args);
}


my $c = $w->connect;
$c->hello;

for my $entity (qw(a b live)) {
    is($c->command($entity, 'create', $terms)->{status}, 201, $entity);
    my @got = all($c, map { bid($_, $entity, $_) } 2 .. $many);
    is(scalar(grep { $_->{status} == 201 } @got), $many - 1, 'its bids');
}

is($c->command($_, 'cancel')->{status}, 200, "$_ is over") for qw(a b);
ok(holds(sub { status($c)->{evicted} == 2 }), 'and evicted');
cmp_ok(status($c)->{checkpoints}, '>=', 6, 'with checkpoints');


# All that waits for one state is answered in its order.

my @got = all($c, query(1, 'a', 'state'), bid(2, 'a', 9999),
    query(3, 'live', 'state'),
    query(4, 'a', 'mine'), query(5, 'a', 'state'),
    query(6, 'a', 'at', 'version=300'), query(7, 'live', 'at', 'version=650'),
    query(8, 'live', 'history', "from=$many"));
my %by = map { $_->{id} => $_ } @got;

is(join(' ', map { $_->{id} } grep { $_->{id} =~ /[1245]/ } @got), '1 2 4 5',
    'in their order');
is(decode_json($by{1}{body})->{state}, 'cancelled', 'its state');
is($by{2}{status}, 409, 'a bid, too late');
is(decode_json($by{6}{body})->{price}, 300, 'its state of then');
is($by{6}{version}, 300, 'with the version of then');
is(decode_json($by{7}{body})->{price}, 650, 'and that of a live one');
is(scalar @{ decode_json($by{8}{body})->{events} }, 1, 'a page of events');
is(status($c)->{reloaded}, 1, 'read once');


# Who needs the disk stands still; nobody else does.

ok(holds(sub { status($c)->{evicted} == 3 }), 'evicted again');
is($w->stop, 0, 'stopped');
$w->start;
$c = $w->connect;
$c->hello;

is($c->command('live', 'bid', '{"amount":4000}', user => 'eve')->{status}, 201,
    'the segment is open to be written');

my $segment = "$w->{data}/00000001.seg";
rename $segment, "$segment.real" or die "rename: $!";
POSIX::mkfifo($segment, 0600) or die "mkfifo: $!";

my $leaves = $w->connect;
$leaves->hello;
$leaves->raw(query(1, 'a', 'state') . bid(2, 'b', 9999));
$c->raw(query(1, 'a', 'state') . query(2, 'b', 'state') . bid(3, 'b', 9999)
    . query(4, 'live', 'history'));

is($c->query('live', 'state')->{status}, 200, 'a query of another');
is($c->command('live', 'bid', '{"amount":5000}', user => 'eve')->{status},
    201, 'a bid at another');
is($c->command('new', 'create', $terms)->{status}, 201, 'a new one');
is(decode_json($c->ask('status')->{body})->{reloaded}, 0, 'nothing was read');

undef $leaves;
ok(holds(sub { $w->log_text =~ /peer $$ (?:closed|is gone)/ }),
    'a client that waits may leave');

# the real one is back; what had the other in its hands has failed

my $fh;
rename "$segment.real", "$segment.new" or die "rename: $!";
ok(holds(sub { sysopen $fh, $segment, O_WRONLY | O_NONBLOCK }),
    'somebody reads it');
rename "$segment.new", $segment or die "rename: $!";

my @late;
ok(holds(sub { push @late, come($c); @late >= 4 }), 'all are answered');
is(join(' ', sort { $a <=> $b } map { $_->{id} } @late), '1 2 3 4', 'once');
close $fh;

is($w->stop, 0, 'it stops');
$w->start;
$c = $w->connect;
$c->hello;
is(decode_json($c->query('b', 'state')->{body})->{state}, 'cancelled',
    'nothing is lost');
is($c->command('b', 'bid', '{"amount":9999}', user => 'ann')->{status}, 409,
    'nor decided twice');
is($w->stop, 0, 'and stops');

unlike($w->log_text, qr/\[(?:alert|emerg)\]/, 'nothing alarming');

done_testing;
