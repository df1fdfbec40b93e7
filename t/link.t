# The link on bad days: the daemon absent, killed and restarted under load,
# stopped, slow, silent; nginx reloaded, its processes killed.  Each request has
# exactly one answer, and each publication comes exactly once.

use v5.36;

use FindBin;
use IO::Socket::UNIX;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
$d->stop;
my $rt = RT->new(http => $d->worker, workers => 2, zone => 'main 16m',
                 server => RT::Daemon::locations());

my $terms = '{"kind":"english","start":1,"increment":1,'
    . '"ends_in_ms":600000}';

sub post ($uri, $body = '{}', @headers) {
    return $rt->request('POST', $uri, \@headers, $body);
}

sub up {
    return wait_for(sub {
        return 2 == grep {
            my $c = $rt->conn(pid => $_);
            my $r = $c->ask('GET', '/status');
            $c->close;
            my $w = $r->json->{workers}{main};
            1 == grep { $_->{state} eq 'up' } values %$w;
        } $rt->workers;
    });
}


# absent

my $t = now();
my $r = post('/auction/a/create', $terms);
is($r->status, 503, 'absent: 503');
is($r->header('Retry-After'), 1, 'with Retry-After');
is($r->json->{error}, 'unavailable', 'in JSON');
ok(now() - $t < 5, 'at once, not after the timeout');
is($rt->get('/auction/a/state')->status, 503, 'a query, too');
is($rt->get('/auction/a/events', Accept => 'text/event-stream')->status, 503,
   'and a stream');
is($rt->publish('x', 'y')->status, 201, 'topics go on');
is((values $rt->status->{workers}{main}->%*)[0]{state}, 'down', 'status');

my $ws = $rt->ws('/alone/a/ws?user=ann', enveloped => 1);
ok($ws->accepted, 'a WebSocket opens nevertheless');
$ws->send_text('{"id":1,"command":"bid"}');
ok(wait_for(sub { grep { $_->{payload} =~ /unavailable/ }
                  $ws->{frames}->@* }), 'its commands are refused');

# Each process logs each reason that keeps the link down, and not each attempt:
# no socket, then one who closes, then one who speaks something else.

sub attempts ($n, $greeting) {
    my $s = IO::Socket::UNIX->new(Local => $d->{socket}, Listen => 16)
        or die "$d->{socket}: $!";
    $s->blocking(0);
    ok(wait_for(sub {
        my $c = $s->accept or return;
        syswrite $c, $greeting;
        return --$n <= 0;
    }), 'it tries again');
    close $s;
    unlink $d->{socket};
}

attempts(10, '');
attempts(10, "220 mail.example.com ESMTP\r\n");

$d->start;
ok(up(), 'the link comes up by itself');
is(post('/auction/a/create', $terms)->status, 201, 'and works');

for (
    [ qr/\[error\].* connect\(\) to "\S+" failed \(2: /, 'no socket' ],
    [ qr/\[warn\].* closed the link without a hello/, 'closed' ],
    [ qr/\[error\].* sent a bad frame: /, 'another protocol' ],
    [ qr/\[notice\].* is back/, 'back' ],
) {
    my ($re, $name) = @$_;
    my @lines = grep { $_ =~ $re } split /\n/, $rt->log;
    cmp_ok(scalar @lines, '>=', 2, "$name: is logged");
    cmp_ok(scalar @lines, '<=', 6, "$name: not each time") or diag $lines[-1];
}


# stopped: no answer in time

$d->signal('STOP');
$t = now();
$r = post('/quick/a/bid', '{"amount":5}', 'X-User' => 'ann');
is($r->status, 504, 'stopped: 504');
is($r->json->{error}, 'timeout', 'in JSON');
ok(now() - $t > 0.2 && now() - $t < 5, 'after the timeout, not the default');
$d->signal('CONT');
ok(wait_for(sub { $rt->get('/auction/a/state')->status == 200 }),
   'it goes on');


# killed while thousands wait

sub flood ($n, $uri, $prefix) {
    my @conns;
    for my $i (1 .. 20) {
        my $c = $rt->conn;
        my $bytes = '';
        for my $k (1 .. $n / 20) {
            my $text = '{"amount":' . (10 + $i * $n + $k) . '}';
            $bytes .= "POST $uri HTTP/1.1\r\nHost: x\r\n"
                . "X-User: $prefix$i\r\nIdempotency-Key: $prefix$i-$k\r\n"
                . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
            push @{ $c->{methods} }, 'POST';
        }
        $c->write($bytes);
        push @conns, $c;
    }
    return @conns;
}

sub done (@conns) {
    return map { grep { $_->{done} } $_->{responses}->@* } @conns;
}

$d->signal('STOP');
my @ws = map $rt->ws("/alone/a/ws?user=w$_", enveloped => 1), 1 .. 20;
for my $w (@ws) {
    $w->write(join '', map RT::WebSocket::frame(1,
        qq({"id":$_,"command":"bid","data":{"amount":1}})), 1 .. 100);
}
my @conns = flood(20, '/auction/a/bid', 'k');
RT::Loop::turn(0.2);
$d->kill;
ok(wait_for(sub { done(@conns) == 20 }), 'killed: requests have an answer');
is((grep { $_->status == 504 || $_->status == 503 } done(@conns)), 20,
   'which is 503 or 504') or diag show(map $_->status, done(@conns));
my @answers = map { grep { $_->{payload} =~ /"error"/ } $_->{frames}->@* }
    @ws;
wait_for(sub {
    return 2000 == (@answers = map { grep { $_->{payload} =~ /"error"/ }
                                     $_->{frames}->@* } @ws);
});
is(scalar @answers, 2000, 'and so have 2000 commands over WebSocket');
$_->close for @conns, @ws;
is(post('/auction/a/bid')->status, 503, 'new ones are refused');
$d->start;
ok(up(), 'back');


# more than the daemon allows to wait: refused at once, memory does not grow

my ($pid) = $rt->workers;
$d->signal('STOP');
@ws = map $rt->ws('/alone/a/ws?user=x', enveloped => 1, pid => $pid), 1 .. 40;
for my $w (@ws) {
    $w->write(join '', map RT::WebSocket::frame(1,
        qq({"id":$_,"command":"bid","data":{"amount":1}})), 1 .. 256);
}
my $busy = sub {
    return scalar map { grep { $_->{payload} =~ /"busy"/ } $_->{frames}->@* }
        @ws;
};
ok(wait_for(sub { $busy->() == 40 * 256 - 8192 }), 'too many wait: busy')
    or diag $busy->();
my $c = $rt->conn(pid => $pid);
$r = $c->ask('POST', '/auction/a/bid', [], '{"amount":1}');
is($r->status, 503, '503 over HTTP');
is($r->json->{error}, 'busy', 'and why');
is($r->header('Retry-After'), 1, 'with Retry-After');
$d->signal('CONT');
ok(wait_for(sub {
    return 40 * 256 == map { grep { $_->{payload} =~ /"(?:error|ok)"/ }
                             $_->{frames}->@* } @ws;
}), 'each has its answer')
    or diag show(map [ $_->{eof}, scalar $_->{frames}->@*, $_->close_code ],
                 @ws);
is($c->ask('GET', '/auction/a/state')->status, 200, 'and there is room again');
$_->close for $c, @ws;


# restarted again and again under load, with subscribers in each process;
# nginx's processes die, too, and the configuration is reloaded

my @followers = map {
    $rt->follower(transport => 'sse', uri => '/sub/auction/b', pid => $_)
} $rt->workers;
is(post('/auction/b/create', $terms)->status, 201, 'another auction');

my ($amount, %status, %acked) = (10);
my $round = sub ($seconds) {
    my $until = now() + $seconds;
    while (now() < $until) {
        my @c = map { my $c = eval { $rt->conn } or (); $c } 1 .. 8;
        my %amount;
        for my $c (@c) {
            my $text = '{"amount":' . (++$amount) . '}';
            $amount{$c} = $amount;
            push @{ $c->{methods} }, 'POST';
            $c->write("POST /auction/b/bid HTTP/1.1\r\nHost: x\r\n"
                . "X-User: u$amount\r\nContent-Length: " . length($text)
                . "\r\n\r\n$text");
        }
        wait_for(sub { @c == grep { $_->{eof} || done($_) } @c });
        for my $c (@c) {
            my ($r) = done($c);
            $status{ $r ? $r->status : 0 }++;
            $acked{ $amount{$c} } = $r->json->{price}
                if $r && $r->status == 201;
            $c->close;
        }
    }
};

for my $i (1 .. 4) {
    $round->(0.3);
    $d->kill;
    $round->(0.1);
    $d->start;
    $round->(0.5);
    if ($i == 2) {
        my ($pid) = $rt->workers;
        $rt->kill_worker($pid);
        $rt->wait_workers;
        $round->(0.5);
    }
    if ($i == 3) {
        ok($rt->reload, 'reload');
        $round->(0.5);
    }
}
up();

is((grep { !/^(?:0|201|409|503|504)$/ } keys %status), 0, 'answers as expected')
    or diag show(\%status);
ok($status{201} > 100, 'bids: ' . show(\%status));

my $state = $rt->get('/auction/b/state');
my $version = $state->header('Realtime-Version');

my @history;
for (my $from = 1; $from <= $version; $from += 1000) {
    push @history, $rt->get("/auction/b/history?from=$from&limit=1000")
        ->json->{events}->@*;
}
is(scalar @history, $version, 'the whole history');
my %in;
$in{ $_->{amount} }++ for grep { $_->{type} eq 'bid' } @history;
is((grep { !$in{$_} } keys %acked), 0, 'every acknowledged bid is in it');
is((grep { $_ != 1 } values %in), 0, 'once');

# what every subscriber has seen, whichever process it came back to

for my $f (@followers) {
    ok(wait_for(sub {
        my $last = $f->{items}[-1];
        return $last && (json_of($last->{data}) // {})->{version} == $version;
    }), 'the last event has come')
        or diag show($f->{items}[-1]), $version;
    $f->stop;
    my @versions = map json_of($_->{data} // '{}')->{version} // 'gap',
        $f->{items}->@*;
    is("@versions", join(' ', 1 .. $version),
       'all events came, once, in order');
}
ok((grep { $_->{starts} > 1 } @followers), 'one came back');

$d->stop;

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
