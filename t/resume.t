# Coming back: with an id of any transport to any other, nothing is lost and
# nothing comes twice.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2);
my @transports = qw(sse websocket poll stream);

my @ids = map { $rt->publish_id('a', "m$_") } 1 .. 5;
my $epoch = epoch($ids[0]);


# each id on each transport; a mark tells when all has come

for my $transport (@transports) {
    for my $n (0 .. 5) {
        my $id = $n ? $ids[$n - 1] : "$epoch-0";
        my $c = $rt->client($transport, '/sub/a,mark', id => $id, several => 1);
        my $mark = "mark $transport $n";
        $rt->publish('mark', $mark);
        ok($c->wait_data($mark), "$transport from $n");
        my @got = grep { !/^mark/ } map { $_->{data} // show($_) } $c->items;
        is_deeply(\@got, [ map { "m$_" } $n + 1 .. 5 ],
                  "$transport from $n: what was missed") or diag "@got";
        if ($transport ne 'poll') {
            is($c->{open_id}, $id, "$transport from $n: told where it stands");
        }
        $c->close;
    }

    # ways to say it

    my %ways = (
        'earliest' => [ '/sub/a', [ 'Last-Event-ID' => 'earliest' ], 1 ],
        'earliest in the query' => [ '/sub/a?last_event_id=earliest', [], 1 ],
        'query' => [ "/sub/a?last_event_id=$ids[1]", [], 3 ],
        'query among others' => [ "/sub/a?x=1&last_event_id=$ids[1]&y=2", [],
                                  3 ],
        'header wins' => [ "/sub/a?last_event_id=$ids[0]",
                           [ 'Last-Event-ID' => $ids[2] ], 4 ],
        'header wins over a bad query' => [ '/sub/a?last_event_id=bad',
                           [ 'Last-Event-ID' => $ids[2] ], 4 ],
        'empty' => [ '/sub/a', [ 'Last-Event-ID' => '' ], 6 ],
        'empty in the query' => [ '/sub/a?last_event_id=', [], 6 ],
        'none' => [ '/sub/a', [], 6 ],
    );
    for my $way (sort keys %ways) {
        my ($uri, $headers, $from) = $ways{$way}->@*;
        my $c = $rt->client($transport, $uri, headers => $headers);
        my $n = 6 - $from;
        $c->wait_items($n);
        if (!$n) {
            cmp_ok(seq($c->{open_id}) // 0, '>=', 5, "$transport, $way: now");
        }
        my @got = map { $_->{data} // show($_) } $c->items;
        is_deeply(\@got, [ map { "m$_" } $from .. 5 ], "$transport, $way")
            or diag "@got";
        $c->close;
    }

    for my $bad ('x', '5', '-5', "$epoch-", "$epoch-01", "$epoch-+1", "$epoch",
                 "$epoch-1 ,2", "$epoch-x", uc("abcdef-1"), "$epoch-1-1",
                 "$epoch-18446744073709551616", "$epoch-" . '9' x 40,
                 'f' x 40 . '-1', 'Earliest', "$epoch--1", 'g-1')
    {
        my $c = $rt->client($transport, '/sub/a', id => $bad);
        $c->wait_items(6);
        my ($gap, @got) = $c->items;
        is(($gap->{gap} // {})->{reason}, 'epoch',
           "$transport, '$bad': of another server") or diag show($gap);
        is($gap->{gap}{from}, '0-0', 'from nowhere');
        is_deeply([ map { $_->{data} } @got ], [ map { "m$_" } 1 .. 5 ],
                  'and all that there is');
        $c->close;
    }
}

# as event-source-polyfill has it

my $poly = $rt->sse("/sub/a?lastEventId=$epoch-3");
$poly->wait_items(2);
is_deeply([ $poly->data ], [ qw(m4 m5) ], 'lastEventId in the query');
$poly->close;


# a bare WebSocket tells no ids, but its header does

my $ws = $rt->ws('/sub/a', id => $ids[2]);
ok($ws->wait_items(2), 'a bare WebSocket resumes');
is_deeply([ $ws->data ], [ qw(m4 m5) ], 'with what was missed');
is($ws->header('Realtime-Last-Id'), $ids[2], 'and its header tells where');


# one id for many topics: a position in the zone

my @topics = map { "many/$_" } 1 .. 5;
my $c = $rt->sse('/sub/' . join ',', @topics);
$rt->publish($topics[$_ % 5], "n$_") for 1 .. 10;
$c->wait_data('n10');
my ($seventh) = grep { $_->{data} eq 'n7' } $c->items;
$c->close;
$rt->publish($topics[$_ % 5], "n$_") for 11 .. 20;

for my $transport (@transports) {
    for my $uri ('/sub/' . join(',', @topics), '/sub/many/*', '/sub/many/**') {
        $c = $rt->client($transport, $uri, id => $seventh->{id}, several => 1);
        $c->wait_data('n20');
        is_deeply([ $c->data ], [ map { "n$_" } 8 .. 20 ],
                  "$transport, $uri: several topics, one order")
            or diag show($c->items);
        $c->close;
    }
    $c = $rt->client($transport, "/sub/$topics[2]", id => $seventh->{id});
    $c->wait_data('n17');
    is_deeply([ $c->data ], [ qw(n12 n17) ],
              "$transport: an id of another topic");
    $c->close;
}


# a client that never got a message resumes exactly

for my $from (@transports) {
    $c = $rt->client($from, "/sub/quiet/$from");
    my $id = $c->last_id;
    $c->close;
    $rt->publish("quiet/$from", "missed $from");

    for my $to (@transports) {
        $c = $rt->client($to, "/sub/quiet/$from", id => $id);
        ok($c->wait_items(1), "from a silent $from to $to");
        is_deeply([ $c->data ], [ "missed $from" ], 'what it missed');
        $c->close;
    }
}


# live follows history without a seam, while publishing goes on

my $n = 0;
my $pub = $rt->publisher(next => sub { $n++ < 600 ? ('seam', "s$n") : () });
my @f = map { $rt->client($transports[$_ % 4], '/sub/seam', id => "$epoch-0") }
    0 .. 11;
ok(wait_for(sub { $pub->done }), 'publishing under way');
for my $c (@f) {
    $c->wait_data('s600');
    my @got = map { $_->{gap} ? () : $_->{data} =~ s/s//r } $c->items;
    my $first = $got[0] // 0;
    is_deeply(\@got, [ $first .. 600 ], ref($c) . ": no seam from $first on");
}

RT->end;
