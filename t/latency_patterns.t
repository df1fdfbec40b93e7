# Patterns cost their reader, and not those who publish: many that share a
# head, and a reader of many that match nothing, from the beginning of a full
# ring.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;
use RT::Latency;


my $rt = RT->new(zone => 'main 64m', http => 'client_max_body_size 8m;',
    server => <<'EOC');
        location = /batch         { realtime_publish t/**; }
        location ~ ^/patterns/(.+)$ {
            realtime_history   count=1000000 age=1h;
            realtime_subscribe $1 patterns;
        }
EOC

my $latency = RT::Latency->new($rt);


sub patterns ($format) {
    return '/patterns/' . join ',', map { sprintf $format, $_ } 1 .. 256;
}


# as many publications as answers let through; CPU time of each

sub publish ($end) {
    my @c = map { $rt->conn } 1 .. 4;
    my $cpu = $latency->cpu;
    my $n = 0;

    $end = now() + 1 if $end > now() + 1;

    while (now() < $end) {
        $_->request('POST', '/pub/t/u' . $n++ % 100, [], 'x') for @c;
        $_->response for @c;
    }

    $_->close for @c;
    return ($latency->cpu - $cpu) / $n * 1e6;
}


$latency->fill(250_000, 128, sub ($n) { 't/f' . $n % 4000 });

$latency->ok(sub ($end) {
    my $r = $rt->poll_now(patterns('zz%u/*'), 'earliest');

    is($r->status, 200, 'nothing matches');
    is($r->body, '[]', 'and nothing comes');
}, 'patterns that match nothing');

my $alone = publish(now() + 1);

my @sse = map {
    my $i = $_;
    $rt->sse(patterns("*/x$i-%u"));
} 1 .. 40;

is(scalar(grep { $_->status == 200 } @sse), 40, 'subscribers');

$latency->ok(sub ($end) { publish($end) }, 'patterns that share a head');

$latency->ok(sub ($end) {
    $latency->fill(2000, 16, sub ($n) { 't/u' . $n % 100 });
}, 'a batch, with patterns that share a head');

my $beside = publish(now() + 1);

cmp_ok($beside, '<', 5 * $alone, 'CPU time of a publication');
note("$beside us, without patterns $alone");

$_->close for @sse;

RT->end;
