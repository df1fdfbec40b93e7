# EventSource, to the byte.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S');
    location ~ ^/slow/(.+)$ {
        realtime_retry 1m;
        realtime_subscribe $1;
    }
    location ~ ^/enveloped/(.+)$ {
        realtime_envelope on;
        realtime_subscribe $1;
    }
EOF_S

# a colon may be followed by a space; here it is not

sub plain ($text) { return $text =~ s/^([a-z]+): /$1:/mgr }


my $sse = $rt->sse('/sub/a');
is($sse->status, 200, 'status');
my $open = $sse->{open_id};
is(seq($open), 0, 'an empty zone is at 0') or diag show($open);
my $epoch = epoch($open);
is(plain($sse->{raw}), "retry:2000\nid:$epoch-0\n", 'how it begins');
is($sse->header('Realtime-Last-Id'), $open, 'the same in a header');

my @cases = (
    # data                    lines
    [ 'hello',                'hello' ],
    [ '',                     '' ],
    [ ' leading space',       ' leading space' ],
    [ 'a: b',                 'a: b' ],
    [ ':x',                   ':x' ],
    [ "a\nb",                 'a', 'b' ],
    [ "a\r\nb\rc\nd",         qw(a b c d) ],
    [ "a\n",                  'a', '' ],
    [ "a\r\n",                'a', '' ],
    [ "a\r",                  'a', '' ],
    [ "\n",                   '', '' ],
    [ "\r\r\n\n",             '', '', '', '' ],
    [ "\nid: x\nevent: y\n",  '', 'id: x', 'event: y', '' ],
    [ "caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x80\xa8",
      "caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x80\xa8" ],
    [ "tab\tand nul\0",       "tab\tand nul\0" ],
    [ '{"json":[1]}',         '{"json":[1]}' ],
);

my $n = 0;
for my $case (@cases) {
    my ($data, @lines) = @$case;
    my $id = $rt->publish_id('a', $data);
    is($id, "$epoch-" . ++$n, 'published');
    $sse->wait_items($n);
    my $item = ($sse->items)[$n - 1] // {};
    my $name = $data =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
    my $raw = $item->{raw} // '';

    is($raw =~ s/^data: ?/data:/mgr =~ s/^id: /id:/r,
       "id:$id\n" . join('', map { "data:" . s/^ //r . "\n" } @lines) . "\n",
       "bytes of '$name'") if $data !~ /^ /;
    is($item->{data}, join("\n", @lines), "data of '$name'");
}

# events and binary

my %want = (
    'named' => [ 'x', [ 'Realtime-Event' => 'offer' ],
                 "event:offer\ndata:x\n" ],
    'binary' => [ "\0\xff\n", [ 'Content-Type' => 'image/png' ],
                  "event:realtime:binary\ndata:AP8K\n" ],
    'named binary' => [ "\0\xff\n", [ 'Content-Type' => 'image/png',
                        'Realtime-Event' => 'picture' ],
                        "event:picture\ndata:AP8K\n" ],
    'empty binary' => [ '', [ 'Content-Type' => 'image/png' ],
                        "event:realtime:binary\ndata:\n" ],
    'typed text' => [ 'x', [ 'Content-Type' => 'text/x' ], "data:x\n" ],
);
for my $name (sort keys %want) {
    my ($data, $headers, $lines) = $want{$name}->@*;
    my $id = $rt->publish_id('a', $data, @$headers);
    $n++;
    $sse->wait_items($n);
    is(plain(($sse->{blocks}[-1] // {})->{raw} // '') =~ s/data: $/data:/mr,
       "id:$id\n$lines\n", $name);
}
my $large = join "\n", map { 'x' x ($_ % 97) } 1 .. 1300;
$rt->publish('a', $large);
ok($sse->wait_data($large), length($large) . ' bytes in many lines');
$n++;

# a burst

my $c = $rt->conn;
$c->request('POST', '/pub/a', [], "burst $_") for 1 .. 300;
ok($sse->wait_items($n + 300), 'a burst');
is_deeply([ grep { /^burst/ } $sse->data ], [ map { "burst $_" } 1 .. 300 ],
          'a burst in order');
my @seqs = map { seq($_->{id}) } $sse->items;
is_deeply(\@seqs, [ 1 .. @seqs ], 'each id is the next');
is_deeply($sse->{unknown}, undef, 'no unknown field');
unlike($sse->{raw}, qr/\r/, 'no CR');

# other locations

my $slow = $rt->sse('/slow/a');
is($slow->{retry}, 60000, 'realtime_retry');

for my $how ([ '/sub/b', envelope => 1 ], [ '/enveloped/b', enveloped => 1 ])
{
    my $e = $rt->sse(@$how);
    my $id = $rt->publish_id('b', "caf\xc3\xa9", 'Realtime-Event' => 'e',
                             'Content-Type' => 'text/x');
    ok($e->wait_items(1), 'envelope');
    my ($m) = $e->messages;
    is($m->{id}, $id, 'envelope: id') or diag $e->{raw};
    is($m->{topic}, 'b', 'envelope: topic');
    is($m->{event}, 'e', 'envelope: event');
    is($m->{type}, 'text/x', 'envelope: type');
    is($m->{data}, "caf\xc3\xa9", 'envelope: data');
    like($m->{time}, qr/^\d{13}$/, 'envelope: time in ms');
    cmp_ok(abs($m->{time} / 1000 - time), '<', 30, 'envelope: the time');
    is($e->last_id, $id, 'envelope: the id line, too');
    $e->close;
}

# several topics, by the names of their events

my $by_topic = $rt->sse('/sub/c/1,c/2?event=topic');
$rt->publish('c/2', 'two', 'Realtime-Event' => 'e');
$rt->publish('c/1', "\xff", 'Content-Type' => 'image/png');
ok($by_topic->wait_items(2), 'two topics');
is_deeply([ map { [ @$_{qw(event data)} ] } $by_topic->items ],
          [ [ 'c/2', 'two' ], [ 'c/1', '/w==' ] ], 'events are their topics');

# JSON as it is, on every transport

my @clients = map { "RT::$_"->open($rt, '/sub/j?envelope=2', enveloped => 1) }
    qw(SSE WebSocket Stream);
my $text = qq({"a":\n[1,"x"]});
my $before = $rt->publish_id('j', $text, 'Content-Type' => 'application/json');
$rt->publish('j', '{"a":', 'Content-Type' => 'application/json');
$rt->publish('j', '[1]', 'Content-Type' => 'text/plain');
for my $c (@clients) {
    my $name = ref $c;
    ok($c->wait_items(3), "$name: three messages");
    my @m = $c->messages;
    is_deeply($m[0]{json}, { a => [ 1, 'x' ] }, "$name: JSON is a value");
    ok(!exists $m[0]{data}, "$name: and not a string");
    is($m[1]{data}, '{"a":', "$name: what is no JSON is a string");
    is($m[2]{data}, '[1]', "$name: and what has another type");
    $c->close;
}
my $polled = $rt->get('/sub/j?envelope=2&last_event_id=earliest',
                      Accept => 'application/json')->json;
is_deeply($polled->[0]{json}, { a => [ 1, 'x' ] }, 'a poll, too');

# gaps of an envelope have no name that an EventSource would have to know

$rt->request('DELETE', '/pub/j');
my $e = $rt->sse('/sub/j', envelope => 1, id => $before);
ok($e->wait_items(1), 'a gap');
unlike($e->{raw}, qr/^event:/m, 'without an event') or diag $e->{raw};

RT->end;
