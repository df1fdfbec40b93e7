package Bench::Scenario;

# What is measured.  A scenario is a name, options of t/bench/load, and which
# servers take part; "report" names the figures that its table shows.
#
#     http, ours, nchan   lines of the configuration, of both or of one
#     processes           of nginx, 1 unless told
#     cores               of server and load, instead of 0 and 1
#     spread              several loads with so many readers; with "lead", the
#                         one that publishes reads as well
#     reload              seconds between reloads, while it is measured
#     quick               seconds of a quick run
#     rounds              fewer than the others have
#     group               one table for all of it; ours is the only server
#     locations           more of the server's configuration
#     beside              options of t/bench/beside, instead of the load
#     also                figures of this row alone, in a column of their own

use v5.36;

use Exporter 'import';
use POSIX ();

our @EXPORT = qw(scenarios);


my @broadcast = qw(deliveries_s cpu_s_per_million last_p50 last_p99
                   last_p999);
my @publish = qw(publishes_s cpu_us_per_publish publish_p50 publish_p99
                 publish_p999);
my @topics = qw(publishes_s cpu_us_per_publish delivery_p50 delivery_p99
                delivery_p999);
my @memory = qw(memory_each connect_s);
my @contend = qw(publishes_s cpu_us_per_publish publish_p50 publish_p99
                 processes_used least_share);
my @reload = qw(publishes_s deliveries_s reloads resumed resent last_p50
                last_p99 publish_p50 publish_p99);

my @beside = map { my $what = $_;
                   map { ("idle_${what}_$_", "${what}_$_") } qw(p50 p99) }
             qw(message get work);

# what another client asks for while the probe is measured

my %beside = (
    patterns  => ['60 subscribers with 256 patterns that share a head',
                  qw(published_alone_s published_s batch_ms)],
    nothing   => ['3 GETs of 256 patterns that match nothing, full ring',
                  qw(answered_ms)],
    conflated => ['1,000 readers of one topic, plain and conflated',
                  qw(sse_cpu_us conflated_sse_cpu_us deflated_cpu_us
                     conflated_deflated_cpu_us)],
    plain     => ['2,000 clients of a plain `return 200`, for comparison',
                  qw(wave_ms wave_mb)],
    same      => ['2,000 readers resume, all with one old id',
                  qw(wave_ms wave_mb)],
    scattered => ['2,000 readers resume, each with another old id',
                  qw(wave_ms wave_mb)],
    scan      => ['100 readers of a pattern resume, all with one old id',
                  qw(wave_ms wave_mb)],
    pings     => ['one WebSocket client sends pings', qw(frames_s)],
    inflate   => ['one WebSocket client sends frames that inflate to 64k',
                  qw(frames_s)],
    index     => ['126 subscribers with 256 topics each',
                  qw(answered refused index_free topics_kept
                     keys_kept)],
);

my $beside = <<'EOC';
        location = /nothing        { return 204; }
        location = /plain          { return 200 hello; }
        location = /publish/probe  { realtime_publish probe; }
        location = /probe/it       { realtime_subscribe probe; }
        location = /status         { realtime_status; }

        location ~ ^/patterns/(.+)$ {
            realtime_subscribe $1 patterns;
        }

        location ~ ^/long/(.+)$ {
            realtime_history   count=1000000 age=1h;
            realtime_subscribe $1 patterns;
        }

        location ~ ^/conflated/(.+)$ {
            realtime_conflate  50ms;
            realtime_subscribe $1;
        }

        location ~ ^/bomb/(.+)$ {
            realtime_publish   bomb/$1 websocket;
            realtime_subscribe bomb/none;
        }
EOC

my $tuned = <<'EOC';
    client_header_buffer_size  512;
    connection_pool_size       256;
    request_pool_size          1k;
EOC

my %memory = (
    ''              => 'limit_conn and access log',
    '-detach'       => 'realtime_detach and access log',
    '-detach-tuned' => 'the same, small buffers and pools',
);

# connections as nginx users expect them: counted and logged

my $usual = <<'EOC';
        access_log  access.log;
        limit_conn  perip 60000;
EOC

my %kinds = (sse => 'SSE', ws => 'WebSocket');


# $files: how many each process may open
#
# nginx closes idle connections when fewer than a sixteenth are left

sub most ($files) {
    my $most = int($files * 0.93 / 1000) * 1000;

    return $most > 100000 ? 100000 : $most;
}


sub scenarios ($files) {
    my @list;
    my $most = most($files);

    # some processes get more connections than others

    my $parts = POSIX::ceil(200000 / ($files * 0.85));

    for my $kind (qw(sse ws)) {
        for my $readers (1000, 10000) {
            for my $inflight (1, 8) {
                push @list, {
                    name   => "broadcast-$kind-$readers-$inflight",
                    title  => "$readers $kinds{$kind} readers, $inflight "
                              . ($inflight > 1 ? 'publishes' : 'message')
                              . ' in flight',
                    load   => { kind => $kind, readers => $readers,
                                inflight => $inflight,
                                $inflight > 1 ? (ahead => 32) : () },
                    report => \@broadcast,
                };
            }
        }
    }

    for my $kind (qw(sse ws)) {
        push @list, {
            name   => "broadcast-$kind-1000-8-all",
            title  => "1000 $kinds{$kind} readers, 8 messages in flight",
            load   => { kind => $kind, readers => 1000, inflight => 8 },
            report => \@broadcast,
        };
    }

    for my $kind (qw(sse ws)) {
        for my $readers (1000, 10000) {
            push @list, {
                name   => "half-$kind-$readers",
                title  => "$readers $kinds{$kind} readers, half the load of "
                          . 'the bare loop',
                load   => { kind => $kind, readers => $readers,
                            inflight => 8 },
                half   => "broadcast-$kind-$readers-1",
                report => [qw(cpu last_p50 last_p99 last_p999)],
            };
        }
    }

    for my $kind (qw(sse ws)) {
        push @list, {
            name   => "topics-$kind-10000",
            title  => "10,000 topics with one $kinds{$kind} reader each",
            load   => { kind => $kind, readers => 10000, topics => 10000,
                        inflight => 32,
                        spin => 1 },
            report => \@topics,
        };
    }

    push @list, {
        name    => 'publish',
        title   => 'publish only, 10,000 topics',
        load    => { readers => 0, topics => 10000, inflight => 32,
                        spin => 1 },
        report  => \@publish,
    }, {
        name    => 'publish-1',
        title   => 'publish only, one connection',
        load    => { readers => 0, topics => 100, inflight => 1 },
        report  => \@publish,
    }, {
        name    => 'publish-nothing',
        title   => 'the same, to "return 201" of nginx: what HTTP costs',
        load    => { readers => 0, topics => 10000, inflight => 32,
                     spin => 1, publish => '/nothing/' },
        servers => ['ours'],
        report  => \@publish,
    }, {
        name    => 'batch',
        title   => 'batches of 1,000 messages, no readers',
        load    => { readers => 0, topics => 10000, inflight => 2,
                     batch => 1000 },
        servers => ['ours'],
        report  => \@publish,
    }, {
        name    => 'batch-topics',
        title   => 'batches of 1,000 messages, 10,000 topics with a reader '
                   . 'each, one message a topic',
        load    => { readers => 10000, topics => 10000, inflight => 2,
                     batch => 1000, kind => 'ws' },
        servers => ['ours'],
        report  => [qw(deliveries_s cpu_s_per_million delivery_p50
                       delivery_p99 delivery_p999)],
    }, {
        name    => 'batch-runs',
        title   => 'batches of 1,000 messages, 10,000 topics with a reader '
                   . 'each, 100 messages a topic',
        load    => { readers => 10000, topics => 10000, inflight => 2,
                     batch => 1000, batch_run => 100, kind => 'ws' },
        servers => ['ours'],
        report  => [qw(deliveries_s cpu_s_per_million delivery_p50
                       delivery_p99 delivery_p999)],
    };

    for my $kind (qw(sse ws)) {
        push @list, {
            name   => "memory-$kind",
            title  => "$most idle $kinds{$kind} connections",
            load   => { kind => $kind, readers => $most, idle => $most,
                        inflight => 0 },
            report => \@memory,
        }, {
            name   => "memory-$kind-tuned",
            title  => "$most idle $kinds{$kind} connections, small buffers "
                      . 'and pools',
            load   => { kind => $kind, readers => $most, idle => $most,
                        inflight => 0 },
            http   => $tuned,
            ours   => 'realtime_detach on;',
            servers => [qw(ours nchan)],
            report => \@memory,
        };
    }

    for my $kind (qw(sse ws)) {
        for my $how ('', '-detach', '-detach-tuned') {
            push @list, {
                name      => "memory-$kind-3000$how",
                title     => "3,000 idle $kinds{$kind} connections, "
                             . $memory{$how},
                load      => { kind => $kind, readers => 3000, idle => 3000,
                               inflight => 0, handshakes => 8 },
                http      => $how =~ /tuned/ ? $tuned : <<'EOC',
    limit_conn_zone $binary_remote_addr zone=perip:1m;
EOC
                locations => $how ? '        access_log  access.log;'
                                  : $usual,
                ours      => $how ? "    realtime_detach on;\n" : '',
                servers   => $how ? ['ours'] : [qw(ours nchan)],
                report    => \@memory,
            };
        }
    }

    for my $kind (qw(sse ws)) {
        push @list, {
            name   => "slow-$kind-1000",
            title  => "1,000 $kinds{$kind} readers, and 1,000 that never read",
            load   => { kind => $kind, readers => 2000, stalled => 1000 },
            report => \@broadcast,
        };
    }

    for my $kind (qw(sse ws)) {
        push @list, {
            name    => "tls-$kind-1000",
            title   => "1,000 $kinds{$kind} readers over TLS, 1 in flight",
            load    => { kind => $kind, readers => 1000, tls => 1 },
            servers => [qw(ours nchan)],
            report  => \@broadcast,
        };
    }

    push @list, {
        name    => 'tls-ws-1000-8',
        title   => '1,000 WebSocket readers over TLS, 8 in flight',
        load    => { kind => 'ws', readers => 1000, tls => 1, inflight => 8,
                     ahead => 32 },
        servers => [qw(ours nchan)],
        report  => \@broadcast,
    }, {
        name    => 'h2-sse-1000',
        title   => '1,000 SSE readers over HTTP/2, 1 in flight',
        load    => { kind => 'sse', readers => 1000, h2 => 1 },
        servers => [qw(ours nchan)],
        report  => \@broadcast,
    }, {
        name    => 'h2-sse-1000-8',
        title   => '1,000 SSE readers over HTTP/2, 8 in flight',
        load    => { kind => 'sse', readers => 1000, h2 => 1, inflight => 8,
                     ahead => 32 },
        servers => [qw(ours nchan)],
        report  => \@broadcast,
    }, {
        name    => 'deflate-ws-1000',
        title   => '1,000 WebSocket readers, 1 KB messages deflated, 1 in '
                   . 'flight',
        load    => { kind => 'ws', readers => 1000, deflate => 1,
                     size => 1024 },
        ours    => "    realtime_deflate on;\n",
        nchan   => "            nchan_deflate_message_for_websocket on;\n",
        servers => [qw(ours nchan)],
        report  => \@broadcast,
    };

    # publishers of one topic, as many to each process; what is left of the
    # cost where nothing is published is the scheduler's

    for my $size (128, 65536) {
        for my $what (qw(alone reader nothing)) {
            for my $n (1, 2, 4, 8) {
                push @list, {
                    name      => "contend-$what-$size-$n",
                    group     => '64 publishers of one topic, '
                                 . '`contend-*`',
                    title     => "$n " . ($n > 1 ? 'processes' : 'process')
                                 . ($size > 128 ? ', 64 KB' : ', 128 bytes')
                                 . { alone   => '',
                                     reader  => ', one reader',
                                     nothing => ': "return 201"' }->{$what},
                    load      => { readers => $what eq 'reader' ? 1 : 0,
                                   inflight => 64, processes => $n,
                                   size => $size, ahead => 4,
                                   $what eq 'nothing'
                                   ? (publish => '/nothing/') : () },
                    ours      => "    realtime_history count=100000;\n",
                    processes => $n,
                    cores     => '0-1',
                    servers   => ['ours'],
                    report    => \@contend,
                };
            }
        }
    }

    for my $kind (qw(sse ws)) {
        push @list, {
            name      => "reload-$kind",
            title     => "100 $kinds{$kind} readers that resume, a reload "
                         . 'every 2 s',
            load      => { kind => $kind, readers => 100, inflight => 8,
                           rate => 500, resume => 1, seconds => 11 },
            ours      => "    realtime_history count=100000;\n"
                         . "    realtime_drain 1s;\n",
            processes => 2,
            reload    => 2,
            quick     => 5,
            rounds    => 1,
            servers   => ['ours'],
            report    => \@reload,
        };
    }

    for my $load (sort keys %beside) {
        my ($title, @also) = @{ $beside{$load} };

        push @list, {
            name      => "beside-$load",
            group     => 'Latency of an uninvolved client, idle and beside, '
                         . '`beside-*`',
            title     => $title,
            beside    => { load => $load },
            locations => $beside,
            servers   => ['ours'],
            report    => \@beside,
            also      => \@also,
        };
    }

    push @list, {
        name    => 'latency-idle',
        title   => 'publish latency, 200 a second, nothing else to do',
        load    => { readers => 0, other_topics => 100, inflight => 4,
                     rate => 200, seconds => 3 },
        servers => [qw(ours nchan bare)],
        report  => [qw(cpu publish_p50 publish_p99 publish_p999)],
    }, {
        name    => "latency-$most",
        title   => "the same while a topic with $most WebSocket readers is "
                   . 'kept busy',
        load    => { kind => 'ws', readers => $most, other_topics => 100,
                     inflight => 4, background => 1, rate => 200,
                     seconds => 3 },
        servers => [qw(ours nchan bare)],
        report  => [qw(cpu deliveries_s publish_p50 publish_p99
                       publish_p999)],
    }, {
        name    => 'connections-200000',
        title   => "200,000 WebSocket readers of a topic, $parts processes",
        load    => { kind => 'ws', rate => 0.25, seconds => 10 },
        spread  => { readers => 200000, loads => $parts },
        processes => $parts,
        cores   => '0-1',
        gigabytes => 5,
        rounds  => 1,
        quick   => 10,
        servers => ['ours'],
        manual  => 1,
        report  => [qw(readers memory_each connect_s deliveries
                       reached_ms)],
    }, {
        name    => 'latency-100000',
        title   => 'the same with 100,000 readers in all of six processes',
        load    => { kind => 'ws', other_topics => 100, inflight => 4,
                     background => 1, rate => 200, seconds => 4 },
        spread  => { readers => 100000, loads => 6, lead => 1 },
        processes => 6,
        servers => [qw(ours nchan)],
        manual  => 1,
        report  => [qw(cpu deliveries_s publish_p50 publish_p99
                       publish_p999)],
    };

    return @list;
}


1;
