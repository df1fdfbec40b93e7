# Readers that come back in a wave are caught up in small steps: all with the
# same old id, each with another, and readers of a pattern that must look at all
# that was published since.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Latency;


use constant { READERS => 300, MISSED => 4000 };

my $rt = RT->new(zone => 'main 64m', http => 'client_max_body_size 8m;',
    server => <<'EOC');
        location = /batch { realtime_publish t/**; }
        location ~ ^/long/(.+)$ {
            realtime_history   count=1000000 age=1h;
            realtime_subscribe $1 patterns;
        }
EOC

my $latency = RT::Latency->new($rt);
my $first = $latency->fill(40_000, 128, sub ($n) {
    $n % 10 ? 't/f' . $n % 1000 : 't/wave';
});

ok(defined seq($first), 'an id');


# The readers are bare sockets: what they get is counted, and not looked at.

sub wave ($end, $id, $n = READERS, $topic = 't/wave') {
    my %left;
    my @s = map { RT::Latency::connect_to($rt) } 1 .. $n;

    for my $i (0 .. $#s) {
        syswrite $s[$i], "GET /long/$topic HTTP/1.1\r\nHost: localhost\r\n"
            . "Accept: text/event-stream\r\nLast-Event-ID: "
            . epoch($first) . '-' . $id->($i) . "\r\n\r\n";
        $left{fileno $s[$i]} = $s[$i];
    }

    my ($bytes, %tail) = (0);

    while (%left && now() < $end) {
        my $r = '';
        vec($r, $_, 1) = 1 for keys %left;
        next if select($r, undef, undef, 0.02) <= 0;

        for my $fd (grep { vec $r, $_, 1 } keys %left) {
            my $n = sysread $left{$fd}, my $data, 1 << 18;
            last if !$n;
            $bytes += $n;
            $tail{$fd} = substr(($tail{$fd} // '') . $data, -400);
            delete $left{$fd} if index($tail{$fd}, 'last of all') >= 0;
        }
    }

    close $_ for @s;
    return ($bytes, scalar keys %left);
}


my ($bytes, $left);

is($rt->request('POST', '/pub/t/wave', [], 'last of all')->status, 201,
   'the last');

$latency->ok(sub ($end) {
    ($bytes, $left) = wave($end, sub ($i) { seq($first) });
}, 'a wave with one id');

is($left, 0, 'all got the last message');
ok($bytes > READERS * (MISSED - 10) * 128, 'and all before it')
    or diag $bytes;

$latency->ok(sub ($end) {
    ($bytes, $left) = wave($end, sub ($i) { seq($first) + 97 * $i });
}, 'a wave with ids of all ages');

is($left, 0, 'all got the last message');

$latency->ok(sub ($end) {
    ($bytes, $left) = wave($end, sub ($i) { seq($first) }, 100, 't/wav*');
}, 'a wave of readers of a pattern');

is($left, 0, 'all got the last message');

RT->end;
