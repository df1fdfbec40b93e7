# Many subscribers come at once, each with many topics: they are admitted over
# several turns of the event loop, in their order.  All are answered, those that
# left meanwhile are forgotten.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


use constant { CLIENTS => 64, TOPICS => 200 };

my $rt = RT->new(
    zone => 'main 64m',
    server => 'location ~ ^/many/(.+)$ { realtime_subscribe $1 patterns; }',
);


sub uri ($i) {
    return join ',', 'all', map { "c$i/topic-$_" } 1 .. TOPICS;
}


# what is asked for meanwhile is there at once when the process goes on

sub together ($code) {
    my ($pid) = $rt->wait_workers;

    kill 'STOP', $pid;
    my @r = $code->();
    kill 'CONT', $pid;
    return @r;
}


sub subscribers {
    my $n = 0;
    $n += $_ for values $rt->status->{zones}{main}{subscribers}->%*;
    return $n;
}


my @kinds = qw(sse websocket stream poll);
my @leave;

my @stay = together(sub {
    return map {
        my $c = $rt->client($kinds[$_ % 4], '/many/' . uri($_), nowait => 1);
        $_ % 5 ? $c : (push @leave, $c and ());
    } 1 .. CLIENTS;
});
$_->close for @leave;
$_->wait_open for @stay;

ok(wait_for(sub { subscribers() == @stay }),
   'those that stay are subscribers, the others are not')
    or diag show($rt->status);

cmp_ok($rt->status->{zones}{main}{subscribers_delayed}, '>', 0,
       'some were admitted later');

$rt->publish('all', 'hello');
is((grep { !$_->wait_data('hello') } @stay), 0, 'each gets a message');
is((grep { $_->gaps } @stay), 0, 'without a gap');

# in a process that is to go each is answered still

$_->close for @stay;
@stay = together(sub {
    return map { $rt->sse('/many/' . uri($_), nowait => 1) } 1 .. CLIENTS;
});
ok(wait_for(sub { $stay[0]->status }), 'the first is answered');
ok($rt->reload, 'a reload');
$_->wait_open for @stay;
is((grep { $_->status != 200 } @stay), 0, 'and all others');
$_->close for @stay;

RT->end;
