# Commands over WebSocket: ids, errors, keys and versions, many in flight, with
# topics on the same socket and without, compressed and not, and a slow reader.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;
use RT;
use RT::Daemon;


RT::Daemon->need;

my $d = RT::Daemon->new;
my $rt = RT->new(http => $d->worker, server => RT::Daemon::locations());

my $terms = '{"kind":"english","start":100,"increment":50,'
    . '"ends_in_ms":600000}';

# answers are the objects with an id that have no topic

sub answers ($ws) {
    return grep { exists $_->{id} && !exists $_->{topic} }
           map { json_of($_) // {} } texts($ws);
}

sub texts ($ws) {
    return map $_->{payload}, grep { $_->{opcode} == 1 } $ws->{frames}->@*;
}

sub ask ($ws, $text) {
    my $n = answers($ws);
    $ws->send_text($text);
    wait_for(sub { answers($ws) > $n || $ws->{eof} });
    return (answers($ws))[$n] // {};
}

sub client ($uri, %o) {
    my $ws = $rt->ws($uri, %o, enveloped => 1);
    return $ws;
}


my $ws = client('/auction/1/ws?user=ann');
ok($ws->accepted, 'open') or diag show($ws->{frames});

my $seller = client('/auction/1/ws?user=seller');
my $a = ask($seller, qq({"id":1,"command":"create","data":$terms}));
is($a->{id}, 1, 'the id comes back');
is($a->{ok}{state}, 'open', 'create');
is($a->{version}, 1, 'the version');

$a = ask($ws, '{"command":"bid", "data" : {"amount":150} ,"id": "x\u0041\"" }');
is($a->{id}, 'xA"', 'an id that is a string');
is($a->{ok}{leader}, 'ann', 'the user is that of the connection');
like(join("\n", texts($ws)), qr/"id":"x\\u0041\\""/, 'as it was written')
    or diag show(texts($ws));

$a = ask($ws, '{"id":1.50,"command":"bid","data":{"amount":150}}');
is($a->{error}{code}, 'too_low', 'an error');
is($a->{error}{minimum}, 200, 'with what belongs to it');
ok(length $a->{error}{message}, 'in words');
ok(!exists $a->{ok}, 'and nothing else');

$a = ask($ws, '{"id":3,"command":"bid","data":{"amount":200},"version":1}');
is($a->{error}{code}, 'version', 'another version is expected');
$a = ask($ws, '{"id":3,"command":"bid","data":{"amount":200},"version":2,'
              . '"key":"k"}');
is($a->{version}, 3, 'the expected version');
$a = ask($ws, '{"id":4,"command":"bid","data":{"amount":200},"version":2,'
              . '"key":"k"}');
is($a->{version}, 3, 'once');

$ws->send_text('{"command":"bid","data":{"amount":250}}');
$a = ask($ws, '{"id":5,"command":"bid","data":{"amount":350}}');
is($a->{version}, 5, 'without an id there is no answer, but a bid');
is($a->{id}, 5, 'the next one has its own');

for my $bad (
    [ '', null => qr/malformed|no "command"/ ], [ '[]', null => qr/object/ ],
    [ '{"id":6', null => qr/at byte/ ], [ '{"id":6}', 6 => qr/no "command"/ ],
    [ '{"id":6,"command":7}', 6 => qr/"command" must be a string/ ],
    [ '{"id":6,"command":"bid","data":[]}', 6 => qr/"data" must be/ ],
    [ '{"id":6,"command":"bid","data":{}', 6 => qr/at byte/ ],
    [ '{"id":6,"id":7,"command":"bid"}', 6 => qr/twice/ ],
    [ '{"id":6,"command":"bid","version":-1}', 6 => qr/"version"/ ],
    [ '{"id":{},"command":"bid"}', null => qr/"id" must be/ ],
    [ '{"id":"' . 'x' x 63 . '","command":"bid"}', null => qr/"id" is/ ],
    [ '{"id":6,"command":"' . 'x' x 65 . '"}', 6 => qr/64/ ],
    [ '{"id":6,"command":"bid","key":"' . 'x' x 256 . '"}', 6 => qr/255/ ],
    [ '{"id":6,"x":' . '[' x 80 . ']' x 80 . '}', 6 => qr/deep/ ],
) {
    my ($text, $id, $re) = @$bad;
    $a = ask($ws, $text);
    is($a->{id}, $id eq 'null' ? undef : $id, substr $text, 0, 40);
    is($a->{error}{code}, 'bad_request', 'is told');
    like($a->{error}{message}, $re, 'and why') or diag show($a);
}
$a = ask($ws, '{"id":6,"what":[{"a":[1,"}"]}],"command":"nono"}');
is($a->{id}, 6, 'what nobody knows is passed over');
is($a->{error}{code}, 'unknown_command', 'no such command') or diag show($a);


# its topic, on the same socket

my @messages = grep { ($_->{topic} // '') eq 'auction/1' } map json_of($_),
    texts($ws);
ok(wait_for(sub {
    @messages = grep { ($_->{topic} // '') eq 'auction/1' }
        map { json_of($_) // {} } texts($ws);
    return @messages == 5;
}), 'each event comes as an envelope') or diag show(texts($ws));
is(join(' ', map json_of($_->{data})->{type}, @messages),
   'created bid bid bid bid', 'in order');
is(json_of($messages[4]{data})->{version}, 5, 'with its version');
ok(!$ws->{bad}, 'frames as they should be');


# alone

my $alone = client('/alone/1/ws?user=bob');
$a = ask($alone, '{"id":1,"command":"bid","data":{"amount":1000}}');
is($a->{ok}{leader}, 'bob', 'without topics');
is((grep { /topic/ } texts($alone)), 0, 'no messages');
ok($alone->sync, 'it stays');


# many in flight, in pieces, one connection

my $many = client('/alone/2/ws?user=ann');
ask(client('/alone/2/ws?user=seller'),
    qq({"id":0,"command":"create","data":$terms}));
my $bytes = '';
for my $i (1 .. 200) {
    my $amount = 50 + 50 * $i;
    my $text = qq({"id":$i,"command":"bid","data":{"amount":$amount}});
    $bytes .= RT::WebSocket::frame(1, substr($text, 0, 10), fin => 0)
        . RT::WebSocket::frame(0, substr $text, 10);
}
$many->write($bytes);
ok(wait_for(sub { answers($many) == 200 }), '200 commands at once')
    or diag scalar answers($many);
is(join(' ', map $_->{id}, answers($many)), join(' ', 1 .. 200),
   'are answered in order');
is((grep { $_->{ok} } answers($many)), 200, 'and done');


# more than may wait

$d->signal('STOP');
$many->write(join '', map RT::WebSocket::frame(1,
    qq({"id":$_,"command":"bid","data":{"amount":1}})), 1001 .. 1300);
ok(wait_for(sub { answers($many) == 200 + 44 }), 'the rest is refused at once')
    or diag scalar answers($many);
is((answers($many))[-1]{error}{code}, 'busy', 'as busy');
$d->signal('CONT');
ok(wait_for(sub { answers($many) == 200 + 300 }), 'and all have an answer');
my %seen;
$seen{ $_->{id} }++ for answers($many);
is((grep { $_ != 1 } values %seen), 0, 'one each');


# binary, and a client that leaves with commands in flight

$alone->send_binary('{"id":1,"command":"bid"}');
is($alone->wait_close, 1003, 'commands are text');

$d->signal('STOP');
my $leaves = client('/auction/2/ws?user=cy');
$leaves->write(join '', map RT::WebSocket::frame(1,
    qq({"id":$_,"command":"bid","data":{"amount":${_}000}})), 100 .. 150);
RT::Loop::turn(0.05);
$leaves->close;
RT::Loop::turn(0.05);
$d->signal('CONT');
ok(wait_for(sub {
    return $rt->get('/auction/2/state')->json->{price} == 150000;
}), 'its commands are done');


# a bad place

my $bad = $rt->ws('/auction/' . 'x' x 201 . '/ws');
is($bad->{res} && $bad->{res}->status, 400, 'an entity that cannot be');


# a reader that does not read: the socket fills, answers wait, then it goes

my $slow = client('/alone/1/ws?user=slow', rcvbuf => 4096);
$slow->pause;
my $long = RT::WebSocket::frame(1, '{"id":"' . 'x' x 60
    . '","command":"nono"}');
$slow->write($long x 60_000);
wait_for(sub { $rt->log =~ /session closed with 1013/ });
$slow->resume;
is($slow->wait_close, 1013, 'a reader that does not read is sent away');

$rt->finish;


# commands only, no topics, while others have much to read

$rt = RT->new(http => $d->worker, zone => 'main 16m',
              server => RT::Daemon::locations() . <<'EOF_S');
    location = /much { realtime_history count=700; realtime_subscribe much; }
EOF_S
my $text = 'x' x 10_000;
$rt->publish('much', $text) for 1 .. 700;
my @readers = map { $rt->sse('/much', id => 'earliest') } 1 .. 4;
my @alone = client('/alone/3/ws');
push @alone, client('/alone/3/ws') while @alone < 60 && $alone[-1]->accepted;
$_->send_text('{"id":1,"command":"nono"}') for @alone;
ok(wait_for(sub { @alone == grep { answers($_) } @alone }),
   'commands are answered while others catch up');
ok($_->wait_items(700), 'who get all') for @readers;

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
