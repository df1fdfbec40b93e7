# The counters: JSON, Prometheus text, and what they say after known traffic.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $rt = RT->new(workers => 2, zone => [ 'main 2m', 'second 1m' ],
                 server => <<'EOF_S');
    location ~ ^/second/(.+)$ {
        realtime_publish $1 zone=second;
    }
    location ~ ^/three/(.+)$ {
        realtime_history count=3;
        realtime_subscribe $1;
    }
EOF_S
my @pids = $rt->wait_workers;


# The text format, strictly: an array of faults, and values by name{labels}.

sub parse_metrics ($text) {
    my (@faults, %value, %type, %help, %closed);
    my $current = '';
    my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"/;

    push @faults, 'no newline at the end' if $text !~ /\n\z/;

    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/) {
            push @faults, "second HELP: $line" if $help{$1}++;
            push @faults, "$1 comes again" if $closed{$1};
            $closed{$current} = 1 if $current ne $1;
            $current = $1;

        } elsif ($line =~ /^\#\ TYPE\ ([a-zA-Z_:][a-zA-Z0-9_:]*)
                            \ (counter|gauge|histogram|summary|untyped)$/x)
        {
            my ($name, $type) = ($1, $2);
            push @faults, "second TYPE: $line" if $type{$name};
            push @faults, "TYPE of $name before its HELP" if $current ne $name;
            push @faults, "a counter without _total: $name"
                if $type eq 'counter' && $name !~ /_total$/;
            $type{$name} = $type;

        } elsif ($line =~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)
                            (\{$label(?:,$label)*\})?
                            \ ([-+]?[0-9.]+(?:e[-+]?[0-9]+)?|NaN|[-+]Inf)$/x)
        {
            my ($name, $labels, $v) = ($1, $2 // '', $3);
            my $family = $name =~ s/_(?:bucket|sum|count)$//r;
            $family = $name if !$type{$family};
            push @faults, "no TYPE: $line" if !$type{$family};
            push @faults, "$line is not under its HELP" if $family ne $current;
            push @faults, "a negative counter: $line"
                if ($type{$family} // '') eq 'counter' && $v < 0;
            my $sorted = join ',', sort +($labels =~ /$label/g);
            push @faults, "twice: $line" if exists $value{"$name\{$sorted\}"};
            $value{"$name\{$sorted\}"} = $v;

        } else {
            push @faults, "no such line: $line";
        }
    }
    return \@faults, \%value;
}


sub metrics {
    my $r = $rt->get('/status?format=prometheus');
    my ($faults, $value) = parse_metrics($r->body);
    is_deeply($faults, [], 'the text format') or diag $r->show;
    return $value;
}


# an empty zone

my $r = $rt->get('/status');
is($r->status, 200, 'status') or diag $r->show;
like($r->header('Content-Type'), qr{^application/json}, 'is JSON');
my $j = $r->json // {};
is(join(' ', sort keys %{ $j->{zones} // {} }), 'main second', 'zones')
    or diag $r->show;
my $main = $j->{zones}{main};
for my $key (qw(messages_published messages_delivered gaps messages_evicted
                topics ring_bytes ring_used_bytes index_free_bytes))
{
    like($main->{$key}, qr/^\d+$/, "$key is a number");
}
like($main->{epoch}, qr/^[0-9a-f]+$/, 'epoch');
is($main->{$_}, 0, "$_ is 0")
    for qw(messages_published messages_delivered gaps messages_evicted topics);
is_deeply($main->{subscribers},
          { sse => 0, websocket => 0, poll => 0, stream => 0 }, 'subscribers');
cmp_ok($main->{ring_bytes}, '>', 1 << 20, 'ring_bytes');
cmp_ok($main->{ring_bytes}, '<=', 2 << 20, 'ring_bytes within the zone');
cmp_ok($main->{index_free_bytes}, '>', 0, 'index_free_bytes');
ok(exists $j->{workers}, 'workers');

# who gets the text

for (['/status?format=prometheus', undef],
     ['/status', 'text/plain'],
     ['/status', 'text/plain;version=0.0.4'],
     ['/status', 'application/openmetrics-text;version=1.0.0;q=0.5,'
                 . 'text/plain;version=0.0.4;q=0.3,*/*;q=0.1'])
{
    my ($uri, $accept) = @$_;
    $r = $rt->get($uri, $accept ? (Accept => $accept) : ());
    like($r->header('Content-Type'), qr{^text/plain}, "$uri, "
         . ($accept // 'no Accept') . ": text");
    like($r->body, qr/^# HELP realtime_/m, 'metrics');
}
for my $accept ('application/json', '*/*') {
    $r = $rt->get('/status', Accept => $accept);
    ok($r->json, "$accept: JSON");
}
$r = $rt->request('POST', '/status', [], 'x');
is($r->status, 405, 'POST');
is($r->header('Allow'), 'GET, HEAD', 'what is allowed');
my $m = metrics();
for my $family (qw(realtime_messages_published_total realtime_topics
                   realtime_messages_evicted_total realtime_ring_bytes
                   realtime_ring_used_bytes))
{
    like($m->{"$family\{zone=\"$_\"}"}, qr/^\d+$/, "$family of $_")
        for qw(main second);
}

# known traffic: 2 subscribers of each kind, 5 messages

my %c;
for my $t (qw(sse websocket stream)) {
    $c{$t} = [ map { $rt->client($t, '/sub/a', pid => $_) } @pids ];
}
my @polls = map { $rt->conn(pid => $_) } @pids;
$_->request('GET', '/sub/polled', [ Accept => 'application/json' ]) for @polls;
ok(wait_for(sub { $rt->status->{zones}{main}{subscribers}{poll} == 2 }),
   'two polls wait');
is_deeply($rt->status->{zones}{main}{subscribers},
          { sse => 2, websocket => 2, poll => 2, stream => 2 }, 'subscribers');

$rt->publish('a', "m$_") for 1 .. 5;
for my $t (keys %c) {
    $_->wait_items(5) for $c{$t}->@*;
}
$rt->publish('polled', 'p');
$_->response for @polls;
$rt->request('POST', '/second/z', [], 'x');

$main = undef;
ok(wait_for(sub {
    $main = $rt->status->{zones}{main};
    return $main->{messages_delivered} >= 32;
}), 'delivered is counted') or diag show($main);
is($main->{messages_published}, 6, 'published');
is($main->{messages_delivered}, 32, 'delivered: 5 to 6, 1 to 2');
is($main->{topics}, 2, 'topics');
is($main->{gaps}, 0, 'no gaps');
is($main->{messages_evicted}, 0, 'nothing evicted');
cmp_ok($main->{ring_used_bytes}, '>', 0, 'the ring is in use');
cmp_ok($main->{ring_used_bytes}, '<', $main->{ring_bytes}, 'but not full');
is($rt->status->{zones}{second}{messages_published}, 1, 'the second zone');

$m = metrics();
is($m->{'realtime_messages_published_total{zone="main"}'}, 6, 'published');
is($m->{'realtime_messages_published_total{zone="second"}'}, 1,
   'published, second');
for (['sse', 10, 2], ['websocket', 10, 2], ['stream', 10, 2], ['poll', 2, 0]) {
    my ($t, $delivered, $subscribers) = @$_;
    is($m->{qq(realtime_messages_delivered_total{transport="$t",zone="main"})},
       $delivered, "delivered, $t");
    is($m->{qq(realtime_subscribers{transport="$t",zone="main"})},
       $subscribers, "subscribers, $t");
}

# gaps by reason

my $epoch = $main->{epoch};
$rt->poll_now('/three/a', "$epoch-0");
$rt->poll_now('/sub/a', 'abcdef-1');
$rt->poll_now('/sub/a', 'abcdef-1');
is($rt->status->{zones}{main}{gaps}, 3, 'gaps');
$m = metrics();
is($m->{'realtime_gaps_total{reason="history",zone="main"}'}, 1, 'history');
is($m->{'realtime_gaps_total{reason="epoch",zone="main"}'}, 2, 'epoch');

# evicted

my $conn = $rt->conn;
my $n = 300;
$conn->ask('POST', '/pub/big', [], 'x' x 10_000) for 1 .. $n;
$main = $rt->status->{zones}{main};
is($main->{messages_published}, 6 + $n, 'published');
cmp_ok($main->{messages_evicted}, '>', 6, 'evicted');
cmp_ok($main->{messages_evicted}, '<', 6 + $n, 'but not all');
cmp_ok($main->{ring_used_bytes}, '<=', $main->{ring_bytes}, 'within the ring');
my $held = ($rt->get('/pub/big')->json // {})->{messages};
is($main->{messages_evicted} + $held, 6 + $n, 'held and evicted are all');

# they leave

for my $t (keys %c) {
    $_->abort for $c{$t}->@*;
}
ok(wait_for(sub {
    my $s = $rt->status->{zones}{main}{subscribers};
    return !grep { $_ } values %$s;
}), 'nobody is left') or diag show($rt->status);

RT->end;
