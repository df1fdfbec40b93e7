# Overtaken by the ring: a process that was lapped, and a reader of patterns
# that stopped reading.  All that is missing is told, and nothing else.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $json = JSON::PP->new->utf8->canonical;
my $batches = <<'EOF_S';
    location = /batch {
        client_body_buffer_size 1m;
        realtime_publish **;
    }
EOF_S


# Publishes [ topic, data ] pairs, about 150 kB at a time, on a connection;
# what was acknowledged, as RT::Follower::check() wants it.

sub publish ($conn, @messages) {
    my @acks;

    while (my @some = splice @messages, 0, 150) {
        my $body = join '', map {
            $json->encode({ topic => $_->[0], data => "$_->[1]" }) . "\n"
        } @some;
        my $r = $conn->ask('POST', '/batch', [
            'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
        ], $body);
        if ($r->status != 201) {
            fail('a batch is published') or diag $r->show;
            return @acks;
        }
        my $seq = seq($r->json->{first_id});
        push @acks, map {
            { topic => $_->[0], data => $_->[1], seq => $seq++ }
        } @some;
    }

    return @acks;
}


sub filler ($topic, $n, $size) {
    return map { [ $topic, sprintf('%05d ', $_) . 'x' x ($size - 6) ] } 1 .. $n;
}


# Each message came, or lies in a gap of its own topic, and not both; a gap
# ends with the last one missing, and its topic did lose something.

sub exact ($c, $published, $name) {
    my @faults = RT::Follower::check($c->{items}, $c->{open_id}, @$published);
    my $first = seq($c->{open_id});
    my %got = map { seq($_->{id}) => 1 } $c->messages;

    for my $gap ($c->gaps) {
        my ($from, $to) = (seq($gap->{from}), seq($gap->{to}));
        my $said = "gap $gap->{topic} $from-$to $gap->{reason}";
        my @in = grep { $from < $_->{seq} && $_->{seq} <= $to
                        && $_->{topic} eq $gap->{topic} } @$published;

        push @faults, "$said: not lagged" if $gap->{reason} ne 'lagged';
        push @faults, "$said: nothing is missing" if !@in;
        push @faults, "$said: $_->{seq} came"
            for grep { $got{ $_->{seq} } } @in;
        push @faults, "$said: the last one missing is $in[-1]{seq}"
            if @in && $in[-1]{seq} != $to;
    }

    for my $p (@$published) {
        next if $got{ $p->{seq} } || $p->{seq} <= $first;
        my $n = grep {
            $_->{topic} eq $p->{topic} && seq($_->{from}) < $p->{seq}
                && $p->{seq} <= seq($_->{to})
        } $c->gaps;
        push @faults, "$p->{topic} $p->{seq}: $n gaps cover it" if $n != 1;
    }

    is(scalar @faults, 0, "$name: what is missing is told, exactly")
        or diag join "\n", splice(@faults, 0, 4),
            map { show($_) } ($c->gaps)[0 .. 3];
}


sub gap_topics ($c) {
    my %topics = map { $_->{topic} => 1 } $c->gaps;
    return join ' ', sort keys %topics;
}


# (a) a process is lapped by what it has no subscriber for: nothing is lost

my @pairs = ([ 'a', 'b' ], [ 'b', 'a' ], [ 'c', 'a' ], [ 'room/1', 'room/2' ],
             [ 'room/2', 'room/1' ], [ 'x', 'yy' ], [ 'yy', 'x' ]);
{
    my $rt = RT->new(zone => 'main 1m', server => $batches);
    my $conn = $rt->conn;

    for my $pair (@pairs) {
        my ($a, $b) = @$pair;
        for my $kind ([ stream => "$a,$b" ], [ sse => "$b,$a" ],
                      [ stream => "$a,$b*" ], [ stream => "$a,$b,other" ])
        {
            my ($transport, $topics) = @$kind;
            my $c = $rt->client($transport, "/sub/$topics", several => 1);
            publish($conn, filler('x/y', 1200, 1000));
            publish($conn, [ $b, 1 ], [ $a, 2 ], [ 'x/y', 3 ]);
            $c->wait_items(2);
            is(join(' ', map { $_->{gap} ? 'gap' : $_->{data} } $c->items),
               '1 2', "$transport $topics: both, the ring has gone round");
            $c->close;
        }
    }

    # and as many times as it takes 4000

    my $c = $rt->stream('/sub/a,b', several => 1);
    publish($conn, filler('x/y', 4000, 1000));
    publish($conn, [ 'b', 1 ], [ 'a', 2 ], [ 'x/y', 3 ]);
    $c->wait_items(2);
    is(join(' ', $c->data), '1 2', 'four times round');

    $rt->finish;
}


# (b) a process that sleeps while another one publishes

{
    my $rt = RT->new(zone => 'main 1m', workers => 2, server => $batches);
    my ($asleep, $awake) = $rt->wait_workers;
    my $conn = $rt->conn(pid => $awake);

    for my $n (100, 700, 900, 2070) {
        my %c = map {
            my ($transport, $topics) = split ' ';
            ($_ => $rt->client($transport, "/sub/$topics", pid => $asleep,
                               several => 1));
        } 'stream a,b', 'stream b,a', 'sse a,b', 'websocket b,a',
          'stream a,b*', 'stream a*,b*', 'sse **';

        my @acks = publish($conn, [ 'a', 'A0' ], [ 'b', 'B0' ]);
        $_->wait_data('B0') for values %c;

        kill 'STOP', $asleep;
        push @acks, publish($conn, filler('b', $n, 900));
        push @acks, publish($conn, [ 'b', 'B1' ]);
        push @acks, publish($conn, [ 'a', 'A1' ]);
        push @acks, publish($conn, [ 'b', 'B2' ]);
        kill 'CONT', $asleep;

        for my $name (sort keys %c) {
            my $c = $c{$name};
            my $what = "$n while it sleeps, $name";
            ok($c->wait_data('B2', 5), "$what: the last one comes");
            is(join(' ', grep { /^[AB]/ } $c->data), 'A0 B0 B1 A1 B2',
               "$what: what is still there comes");
            exact($c, \@acks, $what);
            is(gap_topics($c), $n > 850 ? 'b' : '',
               "$what: a gap for the topic that lost something");
            $c->close;
        }
    }

    $rt->finish;
}


# (c) patterns: a reader that stops reading, and a process that sleeps

for my $how ('slow', 'asleep') {
    my $rt = RT->new(zone => 'main 1m', workers => 2, server => $batches,
                     listen => 'sndbuf=16k');
    my ($asleep, $awake) = $rt->wait_workers;
    my $conn = $rt->conn(pid => $awake);
    my %small = $how eq 'slow' ? (rcvbuf => 4096) : ();

    my %c = map {
        my ($transport, $topics) = split ' ';
        ($_ => $rt->client($transport, "/sub/$topics", pid => $asleep,
                           several => 1, %small));
    } 'stream w/**', 'sse w/**', 'websocket w/*', 'stream w/1*,w/*',
      'stream w/1,w/2,w/3,w/4*';

    # w/2 loses one in the middle, w/3 has its messages at both ends, w/4 has
    # none but the last; v/1 is not asked for

    my @acks = publish($conn, map { [ "w/$_", "first $_" ] } 1 .. 3);
    $_->wait_data('first 3') for values %c;
    if ($how eq 'slow') {
        $_->pause for values %c;
    } else {
        kill 'STOP', $asleep;
    }

    push @acks, publish($conn, filler('w/1', 4000, 900));
    push @acks, publish($conn, [ 'w/2', 'middle 2' ], [ 'v/1', 'middle' ]);
    push @acks, publish($conn, filler('w/1', 4000, 900));
    push @acks, publish($conn, map { [ "w/$_", "last $_" ] } 1 .. 4);
    my @asked = grep { $_->{topic} ne 'v/1' } @acks;

    if ($how eq 'slow') {
        $_->resume for values %c;
    } else {
        kill 'CONT', $asleep;
    }

    for my $name (sort keys %c) {
        my $c = $c{$name};
        my $what = "$how, $name";
        ok($c->wait_data('last 4', 5), "$what: the last one comes");
        is(join(' ', grep { /^last/ } $c->data), 'last 1 last 2 last 3 last 4',
           "$what: all that is still there comes");
        exact($c, \@asked, $what);
        is(gap_topics($c), 'w/1 w/2', "$what: who lost nothing has no gap");
        $c->close;
    }

    # and live again

    my $c = $rt->stream('/sub/w/**', pid => $asleep, several => 1);
    publish($conn, [ 'w/3', 'again' ]);
    ok($c->wait_data('again', 5), "$how: a new one is live");
    is(scalar $c->gaps, 0, "$how: without a gap");

    $rt->finish;
}

RT->end;
