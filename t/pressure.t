# Many readers that do not read, large audiences that come and go while they
# are served, an index that is full, a long stream: what they must not cost
# others.  Times are compared with each other only.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Socket qw(:DEFAULT);
use Test::More;
use RT;


# RT with room for more connections

package Wide {
    our @ISA = ('RT');

    sub config ($self) {
        my $text = $self->SUPER::config;
        return $text =~ s/worker_connections \d+/worker_connections 8192/r;
    }
}


my $asan = RT::nginx() =~ /asan/;
my $files = qx(sh -c 'ulimit -n') + 0 || 65536;
my $many = $files < 3000 ? int(($files - 200) / 2) : 1000;

my %accept = (sse => 'text/event-stream', stream => 'application/x-ndjson');
my @transports = qw(sse websocket stream);


# A subscriber that no loop serves: its socket, and bytes of the request sent.

sub raw ($rt, $transport, $uri, $rcvbuf = 0) {
    socket my $s, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $rcvbuf if $rcvbuf;
    connect $s, pack_sockaddr_in($rt->port, inet_aton('127.0.0.1'))
        or die "connect: $!";
    my $more = $transport eq 'websocket'
        ? "Upgrade: websocket\r\nConnection: Upgrade\r\n"
          . "Sec-WebSocket-Version: 13\r\n"
          . "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        : "Accept: $accept{$transport}\r\n";
    syswrite $s, "GET $uri HTTP/1.1\r\nHost: localhost\r\n$more\r\n";
    return $s;
}


sub subscribers ($rt) {
    my $sum = 0;
    $sum += $_ for values %{ $rt->status->{zones}{main}{subscribers} };
    return $sum;
}


# memory of all processes that nobody shares, in bytes

sub memory ($rt) {
    my $sum = 0;
    for my $pid ($rt->workers) {
        open my $f, '<', "/proc/$pid/status" or next;
        $sum += 1024 * $_ for map { /^RssAnon:\s+(\d+) kB/ } <$f>;
    }
    return $sum;
}


# Readers who do not read.

{
    # on a busy machine they do not read for longer than the usual 60s

    my $rt = Wide->new(workers => 2, zone => 'main 4m', listen => 'sndbuf=16k',
                       http => 'send_timeout 600s;', server => <<'EOF_S');
        location ~ ^/latest/(.+)$ {
            realtime_slow latest;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/close/(.+)$ {
            realtime_slow close;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/dead/(.+)$ {
            send_timeout 1s;
            realtime_subscribe $1 patterns;
        }
EOF_S
    my @normal = map { $rt->client($transports[$_ % 3], '/sub/busy') } 0 .. 5;
    my (@acks, $sent);

    # the time that messages take to all who read

    my $flood = sub ($n, $size) {
        my $begun = now;
        my $pub = $rt->publisher(next => sub {
            return if $n-- <= 0;
            return 'busy', ++$sent . ' ' . 'x' x $size;
        });
        wait_for(sub { $pub->done }) or return;
        is(scalar($pub->{refused}->@*), 0, 'none is refused')
            or diag $pub->{refused}[0];
        push @acks, $pub->acks;
        my $last = $acks[-1]{seq};
        wait_for(sub {
            return !grep { (seq($_->last_id) // 0) < $last } @normal;
        }) or diag 'normal readers are late';
        return now() - $begun;
    };
    my $best = sub {
        my ($best) = sort { $a <=> $b } map { $flood->(100, 500) } 1 .. 3;
        return $best;
    };

    my $alone = $best->();
    my $before = memory($rt);

    my %slow;
    my @paths = qw(sub latest close);
    for my $path (@paths) {
        for my $t (@transports) {
            my $c = $rt->client($t, "/$path/busy", rcvbuf => 4096);
            $c->pause;
            $slow{"$t $path"} = $c;
        }
    }
    my @raw = map { raw($rt, $transports[$_ % 3], "/$paths[$_ / 3 % 3]/busy",
                        4096) } 1 .. $many;
    ok(wait_for(sub { subscribers($rt) == $many + 15 }), 'all are there');

    $flood->(50, 20_000) for 1 .. 10;
    my $grown = memory($rt) - $before;
    ok($asan || $grown < $many * 128 * 1024, 'a buffer for each slow one')
        or diag "$grown bytes";
    my $full = memory($rt);
    $flood->(50, 20_000) for 1 .. 10;
    $grown = memory($rt) - $full;
    note "slow readers: $full bytes, and then $grown more";
    ok($asan || $grown < $full / 5 + 4_000_000, 'and no more, however many');

    my $among = $best->();
    note sprintf 'alone %.3f s, among slow ones %.3f s', $alone, $among;
    cmp_ok($among, '<', 10 * $alone, 'those who read are as fast as before');

    for my $c (@normal) {
        my @faults = RT::Follower::check($c->{items}, $c->{open_id}, @acks);
        is_deeply(\@faults, [], 'those who read lose nothing')
            or diag explain [ @faults[0 .. 3] ];
        is(scalar($c->gaps), 0, 'and are told of no gap')
            or diag show($c->gaps);
    }

    my $last = $acks[-1]{data};
    $_->resume for values %slow;
    for my $t (@transports) {
        my $c = $slow{"$t sub"};
        ok($c->wait_data($last), "$t: a slow one has the last one at last");
        my @faults = RT::Follower::check($c->{items}, $c->{open_id}, @acks);
        is_deeply(\@faults, [], "$t: all is accounted for")
            or diag explain [ @faults[0 .. 3] ];
        is(($c->gaps)[0]{reason}, 'lagged', "$t: it lagged");

        $c = $slow{"$t latest"};
        ok($c->wait_data($last), "$t, latest: has the last one");
        cmp_ok(scalar($c->messages), '<', @acks / 2, "$t, latest: not all");

        $c = $slow{"$t close"};
        ok($c->wait_end, "$t, close: ends");
        is($c->close_code, 1013, 'with 1013') if $t eq 'websocket';
        is(scalar($c->gaps), 0, "$t, close: no gap is told");
    }

    # they go, all at once

    $_->close for values %slow;
    close $_ for @raw;
    ok(wait_for(sub { subscribers($rt) == @normal }), 'slow ones go');
    $rt->publish('busy', 'the end');
    ok($_->wait_data('the end'), 'and the others do not notice') for @normal;

    # send_timeout, for those only who are not there any more

    my $alive = $rt->sse('/dead/busy');
    @raw = map { raw($rt, $transports[$_ % 3], '/dead/busy', 4096) } 1 .. 60;
    ok(wait_for(sub { subscribers($rt) == @normal + 61 }), 'sixty more');
    $flood->(50, 20_000);
    ok(wait_for(sub { subscribers($rt) == @normal + 1 }),
       'send_timeout closes the dead') or diag show($rt->status);
    ok(!$alive->ended, 'and not who reads');
    ok($alive->wait_data($acks[-1]{data}), 'who has it all');
    $rt->finish;
}


# A crowd: a child with many subscribers, who check that the marks in what they
# get, "#topic:number:total#", count up.  At every fifth message some leave
# with a reset, before they have read it, and others come.

sub crowd ($rt, $n, @uris) {
    pipe my $in, my $tell or die "pipe: $!";
    pipe my $hear, my $out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $tell;
        close $hear;
        my $result = eval { crowd_child($rt, $n, $in, $out, @uris) }
            // { faults => [ "$@" ] };
        syswrite $out, encode_json($result) . "\n";
        POSIX::_exit(0);
    }
    close $in;
    close $out;
    $hear->blocking(0);
    return { pid => $pid, tell => $tell, hear => $hear, text => '' };
}


sub crowd_child ($rt, $n, $in, $out, @uris) {
    local $SIG{PIPE} = 'IGNORE';
    my (%all, @faults, $end, %marks);
    my ($next, $left, $bits) = (0, 0, '');
    my $join = sub {
        my $uri = $uris[ $next % @uris ];
        my $s = raw($rt, $transports[ $next++ % 3 ], $uri);
        $s->blocking(0);
        $all{ fileno $s } = { s => $s, tail => '', uri => $uri, total => 0,
                              late => $left };
        vec($bits, fileno $s, 1) = 1;
    };
    my $leave = sub ($fd) {
        setsockopt $all{$fd}{s}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
        vec($bits, $fd, 1) = 0;
        close +(delete $all{$fd})->{s};
        $left++;
    };
    $join->() for 1 .. $n;
    my $over = now() + $RT::timeout;

    # who came last may have come too late for any

    my $wants = sub {
        return grep { $_->{total} < ($end // 0)
                      && ($_->{total} || !$_->{late}) } values %all;
    };

    while (now() < $over) {
        last if defined $end && !$wants->();
        my $r = $bits;
        vec($r, fileno $in, 1) = 1;
        select $r, undef, undef, 0.1;

        if (vec $r, fileno $in, 1) {
            sysread $in, my $text, 100;
            $end = $text + 0;
        }
        for my $fd (keys %all) {
            my $c = $all{$fd} or next;
            next if !vec $r, $fd, 1;
            my $got = sysread $c->{s}, my $bytes, 262144;
            if (!$got) {
                next if !defined $got && $!{EAGAIN};
                push @faults, "$c->{uri}: ends";
                $leave->($fd);
                next;
            }
            $bytes = $c->{tail} . $bytes;
            my $at = 0;
            while ($bytes =~ /#(\w+):(\d+):(\d+)#/g) {
                my ($topic, $number, $total) = ($1, $2, $3);
                $at = pos $bytes;
                my $last = $c->{last}{$topic};
                if ($total <= $c->{total}
                    || defined $last && $number != $last + 1)
                {
                    push @faults, "$c->{uri}: $topic $number, total $total,"
                        . ' after ' . ($last // 'none') . " and $c->{total}";
                }
                $c->{last}{$topic} = $number;
                $c->{total} = $total;

                if ($total % 5 == 0 && !$marks{$total}++) {
                    my @fds = grep { $_ != $fd && $all{$_}{total} < $total }
                        keys %all;
                    $leave->($_) for @fds[0 .. (@fds < 20 ? $#fds : 19)];
                }
                if ($total % 2 && !$marks{$total}++) {
                    $join->() while keys %all < $n;
                }
            }
            $c->{tail} = substr $bytes, $at > length($bytes) - 40 ? $at : -40;
        }
        syswrite $out, "there\n" if !$marks{there}++;
    }

    my @late = $wants->();
    push @faults, scalar(@late) . ' did not get all, one has '
        . $late[0]{total} if @late;
    return { faults => \@faults, left => $left };
}


sub crowd_end ($crowd, $total) {
    syswrite $crowd->{tell}, "$total\n";
    my $result;
    wait_for(sub {
        sysread $crowd->{hear}, $crowd->{text}, 65536, length $crowd->{text};
        ($result) = $crowd->{text} =~ /^(\{.*\})\n/m;
        return $result;
    }, 2 * $RT::timeout);
    waitpid $crowd->{pid}, 0;
    return json_of($result // 'null') // { faults => [ 'no result' ] };
}


for my $workers (1, 2) {
    my $rt = Wide->new(workers => $workers, zone => 'main 32m',
                       http => 'realtime_message_max_size 256k;
                                client_body_buffer_size 256k;');
    my $name = "$workers processes, crowd";
    my $n = $workers * $many;
    my $crowd = crowd($rt, $n,
                      '/sub/one', '/sub/one,two', '/sub/two', '/sub/*');
    ok(wait_for(sub { subscribers($rt) == $n }), "$name: there")
        or diag subscribers($rt);

    # a process that serves thousands answers others in between

    my $c = $rt->conn;
    my $ask = $rt->conn(pid => ($rt->workers)[0]);
    my (%number, $total, $between);
    my $refused = 0;
    for my $round (1 .. 40) {
        my $large = $round % 4 ? 2000 : $round % 8 ? 60_000 : 250_000;
        my @sizes = ($large, (10) x ($round % 4 ? 1 : 6));
        for my $size (@sizes) {
            my $topic = $total++ % 3 ? 'one' : 'two';
            my $data = 'x' x $size . "#$topic:" . ++$number{$topic}
                . ":$total#";
            $c->request('POST', "/pub/$topic", [], $data);
        }
        if ($large >= 60_000) {

            # how far it has come when it answers: without slices it would
            # be before or after all that a process has to do

            my ($was, $steps) = (0, 0);
            for (1 .. 20) {
                my $zone = $ask->ask('GET', '/status')->json->{zones}{main};
                $steps++ if $was && $zone->{messages_delivered} > $was;
                $was = $zone->{messages_delivered};
            }
            $between++ if $steps > $workers;
        }
        for (@sizes) {
            $refused++ if $c->response->status != 201;
        }
    }
    my $end = $total + 1;
    for my $topic (qw(one two)) {
        $rt->publish($topic, "#$topic:" . ++$number{$topic} . ':' . ++$total
                             . '#');
    }
    is($refused, 0, "$name: all is published");
    ok($between, "$name: others are answered while it is served");
    note "$name: ", $between // 0, ' times';

    my $result = crowd_end($crowd, $end);
    is_deeply($result->{faults}, [], "$name: each has each message once")
        or diag explain [ @{ $result->{faults} }[0 .. 4] ];
    cmp_ok($result->{left}, '>', 50, "$name: some left in the middle");
    ok(wait_for(sub { subscribers($rt) == 0 }), "$name: all are gone")
        or diag show($rt->status);
    is($rt->status->{zones}{main}{gaps}, 0, "$name: no gap");
    $rt->finish;
}


# A long stream to one subscriber: memory stays what it was.

{
    my $rt = RT->new(zone => 'main 8m', http => 'client_max_body_size 1m;
        client_body_buffer_size 256k; realtime_history count=100000;');
    my $batches = $asan ? 200 : 1000;
    my $crowd = crowd($rt, 3, '/sub/long');
    ok(wait_for(sub { subscribers($rt) == 3 }), 'three listen');
    my $c = $rt->conn;
    my ($n, $warm, $refused) = (0);
    for my $batch (1 .. $batches) {
        my $body = '';
        for (1 .. 200) {
            $n++;
            $body .= qq({"data":"#long:$n:${n}1#"}\n);
        }
        my $r = $c->ask('POST', '/pub/long', [
            'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
        ], $body);
        $refused = $r->show if $r->status != 201;
        $warm = memory($rt) if $batch == int $batches / 10;

        # they must not lag: a ring full may be on its way, and no more

        if ($batch % 100 == 0) {
            my $all = 3 * $n;
            wait_for(sub {
                $rt->status->{zones}{main}{messages_delivered} >= $all;
            }) or diag 'late';
        }
    }
    my $grown = memory($rt) - $warm;
    note "$n messages: $grown bytes more than $warm";
    is($refused, undef, 'all batches are taken');
    cmp_ok($grown, '<', 128 * 1024, 'a long stream costs no memory')
        if !$asan;
    my $result = crowd_end($crowd, "${n}1");
    is_deeply($result->{faults}, [], 'and all of it arrives')
        or diag explain [ @{ $result->{faults} }[0 .. 4] ];
    $rt->finish;
}


# The ring and the index are full.

{
    my $rt = RT->new(workers => 2, zone => 'main 1m index=16k', http => '
        client_max_body_size 1m; realtime_message_max_size 1m;');
    my $status = $rt->status->{zones}{main};
    my $quarter = int $status->{ring_bytes} / 4;
    my $c = $rt->conn;
    my $sse = $rt->sse('/sub/large');
    is($c->ask('POST', '/pub/large', [], 'x' x $quarter)->status, 413,
       'more than a quarter of the ring');
    my @acks;
    for my $n (1 .. 20) {
        my $data = "$n " . 'x' x ($quarter - 200);
        my $r = $c->ask('POST', '/pub/large', [], $data);
        is($r->status, 201, 'nearly a quarter') or diag $r->show;
        push @acks, { seq => seq(($r->json // {})->{id}), data => $data,
                      topic => 'large' };
    }
    ok($sse->wait_data($acks[-1]{data}), 'the last one arrives');
    my @faults = RT::Follower::check($sse->{items}, $sse->{open_id}, @acks);
    is_deeply(\@faults, [], 'and what is missing is told')
        or diag explain [ @faults[0 .. 3] ];
    my $now = $rt->status->{zones}{main};
    cmp_ok($now->{ring_used_bytes}, '<=', $now->{ring_bytes}, 'a full ring');
    cmp_ok($now->{messages_evicted}, '>=', 16, 'and wraps');

    # half of the cells have topics with subscribers, and no more

    my @subs;
    my $refused;
    for my $n (1 .. 100) {
        push @subs, $rt->client($transports[$n % 3], "/sub/full/$n");
        $refused = $subs[-1]->status == 503 and last;
    }
    ok($refused, 'no room for another topic to subscribe to');
    my $r = $c->ask('POST', '/pub/fresh', [], 'x');
    is($r->status, 201, 'but to publish to') or diag $r->show;
    for my $n (1 .. 100) {
        $r = $c->ask('POST', '/pub/full/1', [ 'Idempotency-Key' => "k$n" ],
                     'x');
        $r->status == 201 or last;
    }
    is($r->status, 201, 'and for keys') or diag $r->show;
    $c->ask('POST', "/pub/idle/$_", [], 'x') for 1 .. 100;
    $now = $rt->status->{zones}{main};
    cmp_ok($now->{keys_evicted}, '>', 50, 'keys that went are counted');
    cmp_ok($now->{topics_evicted}, '>', 50, 'and so are topics');
    is($c->ask('POST', '/pub/full/1', [ 'Idempotency-Key' => 'k100' ], 'x')
         ->header('Idempotent-Replay'), 'true',
       'young keys are not pushed out by topics');
    for my $n (1, @subs - 1) {
        is($rt->publish("full/$n", "to $n")->status, 201, 'others go on');
        ok($subs[ $n - 1 ]->wait_data("to $n"), 'and arrive');
    }
    (pop @subs)->close;
    (shift @subs)->close;
    ok(wait_for(sub {
        my $s = $rt->client('sse', '/sub/fresh');
        push @subs, $s;
        return $s->status == 200;
    }), 'one leaves, and there is room');
    $rt->finish;
}


# nginx's limits and its access rules, for connections that stay

{
    my $rt = RT->new(http => <<'EOF_H', server => <<'EOF_S');
    limit_conn_zone $arg_u zone=conns:1m;
    limit_req_zone $arg_u zone=reqs:1m rate=1r/m;
EOF_H
        location = /auth {
            if ($request_uri !~ token=good) { return 403; }
            return 204;
        }
        location ~ ^/conn/(.+)$ {
            limit_conn conns 2;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/req/(.+)$ {
            limit_req zone=reqs burst=1 nodelay;
            realtime_subscribe $1 patterns;
        }
        location ~ ^/any/(.+)$ {
            satisfy any;
            deny all;
            auth_request /auth;
            realtime_subscribe $1 patterns;
        }
EOF_S
    for my $t (@transports) {
        my $fine = $t eq 'websocket' ? 101 : 200;
        my @two = map { $rt->client($t, "/conn/a?u=$t") } 1, 2;
        my $third = $rt->client($t, "/conn/a?u=$t");
        is($third->status, 503, "$t: limit_conn");
        $third->close;
        $two[0]->abort;
        ok(wait_for(sub {
            $two[0] = $rt->client($t, "/conn/a?u=$t");
            return 1 if $two[0]->status == $fine;
            $two[0]->close;
            return;
        }), "$t: limit_conn: when one leaves, another may come");

        my @r = map { $rt->client($t, "/req/a?u=$t") } 1 .. 3;
        is(join(' ', map { $_->status } @r), "$fine $fine 503",
           "$t: limit_req counts subscriptions");

        my $bad = $rt->client($t, '/any/a?token=bad');
        is($bad->status, 403, "$t: satisfy any, nothing is satisfied");
        my $good = $rt->client($t, '/any/a?token=good');
        is($good->status, $fine, "$t: satisfy any, auth_request is");

        $rt->publish('a', "$t $_") for 1 .. 20;
        ok($_->wait_data("$t 20"), "$t: and they are served")
            for @two, @r[0, 1], $good;
        $_->close for @two, @r, $bad, $good;
    }
}

RT->end;
