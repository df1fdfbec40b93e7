package RT::Loop;

# One select loop for all clients of a test.  A client is here from its connect
# until it is closed or its peer has closed.

use v5.36;

use Time::HiRes;

my %conns;
my %hooks;


sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }


sub add ($c) { $conns{$c} = $c }


sub remove ($c) { delete $conns{$c} }


# called at every turn

sub hook ($key, $code) { $hooks{$key} = $code }


sub unhook ($key) { delete $hooks{$key} }


sub close_all ($rt) {
    delete $hooks{$_} for keys %hooks;
    my @all = values %conns;
    for my $c (@all) {
        $c->close if $c->{rt} == $rt;
    }
}


sub turn ($seconds) {
    my ($r, $w) = ('', '');
    my %by_fd;

    for my $c (values %conns) {
        my $fd = fileno $c->{sock};
        if ($c->wants_read) {
            vec($r, $fd, 1) = 1;
            $seconds = 0 if $c->has_pending;
        }
        vec($w, $fd, 1) = 1 if $c->wants_write;
        $by_fd{$fd} = $c;
    }

    select $r, $w, undef, $seconds;

    for my $fd (keys %by_fd) {
        my $c = $by_fd{$fd};
        next if !$conns{$c};
        $c->flush if vec($w, $fd, 1);
        next if !$conns{$c};
        $c->readable if vec($r, $fd, 1) || ($c->wants_read && $c->has_pending);
    }

    my @hooks = values %hooks;
    $_->() for @hooks;
}


sub wait_for ($cond, $seconds) {
    my $end = now() + $seconds;

    while (1) {
        my $value = $cond->();
        return $value if $value;

        my $left = $end - now();
        return if $left <= 0;
        turn($left < 0.02 ? $left : 0.02);
    }
}


1;
