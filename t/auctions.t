# The list of auctions, a projection, over HTTP: what is open, in pages; what
# it does not tell; what it refuses; and that it is the same after the daemon
# has been killed, with and without a snapshot.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, server => RT::Daemon::locations()
    . <<'EOF_S');
        location ~ ^/auctions/(\w+)$ {
            realtime_pass main engine=auctions entity=all command=$1
                user=$http_x_user;
        }
        location ~ ^/others/(\w+)/(\w+)$ {
            realtime_pass main engine=auctions entity=$1 command=$2;
        }
EOF_S

sub encoded ($s) { return $s =~ s/([^\w-])/sprintf '%%%02X', ord $1/ger }

sub post ($name, $command, $body = '{}', $user = '') {
    return $rt->request('POST', '/auction/' . encoded($name) . "/$command",
                        [ 'X-User' => $user ], $body)->status;
}

sub create ($name, $kind, $ends, $starts = 0) {
    return post($name, 'create', qq({"kind":"$kind","currency":"EUR",)
        . qq("start":100,"ends_in_ms":$ends,"starts_in_ms":$starts}), 'sam');
}

sub list ($query) { return $rt->get("/auctions/$query")->json }

sub names ($list) { return join ' ', map $_->{auction}, $list->{auctions}->@* }


my $empty = $rt->get('/auctions/open');
is($empty->status, 200, 'before there are any');
is_deeply([ $empty->json->@{qw(auctions next count unlisted since)} ],
          [ [], undef, 0, 0, 1 ], 'an empty list');

is(create('late', 'english', 900_000), 201, 'create');
is(create('early & co+%', 'english', 300_000), 201, 'create');
is(create('hidden', 'sealed', 600_000), 201, 'create');
is(create('soon', 'dutch', 600_000, 600_000), 201, 'create');
is(create('short', 'vickrey', 700), 201, 'create');

is(post('late', 'bid', '{"amount":150,"max":999}', 'ann'), 201, 'bid');
is(post('hidden', 'bid', '{"amount":777}', 'bob'), 201, 'bid in secret');

ok(wait_for(sub { list('open')->{count} == 3 }), 'one is over');
my $answer = $rt->get('/auctions/open');
my $open = $answer->json;
is(names($open), 'early & co+% hidden late', 'by their end');
is($answer->header('ETag'), '"8"', 'so many events');

my ($hidden, $late) = $open->{auctions}->@[1, 2];
is_deeply([ $late->@{qw(currency price leader bids version)} ],
          [ 'EUR', 150, 'ann', 1, 2 ], 'a bid is seen at once');
is_deeply([ $hidden->@{qw(price leader bids)} ], [ undef, undef, 1 ],
          'of a sealed one that there are bids');
unlike($answer->body, qr/\b777\b|bob|\b999\b|sam/, 'and no more');

my $state = $rt->get('/auction/late/state')->json;
is_deeply([ $late->@{qw(kind price leader bids start starts_at ends_at)} ],
          [ $state->@{qw(kind price leader bids start starts_at ends_at)} ],
          'as the auction itself says');

is(names(list('scheduled')), 'soon', 'what will be');


# pages

my @pages;
my $page = list('open?n=1');
while ($page->{next}) {
    push @pages, names($page);
    $page = list('open?n=1&after=' . encoded($page->{next}));
}
is_deeply([ @pages, names($page) ], [ 'early & co+%', 'hidden', 'late' ],
          'page by page');
is($page->{count}, 3, 'with how many there are');


# what it refuses

my $refused = $rt->request('POST', '/auctions/create', [], '{}');
is($refused->status, 409, 'no commands');
is($refused->json->{error}, 'read_only', 'as it says');
is($rt->get("/auctions/$_")->status, 404, "no $_")
    for qw(history at?version=1 events state);
is($rt->request('GET', '/auctions/events', [ Accept => 'text/event-stream' ])
       ->status, 404, 'no stream of events');
is($rt->get('/others/none/open')->status, 404, 'no other entity');
is($rt->get("/auctions/open?$_")->status, 400, "bad: $_")
    for qw(n=0 n=201 n=x after=x);


# killed, with more events after a snapshot, and without

my $want = $rt->get('/auctions/open')->json->{auctions};

for my $signal ('KILL', 'TERM', 'KILL') {
    $d->stop($signal);
    $d->start;
    ok(wait_for(sub { $rt->get('/auctions/open')->status == 200 }), 'back');
    is_deeply(list('open')->{auctions}, $want, "the same after $signal");
    is(post('late', 'bid', '{"amount":' . (200 + 100 * $want->[2]{bids})
            . '}', 'bob'), 201, 'and a bid more');
    $want = list('open')->{auctions};
}
is($want->[2]{bids}, 4, 'all bids are seen');

my $status = $rt->get('/status')->json->{workers}{main}{ $d->address };
is_deeply($status->{projections}{auctions},
          { since => 1, entities => 1, passed_over => 0 }, 'the status')
    or diag show($status);

is(post('late', 'cancel', '{}', 'sam'), 409, 'there is a bid');
is(post('late', 'close', '{}', 'sam'), 200, 'closed');
is(names(list('open')), 'early & co+% hidden', 'and not open any more');

$d->kill;
my $ctl = RT::build_dir() . '/realtimectl';
my $check = qx($ctl -d $d->{dir}/data replay --check 2>&1);
is($?, 0, 'replay --check') or diag $check;
like($check, qr/the states agree/, 'agrees');
$d->start;

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
