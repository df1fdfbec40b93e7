# A subscriber's request is saved while it is connected: what the access log,
# limit_conn and other modules see of it is what they see of one that was kept.
#
# Each client comes twice, to a location that keeps requests (/off/) and to one
# that saves them (/new/); all log lines of the two must be the same.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use IO::Uncompress::Gunzip ();
use Test::More;
use RT;


my $syslog = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1')
    or die "no port: $!";
$syslog->blocking(0);

# as a header, a condition or a name of a file may need them

my @variables = qw(
    status body_bytes_sent bytes_sent request_length request_completion pipe
    connection_requests request_method request request_uri uri document_uri
    args is_args query_string server_protocol scheme host http_host server_name
    server_port server_addr remote_addr remote_user http_user_agent http_referer
    http_x_long http_x_none http_cookie http_upgrade http_x_twice
    http_x_forwarded_for proxy_add_x_forwarded_for cookie_a cookie_b arg_tag
    arg_none content_type content_length sent_http_content_type
    sent_http_cache_control sent_http_connection sent_http_transfer_encoding
    sent_http_x_pid sent_http_x_many sent_http_x_accel_buffering name captured
    kind late slow early picked where whoever share flag tls_or_not
    document_root request_filename limit_rate limit_conn_status
    limit_req_status realtime_topic realtime_transport realtime_messages
    realtime_bytes realtime_gaps ssl_protocol ssl_cipher ssl_session_reused
    ssl_server_name ssl_client_verify hostname nginx_version
    proxy_protocol_addr pid https invalid_referer msec_none
);

my $format = join ' ', map { "$_=[\$$_]" } @variables;

my $common = <<'EOF_C';
        auth_request /auth;
        auth_request_set $whoever $uri;
        set $flag "set-$arg_tag";
        set $msec_none "-";
        if ($http_x_long ~ "^(l)(o)") { set $flag "$flag-$2$1"; }
        valid_referers none example.com;
        add_header X-Many "a-$arg_tag";
        limit_conn one 100;
        limit_conn two 100;
        access_log all.log all;
        access_log plain.log combined;
        access_log if.log all if=$late;
        access_log never.log all if=$never;
        access_log buffered.log.gz all gzip flush=1s;
        root .;
        access_log by-$arg_tag.log combined;
        access_log syslog:server=127.0.0.1:SYSLOG combined;
        realtime_subscribe $name;
EOF_C
$common =~ s/SYSLOG/$syslog->sockport/e;

my $rt = RT->new(tls => 1, http2 => 1, http => <<"EOF_H", server => <<"EOF_S");
    limit_conn_zone \$binary_remote_addr zone=one:1m;
    limit_conn_zone "\$server_name:\$uri" zone=two:1m;
    limit_conn_zone \$arg_tag zone=few:1m;
    limit_conn_zone \$uri zone=more:1m;
    limit_conn_zone \$arg_none zone=none:1m;
    map \$realtime_messages \$late { 0 ""; default late; }
    map \$bytes_sent \$never { ~^\\d+\$ ""; default never; }
    map \$request_time \$slow { ~^0\\.[0-2] quick; default slow; }
    map \$http_user_agent \$kind { ~*^(?<brand>moz)illa "\$brand"; default -; }
    map \$http_x_long \$early { default "\${http_x_long}-\$arg_tag"; }
    map \$uri \$picked { ~/(?<last>[^/]*)\$ \$last; default -; }
    map "x\$1" \$captured { xoff one; xnew one; default other; }
    map \$https \$tls_or_not { on tls; default plain; }
    geo \$where { default far; 127.0.0.0/8 near; }
    split_clients "\$http_user_agent" \$share { 50% half; * rest; }
    log_format all '$format';
    large_client_header_buffers 4 32k;
    realtime_keepalive 1h;
    keepalive_timeout 1h;
EOF_H
    location = /auth { internal; return 204; }
    location = /stub { stub_status; }
    location ~ ^/(off)/(?<name>.+)\$ { $common realtime_detach off; }
    location ~ ^/(new)/(?<name>.+)\$ { $common }
    location ~ ^/few/(.+)\$ {
        limit_conn few 2;
        limit_conn more 3;
        limit_conn none 1;
        error_page 503 \@full;
        realtime_subscribe \$1;
    }
    location \@full { return 429; }
    location ~ ^/dry/(.+)\$ {
        limit_conn few 1;
        limit_conn_dry_run on;
        access_log dry.log all;
        realtime_subscribe \$1;
    }
    location ~ ^/uid/(.+)\$ {
        userid on;
        access_log uid.log all;
        realtime_subscribe \$1;
    }
    location ~ ^/lean/off/(.+)\$ {
        access_log lean.log;
        limit_conn more 10000;
        realtime_detach off;
        realtime_subscribe \$1;
    }
    location ~ ^/lean/new/(.+)\$ {
        access_log lean.log;
        limit_conn more 10000;
        realtime_subscribe \$1;
    }
EOF_S

sub lines ($name, $want = qr/./) {
    open my $f, '<', "$rt->{dir}/$name" or return;
    return grep { /$want/ } <$f>;
}

# what differs between any two requests is made the same

sub mask ($line) {
    return $line =~ s{/new/}{/off/}gr =~ s/\[new\]/[off]/gr
        =~ s{\d\d/\w+/\d{4}:[\d:]+ \+0000}{TIME}r
        =~ s/^<\d+>\w+ +\d+ [\d:]+ //r;
}

sub counted ($transport) {
    return $rt->status->{zones}{main}{subscribers}{$transport};
}

sub stub ($field) {
    my $conn = $rt->conn;
    my $r = $conn->ask('GET', '/stub');
    $conn->close;
    return $r->body =~ /\Q$field\E:? (\d+)/ ? $1 : undef;
}

my @headers = (
    'User-Agent' => 'Mozilla/5.0 (X11)', Referer => 'http://localhost/a?b',
    Cookie => 'a=1; b=two', Cookie => 'c=3', 'X-Twice' => 'x', 'X-Twice' => 'y',
    'X-Forwarded-For' => '192.0.2.1', 'X-Forwarded-For' => '192.0.2.2',
    'X-Long' => 'lo' . 'n' x 3000, Authorization => 'Basic YW5uOnNlY3JldA==',
    'Accept-Language' => 'de',
);

# so that all positions have as many digits

$rt->publish('digits', $_) for 1 .. 100;

# how it ends: by the client in two ways, by what it sends, by its own close

my %ends = (
    leaves => sub ($c, $t) { $c->close },
    resets => sub ($c, $t) { $c->abort },
    says   => sub ($c, $t) {
        $c->write($t eq 'websocket' ? "\x81\x80abcd"
                                    : "GET /pid HTTP/1.1\r\n\r\n");
        $rt->publish($t, 'after');
        $c->wait_data('after') unless $t eq 'websocket';
        $c->wait_end if $t eq 'websocket';
        $c->close;
    },
    closes => sub ($c, $t) {
        $c->send_close(1000), $c->wait_end if $t eq 'websocket';
        $c->close;
    },
);

my %lines;
for my $t (qw(sse websocket stream)) {
    for my $how (sort keys %ends) {
        for my $tls (0, 1) {
            my $tag = join '-', $t, $how, $tls;
            my $slow = $how eq 'leaves';
            my %got;

            for my $where (qw(off new)) {
                my $c = $rt->client($t, "/$where/$t?tag=$tag&x=%41",
                                    tls => $tls, headers => \@headers);
                my $begin = now();
                is(scalar(lines('all.log', qr/\[\/$where\/$t\?tag=$tag&/)), 0,
                   "$tag $where: logged at its end");
                $rt->publish($t, 'one');
                $rt->publish($t, 'two');
                ok($c->wait_data('two'), "$tag $where: served");
                wait_for(sub { now() - $begin > 0.35 }) if $slow;
                $ends{$how}->($c, $t);
                ok(wait_for(sub { counted($t) == 0 }), "$tag $where: it left");

                for my $log (qw(all.log plain.log if.log)) {
                    my $re = qr{/$where/$t\?tag=$tag&};
                    wait_for(sub { lines($log, $re) });
                    my $all = join '', map { mask($_) } lines($log, $re);
                    $got{$log}{$where} = $slow ? $all
                                               : $all =~ s/ slow=\S+//r;
                }
                $got{by}{$where} = join '', map { mask($_) }
                    lines("by-$tag.log", qr{/$where/});

                wait_for(sub {
                    defined $syslog->recv(my $line, 65536) or return 0;
                    $got{syslog}{$where} = mask($line);
                });
            }

            for my $log (sort keys %got) {
                same($got{$log}{new}, $got{$log}{off}, "$tag: $log");
                is(scalar(() = $got{$log}{new} =~ m{GET /off/}g),
                   1, "$tag: $log: one line");
            }
            like($got{'all.log'}{new}, qr/ realtime_messages=\[[23]\] /,
                 "$tag: as it was in the end");
            like($got{'all.log'}{new}, qr/ slow=\[slow\] /,
                 "$tag: \$request_time") if $slow;
        }
    }
}

is(scalar(lines('never.log')), 0, 'no line for a condition that does not hold');

my $gz = '';
ok(wait_for(sub {
    IO::Uncompress::Gunzip::gunzip("$rt->{dir}/buffered.log.gz", \$gz,
                                   MultiStream => 1);
    return ($gz =~ tr/\n//) == 48;
}), 'a line for each in the compressed log') or diag $gz =~ tr/\n//;

# what the error log says of them

my @said = map { s/^\S+ \S+ (\S+) \S+ \*\d+ /$1 /r =~ s{/new/}{/off/}gr }
    grep { /session closed with 1008/ } split /^/, $rt->log;
is(scalar(@said), 4, 'errors are logged');
is($said[$_ + 1], $said[$_], 'with the request') for 0, 2;
like($said[0], qr{request: "GET /off/websocket}, 'which names it');
like($said[0], qr{host: "localhost", referrer: "http://localhost/a\?b"$},
     'and where it is from');

# limit_conn counts them as long as they are there, in all its zones

for my $t (qw(sse websocket stream)) {
    my @c = map { $rt->client($t, "/few/$t?tag=$t") } 1, 2;
    is($rt->client($t, "/few/$t?tag=$t")->status, 429,
       "$t: a third is too many");
    push @c, $rt->client($t, "/few/$t?tag=other-$t");
    is($rt->client($t, "/few/$t?tag=o-$t")->status, 429,
       "$t: for the other zone");
    (shift @c)->close;
    my $next;
    ok(wait_for(sub {
        $next = $rt->client($t, "/few/$t?tag=$t");
        return $next->status != 429;
    }), "$t: but one may come for one that has left");
    is($rt->client($t, "/few/$t?tag=$t")->status, 429, "$t: and no other");
    $rt->publish($t, 'x');
    ok($_->wait_data('x'), "$t: served") for @c, $next;
    $_->abort for @c, $next;
    ok(wait_for(sub { counted($t) == 0 }), "$t: nobody is left");
    @c = map { $rt->client($t, "/few/$t?tag=$t") } 1, 2;
    is($_->status, $t eq 'websocket' ? 101 : 200,
       "$t: nothing is counted twice") for @c;
    $_->close for @c;
    ok(wait_for(sub { counted($t) == 0 }), "$t: they have left");
}

my @dry = map { $rt->sse("/dry/a?tag=dry$_") } 1, 1;
$_->close for @dry;
ok(wait_for(sub { lines('dry.log') == 2 }), 'limit_conn_dry_run');
is(join(' ', sort map { /limit_conn_status=\[(\w+)/ } lines('dry.log')),
   'PASSED REJECTED_DRY_RUN', 'its status is logged');

# a module that is not known keeps the whole request

my $uid = $rt->sse('/uid/a?tag=uid');
like($uid->header('Set-Cookie'), qr/^uid=/, 'userid');
$uid->close;
ok(wait_for(sub { lines('uid.log') == 1 }), 'is logged at its end');

# stub_status counts them as nginx's

my $writing = stub('Writing');
my @c = map { $rt->client($_, '/new/w?tag=stub') } qw(sse websocket stream);
is(stub('Writing'), $writing + 3, 'they are writing');
$_->close for @c;
ok(wait_for(sub { stub('Writing') == $writing }), 'and then no more');

# what it is for; a sanitizer has memory of its own

sub bytes {
    my ($pid) = $rt->workers;
    open my $f, '<', "/proc/$pid/smaps_rollup" or die "smaps_rollup: $!";
    my $kb = 0;
    /^Private_\w+: +(\d+)/ and $kb += $1 while <$f>;
    return $kb * 1024;
}

if (RT::nginx() !~ /asan/) {
    for my $t (qw(sse websocket)) {
        my @first = map { $rt->client($t, '/lean/off/e') } 1 .. 50;
        my $at = bytes();
        my @c = map { $rt->client($t, '/lean/new/e') } 1 .. 300;
        cmp_ok((bytes() - $at) / 300, '<', 5000, "$t: bytes of a connection");
        $_->close for @first, @c;
        ok(wait_for(sub { counted($t) == 0 }), "$t: all are gone");
    }
    is(scalar(lines('lean.log')), 700, 'and all are logged');
}

# a process that goes says goodbye to them, and logs them

for my $end ('', 'worker_shutdown_timeout 1s;') {
    my $before = lines('plain.log');
    $rt->write_config(main => $end, http => $rt->{http}
                      . ($end ? 'realtime_drain 1h;' : 'realtime_drain 1s;'));
    ok($rt->reload, 'reload');
    my @c = map { $rt->client($_, "/new/g?tag=end") } qw(sse websocket stream);
    ok($rt->reload, 'reload');
    ok($_->wait_end, 'ends') for @c;
    ok(wait_for(sub { lines('plain.log') == $before + 3 }), 'logged');
    ok(wait_for(sub { !$rt->leaving }), 'the process is gone');
    $rt->{http} =~ s/realtime_drain \S+//;
}

RT->end;
