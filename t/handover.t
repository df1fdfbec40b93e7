# The process that publishes for a zone hangs: another one takes over, with
# nothing lost or doubled, also when the first goes on.  And a daemon without
# descriptors waits for them quietly.

use v5.36;

use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);
use Test::More;
use RT;
use RT::Daemon;
use worker_link ();

RT::Daemon->need;

my $terms = '{"kind":"english","start":1,"increment":1,'
    . '"ends_in_ms":600000}';


# links without an nginx: who has said nothing, and owes something

{
    my $w = worker_link->new->start;
    my $c = $w->connect;
    $c->hello;
    $c->command('a', 'create', $terms);
    my @link = map { $w->connect } 0, 1;
    $_->hello(zone => 'z', zone_epoch => 5) for @link;

    # of those that were kept: prices, until the last one is there

    my %prices;
    my $gets = sub ($i, $price) {
        return wait_for(sub {
            my @new = @{ $link[$i]->frames(0.01) // [] };
            for my $f (splice(@{ $link[$i]{frames} }), @new) {
                next if $f->{frame} ne 'publish';
                push @{ $prices{$i} }, decode_json($f->{body})->{price};
                $link[$i]{last} = $f;
            }
            return ($prices{$i}[-1] // 0) == $price;
        });
    };
    my $confirm = sub ($i) {
        $link[$i]->send('confirm', 0, position => $link[$i]{last}{position},
            index => $link[$i]{last}{index});
        is($link[$i]->query('a', 'state')->{status}, 200, 'confirmed');
    };
    my $bid = sub ($price) {
        is($c->command('a', 'bid', "{\"amount\":$price}", user => "u$price")
            ->{status}, 201, 'a bid');
    };

    $bid->(1);
    my ($first, $second) = (0, 1);          # who has come first
    ok($gets->($first, 1), 'one gets it');
    ok($gets->($second, 1), 'another link gets what was not confirmed');
    $confirm->($second);
    $bid->(2);
    ok($gets->($second, 2), 'and what follows');
    is("@{ $prices{$second} }", '1 2', 'each once');
    is(decode_json($c->ask('status')->{body})->{link}{handovers}, 1,
       'is counted');
    like($w->log_text, qr/\[warn\].*takes nothing for zone "z", process \d+ is/,
       'and logged');

    # the first one goes on; what it confirms late changes nothing

    $link[$first]->send('confirm', 0, position => 1, index => 0);
    is($link[$first]->query('a', 'state')->{status}, 200, 'it goes on');
    $confirm->($second);
    $bid->(3);
    ok($gets->($second, 3), 'the second one stays the publisher');
    $w->stop;
}


# nginx

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, workers => 2, zone => 'main 4m',
                 server => RT::Daemon::locations());

sub publisher {
    my $w = (values $rt->status->{workers}{main}->%*)[0];
    return $w->{zones}{main}{publisher} // 0;
}

ok(wait_for(sub { publisher() }), 'somebody publishes');
my $hangs = publisher();
my ($other) = grep { $_ != $hangs } $rt->workers;
my $c = $rt->conn(pid => $other);
my $sse = $rt->sse('/sub/auction/b', pid => $other);
ok($sse->wait_open, 'a subscriber of the other process');

kill 'STOP', $hangs;
is($c->ask('POST', '/auction/b/create', [], $terms)->status, 201, 'a command');
for my $price (1 .. 20) {
    is($c->ask('POST', '/auction/b/bid', [ 'X-User' => "u$price" ],
               "{\"amount\":$price}")->status, 201, 'a bid');
}
ok($sse->wait_items(21), 'the zone goes on while its publisher hangs');
kill 'CONT', $hangs;
my $late = $rt->conn(pid => $hangs);
is($late->ask('POST', '/auction/b/bid', [ 'X-User' => 'last' ],
              '{"amount":21}')->status, 201, 'it goes on');
ok($sse->wait_items(22), 'one more');
is(join(' ', map { json_of($_)->{price} } $sse->data),
   join(' ', 1, 1 .. 21), 'all, once, in order');
ok($d->log =~ /\[warn\].*process $hangs takes nothing/, 'it was handed over');
$_->close for $c, $late, $sse;
$rt->finish;


# no descriptors: the socket is left alone for a while, said once

{
    my $w = worker_link->new;
    $w->start('sh', '-c', 'ulimit -n 40 && exec "$0" -c "$1"',
              RT::Daemon::program(), "$w->{dir}/conf");
    my $c = $w->connect;
    $c->hello;
    my @many = map { $w->connect } 1 .. 50;
    ok(wait_for(sub { $w->log_text =~ /accept4\(\) failed/ }),
       'accept() fails');
    $c->ask('ping', body => 'x') for 1 .. 300;
    @many = ();
    my $new;
    ok(wait_for(sub { $new = $w->connect; $new->hello }), 'and works again');
    is($c->ask('ping', body => 'x')->{body}, 'x', 'others were served');
    is(scalar(() = $w->log_text =~ /accept4\(\) failed/g), 1, 'logged once')
        or diag substr $w->log_text, -2000;
    $w->stop;
}

RT::Daemon::END_ALL();
done_testing();
