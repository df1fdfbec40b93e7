# Idempotency-Key: sent twice, published once.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2);
my @pids = $rt->wait_workers;

sub post ($topic, $body, $key, %o) {
    my $c = $rt->conn(%o);
    my $r = $c->ask('POST', "/pub/$topic", [ 'Idempotency-Key' => $key ],
                    $body);
    $c->close;
    return $r;
}


sub messages ($topic) {
    return ($rt->get("/pub/$topic")->json // {})->{messages};
}


my $sse = $rt->sse('/sub/a');
my $first = post('a', 'x', 'key-1');
is($first->status, 201, 'the first') or diag $first->show;
is($first->header('Idempotent-Replay'), undef, 'is no replay');

$rt->publish('a', 'between');
for my $pid (@pids) {
    my $again = post('a', 'x', 'key-1', pid => $pid);
    is($again->status, 201, 'again') or diag $again->show;
    is($again->body, $first->body, 'the same answer');
    is($again->header('Idempotent-Replay'), 'true', 'marked');
}
is(messages('a'), 2, 'published once');

my $r = post('a', 'y', 'key-1');
is($r->status, 422, 'another body') or diag $r->show;
like(($r->json // {})->{error}, qr/\w/, 'told in JSON');
$r = post('a', 'x' x 1000, 'key-1');
is($r->status, 422, 'a longer body');
is(messages('a'), 2, 'not published');

$r = post('b', 'x', 'key-1');
is($r->status, 201, 'another topic');
is($r->header('Idempotent-Replay'), undef, 'another topic: no replay');
$r = post('a', 'x', 'key-2');
is($r->status, 201, 'another key');
is($r->header('Idempotent-Replay'), undef, 'another key: no replay');
is(messages('a'), 3, 'another key is another message');

ok($sse->wait_data('x'), 'a subscriber');
$rt->publish('a', 'end');
ok($sse->wait_data('end'), 'sees all');
is_deeply([ $sse->data ], [ 'x', 'between', 'x', 'end' ], 'each once');

# refused is refused, and the key is not spent

$r = $rt->publish('c', "\xff", 'Idempotency-Key' => 'key-3');
is($r->status, 400, 'a bad message');
is(post('c', 'good', 'key-3')->status, 201, 'then a good one');

# the key itself

is(post('k', 'x', '~' x 255)->status, 201, '255 bytes');
is(post('k', 'x', '~' x 255)->header('Idempotent-Replay'), 'true',
   '255 bytes: replay');
is(post('k', 'x', '~' x 256)->status, 400, '256 bytes');
is(post('k', 'x', "a\x01b")->status, 400, 'a control character');
is(post('k', 'x', "caf\xc3\xa9")->status, 400, 'not printable ASCII');

# in flight together, to both processes: one is published

my @c = map { $rt->conn(pid => $pids[ $_ % 2 ]) } 0 .. 7;
$_->request('POST', '/pub/race', [ 'Idempotency-Key' => 'race' ], 'x') for @c;
my @answers = map { $_->response } @c;
is(scalar(grep { $_->status == 201 } @answers), 8, 'a race: answers');
my %ids = map { (($_->json // {})->{id} // 0) => 1 } @answers;
is(scalar keys %ids, 1, 'a race: one id') or diag show(\%ids);
is(scalar(grep { !$_->header('Idempotent-Replay') } @answers), 1,
   'a race: one is the first');
is(messages('race'), 1, 'a race: one message');

# more keys than the index holds: the oldest go, publishing goes on

my $worst = 201;
my $c = $rt->conn;
for my $n (1 .. 3000) {
    my $r = $c->ask('POST', '/pub/flood',
                    [ 'Idempotency-Key' => "flood-$n-" . 'k' x 240 ], $n);
    $worst = $r->status if $r->status != 201;
    last if $worst != 201;
}
is($worst, 201, 'many keys');
is(post('flood', '3000', 'flood-3000-' . 'k' x 240)
       ->header('Idempotent-Replay'), 'true', 'the newest key is known');

RT->end;
