# Requests whose body another handler has had before an internal redirect: what
# is left is published as it was sent, and what is gone is refused, never
# published as an empty message.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(http2 => 1, server => <<'EOF_S');
    location = /nothing { return 404; }
    location @publish   { realtime_publish t; }

    # sent on as it comes, and gone then
    location = /unbuffered {
        proxy_pass http://127.0.0.1:$server_port/nothing;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_intercept_errors on;
        error_page 404 = @publish;
    }

    # read as a whole, and still there
    location = /buffered {
        client_body_buffer_size 1k;
        proxy_pass http://127.0.0.1:$server_port/nothing;
        proxy_intercept_errors on;
        error_page 404 = @publish;
    }

    # nobody has had it
    location = /returned {
        error_page 418 = @publish;
        return 418;
    }

    # thrown away
    location = /discarded {
        empty_gif;
        error_page 405 = @publish;
    }
    location = /status-first {
        limit_except GET POST { deny all; }
        error_page 403 = @publish;
        deny all;
    }
EOF_S

sub messages { return ($rt->get('/pub/t')->json // {})->{messages} // 0 }

sub last_data {
    my $list = $rt->poll_now('/sub/t', 'earliest')->json;
    return ref $list eq 'ARRAY' && @$list ? $list->[-1]{data} : undef;
}


# the statuses that say no; 201 must mean that all of it was published

for my $uri (qw(/unbuffered /buffered /returned /discarded /status-first)) {
    for my $body ('', 'small', 'x' x 5000, 'y' x 60_000) {
        for my $chunked (0, 1) {
            my $name = "$uri, " . length($body)
                . ($chunked ? ' in chunks' : ' bytes');
            my $before = messages();
            my $r = $chunked
                ? $rt->request('POST', $uri,
                               [ 'Transfer-Encoding' => 'chunked' ],
                               length $body
                               ? sprintf("%x\r\n%s\r\n0\r\n\r\n",
                                         length $body, $body)
                               : "0\r\n\r\n")
                : $rt->request('POST', $uri, [], $body);
            my $n = messages() - $before;

            if ($r->status == 201) {
                is($n, 1, "$name: published");
                ok(last_data() eq $body, "$name: as it was sent");
            } else {
                cmp_ok($r->status, '>=', 400, "$name: refused");
                is($n, 0, "$name: nothing is published");
            }

            if ($uri eq '/buffered' || $uri eq '/returned') {
                is($r->status, 201, "$name: nothing was lost");
            }
            if ($uri eq '/unbuffered' && length $body > 50_000) {
                is($r->status, 500, "$name: gone");
            }
        }
    }
}

my $said = qx(curl -s --http2-prior-knowledge -w ' %{http_code}' \\
    -d hello http://127.0.0.1:$rt->{h2_port}/returned);
like($said, qr/ 201$/, 'HTTP/2: published');
ok(last_data() eq 'hello', 'as it was sent');

$rt->end;
