# One message from an ordinary client to each kind of subscriber: the first
# thing to run against another nginx.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2, tls => 0);

my %c = map { $_ => $rt->client($_, '/sub/smoke') }
    qw(sse websocket poll stream);
my $bare = $rt->ws('/sub/smoke');

my $said = qx(curl -s -w '%{http_code}' -d 'hello, world' \\
              http://127.0.0.1:@{[$rt->port]}/pub/smoke);
like($said, qr/^\{.*\}\s*201$/s, 'curl publishes');
my $id = (json_of($said =~ s/201$//r) // {})->{id};
is(seq($id), 1, 'the first id') or diag $said;

for my $transport (sort keys %c) {
    my $c = $c{$transport};
    ok($c->wait_items(1), "$transport gets it")
        or diag show($c->status, $c->header('Content-Type'));
    my ($m) = $c->items;
    is($m->{data}, 'hello, world', "$transport: data") or diag show($m);
    is($m->{id}, $id, "$transport: id");
}

ok($bare->wait_items(1), 'bare WebSocket gets it');
is(($bare->data)[0], 'hello, world', 'bare WebSocket: data');

$bare->send_close(1000);
is($bare->wait_close, 1000, 'WebSocket: close is answered');

RT->end;
