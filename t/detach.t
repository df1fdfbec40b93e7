# realtime_detach: the request ends with the handshake, the subscriber does not.
# Everything else about such subscribers is in the other tests, which run with
# it, too.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(tls => 1, http2 => 1, listen => 'sndbuf=16k',
                 http => <<'EOF_H', server => <<'EOF_S');
    limit_conn_zone $binary_remote_addr zone=conns:1m;
    log_format t "$status $request_uri $realtime_transport $realtime_id "
                 "$realtime_messages";
    large_client_header_buffers 4 64k;
    keepalive_timeout 1h;
EOF_H
    location = /auth { internal; return 204; }
    location = /stub { stub_status; }
    location ~ ^/slow/(.+)$ {
        realtime_detach on;
        realtime_subscribe $1 patterns;
        send_timeout 1s;
        reset_timedout_connection on;
    }
    location ~ ^/linger/(.+)$ {
        realtime_detach on;
        realtime_subscribe $1 patterns;
        lingering_timeout 1h;
    }
    location ~ ^/leave/(.+)$ {
        realtime_detach on;
        realtime_subscribe $1 patterns;
        lingering_close off;
    }
    location ~ ^/off/(.+)$ { realtime_subscribe $1 patterns; }
    location ~ ^/on/(.+)$ {
        access_log access.log t;
        limit_conn conns 1;
        auth_request /auth;
        realtime_detach on;
        realtime_keepalive 1s;
        realtime_publish $1 websocket;
        realtime_subscribe $1 patterns;
    }
EOF_S

sub lines ($tag) {
    open my $f, '<', "$rt->{dir}/access.log" or return;
    return grep { /\?\Q$tag\E[ &]/ } <$f>;
}

sub counted ($transport) {
    return $rt->status->{zones}{main}{subscribers}{$transport};
}

# nginx's connections, with the one that asks

sub active {
    my $conn = $rt->conn;
    my $r = $conn->ask('GET', '/stub');
    $conn->close;
    return $r->body =~ /^Active connections: (\d+)/ ? $1 : undef;
}

# the private memory of the process

sub bytes {
    my ($pid) = $rt->workers;
    open my $f, '<', "/proc/$pid/smaps_rollup" or die "smaps_rollup: $!";
    my $kb = 0;
    /^Private_\w+: +(\d+)/ and $kb += $1 while <$f>;
    return $kb * 1024;
}

my $id = $rt->publish_id('a', 'first');
my $before = $id;
my $long = 'x' x 9000;

for my $t (qw(sse websocket stream)) {
    my @c = map { $rt->client($t, "/on/a?$t", $_ == 2 ? (tls => 1) : ()) }
        1 .. 3;
    ok(wait_for(sub { lines($t) == 3 }), "$t: logged while they are there");
    my $status = $t eq 'websocket' ? 101 : 200;
    like((lines($t))[0], qr/^$status \S+ $t $id 0$/, "$t: as it began");
    is(counted($t), 3, "$t: all are counted, and limit_conn counts none");

    $rt->publish('a', "to $t");
    ok($_->wait_data("to $t"), "$t: served") for @c;
    is($c[0]->last_id, $c[1]->last_id, "$t: ids");
    (shift @c)->abort;
    (shift @c)->close;
    ok(wait_for(sub { counted($t) == 1 }), "$t: two have left");
    $id = $rt->publish_id('a', "still to $t");
    ok($c[0]->wait_data("still to $t"), "$t: the third is served");
    $c[0]->close;
    ok(wait_for(sub { counted($t) == 0 }), "$t: nobody is left");
    is(scalar(lines($t)), 3, "$t: one line each");
}

# large header buffers, and frames that come with the handshake

my $ws = $rt->ws("/on/b?$long", early => RT::WebSocket::frame(1, 'early'));
ok($ws->wait_data('early'), 'a frame in the same packet');
$ws->send_text('later');
ok($ws->wait_data('later'), 'publishes');
ok($ws->sync, 'is answered a ping');
ok(wait_for(sub { ($ws->{pings} // 0) > 1 }), 'and pinged');
$ws->send_text("\xff" x 60_000);
ok($ws->wait_end, 'bad UTF-8');
is($ws->close_code, 1007, "is told so");
ok(!$ws->{reset}, 'and no reset');

# more of them than one turn has time for: the request stays until the last

my $many = 5000;
my $start = seq($rt->publish_id('many', 'start'));
my $end = RT::WebSocket::frame(1, 'end');
$ws = $rt->ws("/on/many?many&$long",
              early => RT::WebSocket::frame(1, 'x') x $many . $end);
ok($ws->wait_data('end'), 'many frames in the same packet');
is(seq($rt->publish_id('many', 'after')) - $start, $many + 2,
   'all of them are published');
ok(wait_for(sub { lines('many') == 1 }), 'then the request ends');
ok($ws->sync, 'and the session goes on');
$ws->close;

# who needs the request keeps it

my $h2 = $rt->h2('SSE', '/on/c?h2');
$rt->publish('c', 'over HTTP/2');
ok($h2->wait_data('over HTTP/2'), 'HTTP/2');
is(scalar(lines('h2')), 0, 'is logged at its end');
is($rt->sse('/on/c?second')->status, 503, 'and limit_conn counts it');
$h2->close;

my $poll = $rt->conn;
$rt->publish('d', 'x');
for my $n (1 .. 3) {
    my $r = $poll->ask('GET', '/on/d?poll', [ Accept => 'application/json',
                                              'Last-Event-ID' => $before ]);
    is($r->status, 200, "long-poll $n on one connection");
}
$poll->close;

# nginx's directives for connections that end

for my $t (qw(sse websocket stream)) {
    my $c = $rt->client($t, '/slow/s', rcvbuf => 4096);
    $c->pause;
    my $sent = 0;
    ok(wait_for(sub {
        $rt->publish('s', 'x' x 60_000) if $sent++ < 50;
        return counted($t) == 0;
    }), "$t: send_timeout");
    $c->resume;
    ok($c->wait_eof, "$t: and the connection is closed");
    ok($c->{reset}, "$t: by reset_timedout_connection");
}

for my $tls (0, 1) {
    my $others = active();
    my %c = map { $_ => $rt->ws("/$_/l", tls => $tls, mute => 1) }
        qw(linger leave);
    is(active(), $others + 2, 'two connections');
    $_->pause for values %c;
    $_->send_text("\xff") for values %c;
    ok(wait_for(sub { active() == $others + 1 }), 'lingering_close off');
    $c{leave}->close;
    is(active(), $others + 1, 'lingering_timeout is a long time');
    $c{linger}->close;
    ok(wait_for(sub { active() == $others }), 'and ends with the connection');
}

# what it is for; a sanitizer has memory of its own

my %cost;
for my $where (qw(off on)) {
    my $at = bytes();
    my @c = map { $rt->sse("/$where/e") } 1 .. 300;
    $cost{$where} = bytes() - $at;
    $_->close for @c;
    ok(wait_for(sub { counted('sse') == 0 }), "$where: all gone");
}
cmp_ok($cost{on}, '<', $cost{off} / 2, 'a connection costs less than half')
    or diag show(\%cost) if RT::nginx() !~ /asan/;

# a process that goes says goodbye to those without a request, too

$rt->write_config(main => 'worker_shutdown_timeout 1s;');
my %c = map { $_ => $rt->client($_, '/on/f') } qw(sse websocket stream);
ok($rt->reload, 'reload');
ok($_->wait_end, 'ends') for values %c;
is($c{websocket}->close_code, 1012, 'WebSocket: 1012');
ok($c{$_}{res}{done} && !$c{$_}{reset}, "$_: a clean end") for qw(sse stream);

%c = map { $_ => $rt->client($_, '/on/f') } qw(sse websocket stream);
$rt->write_config(http => $rt->{http} . 'realtime_drain 1h;');
ok($rt->reload, 'reload');
%c = map { $_ => $rt->client($_, '/on/f') } qw(sse websocket stream);
ok($rt->reload, 'reload');
ok(wait_for(sub { !$rt->leaving }), 'worker_shutdown_timeout ends them');

RT->end;
