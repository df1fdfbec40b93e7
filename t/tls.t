# All transports over TLS, and bursts larger than a record.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2, tls => 1);
my @pids = $rt->wait_workers;

my %c;
for my $pid (@pids) {
    $c{"$_ $pid"} = $rt->client($_, '/sub/room/a', tls => 1, pid => $pid)
        for qw(sse websocket poll stream);
    $c{"bare $pid"} = $rt->ws('/room/a', tls => 1, pid => $pid);
}

my $pub = $rt->conn(tls => 1);
my @want;
for my $n (1 .. 30) {
    push @want, "$n " . 'x' x ($n * 2000);
    my $r = $pub->ask('POST', '/pub/room/a', [], $want[-1]);
    is($r->status, 201, "publish $n over TLS");
}
$c{"bare $pids[0]"}->send_text($_) for my @spoken = map { "said $_" } 1 .. 20;
push @want, @spoken;

for my $name (sort keys %c) {
    my $c = $c{$name};
    ok($c->wait_data($want[-1]), "$name: all came")
        or diag scalar($c->items) . ' of ' . @want;
    my @got = $c->data;
    is(scalar @got, scalar @want, "$name: number");
    ok("@got" eq "@want", "$name: bytes");
}

# small ones come at once, not with the next

for my $n (1 .. 5) {
    $rt->publish('room/a', "single $n");
    for my $name (sort keys %c) {
        ok($c{$name}->wait_data("single $n"), "$name: single $n");
    }
}

# keep-alive of plain and TLS clients is the same

my $ws = $c{"bare $pids[0]"};
ok($ws->sync, 'ping and pong');
$ws->send_close(1000);
is($ws->wait_close, 1000, 'close');
ok($ws->wait_eof, 'end');

# a frame with the handshake; a slow reader

my $early = $rt->ws('/room/b', tls => 1,
                    early => RT::WebSocket::frame(1, 'early'));
ok($early->wait_data('early', 8), 'a frame with the handshake, at once');

my $slow = $rt->sse('/sub/slow', tls => 1, rcvbuf => 4096);
$slow->pause;
for my $n (1 .. 60) {
    $pub->ask('POST', '/pub/slow', [], "$n " . 'y' x 20_000);
}
$slow->resume;
ok($slow->wait_items(60), 'a reader that was slow for a while');
is_deeply([ map { (split)[0] } $slow->data ], [ 1 .. 60 ], 'has all');

RT->end;
