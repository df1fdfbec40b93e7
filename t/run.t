# "make run": all that it prints and that README shows works when it is typed,
# Ctrl-C leaves nothing behind, and what is in the way is named.

use v5.36;

use Cwd ();
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use POSIX ();
use Test::More;
use RT;

my $top = Cwd::abs_path("$FindBin::Bin/..");
my $build = Cwd::abs_path(RT::build_dir());

plan skip_all => 'about the nginx of the system'
    if RT::nginx() ne '/usr/sbin/nginx';
plan skip_all => 'nothing is built' if !-x "$build/realtimed";

# a build of its own: somebody may be trying things with the other one

my $dir = File::Temp::tempdir('rt-run-XXXXXX', TMPDIR => 1, CLEANUP => 1);
symlink "$build/$_", "$dir/$_" or die "$_: $!"
    for qw(ngx_http_realtime_module.so realtimed);

like(qx(cd $top && PORT=8123 make -s -n run), qr/run\.sh \S+ 8123$/m,
     'PORT from the environment');
like(qx(cd $top && PORT=8123 make -s -n run PORT=8124),
     qr/run\.sh \S+ 8124$/m, 'and from the command line, which wins');

# bound, so that nobody else gets it; nginx does
my $held = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => '127.0.0.1',
                                 ReuseAddr => 1) or die "no port: $!";
my $port = $held->sockport;
my $pid;


sub text ($file) {
    open my $fh, '<', $file or return '';
    local $/;
    return <$fh> // '';
}


# in a process group of its own, as the shell of a terminal does it

sub starts ($name) {
    unlink "$dir/said";

    $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/said";
        open STDERR, '>&', \*STDOUT;
        exec "$top/t/run.sh", $dir, $port;
    }
    POSIX::setpgid($pid, $pid);

    ok(wait_for(sub { text("$dir/said") =~ /^Ctrl-C stops it/m }), $name)
        or diag text("$dir/said");
}


sub stops ($name) {
    kill INT => -$pid;
    ok(wait_for(sub { waitpid($pid, POSIX::WNOHANG()) == $pid }), $name)
        or return;
    is($?, 0, 'that is no failure');
    ok(!kill(0, -$pid), 'no process is left');
    ok(!-e "$dir/run", 'nor a file');
    undef $pid;
}


# Streams stay open until they have been told something.

sub works (@commands) {
    my @streams;
    for my $command (@commands) {
        my $run = $command =~ s/^curl/curl -sSf --max-time $RT::timeout/r;
        if ($run !~ / -N /) {
            my $answer = qx($run 2>&1);
            is($?, 0, $command) or diag $answer;
            next;
        }
        my $curl = open my $fh, '-|', "exec $run 2>&1" or die "curl: $!";
        like(<$fh>, qr/^retry: /, $command);
        push @streams, [ $command, $curl, $fh ];
    }
    for (@streams) {
        my ($command, $curl, $fh) = @$_;
        my $line;
        do { $line = <$fh> } while defined $line && $line !~ /^data: /;
        ok($line, "... and is told something: $command");
        kill TERM => $curl;
    }
}


sub commands ($text) {
    $text =~ s/\\\n\s*//g;
    return map { s/127\.0\.0\.1:8080/127.0.0.1:$port/r }
        $text =~ /(\bcurl .+)$/mg;
}


END {
    my $status = $?;
    kill KILL => -$pid if $pid;
    kill QUIT => $1 if $dir && text("$dir/own/nginx.pid") =~ /(\d+)/;
    $? = $status;
}


starts('make run');
my ($said) = text("$dir/said") =~ /^(Open .*)^Ctrl-C/ms;
my @printed = commands($said // '');
cmp_ok(@printed, '>', 5, 'commands are printed');
works(@printed);
my ($page) = $said =~ m{^Open\s+(http://\S+)};
like(qx(curl -sSf $page), qr/<html/, 'there is a page');

my ($first) = text("$top/README.md") =~ /^(On a fresh .*?)^## /ms;
my @shown = commands($first // '');
cmp_ok(@shown, '>', 4, 'README shows commands');
works(@shown);

my $again = qx($top/t/run.sh $dir $port 2>&1);
isnt($?, 0, 'one at a time');
like($again, qr/^it runs already/, 'says the other');
like(qx(curl -sSf $page), qr/<html/, 'and leaves it alone');
stops('Ctrl-C ends it');

starts('it starts again');
stops('and ends');

listen $held, 1 or die "listen: $!";
$again = qx($top/t/run.sh $dir $port 2>&1);
isnt($?, 0, 'nothing starts where something listens');
like($again, qr/bind\(\) to 127\.0\.0\.1:$port failed/, 'the port is named');
like($again, qr/make run PORT=/, 'and how to take another');
ok(!-e "$dir/run", 'nothing is left');

# README's first configuration is taken as it stands, but for its ports

my ($conf) = text("$top/README.md") =~ /^```nginx\n(.*?)^```$/ms;
my ($typed) = text("$top/README.md") =~ /^```nginx\n.*?^```sh\n(.*?)^```$/ms;
my $own = "$dir/own";

for my $theirs (8080, 8081) {
    state %mine;
    $mine{$theirs} = IO::Socket::INET->new(
        Proto => 'tcp', LocalAddr => '127.0.0.1', ReuseAddr => 1)
        or die "no port: $!";
    my $to = '127.0.0.1:' . $mine{$theirs}->sockport;
    s/\b(?:127\.0\.0\.1:)?$theirs\b/$to/g for $conf, $typed;
}

mkdir $_ or die "$_: $!" for $own, "$own/modules", "$own/temp";
symlink "$build/ngx_http_realtime_module.so",
    "$own/modules/ngx_http_realtime_module.so" or die "symlink: $!";
open my $fh, '>', "$own/nginx.conf" or die "nginx.conf: $!";
print $fh $conf =~ s/^http \{\n\K/join '', map { "${_}_temp_path temp;\n" }
                                 qw(client_body proxy fastcgi uwsgi scgi)/mer;
close $fh;

my @nginx = (RT::nginx(), '-p', "$own/", '-c', 'nginx.conf', '-e', 'stderr');
my $globals = 'error_log stderr; pid nginx.pid;';
$globals .= ' user root root;' if !$>;
is(system("@nginx -g '$globals' 2>$own/said"), 0, 'README\'s nginx.conf')
    or diag text("$own/said");
works(commands($typed));
my ($readers) = $typed =~ m{(http://\S+/sub/news)};
is(qx(curl -s -o $own/answer -w '%{http_code}' -d x $readers), 405,
   'readers may not publish');
kill QUIT => text("$own/nginx.pid") =~ s/\n//r;
ok(wait_for(sub { !-e "$own/nginx.pid" }), 'it ends');

my $needed = qx(make -C $top -n packages MAKEFLAGS= MFLAGS=);
like($needed, qr{ curl/curl$}m, 'make run installs what they need');

done_testing();
