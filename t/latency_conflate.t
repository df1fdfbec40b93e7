# A conflated reader costs little more than another: what is encoded and
# deflated for one position serves all that stand there.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Latency;


use constant { READERS => 100, MESSAGES => 12 };

my $rt = RT->new(server => <<'EOC');
        location ~ ^/conflated/(.+)$ {
            realtime_conflate  250ms;
            realtime_subscribe $1;
        }
EOC

my $latency = RT::Latency->new($rt);
my @letters = ('a' .. 'z', 0 .. 9);


# CPU time for each delivery, in microseconds; all get each message

sub cost ($uri, %o) {
    my @ws = map { $rt->ws($uri, %o) } 1 .. READERS;
    my $cpu = $latency->cpu;

    for my $n (1 .. MESSAGES) {
        my $body = join '', map { $letters[rand @letters] } 1 .. 8000;

        $rt->publish('a', $body);
        for my $ws (@ws) {
            $ws->wait_items($n) or return;
        }
    }

    $cpu = $latency->cpu - $cpu;
    $_->close for @ws;
    return $cpu / READERS / MESSAGES * 1e6;
}


my %deflate = (handshake => {
    'Sec-WebSocket-Extensions' => 'permessage-deflate',
});

for my $how ([ 'plain' ], [ 'deflated', %deflate ]) {
    my ($name, %o) = @$how;
    my ($best, @said);

    for my $try (1 .. 3) {
        my ($plain, $conflated) =
            (cost('/sub/a', %o), cost('/conflated/a', %o));

        push @said, sprintf '%.1f us, conflated %.1f', $plain // 0,
                            $conflated // 0;
        $best = $plain && $conflated && $conflated < 2 * $plain;
        last if $best;
    }

    ok($best, "$name: a delivery to a conflated reader");
    $best ? note($_) : diag($_) for @said;
}


$latency->ok(sub ($end) { cost('/conflated/a', %deflate) },
             'conflated and deflated readers');

RT->end;
