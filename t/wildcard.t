# Patterns: which topics they take, live and from the history.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2);
my @pids = $rt->wait_workers;

my @topics = qw(chat chat/a chat/ab chat/abc chat/b chat/a/x chat/ab/x
                chat/b/x/y game/a lobby);
my %takes = (
    'chat/*'      => [ qw(chat/a chat/ab chat/abc chat/b) ],
    'chat/ab*'    => [ qw(chat/ab chat/abc) ],
    'chat/**'     => [ qw(chat/a chat/ab chat/abc chat/b chat/a/x chat/ab/x
                          chat/b/x/y) ],
    'chat/b/**'   => [ qw(chat/b/x/y) ],
    '**'          => [ @topics ],
    '*'           => [ qw(chat lobby) ],
    '*/a'         => [ qw(chat/a game/a) ],
    'chat/*/x'    => [ qw(chat/a/x chat/ab/x) ],
    'chat/a*/x'   => [ qw(chat/a/x chat/ab/x) ],
    'chat/a*/*'   => [ qw(chat/a/x chat/ab/x) ],
    '*/*/**'      => [ qw(chat/a/x chat/ab/x chat/b/x/y) ],
    'c*/b'        => [ qw(chat/b) ],
    'nothing/**'  => [ ],
    'lobby,game/*,chat/a*' => [ qw(chat/a chat/ab chat/abc game/a lobby) ],
    'chat/*,chat/a,chat/**,**' => [ @topics ],
);

# live, in both processes; the last topic ends each

my %live;
for my $p (keys %takes) {
    $live{$p} = [ map { $rt->stream("/sub/$p,end", pid => $_) } @pids ];
}
my $before = $rt->publish_id('start', 'x');
$rt->publish($_, "to $_") for @topics;
$rt->publish('end', 'end');

for my $pattern (sort keys %takes) {
    for my $c ($live{$pattern}->@*) {
        ok($c->wait_data('end'), "'$pattern' live: all came");
        my @got = grep { $_ ne 'end' && $_ ne 'start' }
            map { $_->{topic} } $c->messages;
        is_deeply(\@got, $takes{$pattern}, "'$pattern' live") or diag "@got";
        $c->close;
    }

    for my $id ($before, 'earliest') {
        my $list = $rt->poll_now("/sub/$pattern", $id)->json;
        my @got = grep { $_ ne 'end' && $_ ne 'start' }
            map { $_->{topic} // show($_) } ref $list ? @$list : ();
        is_deeply(\@got, $takes{$pattern}, "'$pattern' from $id")
            or diag "@got";
    }
}

# a topic that comes up later, with bytes beyond ASCII

my $late = $rt->sse("/sub/l\xc3\xa9*/*");
$rt->publish("l\xc3\xa9gume/x", 'one');
$rt->publish("l\xc3\xa8gume/x", 'other');
$rt->publish("l\xc3\xa9gume/y", 'two');
ok($late->wait_data('two'), 'topics that are new');
is_deeply([ $late->data ], [ qw(one two) ], 'a prefix in UTF-8');

# one message, once, though many patterns of a connection take it

my $c = $rt->sse('/sub/m/x,m/*,m/**,m/x*,*/x');
$rt->publish('m/x', $_) for 1 .. 3;
ok($c->wait_data('3'), 'overlapping patterns');
is_deeply([ $c->data ], [ 1, 2, 3 ], 'each message once');

# what was deleted stays so, also when the index has given the topic up

$rt = RT->new(zone => 'main 1m index=16k', http => <<'EOF_H');
    realtime_history count=100000;
EOF_H
my $live = $rt->stream('/sub/**');
my $first = $rt->publish_id('kept', 'x');
$rt->publish('secret', $_) for 1 .. 1500;
ok($live->wait_items(1501), 'a live one has them');
is($rt->request('DELETE', '/pub/secret')->status, 204, 'deleted');
$rt->publish("other/$_", 'x') for 1 .. 100;
$live->close;
ok(wait_for(sub { $rt->get('/pub/secret')->status == 404 }), 'and forgotten');

for my $id ('earliest', epoch($first) . '-0') {
    my $list = $rt->poll_now('/sub/**', $id)->json;
    is(scalar(grep { ($_->{topic} // '') eq 'secret' } @$list), 0,
       "$id: none of it");
    is(scalar(grep { ($_->{topic} // '') =~ /other/ } @$list), 100,
       "$id: but the rest");
}

RT->end;
