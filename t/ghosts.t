# A process that was killed while it was leaving has no successor: nobody may
# go on counting its subscribers.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $pad = 'x' x 200;


# an nginx whose old process died with its subscribers

sub haunted (@uris) {
    my $rt = RT->new(zone => 'main 1m index=16k', http => <<'EOF_H',
        realtime_drain 60s;
        large_client_header_buffers 8 64k;
EOF_H
                     server => <<'EOF_S');
        location ~ ^/one/(.+)$ {
            realtime_subscriber_limit 1;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my @s = map { $rt->sse($_) } @uris;
    is(scalar(grep { $_->status != 200 } @s), 0, 'subscribed');
    ok($rt->reload, 'reloaded');
    my ($old) = $rt->leaving;
    ok($old && $rt->kill_worker($old), 'the old process dies');
    return $rt;
}

my @topics = map { "t$_/$pad" } 1 .. 6;
my $rt = haunted('/one/a');
my $s = $rt->sse('/one/a');
is($s->status, 200, 'a limit of one is for the living');
is(($rt->publish('a', 'x')->json // {})->{subscribers}, 1, 'one is counted');
$rt->finish;

$rt = haunted('/sub/a,b', '/sub/a', '/sub/x/*');
is_deeply([ values $rt->status->{zones}{main}{subscribers}->%* ],
          [ (0) x 4 ], 'the status counts none');
is(($rt->publish($_, 'x')->json // {})->{subscribers}, 0, "$_: none")
    for qw(a b x/y);
$rt->finish;

$rt = haunted('/sub/a');
is($rt->get('/pub/a')->status, 404, 'nor does the topic');
$rt->finish;

# subscribers have taken all that is for subscribers, half of the cells

my $full = '/sub/' . join ',', map { "t$_/$pad" } 1 .. 15;
$rt = haunted($full);
is($rt->publish("new/$pad", 'x')->status, 201, 'there is room to publish');
$rt->finish;

$rt = haunted($full);
$s = $rt->sse("/sub/" . join ',', map { "u$_/$pad" } 1 .. 15);
is($s->status, 200, 'and to subscribe');
$rt->finish;

# nor does a publisher wait for somebody to ask

$rt = haunted('/sub/a');
ok(wait_for(sub {
    return ($rt->publish('a', 'x')->json // {})->{subscribers} == 0;
}), 'a process looks by itself');

RT->end;
