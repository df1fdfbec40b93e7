# Batches: many messages in one request, in order, contiguous, all or none.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2, server => <<'EOF_S');
    location = /batch        { realtime_publish room/**; }
    location = /one-segment  { realtime_publish room/*; }
    location ~ ^/file/(.+)$  {
        client_body_in_file_only clean;
        client_body_buffer_size 1k;
        realtime_publish $1;
    }
    location = /short {
        realtime_publish room/**;
        realtime_message_max_size 100;
    }
    location = /large {
        realtime_publish room/**;
        client_max_body_size 16m;
    }
EOF_S

sub batch ($uri, @lines) {
    return $rt->request('POST', $uri, [
        'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
    ], join '', map { "$_\n" } @lines);
}


sub is_error ($r, $status, $like, $name) {
    is($r->status, $status, "$name: $status") or diag $r->show;
    like(($r->json // {})->{error}, $like, "$name: reason") or diag $r->show;
}


sub all_of ($topics, $id) {
    my $list = $rt->poll_now("/sub/$topics", $id)->json;
    return ref $list eq 'ARRAY' ? @$list : ();
}


# several topics

my $sse = $rt->sse('/sub/room/**');
my $other = $rt->publish_id('elsewhere', 'before');
my $r = batch('/batch',
    '{"topic":"room/a","data":"one"}',
    '{"topic":"room/b/c","event":"e","type":"text/x","data":"two"}',
    '{"topic":"room/a","data":""}',
    '{"topic":"room/a","base64":"AAH+/w=="}',
    '{"topic":"room/a","data":"\u00e9\ud83d\ude00\"\\\\/\n\u0041"}');
is($r->status, 201, 'a batch') or diag $r->show;
my $j = $r->json // {};
is(join(' ', sort keys %$j), 'count first_id last_id', 'its answer')
    or diag $r->show;
is($j->{count}, 5, 'count');
is(seq($j->{first_id}), seq($other) + 1, 'first_id');
is(seq($j->{last_id}), seq($other) + 5, 'last_id');

my @m = all_of('room/**', $other);
is(scalar @m, 5, 'all come') or diag show(\@m);
is_deeply([ map { seq($_->{id}) } @m ],
          [ map { seq($other) + $_ } 1 .. 5 ], 'in order, contiguous');
is_deeply([ map { $_->{topic} } @m ],
          [ qw(room/a room/b/c room/a room/a room/a) ], 'topics');
is_deeply([ map { $_->{data} } @m ],
          [ 'one', 'two', '', undef, "\x{e9}\x{1f600}\"\\/\nA" ], 'data');
is($m[1]{event}, 'e', 'event');
is($m[1]{type}, 'text/x', 'type');
is($m[3]{base64}, 'AAH+/w==', 'base64');
ok($sse->wait_items(5), 'and to a live subscriber');
is_deeply([ map { $_->{id} } $sse->items ], [ map { $_->{id} } @m ],
          'in the same order');


# a location of one topic

$r = batch('/pub/solo', '{"data":"x"}', '{"topic":"solo","data":"y"}');
is($r->status, 201, 'the topic may be left out') or diag $r->show;
is_deeply([ map { $_->{data} } all_of('solo', 'earliest') ], [ 'x', 'y' ],
          'both come');
is_error(batch('/pub/solo', '{"data":"x"}', '{"topic":"duo","data":"y"}'), 400,
         qr/\b2\b/, 'another topic');


# from a file, without a last newline, with CRLF

my @many = map { sprintf '{"data":"%s %d"}', 'z' x 50, $_ } 1 .. 200;
is(batch('/file/many', @many)->status, 201, 'body in a file');
is(($rt->get('/pub/many')->json // {})->{messages}, 200, 'all of them');
$r = $rt->request('POST', '/pub/end', [
    'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
], qq({"data":"1"}\r\n{"data":"2"}));
is($r->status, 201, 'CRLF, and no newline at the end') or diag $r->show;
is(($r->json // {})->{count}, 2, 'two lines');


# all or none

my $last = $rt->publish_id('room/mark', 'mark');
for ([ 'no JSON',        '{"topic":"room/a","data":"x"' ],
     [ 'not an object',  '[1]' ],
     [ 'a number',       '{"topic":"room/a","data":1}' ],
     [ 'no topic',       '{"data":"x"}' ],
     [ 'bad topic',      '{"topic":"room//a","data":"x"}' ],
     [ 'wildcard topic', '{"topic":"room/*","data":"x"}' ],
     [ 'other topic',    '{"topic":"lobby/a","data":"x"}' ],
     [ 'not below',      '{"topic":"room","data":"x"}' ],
     [ 'bad base64',     '{"topic":"room/a","base64":"AAH+/w="}' ],
     [ 'bad escape',     '{"topic":"room/a","data":"\x"}' ],
     [ 'lone surrogate', '{"topic":"room/a","data":"\ud800"}' ],
     [ 'not UTF-8',      qq({"topic":"room/a","data":"\xff"}) ],
     [ 'bad event',      '{"topic":"room/a","event":"a\nb","data":"x"}' ],
     [ 'own event',      '{"topic":"room/a","event":"realtime:x","data":"x"}' ],
     [ 'long event',     sprintf '{"topic":"room/a","event":"%s","data":"x"}',
                         'e' x 129 ],
     [ 'more after it',  '{"topic":"room/a","data":"x"} {}' ])
{
    my ($name, $line) = @$_;
    my $good = '{"topic":"room/a","data":"good"}';
    is_error(batch('/batch', $good, $good, $line, $good), 400, qr/\b3\b/,
             $name);
}
is_error(batch('/one-segment', '{"topic":"room/a/b","data":"x"}'), 400,
         qr/\b1\b/, 'a pattern of one segment');
is_error(batch('/short', '{"topic":"room/a","data":"x"}',
               sprintf '{"topic":"room/a","data":"%s"}', 'x' x 101),
         413, qr/\w/, 'a line too large');
is(batch('/short', map { sprintf '{"topic":"room/a","data":"%s"}', 'x' x 100 }
         1 .. 10)->status, 201, 'the limit holds per line');
is_error(batch('/batch'), 400, qr/empty/, 'no line at all');
is_error(batch('/batch', ''), 400, qr/empty/, 'an empty line');
is_error(batch('/large', map {
    sprintf '{"topic":"room/a","data":"%s"}', 'x' x 60_000 } 1 .. 100),
    413, qr/\w/, 'larger than the ring');

my @since = all_of('room/**', $last);
is(scalar @since, 10, 'nothing of a refused batch is published')
    or diag show(\@since);

is_error($rt->request('POST', '/batch', [], 'x'), 400, qr/wildcard/,
         'a pattern takes batches only');
is($rt->publish('solo', '{"data":"x"}', 'Content-Type' =>
                'application/x-ndjson')->status,
   201, 'without Realtime-Batch it is a message');

RT->end;
