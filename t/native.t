# A session of "realtime.json": operations and their replies, each topic with a
# position of its own, a thousand of them on one connection, and how it ends.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Native;


RT->need('realtime_protocol');

my $id = qr/^[0-9a-f]+-(?:0|[1-9]\d*)$/;
my $any = 'room/**';

my %zone = (workers => 2, server => <<'EOC');
        location = /ws {
            realtime_subscribe room/**;
            realtime_publish   room/** websocket;
            realtime_protocol  native;
            realtime_history   count=10000 age=1h;
        }
        location = /short {
            realtime_subscribe room/**;
            realtime_protocol  native;
            realtime_history   count=10 age=1h;
        }
        location = /long {
            realtime_subscribe room/**;
            realtime_protocol  native;
            realtime_history   count=1000000 age=1h;
        }
        location = /idle {
            realtime_subscribe room/**;
            realtime_protocol  native;
            realtime_keepalive 1s;
        }
        location = /own {
            realtime_subscribe own/a own/b;
            realtime_publish   own/** websocket;
        }
EOC

my $rt = RT->new(%zone);


# The location's own topics may be what a session begins with; here each begins
# with nothing.

sub session ($uri = '/ws', %o) {
    my $s = RT::Native->open($rt, $uri, %o);

    $s->op(unsubscribe => topic => $any);
    return $s;
}


sub is_error ($reply, $name) {
    my $e = $reply->{error} // $reply;

    ok(!$reply->{ok}, "$name: refused") or diag show($reply);
    like(ref $e eq 'HASH' ? $e->{code} : '', qr/^\w+$/, "$name: a code")
        or diag show($reply);
    like(ref $e eq 'HASH' ? $e->{message} : '', qr/\w/, "$name: a message");
}


# how it begins

my $one = RT::Native->open($rt, '/ws');

is($one->status, 101, 'open');
is($one->header('Sec-WebSocket-Protocol'), 'realtime.json', 'the subprotocol');
is(scalar $one->{opens}->@*, 1, 'one open message');

my $open = $one->{opens}[0]{open};

like($open->{id}, $id, 'with a position');
ok(length($open->{client} // ''), 'and an id of the client')
    or diag show($open);
$one->op(unsubscribe => topic => $any);

my $two = session();

isnt($two->{opens}[0]{open}{client}, $open->{client}, 'each has another');


# subscribe, publish, unsubscribe

my $reply = $one->subscribe('room/a');

ok($reply->{ok}, 'subscribe') or diag show($reply);
like($reply->{ok}{id}, $id, 'its position');
is_deeply([ sort grep { $_ ne 'at' } keys %$reply ], [qw(ok ref)],
          'nothing else');

my $first = $rt->publish_id('room/a', 'over HTTP');

ok($one->wait_data('over HTTP'), 'a message');

my ($m) = $one->messages;

is($m->{id}, $first, 'its id');
is($m->{topic}, 'room/a', 'its topic');
like($m->{time}, qr/^\d{13}$/, 'its time');

$reply = $one->op(publish => topic => 'room/a', data => 'in-band',
                  event => 'e');
like($reply->{ok}{id}, $id, 'publish') or diag show($reply);
ok($one->wait_data('in-band'), 'a message comes back');
is(($one->messages)[-1]{id}, $reply->{ok}{id}, 'the id that was told');
is(($one->messages)[-1]{event}, 'e', 'the event');

is($rt->get('/pub/room/a')->json->{messages}, 2, 'both are in the zone');
$one->send_op(publish => { topic => 'room/a', data => 'no ref' }, undef);
ok($one->wait_data('no ref'), 'without a ref it is done, too');

$one->send_op(subscribe => { topic => 'room/quiet' }, undef);
ok($one->sync, 'and subscribed');
$rt->publish('room/quiet', 'q');
ok($one->wait_data('q'), 'without a ref');

$one->send_op(publish => { topic => 'room/a', data => 's' }, 'a string');
$reply = $one->reply('a string');
ok($reply->{ok}, 'a ref may be a string');

$reply = $one->op(unsubscribe => topic => 'room/quiet');
ok($reply->{ok}, 'unsubscribe') or diag show($reply);
$rt->publish('room/quiet', 'unheard');
$rt->publish('room/a', 'end');
ok($one->wait_data('end'), 'the other topic goes on');
is_deeply([ $one->of('room/quiet') ], ['q'], 'this one does not');


# the same key is one message

my @same = map {
    $one->op(publish => topic => 'room/key', data => 'k', key => 'key-1')
} 1, 2;

is($same[0]{ok}{id}, $same[1]{ok}{id}, 'a key: one message')
    or diag show(@same);
is($rt->get('/pub/room/key')->json->{messages}, 1, 'in the zone, too');
is_error($one->op(publish => topic => 'room/key', data => 'other',
                key => 'key-1'), 'a key with another body');


# what is refused; the session goes on

is_error($one->op(dance => topic => 'room/a'), 'an unknown operation');
is_error($one->op(subscribe => topic => 'room/a'), 'a second subscription');
is_error($one->op(unsubscribe => topic => 'room/none'), 'no subscription');
is_error($one->op(subscribe => topic => 'other/a'), 'a topic of others');
is_error($one->op(publish => topic => 'other/a', data => 'x'),
         'a message to others');
is_error($one->op(publish => topic => 'room/*', data => 'x'), 'a star');
is_error($one->op(subscribe => topic => 'room/a', id => 'x-1'), 'a bad id');
is_error($one->op(publish => data => 'x'), 'no topic');

for my $bad ('', 'room/', 'room//a', "room/\x01", 'room/' . 'x' x 256) {
    is_error($one->op(subscribe => topic => $bad), 'a bad topic');
}

is($rt->get('/pub/other/a')->status, 404, 'nothing was published');

for my $bad ('{', 'x', '[]', '1', '{"subscribe":', '{}') {
    my $n = $one->errors;

    $one->send_text($bad);
    ok($one->sync, "'$bad': the session goes on")
        or diag show($one->close_code);
    is(scalar $one->errors, $n + 1, "'$bad': one error");
    is_error(($one->errors)[-1] // {}, "'$bad'");
}


# replies are of the session that asked, and messages come after the ok

$_->send_op(publish => { topic => 'room/b', data => 'x' }, 'same')
    for $one, $two;
ok($_->reply('same')->{ok}, 'both are answered') for $one, $two;
isnt($one->reply('same')->{ok}{id}, $two->reply('same')->{ok}{id},
     'each its own');
$one->send_op(publish => { topic => 'room/b', data => 'y' }, 'only a');
ok($one->reply('only a')->{ok} && $two->sync, 'one is answered');
ok(!$two->{replies}{'only a'}, 'and the other sees nothing of it');

$reply = $two->subscribe('room/b', $first);
ok($reply->{ok}, 'subscribe with an id') or diag show($reply);
ok($two->wait_items(3), 'what came after it');
is($reply->{at}, 0, 'after the ok');
is_deeply([ $two->of('room/b') ], [qw(x x y)], 'in order');
is(scalar $two->gaps, 0, 'no gap');
is_deeply($_->{bad}, undef, 'nothing strange') for $one, $two;
$_->close for $one, $two;


# each topic from its own position, exactly

{
    my $s = session();
    my (%at, %want);

    for my $n (1 .. 200) {
        my $topic = 'room/r' . $n % 4;
        my $id = $rt->publish_id($topic, "m$n");

        my $since = 40 + $n % 4 * 21;

        $at{$topic} = $id if $n == $since;
        push @{ $want{$topic} }, "m$n" if $n > $since;
    }

    is(scalar keys %at, 4, 'positions');
    $s->send_op(subscribe => { topic => $_, id => $at{$_} }) for sort keys %at;
    $rt->publish($_, 'live') for sort keys %at;
    push @$_, 'live' for values %want;

    my $n = 0;

    $n += @$_ for values %want;
    ok($s->wait_items($n), 'all that was missed');
    ok($s->sync, 'and no more');
    is_deeply({ map { $_ => [ $s->of($_) ] } keys %at }, \%want,
              'nothing lost, doubled or out of order');
    is(scalar $s->gaps, 0, 'no gap');
    $s->close;
}


# gaps

{
    my $s = session('/short');
    my @ids = map { $rt->publish_id('room/gap', "g$_") } 1 .. 30;

    ok($s->subscribe('room/gap', $ids[4])->{ok}, 'an old id');
    ok($s->wait_data('g30'), 'what there is');

    my ($gap) = $s->gaps;

    is($gap->{topic}, 'room/gap', 'a gap: topic') or diag show($s->items);
    is($gap->{from}, $ids[4], 'from');
    is($gap->{to}, $ids[19], 'to');
    is($gap->{reason}, 'history', 'reason');
    is_deeply([ $s->of('room/gap') ], [ map { "g$_" } 21 .. 30 ],
              'then all after it');

    $s->op(unsubscribe => topic => 'room/gap');
    ok($s->subscribe('room/gap', 'feed-7')->{ok}, 'an id of another epoch');
    ok($s->wait_items(22), 'a gap and what there is');
    is_deeply([ @{ ($s->gaps)[1] }{qw(topic from reason)} ],
              [ 'room/gap', 'feed-7', 'epoch' ], 'it is told');
    is(scalar $s->gaps, 2, 'once');
    $s->close;
}


# a script can see that the connection lives

{
    my $s = RT::Native->open($rt, '/idle');

    ok(wait_for(sub { @{ $s->{pinged} // [] } >= 2 }), 'pings when idle');
    is_deeply($s->{pinged}[0], {}, 'empty');
    $s->close;
}


# the location's own topics come by themselves

{
    my $s = RT::Native->open($rt, '/own');

    $rt->publish('own/a', 'by itself');
    ok($s->wait_data('by itself'), "the location's own topics");
    ok($s->op(publish => topic => 'own/b', data => 'mine')->{ok}, 'publish');
    ok($s->wait_data('mine'), 'and get it');
    is_error($s->subscribe('room/a'), 'what they do not cover');
    $s->close;
}


# a thousand readers

{
    my $s = session();
    my @topics = map { "room/n/$_" } 1 .. 1000;
    my $pub = $rt->conn;
    my $gaps = $rt->status->{zones}{main}{gaps};

    is($s->subscribe_all(@topics), 1000, 'a thousand subscriptions');

    for my $topic (@topics) {
        $pub->request('POST', "/pub/$topic", [], "to $topic");
    }

    ok($s->wait_items(1000), 'a message for each');
    is_deeply([ sort map { "$_->{topic} $_->{data}" } $s->messages ],
              [ sort map { "$_ to $_" } @topics ], 'each once');

    $s->op(unsubscribe => topic => $_) for @topics[0 .. 499];
    $s->{items} = [];
    for my $topic (@topics) {
        $pub->request('POST', "/pub/$topic", [], 'again');
    }
    ok($s->wait_items(500), 'then half of them');
    $rt->publish('room/n/1000', 'end');
    ok($s->wait_data('end'), 'and no more');
    is(scalar $s->messages, 501, 'each once');
    is($rt->status->{zones}{main}{gaps}, $gaps, 'and no gap');
    $s->close;
    $pub->close;
}


# what is no message of a session

{
    my $s = session();
    $s->send_text('{"publish":{"topic":"room/a","data":"' . 'x' x 300_000
                  . '"}}');
    is($s->wait_close, 1009, 'too large');

    $s = session();
    $s->send_binary('{"subscribe":{"topic":"room/a"}}');
    is($s->wait_close, 1003, 'binary');

    $s = session();
    $s->send_close(1000);
    is($s->wait_close, 1000, 'the end');
}


# a reload: close 1012, and each topic resumes

{
    my $s = session();
    my (@topics) = map { "room/reload/$_" } 1 .. 5;

    is($s->subscribe_all(@topics), 5, 'before a reload');
    $rt->publish($_, 'before') for @topics;
    ok($s->wait_items(5), 'messages');

    my %at = map { $_->{topic} => $_->{id} } $s->messages;

    ok($rt->reload, 'reload');
    is($s->wait_close, 1012, 'closed with 1012');
    $rt->publish($_, 'meanwhile') for @topics;

    $s = session();
    ok($s->subscribe($_, $at{$_})->{ok}, 'resume') for @topics;
    $rt->publish($_, 'after') for @topics;
    ok($s->wait_items(10), 'all that was missed');
    ok($s->sync, 'and no more');
    is_deeply([ map { join ' ', $s->of($_) } @topics ],
              [ ('meanwhile after') x 5 ], 'exactly');
    $s->close;
}

$rt->finish;


# a topic beside a pattern that has it comes or goes where a slow client is far
# behind: all the same each message comes once, and in order

$rt = RT->new(%zone, workers => 1, zone => 'main 32m',
              listen => 'sndbuf=16k');

sub whole ($s, $topic, $n, $name) {
    my @n;

    ok(wait_for(sub {
        $s->eof || grep { /^$n / } $s->of($topic);
    }), "$name: to the end");
    wait_for(sub { $s->of($topic) >= $n });

    @n = map { /^(\d+) / } $s->of($topic);
    is("@n", join(' ', 1 .. $n), "$name: each once, in order");
    is(scalar $s->gaps, 0, "$name: no gap");
    $s->close;
}

for my $read (0, 5) {
    my $s = RT::Native->open($rt, '/ws', rcvbuf => 4096);
    my $topic = "room/over/$read";

    my $other = session();

    $_->subscribe($topic) for $s, $other;
    $s->pause;
    $rt->publish($topic, "$_ " . 'x' x 10_000) for 1 .. 60;

    if ($read) {
        $s->resume;
        wait_for(sub { $s->messages >= $read });
        $s->pause;
    }

    $s->send_op(unsubscribe => { topic => $topic }, undef);
    $s->send_op(publish => { topic => $topic, data => '61 ' }, undef);
    ok($other->wait_items(61), 'it has gone');
    $other->close;
    $s->resume;
    whole($s, $topic, 61, "the topic goes after $read");
}

{
    my $s = session('/ws', rcvbuf => 4096);

    $rt->publish('room/over/new', "$_ " . 'x' x 10_000) for 1 .. 60;
    $s->pause;
    $s->send_op(subscribe => { topic => $any, id => 'earliest' }, undef);
    $s->send_op(subscribe => { topic => 'room/over/new' }, undef);
    $s->send_op(publish => { topic => 'room/over/new', data => '61 ' },
                undef);
    $s->resume;
    whole($s, 'room/over/new', 61, 'the topic comes');
}

$rt->finish;


# what has to look for its beginning is answered before what came after it

$rt = RT->new(%zone, workers => 1, zone => 'main 64m');

{
    my $p = session();
    my $n = 100_000;

    for my $batch (1 .. 100) {
        $p->write(join '', map {
            RT::WebSocket::frame(1, '{"publish":{"topic":"room/long",'
                                    . qq("data":"$_ "}}))
        } ($batch - 1) * 1000 + 1 .. $batch * 1000);
    }

    ok($p->op('ping')->{ok}, 'published');
    $p->close;

    my $s = session('/long');

    $s->write(join '', map { RT::WebSocket::frame(1, $_) }
        qq({"subscribe":{"topic":"$any","id":"earliest"},"ref":901}),
        '{"subscribe":{"topic":"room/long","id":"earliest"},"ref":902}',
        '{"ping":{},"ref":903}');

    ok(wait_for(sub { $s->{replies}{903} }), 'all are answered');
    ok($s->{replies}{$_}{ok}, "$_ is") or diag show($s->{replies}{$_})
        for 901 .. 903;

    my @order = map { /"ref":(\d+)/ ? $1 : () }
                map { $_->{payload} } $s->{frames}->@*;
    is("@order[1 .. 3]", '901 902 903', 'in order');

    ok(wait_for(sub { $s->messages >= $n }), 'all come');
    $rt->publish('room/long', 'end');
    ok(wait_for(sub { ($s->of('room/long'))[-1] eq 'end' }), 'and the next');
    is(scalar $s->messages, $n + 1, 'once');
    $s->close;
}

$rt->finish;


# a session that does not read is overtaken by the ring, and others are not

$rt = RT->new(%zone, workers => 1, zone => 'main 1m',
              listen => 'sndbuf=16k');

{
    my $slow = session('/ws', rcvbuf => 4096);
    my $quick = session();
    my @topics = map { "room/slow/$_" } 1 .. 3;

    is($_->subscribe_all(@topics), 3, 'subscribed') for $slow, $quick;
    $slow->pause;

    for my $n (1 .. 300) {
        $rt->publish($topics[$n % 3], "$n " . 'x' x 10_000);
        $quick->wait_items($n) or last;
    }

    is(scalar $quick->messages, 300, 'the quick one gets all');
    is(scalar $quick->gaps, 0, 'without a gap');

    $slow->resume;
    $rt->publish($_, 'end') for @topics;
    ok(wait_for(sub {
        $slow->eof || 3 == grep { ($_->{data} // '') eq 'end' } $slow->items
    }), 'the slow one comes to the end');

    my %gap = map { $_->{topic} => $_->{reason} } $slow->gaps;

    is_deeply(\%gap, { map { $_ => 'lagged' } @topics }, 'with gaps');

    for my $topic (@topics) {
        my @n = map { /^(\d+) / ? $1 : () } $slow->of($topic);
        my $sorted = join ' ', sort { $a <=> $b } @n;

        is("@n", $sorted, "$topic: in order");
    }

    is_deeply($_->{bad}, undef, 'nothing strange') for $slow, $quick;
    $_->close for $slow, $quick;
}

RT->end;
