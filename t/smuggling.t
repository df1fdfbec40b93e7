# A body that nobody reads: it is never taken for the next request.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S');
    location ~ ^/deaf/(.+)$ {
        realtime_transports sse poll stream;
        realtime_subscribe $1;
    }
EOF_S

my $hidden = "POST /pub/smuggled HTTP/1.1\r\nHost: localhost\r\n"
           . "Content-Length: 3\r\n\r\nbad";
my $asked = 0;


# Options: version, chunked, pipelined, cut (send the body in two parts, cut
# there), status.

sub try ($name, $uri, $headers, %o) {
    my $version = $o{version} // '1.1';
    my $c = $rt->conn;
    my @h = (Host => 'localhost', Accept => 'application/json',
             Prefer => 'wait=0', @$headers);
    push @h, Connection => 'keep-alive' if $version eq '1.0';
    my $body = $hidden;
    if ($o{chunked}) {
        $body = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $hidden, $hidden;
        push @h, 'Transfer-Encoding' => 'chunked';
    } else {
        push @h, 'Content-Length' => length $hidden;
    }

    my $text = "GET $uri HTTP/$version\r\n";
    while (my ($key, $value) = splice @h, 0, 2) {
        $text .= "$key: $value\r\n";
    }
    $text .= "\r\n$body";

    # the next request comes right behind it, or once it has been answered

    my $next = "GET /pid?" . ++$asked . " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    push $c->{methods}->@*, 'GET';

    if ($o{cut}) {
        my $at = length($text) - length($body) + $o{cut};
        $c->write(substr $text, 0, $at);
        RT::Loop::turn(0.02) for 1 .. 3;
        $c->write(substr $text, $at);
    } else {
        $c->write($o{pipelined} ? $text . $next : $text);
    }
    push $c->{methods}->@*, 'GET' if $o{pipelined};

    wait_for(sub {
        return $c->{responses}->@* || $c->{eof}
            || $c->{res} && $c->{res}{mode} eq 'upgraded';
    });
    my $r = shift $c->{responses}->@* // $c->{res} // RT::Response->none;
    like($r->status, $o{status} // qr/^200$/, "$name: answered")
        or diag $r->show;
    my $closes = $r->{mode} eq 'upgraded'
              || ($r->header('Connection') // '') =~ /close/i;
    ok(!$c->{reset}, "$name: not reset") or diag $c->{reset};

    if (!$o{pipelined}) {
        RT::Loop::wait_for(sub { $c->{responses}->@* || $c->{eof} },
                           $closes ? 0.2 : 0.03);
        is(scalar $c->{responses}->@*, 0, "$name: once")
            or diag $c->{responses}[0]->show;
        $c->{responses} = [];
        if (!$c->{eof} && !$closes) {
            push $c->{methods}->@*, 'GET';
            $c->write($next);
        }
    }

    # a connection that is closed is no danger

    if (!$closes) {
        $r = $c->response;
        is($r->status, 200, "$name: the next request") or diag $r->show;
        like($r->body, qr/^\d+$/, "$name: gets its own answer")
            or diag $r->show;
        RT::Loop::turn(0.02);
    }
    is(scalar $c->{responses}->@*, 0, "$name: and nothing else comes");
    $c->close;

    is($rt->get('/pub/smuggled')->status, 404, "$name: nothing is published")
        and return;
    $rt->request('DELETE', '/pub/smuggled');
}


my @ws = (Connection => 'Upgrade', Upgrade => 'websocket',
          'Sec-WebSocket-Version' => 13,
          'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');
my @h2c = (Connection => 'Upgrade, HTTP2-Settings', Upgrade => 'h2c',
           'HTTP2-Settings' => 'AAMAAABkAAQAAP__');

for my $how ([ 'at once' ], [ 'in the middle', cut => 30 ],
             [ 'late', cut => 1 ], [ 'pipelined', pipelined => 1 ],
             [ 'chunked', chunked => 1 ],
             [ 'chunked, in the middle', chunked => 1, cut => 30 ])
{
    my ($name, %o) = @$how;

    try("no Upgrade, $name", '/sub/t', [], %o);
    try("h2c, $name", '/sub/t', \@h2c, %o);
    try("foreign Upgrade, $name", '/sub/t', [ Upgrade => 'TLS/1.0' ], %o);
    try("empty Upgrade, $name", '/sub/t', [ Upgrade => '' ], %o);
    try("h2c, bad topic, $name", '/sub/t*t', \@h2c, %o, status => qr/^400$/);
    try("h2c, foreign id, $name", '/sub/t?last_event_id=x', \@h2c, %o);
    try("h2c in a room, $name", '/room/t', \@h2c, %o);
    try("websocket not allowed, $name", '/deaf/t', \@ws, %o,
        status => qr/^(?:200|406)$/);

    # what came with the head is discarded before it is looked for

    try("websocket with a body, $name", '/sub/t', \@ws, %o,
        status => qr/^400$/);

    try("websocket, no version, $name", '/sub/t',
        [ Connection => 'Upgrade', Upgrade => 'websocket' ], %o,
        status => qr/^4\d\d$/);

    # HTTP/1.0 has no chunks

    next if $o{chunked};
    for my $uri ('/sub/t', '/deaf/t') {
        try("HTTP/1.0 $uri, $name", $uri, [], %o, version => '1.0');
        try("HTTP/1.0 $uri, h2c, $name", $uri, [ Upgrade => 'h2c' ], %o,
            version => '1.0');
    }
    try("HTTP/1.0, websocket, $name", '/sub/t', [ Upgrade => 'websocket' ],
        %o, version => '1.0', status => qr/^[24]\d\d$/);
    try("HTTP/1.0, websocket not allowed, $name", '/deaf/t',
        [ Upgrade => 'websocket' ], %o, version => '1.0',
        status => qr/^(?:200|406)$/);
}

RT->end;
