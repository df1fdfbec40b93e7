# Clients of commands and queries that leave while the daemon does not answer:
# each is noticed at once, not at the timeout, and its call is given up.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes 'time';
use RT;
use RT::Daemon;


RT::Daemon->need;

# at this age a link that is silent is given up, and all calls with it

my $silence = 15;

my $d = RT::Daemon->new;
my $rt = RT->new(http2 => 1, http => $d->worker . <<'EOF_H',

    log_format rt '$request_uri $status $request_time';
EOF_H
                 server => <<'EOF_S');
    access_log access.log rt;
    location ~ ^/auction/(?<id>[^/]+)/(?<do>\w+)$ {
        realtime_pass main engine=auction entity=$id command=$do
                      user=$http_x_user timeout=60s;
    }
EOF_S

sub logged ($tag) {
    open my $f, '<', "$rt->{dir}/access.log" or return;
    my ($line) = grep { /\?\Q$tag\E / } <$f>;
    return ($line // '') =~ / (\d+) ([\d.]+)$/ ? ($1, $2) : ();
}


sub post ($tag, $amount, $user) {
    my $text = qq({"amount":$amount});
    return "POST /auction/1/bid?$tag HTTP/1.1\r\nHost: x\r\nX-User: $user\r\n"
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
}


sub state_get ($tag) {
    return "GET /auction/1/state?$tag HTTP/1.1\r\nHost: x\r\n\r\n";
}


# answers that the daemon owes, as the process counts them

sub waiting {
    my $r = $rt->get('/status?format=prometheus');
    return $r->body =~ /^realtime_worker_waiting\{[^}]*\} (\d+)/m ? $1 : -1;
}


# The daemon is stopped, the client writes all of it, and leaves when what it
# asked has been passed on; the daemon goes on when that has been noticed.

sub leaves ($tag, $name, $leave) {
    $d->signal('STOP');
    $leave->();
    wait_for(sub { logged($tag) }, $silence / 2);
    my ($status, $time) = logged($tag);
    is($status, 499, "$name: 499");
    cmp_ok($time // 99, '<', $silence / 2, "$name: in time");
    $d->signal('CONT');
    ok(wait_for(sub { waiting() == 0 }), "$name: the daemon goes on");
}


sub passed_on { return wait_for(sub { waiting() == 1 }, $silence / 2) }


# how many descriptors the process has; the link's is one of them

sub descriptors {
    my ($pid) = $rt->workers;
    return scalar(() = glob "/proc/$pid/fd/*");
}


my $terms = '{"kind":"english","start":100,"increment":50,'
    . '"ends_in_ms":600000}';
is($rt->request('POST', '/auction/1/create', [], $terms)->status, 201,
   'an auction');

my $before = descriptors();

my %requests = (command => post('command', 150, 'gone'),
                query => state_get('query'));
for my $name (sort keys %requests) {
    leaves($name, $name, sub {
        my $c = $rt->conn;
        $c->write($requests{$name});
        passed_on();
        $c->close;
    });
}


# the close comes with the last byte, before nginx reads the first

leaves('last', 'with the last byte', sub {
    my $c = $rt->conn;
    $c->write(post('last', 200, 'gone'));
    $c->close;
});


# a body in two parts, and a body of a query that never comes whole

leaves('parts', 'a body in parts', sub {
    my $c = $rt->conn;
    my $bytes = post('parts', 250, 'gone');
    $c->write(substr $bytes, 0, -5);
    RT::Loop::turn(0.1);
    $c->write(substr $bytes, -5);
    passed_on();
    $c->close;
});

leaves('body', 'a query with half a body', sub {
    my $c = $rt->conn;
    $c->write("GET /auction/1/state?body HTTP/1.1\r\nHost: x\r\n"
              . "Content-Length: 100\r\n\r\nxyz");
    passed_on();
    $c->close;
});


# HTTP/2: the stream goes with its connection

leaves('http2', 'HTTP/2', sub {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        { exec 'curl', '-s', '--http2-prior-knowledge', '-H', 'X-User: gone',
              '-d', '{"amount":300}',
              "http://127.0.0.1:$rt->{h2_port}/auction/1/bid?http2" }
        POSIX::_exit(127);
    }
    passed_on();
    kill 'TERM', $pid;
    waitpid $pid, 0;
});

ok(wait_for(sub { descriptors() <= $before }), 'no connection is left');


# a client that stays may have sent its next request already

{
    $d->signal('STOP');

    my $c = $rt->conn;
    $c->write(state_get('first'));
    push $c->{methods}->@*, 'GET', 'GET', 'GET';
    passed_on();
    $c->write(state_get('second'));
    RT::Loop::turn(0.1);
    $c->write(state_get('third'));
    RT::Loop::turn(0.1);
    ok(!logged('first'), 'it still waits');

    $d->signal('CONT');

    ok(wait_for(sub { 3 == grep { $_->{done} } $c->{responses}->@* }),
       'three answers');
    is((grep { $_->status == 200 } $c->{responses}->@*), 3, 'all are states');
    $c->close;
}


# what has been decided, though nobody waited for it

my $r = $rt->get('/auction/1/state');
is($r->json->{price}, 300, 'the bids have been decided') or diag $r->show;

ok(wait_for(sub {
    return $rt->request('POST', '/auction/1/bid', [ 'X-User' => 'ann' ],
                        '{"amount":350}')->status == 201;
}), 'and others are');

my $main = $rt->status->{workers}{main}{ $d->address };
is($main->{waiting}, 0, 'no answer is owed') or diag show($main);

$rt->finish;
RT::Daemon::END_ALL();
done_testing();
