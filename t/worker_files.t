# The socket and the pid file: nothing that is not realtimed's own, and still
# its own, is removed or written over.

use v5.36;

use FindBin;
use lib $FindBin::Bin;
use Test::More;
use IO::Socket::UNIX;
use worker_link;


plan skip_all => 'no realtimed' if !-x build_dir() . '/realtimed';

my $w = worker_link->new;
my $pid_file = "$w->{dir}/pid";

open my $fh, '>>', "$w->{dir}/conf" or die "conf: $!";
print $fh "[realtimed]\npid = $pid_file\n";
close $fh;


sub put ($file, $text) {
    unlink $file;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
    return;
}


sub get ($file) {
    open my $in, '<', $file or return;
    local $/;
    return <$in> // '';
}


# it ends by itself: returns its exit code

sub refused {
    $w->start;
    my $pid = delete $w->{pid};
    waitpid $pid, 0;
    my $status = $? >> 8;
    my $guard = delete $w->{guard};
    $guard->leave if $guard;
    return $status;
}


# files that are somebody's

put($w->{socket}, "precious\n");
is(refused(), 1, 'a regular file at the socket: no start');
is(get($w->{socket}), "precious\n", 'and it stays');
like($w->log_text, qr/\[emerg\].*is no socket/, 'it says why');
unlink $w->{socket};

for my $text ("precious\n", "12 bottles\n", 'x' x 100) {
    put($pid_file, $text);
    is(refused(), 1, 'another file at the pid: no start');
    is(get($pid_file), $text, 'and it stays');
}
put("$w->{dir}/precious", "17\n");
unlink $pid_file;
symlink "$w->{dir}/precious", $pid_file;
is(refused(), 1, 'a link at the pid: no start');
is(get("$w->{dir}/precious"), "17\n", 'and nothing is written through it');
unlink $pid_file;


# a predecessor's

put($pid_file, "99999\n");
$w->start;
$w->connect;
is(get($pid_file), "$w->{pid}\n", 'a number is written over');
$w->stop('KILL');
ok(-S $w->{socket}, 'a killed one leaves its socket');
$w->start;
$w->connect->hello;
like($w->log_text, qr/removing the socket/, 'which is removed, and told');
is($w->stop, 0, 'a stop');
ok(!-e $w->{socket} && !-e $pid_file, 'leaves nothing');


# a successor's

$w->start;
$w->connect->hello;
unlink $w->{socket}, $pid_file;
my $other = IO::Socket::UNIX->new(Local => $w->{socket}, Listen => 1);
put($pid_file, "99999\n");
is($w->stop, 0, 'a stop');
ok(-S $w->{socket}, 'leaves the socket of another one');
is(get($pid_file), "99999\n", 'and its pid file');

done_testing();
