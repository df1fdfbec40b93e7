# Signs of life: comments, pings, and the end of those who do not answer.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S', http => 'realtime_keepalive 300ms;');
    location ~ ^/rare/(.+)$ {
        realtime_keepalive 1h;
        realtime_subscribe $1;
    }
EOF_S

my $begun = now;
my $sse = $rt->sse('/sub/a');
my $ws = $rt->ws('/sub/a');
my $mute = $rt->ws('/sub/a', mute => 1);
my $bare_mute = $rt->ws('/room/a', mute => 1);
my $stream = $rt->stream('/sub/a');
my $rare = $rt->ws('/rare/a', mute => 1);
my $rare_sse = $rt->sse('/rare/a');

# SSE

ok(wait_for(sub { $sse->{comments}->@* >= 3 }), 'comments')
    or diag $sse->{raw};
is(scalar($sse->items), 0, 'are no events');
ok(!(grep { defined $_->{id} } $sse->{blocks}->@[ 1 .. $#{ $sse->{blocks} } ]),
   'and change no id') if $sse->{blocks}->@* > 1;

# WebSocket

ok(wait_for(sub { ($ws->{pings} // 0) >= 6 || $ws->eof }), 'pings');
ok(!$ws->eof, 'a client that answers stays');
my $took = now() - $begun;
cmp_ok($took, '>=', 1, 'no ping storm');
ok($mute->wait_eof, 'a client that answers no ping is closed');
ok($bare_mute->wait_eof, 'though it may publish');
$took = now() - $begun;
cmp_ok($mute->{pings}, '>=', 2, 'after two pings');
cmp_ok($took, '<', 20, 'soon');
ok(!$stream->eof, 'the stream stays');

# any frame is a sign of life

my $talker = $rt->ws('/room/talk', mute => 1);
my ($next, $said) = (now(), 0);
ok(wait_for(sub {
    if (now() >= $next && !$talker->eof) {
        $next = now() + 0.1;
        $talker->send_text('here ' . ++$said);
    }
    return $talker->eof || $said >= 20;
}), 'a client that only talks');

# it still works

$rt->publish('a', 'after');
ok($_->wait_data('after'), ref($_) . ' still gets messages')
    for $sse, $ws, $stream;
is($rare->{pings}, undef, 'no ping within the interval');
ok(!$rare->eof, 'and nobody is closed for that');
is_deeply($rare_sse->{comments}, [], 'no comment within the interval');
ok($rare_sse->wait_data('after'), 'there, too');

# not while there is something to say

my $busy = $rt->sse('/sub/busy');
my $end = now() + 1.2;
my $n = 0;
my $pub = $rt->publisher(next => sub {
    return now() < $end ? ('busy', 'x' . ++$n) : ();
});
ok(wait_for(sub { $pub->done }), 'a busy topic');
$busy->wait_data("x$n");
cmp_ok(scalar $busy->{comments}->@*, '<=', 1, 'has no need of comments');

RT->end;
