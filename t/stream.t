# The stream: a JSON message per line.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;

use JSON::PP;

my $rt = RT->new(workers => 2);

my $s = $rt->stream('/sub/a,b');
is($s->status, 200, 'status');
like($s->{open_id}, qr/^[0-9a-f]+-0$/, 'it begins with a position');
is_deeply(json_of($s->{lines}[0] // ''), { open => { id => $s->{open_id} } },
          'and nothing else in the line') or diag show($s->{lines});
is($s->header('Realtime-Last-Id'), $s->{open_id}, 'as in the header');

my @ids = (
    $rt->publish_id('a', "two\nlines, \"caf\xc3\xa9\" \\ \x01",
                    'Realtime-Event' => 'e', 'Content-Type' => 'text/x'),
    $rt->publish_id('b', "\0\xff", 'Content-Type' => 'image/png'),
    $rt->publish_id('a', ''),
);
$rt->publish('c', 'not ours');
push @ids, $rt->publish_id('b', 'x' x 65536);
ok($s->wait_items(4), 'messages come') or diag show($s->{lines});

my @m = map { json_of($_) } $s->{lines}->@[ 1 .. 4 ];
is_deeply([ map { $_->{id} } @m ], \@ids, 'ids');
is_deeply([ map { $_->{topic} } @m ], [ qw(a b a b) ], 'topics');
is($m[0]{data}, "two\nlines, \"caf\x{e9}\" \\ \x01", 'data');
is($m[0]{event}, 'e', 'event');
is($m[0]{type}, 'text/x', 'type');
is($m[1]{base64}, 'AP8=', 'base64');
is(join(' ', sort keys $m[1]->%*), 'base64 id time topic type', 'keys');
is(join(' ', sort keys $m[2]->%*), 'data id time topic', 'keys');
is($m[2]{data}, '', 'empty');
is(length $m[3]{data}, 65536, 'large');
ok(!(grep { !JSON::PP::is_bool($_) && ref } map { values %$_ } @m),
   'values are plain');
like($s->{lines}[1], qr/"time": ?\d{13}[,}]/, 'time is a number');

# a burst, in chunks of any size

my @want = map { "m$_" . 'x' x ($_ * 37 % 1000) } 1 .. 500;
my $pub = $rt->conn;
$pub->request('POST', '/pub/a', [], $_) for @want;
ok($s->wait_items(504), 'a burst');
is_deeply([ map { $_->{data} } ($s->items)[4 .. 503] ], \@want, 'in order');
is_deeply($s->{bad}, undef, 'each line is JSON');

# nobody's bytes come twice: a second reader sees the same bytes

my $one = $rt->stream('/sub/same');
my $two = $rt->stream('/sub/same');
$rt->publish('same', "m$_") for 1 .. 50;
ok($one->wait_items(50) && $two->wait_items(50), 'two readers');
is_deeply([ map { $_->{raw} // $_->{data} } $one->items ],
          [ map { $_->{raw} // $_->{data} } $two->items ], 'read the same');

# HTTP/1.0

my $c = $rt->conn;
push $c->{methods}->@*, 'GET';
$c->write("GET /sub/same HTTP/1.0\r\nAccept: application/x-ndjson\r\n"
          . "Last-Event-ID: earliest\r\n\r\n");
ok(wait_for(sub { $c->{res} && $c->{res}{body} =~ /"m50"/ }), 'HTTP/1.0');
is(scalar(() = $c->{res}{body} =~ /\n/g), 51, 'lines')
    or diag $c->{res}{body};

# a client that goes

my $count = sub { $rt->status->{zones}{main}{subscribers}{stream} };
my @all = ($s, $one, $two, $c);
is($count->(), 4, 'four are counted');
$_->abort for $s, $one;
$_->close for $two, $c;
ok(wait_for(sub { $count->() == 0 }), 'and are gone');

# a body that comes in parts, and a client that goes before it is complete, and
# one that goes after it

for my $rest ('', '23456', '23456789') {
    $c = $rt->conn;
    push $c->{methods}->@*, 'GET';
    $c->write("GET /sub/same HTTP/1.1\r\nHost: localhost\r\n"
              . "Accept: application/x-ndjson\r\nContent-Length: 10\r\n"
              . "Last-Event-ID: earliest\r\n\r\n01");
    ok(wait_for(sub { $c->{res} && $c->{res}{body} =~ /"m50"/ }), 'a body');
    is($c->{res}->header('Connection'), 'close', 'no next request');
    $c->write($rest);
    $rt->publish('same', "after $rest");
    ok(wait_for(sub { $c->{res}{body} =~ /"after $rest"/ }), 'is served');
    $c->close;
    ok(wait_for(sub { $count->() == 0 }), 'and is gone');
}

RT->end;
