# Several topics on one connection: all messages, in the order of seq, also
# when the audience of one of them is so large that its slice is interrupted.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Socket;
use Test::More;
use RT;


# a server for more connections than others need

package Many {
    use parent -norequire, 'RT';

    sub config ($self) {
        return $self->SUPER::config
            =~ s/worker_connections 1024;/worker_connections 12000;/r;
    }
}


my $crowd = POSIX::sysconf(POSIX::_SC_OPEN_MAX()) - 400;
$crowd = 5000 if $crowd > 5000;
plan skip_all => 'too few open files' if $crowd < 1500;

my $rt = Many->new(server => <<'EOF_S');
    location = /batch { realtime_publish **; }
EOF_S


# Sockets without a client behind them; each is subscribed when it has got the
# first bytes of its answer.

sub crowd ($n, $uri) {
    my (@all, @new);

    while (@all < $n) {
        for (1 .. 100) {
            socket my $s, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
            connect $s, pack_sockaddr_in($rt->port, inet_aton('127.0.0.1'))
                or die "connect: $!";
            syswrite $s, "GET $uri HTTP/1.1\r\nHost: localhost\r\n"
                . "Accept: application/x-ndjson\r\n\r\n";
            push @new, $s;
        }
        for my $s (@new) {
            my $head = '';
            while ($head !~ /"open"/) {
                sysread $s, $head, 65536, length $head or die "no answer: $!";
            }
        }
        push @all, splice @new;
    }

    return @all;
}


# "A1 B2" as a batch: 1 to topic A, 2 to topic B

sub batch ($text) {
    my @lines = map {
        my ($topic, $data) = /^(\D+)(\d+)$/;
        qq({"topic":"$topic","data":"$data"}\n);
    } split ' ', $text;

    return $rt->request('POST', '/batch', [
        'Content-Type' => 'application/x-ndjson', 'Realtime-Batch' => 'on',
    ], join '', @lines);
}


my @crowd = crowd($crowd, '/sub/A');

# who comes last is served last

my @kinds = (
    [ stream    => 'A,B'      => 20 ],
    [ stream    => 'A,B*'     => 20 ],
    [ stream    => 'B,A'      => 5 ],
    [ stream    => 'B*,A'     => 5 ],
    [ stream    => 'A,B,C,D*' => 5 ],
    [ sse       => 'A,B'      => 5 ],
    [ sse       => 'A,B*'     => 5 ],
    [ websocket => 'A,B'      => 5 ],
    [ websocket => 'A,B*'     => 5 ],
);
my %clients;
for my $kind (@kinds) {
    my ($transport, $topics, $n) = @$kind;
    $clients{"$transport $topics"} = [ map {
        $rt->client($transport, "/sub/$topics", several => 1)
    } 1 .. $n ];
}

my $n = 0;
for my $batch ('A1 A2 B3 A4 A5', 'B1 A2 B3 A4 B5', 'A1 B2 B3 B4 A5',
               'A1 B2', 'B1 A2', 'A1 A2 A3 B4 B5', 'B1 B2 A3 A4 A5')
{
    $n++;
    my $text = $batch =~ s/(\d+)/$n * 100 + $1/ger;
    is(batch($text)->status, 201, "batch $batch");

    my $want = $text =~ s/[A-Z]//gr;
    my $count = () = $want =~ /\d+/g;
    for my $kind (@kinds) {
        my $clients = $clients{"@$kind[0, 1]"};
        wait_for(sub { !grep { $_->items < $count } @$clients });

        my @bad = grep { $_ ne $want } map { join ' ', $_->data } @$clients;
        is(scalar @bad, 0, "@$kind[0, 1]: all get $batch in order")
            or diag "for '$want' they got '$bad[0]'";
        ok(!(grep { $_->gaps } @$clients), 'and no gap');
        $_->{items} = [] for @$clients;
    }
}


# two batches, one after the other, while the first is being served

my @id = map { my $b = $_; batch($b)->json } 'A801 A802 B803', 'B804 A805 A806';
for my $kind (@kinds) {
    my $clients = $clients{"@$kind[0, 1]"};
    wait_for(sub { !grep { $_->items < 6 } @$clients });
    my @bad = grep { $_ ne '801 802 803 804 805 806' }
              map { join ' ', $_->data } @$clients;
    is(scalar @bad, 0, "@$kind[0, 1]: two batches, in order")
        or diag "they got '$bad[0]'";
}


# the many have all of theirs

my $bad = 0;
for my $s (@crowd) {
    my $got = '';
    my $in = '';
    vec($in, fileno $s, 1) = 1;
    while ($got !~ /"data":"806"/) {
        my $ready = $in;
        select $ready, undef, undef, 5 or last;
        sysread $s, $got, 65536, length $got or last;
    }
    $got = join ' ', $got =~ /"data":"(\d+)"/g;
    $bad++ if $got ne '101 102 104 105 202 204 301 305 401 502 601 602 603'
                    . ' 703 704 705 801 802 805 806' && !diag $got;
}
is($bad, 0, "all $crowd of the large audience have all of their topic");
close $_ for @crowd;

RT->end;
