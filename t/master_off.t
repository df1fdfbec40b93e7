# master_process off: one process, no master.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(master => 'off');

my %c = map { $_ => $rt->client($_, '/sub/a') } qw(sse websocket poll stream);
my $ws = $rt->ws('/room/a');
my @ids = map { $rt->publish_id('a', "m$_") } 1 .. 20;
is(seq($ids[-1]), 20, 'published');
for my $t (sort keys %c) {
    ok($c{$t}->wait_items(20), "$t gets all");
    is_deeply([ $c{$t}->data ], [ map { "m$_" } 1 .. 20 ], "$t: in order");
}
$ws->send_text('said');
ok($ws->wait_data('said'), 'publishing over WebSocket');

for my $t (sort keys %c) {
    my $c = $rt->client($t, '/sub/a', id => $ids[9]);
    $c->wait_items(10);
    is_deeply([ $c->data ], [ map { "m$_" } 11 .. 20 ], "$t resumes");
    $c->close;
}

$c{sse}->abort;
ok(wait_for(sub { $rt->status->{zones}{main}{subscribers}{sse} == 0 }),
   'a client that goes is noticed');

RT->end;
