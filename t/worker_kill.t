# kill -9 of realtimed at random moments under load.  Whatever happened, every
# acknowledged command is there once, a command sent again with its key has
# its effect once, every publication is applied once and in order by a zone
# that remembers its position, and all states equal a replay's.
#
# RT_KILLS says how often; the default is for every day.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use JSON::PP ();
use Time::HiRes qw(time sleep);
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $kills = $ENV{RT_KILLS} // 10;
my $entities = 4;
my $inflight = 200;

my $w = worker_link->new(conf => <<'EOF_C');
[journal]
segment_size = 2m
buffer_size = 2m
snapshot_events = 3000
EOF_C

srand($ENV{RT_SEED} // 42);

my $next = 0;                   # commands, by number; the amount is its number
my (%waiting, %acked);          # number => entity; number => status
my %zone = (epoch => 0, position => 0, index => 0);
my (%published, @wrong);        # entity => last version


# What the nginx zone does, in one step: drop what is not new, else apply.

sub apply ($f) {
    return if $f->{position} < $zone{position}
        or $f->{position} == $zone{position} && $f->{index} <= $zone{index};
    @zone{qw(position index)} = @$f{qw(position index)};
    my ($entity) = $f->{topic} =~ m{^auction/(.+)$};
    my $version = JSON::PP::decode_json($f->{body})->{version};
    my $want = ($published{$entity} // 0) + 1;
    push @wrong, "$entity: version $version after " . ($want - 1)
        if $version != $want;
    $published{$entity} = $version;
    return;
}


sub send_bid ($c, $n) {
    return $c->send('command', $n, engine => 'auction',
        entity => 'e' . $n % $entities, name => 'bid', key => "key-$n",
        user => 'u' . $n % 7, body => qq({"amount":$n}));
}


sub take ($c, $frames) {
    my $confirm;
    for my $f (@$frames) {
        if ($f->{frame} eq 'publish') {
            apply($f);
            $confirm = $f;
        } elsif ($f->{frame} eq 'reply' && exists $waiting{$f->{id}}) {
            next if $f->{status} == 503;
            delete $waiting{$f->{id}};
            $acked{$f->{id}} = $f->{status};
        }
    }
    $c->send('confirm', 0, position => $confirm->{position},
        index => $confirm->{index}) if $confirm;
    return;
}


for my $round (0 .. $kills) {
    $w->start;

    # a child of the dead one may hold its socket for a moment

    my ($c, $hello);
    my $give_up = time + 20;
    while (!$hello) {
        die 'no hello: ' . $w->log_text if time > $give_up;
        $c = $w->connect;
        $hello = $c->hello(zone => 'main', zone_epoch => 7,
            $zone{epoch} ? %zone : ());
    }
    $zone{epoch} = $hello->{epoch};

    if ($round == 0) {
        for my $e (0 .. $entities - 1) {
            $c->command("e$e", 'create', '{"kind":"english","start":1,'
                . '"ends_in_ms":86400000}');
        }
    }
    take($c, $c->{frames});

    # what was not answered, again, in its order

    send_bid($c, $_) for sort { $a <=> $b } keys %waiting;

    my $until = time + ($round == $kills ? 1 : rand 0.3);
    while (time < $until) {
        while (keys %waiting < $inflight) {
            my $n = ++$next;
            $waiting{$n} = 1;
            send_bid($c, $n);
        }
        take($c, $c->frames(0.01) // last);
    }

    if ($round < $kills) {
        $w->stop('KILL');
        while (my $frames = $c->frames(0.2)) {  # sent before it died
            last if !@$frames;
            take($c, $frames);
        }
        next;
    }

    # the last round ends in peace

    $until = time + 20;
    while (keys %waiting && time < $until) {
        take($c, $c->frames(0.1) // last);
    }
    while (my $frames = $c->frames(0.3)) {
        last if !@$frames;
        take($c, $frames);
    }

    my (%there, $twice, $events);
    for my $e (0 .. $entities - 1) {
        my $from = 1;
        while (1) {
            my $r = $c->query("e$e", 'history', "from=$from");
            my $list = JSON::PP::decode_json($r->{body})->{events};
            last if !@$list;
            for my $event (@$list) {
                $twice++ if $event->{amount} && $there{$event->{amount}}++;
                $events++;
            }
            $from = $list->[-1]{version} + 1;
        }
        take($c, $c->{frames});
        is($published{"e$e"}, $from - 1, "e$e: all was published");
    }

    ok(!%waiting, 'each command has its answer');
    is($twice // 0, 0, 'no command has happened twice');
    my @lost = grep { $acked{$_} == 201 && !$there{$_} } keys %acked;
    is(@lost, 0, 'no acknowledged command is lost') or diag "@lost[0 .. 5]";
    my @more = grep { ($acked{$_} // 0) != 201 } keys %there;
    is(@more, 0, 'nothing has happened that was refused');
    is(@wrong, 0, 'each publication once and in order')
        or diag join "\n", @wrong[0 .. ($#wrong < 9 ? $#wrong : 9)];
    diag sprintf '%d kills, %d commands, %d events', $kills, $next, $events;
}

is($w->stop, 0, 'it stops when told to');

my ($rc, $out) = $w->ctl('replay', '--check');
is($rc, 0, 'a replay gives the same states') or diag $out;
($rc, $out) = $w->ctl('journal', 'verify');
is($rc, 0, 'the journal is whole') or diag $out;

unlike($w->log_text, qr/\[(?:alert|emerg|crit|error)\]/, 'nothing in the log')
    or diag $w->log_text;

done_testing();
