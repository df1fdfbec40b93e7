# Which topics are good, how they come out of a URI, and lists of them.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(server => <<'EOF_S', http => <<'EOF_H');
    location = /raw     { realtime_subscribe $arg_t patterns; }
    location = /encoded { realtime_subscribe $arg_t patterns encoded; }
    location = /several { realtime_subscribe one $arg_t three/four,five
                                           patterns; }
    location = /pub     { realtime_publish $arg_t; }
EOF_S
    large_client_header_buffers 4 128k;
EOF_H

sub poll ($uri, $id = 'earliest') { return $rt->poll_now($uri, $id) }


sub topics_of ($r) {
    my $list = $r->json;
    return ref $list eq 'ARRAY' ? [ map { $_->{topic} } @$list ] : $r->show;
}


# good ones, published and read through the path

for my $topic ('a', 'a/b/c', 'with space', "caf\xc3\xa9", 'a' x 255,
               "\xf0\x9f\x98\x80/x", '100%', 'a?b#c', '.', '..a', 'a+b', '"\\',
               "\xe2\x80\xa8", ('s/' x 127) . 's')
{
    my $name = length $topic > 20 ? length($topic) . ' bytes' : $topic;
    my $path = $topic =~ s/([^A-Za-z0-9\/+.])/sprintf '%%%02x', ord $1/gre;
    next if $topic eq '.';               # nginx takes it for a directory

    my $r = $rt->request('POST', "/pub/$path", [], 'x');
    is($r->status, 201, "publish to '$name'") or diag $r->show;
    my $said = ($r->json // {})->{topic} // '';
    utf8::encode($said);
    is($said, $topic, "'$name' in the answer");

    my $list = poll("/sub/$path")->json;
    $said = ref $list ? $list->[0]{topic} // '' : '';
    utf8::encode($said);
    is($said, $topic, "'$name' in a message");
}
my $r = $rt->request('POST', "/pub/caf\xc3\xa9", [], 'raw');
is($r->status, 201, 'UTF-8 as it is');
is(scalar @{ poll('/sub/caf%C3%A9')->json }, 2, 'is the same topic');


# bad ones

my %bad = (
    'empty segment' => 'a//b', 'empty first segment' => '/a',
    'empty last segment' => 'a/', '256 bytes' => 'a' x 256,
    'C0' => 'a%01b', 'tab' => 'a%09', 'DEL' => 'a%7F',
    'C1' => 'a%C2%85b', 'not UTF-8' => 'a%FF', 'cut UTF-8' => 'a%C3',
    'overlong' => '%C0%AF', 'surrogate' => '%ED%A0%80',
    'beyond Unicode' => '%F4%90%80%80',
);
for my $name (sort keys %bad) {
    for my $how ([ 'POST', '/pub' ], [ 'GET', '/pub' ], [ 'DELETE', '/pub' ],
                 [ 'GET', '/sub' ])
    {
        my ($method, $path) = @$how;
        my $r = $rt->request($method, "$path/$bad{$name}", [],
                             $method eq 'POST' ? 'x' : undef);
        is($r->status, 400, "$method $path, $name") or diag $r->show;
        like(($r->json // {})->{error}, qr/\w/, "$method $path, $name: reason")
            or diag $r->show;
    }
}
for my $topic ('a,b', 'a*', '*', 'a/**', '**', 'a/*/b') {
    $r = $rt->request('POST', "/pub/$topic", [], 'x');
    is($r->status, 400, "publish to '$topic'") or diag $r->show;
}
for my $pattern ('a*b', '*a', '**/a', 'a/**/b', 'a/***', 'a**', 'a/b**',
                 '***')
{
    $r = $rt->get("/sub/$pattern", Accept => 'application/json');
    is($r->status, 400, "subscribe to '$pattern'") or diag $r->show;
}
is($rt->request('POST', '/pub?t=', [], 'x')->status, 400, 'no topic');
is($rt->get('/raw')->status, 400, 'no topic to subscribe to');
is($rt->ws('/sub/a//b')->status, 400, 'WebSocket');


# lists

$rt->publish($_, "to $_") for qw(one two three/four five six);
is_deeply(topics_of(poll('/sub/one,three/four,six')),
          [ qw(one three/four six) ], 'a list in the path');
is_deeply(topics_of(poll('/raw?t=two,five')), [ qw(two five) ],
          'a list in a variable');
is_deeply(topics_of(poll('/several?t=six')),
          [ qw(one three/four five six) ], 'several parameters');
is_deeply(topics_of(poll('/several?t=five,one')),
          [ qw(one three/four five) ], 'the same topic twice comes once');
is_deeply(topics_of(poll('/raw?t=one,one')), [ 'one' ], 'twice in a list');
is($rt->get('/raw?t=one,,two')->status, 400, 'an empty part');


# encoded lists: split first, then decoded

$rt->publish($_, "to $_") for 'a b', '50%', "th\xc3\xa9", 'a%20b', 'a+b';
is_deeply(topics_of(poll('/encoded?t=a%20b,three%2Ffour,50%25,th%C3%A9')),
          [ 'three/four', 'a b', '50%', "th\x{e9}" ], 'decoded');
is_deeply(topics_of(poll('/encoded?t=a%2520b')), [ 'a%20b' ], 'decoded once');
is_deeply(topics_of(poll('/raw?t=a%20b')), [ 'a%20b' ],
          'not decoded without "encoded"');
is_deeply(topics_of(poll('/encoded?t=a+b')), [ 'a+b', 'a+b' ],
          'a plus is a plus');
for my $bad ('one%2Ctwo', 'a%00', 'a%FF', 'a,', '%2Fa') {
    $r = $rt->get("/encoded?t=$bad");
    is($r->status, 400, "encoded '$bad'") or diag $r->show;
}


# 256 on a connection

$r = poll('/raw?t=' . join(',', 'one', map { "t$_" } 2 .. 256));
is($r->status, 200, '256 topics') or diag $r->show;
is_deeply(topics_of($r), [ 'one' ], '256 topics: a message');
$r = poll('/raw?t=' . join(',', map { "t$_" } 1 .. 257));
is($r->status, 400, '257 topics') or diag $r->show;
my $long = join ',', map { sprintf '%s%03d', 'n' x 252, $_ } 1 .. 256;
is(poll("/raw?t=$long", 'earliest')->status, 200, '256 long topics');

RT->end;
