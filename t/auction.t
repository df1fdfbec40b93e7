# Auctions end to end: created and bid for over HTTP, seen by EventSources in
# every process; streams of events, from any version, over the daemon's death
# and the process's; entities spread over several daemons.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker . 'realtime_drain 500ms;', workers => 2,
                 http2 => 1, server => RT::Daemon::locations() . <<'EOF_S');
        location ~ ^/both/([^/]+)/(\w+)$ {
            realtime_pass main engine=auction entity=$1 command=$2
                user=$http_x_user;
            realtime_subscribe auction/$1;
        }
EOF_S

sub terms ($ms = 600_000) {
    return '{"kind":"english","start":100,"increment":50,"ends_in_ms":' . $ms
        . '}';
}

sub post ($uri, $body = '{}', @headers) {
    return $rt->request('POST', $uri, \@headers, $body);
}

sub bid ($name, $amount, $user = 'ann') {
    return post("/auction/$name/bid", qq({"amount":$amount}),
                'X-User' => $user)->status;
}


# two EventSources, one in each process

my @sse = map $rt->sse('/sub/auction/1', pid => $_), $rt->workers;
is(post('/auction/1/create', terms(5000))->status, 201, 'create');
is(bid(1, 100 + 50 * $_, "u$_"), 201, "bid $_") for 1 .. 5;

for my $sse (@sse) {
    ok($sse->wait_items(6), 'all is seen');
    my @e = map json_of($_->{data}), $sse->items;
    is(join(' ', map $_->{type}, @e), 'created bid bid bid bid bid',
       'in order');
    is(join(' ', map $_->{version}, @e), '1 2 3 4 5 6', 'with versions');
    is($e[-1]{price}, 350, 'and prices');
    is($e[-1]{leader}, 'u5', 'and leaders');
    ok($e[-1]{ends_at} > 1e12, 'and a time');
}
for my $sse (@sse) {
    ok(wait_for(sub {
        return (json_of(($sse->items)[-1]{data}) // {})->{type} eq 'closed';
    }), 'the end is seen') or diag show(($sse->items)[-1]);
}
my $state = $rt->get('/auction/1/state')->json;
is($state->{state}, 'closed', 'closed');
is($state->{winner}, 'u5', 'the winner');
is($state->{paid}, 350, 'pays');
is(bid(1, 1000), 409, 'too late');


# commands and topics in one place

is(post('/both/b/create', terms())->status, 201, 'in one place: a command');
is($rt->get('/both/b/state')->json->{state}, 'open', 'a query');
my $both = $rt->sse('/both/b/state');
is(post('/both/b/bid', '{"amount":150}', 'X-User' => 'ann')->status, 201,
   'a bid');
ok($both->wait_items(1), 'a subscription');


# streams of events

sub events ($client) {
    return map { ref $_ && !exists $_->{data} ? $_ : json_of($_->{data}) }
        $client->items;
}

sub versions ($text) {
    return join ' ', $text =~ /"version":(\d+)/g;
}

sub stream ($uri, $accept, @headers) {
    my $c = $rt->conn;
    push @{ $c->{methods} }, 'GET';
    $c->write($c->request_bytes('GET', $uri, [ Accept => $accept, @headers ]));
    wait_for(sub { $c->{responses}->@* || $c->{res} });
    return $c;
}

sub body ($c) { return ($c->{responses}[-1] // $c->{res})->body // '' }

sub comes ($c, $versions) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { versions(body($c)) eq $versions });
    is(versions(body($c)), $versions, "versions $versions");
}

my ($sse, $nd) = ('text/event-stream', 'application/x-ndjson');

is(post('/auction/2/create', terms())->status, 201, 'another');
is(bid(2, 150 + 50 * $_), 201, "bid $_") for 1 .. 3;

my $from1 = stream('/auction/2/events', $nd);
my $from3 = stream('/auction/2/events?from=3', $sse);
my $last = stream('/auction/2/events?from=1', $sse, 'Last-Event-ID' => 3);
my $future = stream('/auction/2/events?from=6', $nd);
comes($from1, '1 2 3 4');
comes($from3, '3 4');
comes($last, '4');
my $r = $from3->{responses}[-1] // $from3->{res};
is($r->status, 200, 'its status');
is($r->header('Content-Type'), $sse, 'its type');
is($r->header('Cache-Control'), 'no-cache', 'not to be cached');
like(body($from3), qr/^retry: 2000\nid: 3\ndata: \{.*\}\n\nid: 4\n/, 'SSE');
like(body($from1), qr/^(?:\{.*\}\n){4}$/, 'ndjson');

is(bid(2, 400, 'bob'), 201, 'a bid, live');
comes($_->[0], $_->[1]) for [ $from1, '1 2 3 4 5' ], [ $from3, '3 4 5' ],
    [ $last, '4 5' ], [ $future, '' ];

$d->kill;
$d->start;
ok(wait_for(sub { bid(2, 450, 'cy') == 201 }), 'the daemon is back');
comes($_->[0], $_->[1]) for [ $from1, '1 2 3 4 5 6' ], [ $from3, '3 4 5 6' ],
    [ $last, '4 5 6' ], [ $future, '6' ];

is($rt->get('/auction/nono/events', Accept => $sse)->status, 404,
   'of what is not there');
is($rt->get('/auction/2/events?from=x', Accept => $sse)->status, 400,
   'from nowhere');
is($rt->get('/auction/2/events?from=2')->json->{events}[0]{version}, 2,
   'without a stream it is a query');

my $h2 = qx(curl -sN --http2-prior-knowledge --max-time 1 -H 'Accept: $nd' \\
    http://127.0.0.1:$rt->{h2_port}/auction/2/events);
is(versions($h2), '1 2 3 4 5 6', 'over HTTP/2');


# many events, a reader that stops for a while, and one that leaves

is(post('/auction/3/create', terms())->status, 201, 'a long one');
my $slow = stream('/auction/3/events', $nd);
my $leaves = stream('/auction/3/events', $nd);
$slow->pause;
my $ws = $rt->ws('/alone/3/ws?user=ann', enveloped => 1);
my $n = 20_000;
my $sent = 0;
wait_for(sub {
    my $answers = $ws->{frames}->@*;
    if ($sent < $n && $sent - $answers < 200) {
        $ws->write(join '', map {
            my $amount = 100 + 50 * ++$sent;
            RT::WebSocket::frame(1,
                qq({"id":$sent,"command":"bid","data":{"amount":$amount}}))
        } 1 .. 50);
    }
    return $answers > $n;
});
is($rt->get('/auction/3/state')->header('Realtime-Version'), $n + 1,
   "$n bids");
$leaves->close;
$slow->resume;
ok(wait_for(sub { body($slow) =~ /"version":@{[$n + 1]},.*\n\z/ }),
   'a reader that rests gets all');
my @v = body($slow) =~ /"version":(\d+)/g;
is((grep { $v[$_] != $_ + 1 } 0 .. $#v), 0, 'without a hole');
is(scalar @v, $n + 1, 'once');


# the process goes: the streams end, and go on elsewhere

ok($rt->reload, 'reload');
ok(wait_for(sub { 3 == grep { $_->{responses}->@* } $from1, $from3,
                  $last }), 'the streams end') or diag show($from1->{eof});
my $again = stream('/auction/2/events', $sse, 'Last-Event-ID' => 5);
comes($again, '6');
$_->close for $again, $slow, $ws, $from1, $from3, $last, $future;
$rt->finish;


# three daemons

my @d = ($d, map RT::Daemon->new, 1 .. 3);
shift @d;
my $many = RT->new(http => $d[0]->worker($d[1], $d[2]), workers => 2,
                   server => RT::Daemon::locations());
my $two = RT->new(http => $d[0]->worker($d[1]), zone => 'other 4m',
                  server => RT::Daemon::locations());
my %sse = map { $_ => $many->sse("/sub/auction/$_") } 1 .. 3;

my $c = $many->conn;
for my $i (1 .. 300) {
    my $r = $c->ask('POST', "/auction/$i/create", [], terms());
    $r->status == 201 or diag $r->show;
}

my $w = $c->ask('GET', '/status')->json->{workers}{main};
my @entities = map $w->{ $_->address }{entities}, @d;
is(eval { $entities[0] + $entities[1] + $entities[2] }, 300,
   'entities are spread') or diag show($w);
is((grep { $_ < 40 } @entities), 0, 'evenly: ' . show(\@entities));
ok($_->wait_items(1), 'each daemon publishes') for values %sse;

# with one less, the others' stay where they are

my ($moved, $kept) = (0, 0);
my $c2 = $two->conn;
for my $i (1 .. 300) {
    $c2->ask('GET', "/auction/$i/state")->status == 200 ? $kept++ : $moved++;
}
is($moved, $entities[2], 'only those of one daemon have no place in two');
is($kept, $entities[0] + $entities[1], 'the others stay where they are');

$d[1]->kill;
my %answers;
wait_for(sub { $c->ask('GET', '/status')->json->{workers}{main}
               { $d[1]->address }{state} eq 'down' });
$answers{ $c->ask('GET', "/auction/$_/state")->status }++ for 1 .. 300;
is($answers{503}, $entities[1], 'one daemon away: 503 for its own')
    or diag show(\%answers);
is($answers{200}, 300 - $entities[1], 'and for no others');
$d[1]->start;

$many->finish;
$two->finish;
RT::Daemon::END_ALL();
done_testing();
