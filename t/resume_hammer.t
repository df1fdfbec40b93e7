# Clients that lose their connection all the time, on all transports, under
# steady publishing: each acknowledged message reaches each client once and in
# order, or a gap covers it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my @transports = qw(sse websocket poll stream);
my $seed = $ENV{RT_SEED} // time ^ $$;
srand $seed;
note "RT_SEED=$seed";

sub hammer ($name, $workers, $seconds, $zone, $size) {
    my $rt = RT->new(workers => $workers, zone => $zone,
                     http => 'realtime_history count=100000;');
    my @topics = qw(h/1 h/2 h/3);
    my @f = map {
        my $several = $_ >= 4;
        $rt->follower(transport => $transports[$_ % 4], several => $several,
                      uri => $several ? ('/sub/h/*', '/sub/h/1,h/2,h/3')[$_ % 2]
                                      : '/sub/h/1');
    } 0 .. 11;

    my ($n, $end) = (0, now() + $seconds);
    my @pubs = map {
        my $p = $_;
        $rt->publisher(next => sub {
            return if now() > $end;
            return $topics[rand 3], "$p-" . ++$n . ' ' . 'x' x rand $size;
        });
    } 0 .. 3;

    my ($drops, $next) = (0, 0);
    ok(wait_for(sub {
        if (now() >= $next) {
            $next = now() + 0.01 + rand 0.03;
            $f[rand @f]->drop;
            $drops++;
        }
        return !grep { !$_->done } @pubs;
    }), "$name: published $n") or return;

    my @acks = map { $_->acks } @pubs;
    my %seqs = map { $_->{seq} => 1 } @acks;
    is(scalar keys %seqs, scalar @acks, "$name: each its own id");
    is(scalar(map { $_->{refused}->@* } @pubs), 0, "$name: none refused")
        or diag show(map { $_->{refused}[0] // () } @pubs);
    $rt->publish('h/1', 'the end');
    note "$drops drops, " . @acks . ' messages';

    my $gaps = 0;
    for my $f (@f) {
        my $t = $f->{opt}{transport} . ($f->{opt}{several} ? ', several' : '');
        ok(wait_for(sub { $f->has('the end') }), "$name: $t is up to date")
            or diag show($f->{ends}, $f->{id});
        $f->stop;
        my @mine = $f->{opt}{several} ? @acks
                                      : grep { $_->{topic} eq 'h/1' } @acks;
        my @faults = $f->account(@mine);
        is_deeply(\@faults, [], "$name: $t: all is accounted for")
            or diag "RT_SEED=$seed", explain [ @faults[0 .. 4] ];
        $gaps += $f->gaps;
    }
    $rt->finish;
    return $gaps;
}

is(hammer('large ring', 2, 3, 'main 16m', 300), 0, 'large ring: no gap');
note 'gaps: ' . (hammer('small ring', 2, 2, 'main 1m', 30_000) // '');
hammer('one process', 1, 1, 'main 8m', 300);

RT->end;
