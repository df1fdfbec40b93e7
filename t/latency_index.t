# Readers that fill the index do not take what others have there: keys that are
# seconds old are known still.  What has no room is refused, and others are
# served meanwhile.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Latency;


use constant { KEYS => 50, READERS => 40 };

my $rt = RT->new(zone => 'main 16m', server => <<'EOC');
        location ~ ^/many/(.+)$ { realtime_subscribe $1 patterns; }
EOC

my $latency = RT::Latency->new($rt);
my $kept = $rt->sse('/sub/kept');


sub keys_known {
    my $c = $rt->conn;
    my $n = 0;

    for my $i (1 .. KEYS) {
        my $r = $c->ask('POST', '/pub/kept', [ 'Idempotency-Key' => "k$i" ],
                        "message $i");
        $n++ if ($r->header('Idempotent-Replay') // '') eq 'true';
    }

    $c->close;
    return $n;
}


is(keys_known(), 0, 'keys are new');
is(keys_known(), KEYS, 'and known');

my %status;

sub fill ($end) {
    my @sse;

    for my $i (1 .. READERS) {
        my $list = join ',', map { "index/$i/topic-$_" } 1 .. 256;

        push @sse, $rt->sse("/many/$list");
        $status{$sse[-1]->status}++;
        last if now() > $end;
    }

    $_->close for @sse;
}


$latency->ok(\&fill, 'readers that fill the index');

ok($status{200}, 'some are taken') or diag show(\%status);
ok($status{503}, 'and some refused') or diag show(\%status);
is(keys_known(), KEYS, 'keys that are seconds old are known still');

$rt->publish('kept', 'end');
ok($kept->wait_data('end'), 'a reader that was there before');
is(scalar($kept->messages), KEYS + 1, 'has each message once');
is(scalar($kept->gaps), 0, 'and no gap');

RT->end;
