# Adding a dialect touches one folder and one line: a copy of the module's
# source gets t/toy/ngx_http_rt_toy.c and its line, is built, and speaks it.  A
# second one, labelled, puts something private before what all readers share.
#
# nginx's configure takes most of a build's time, so it does not run again:
# what "config" says of the copy is asked with stubs, compiler and flags are
# those of the module that is there, and so are the objects of all files that
# are the same.

use v5.36;

use Cwd ();
use File::Basename ();
use File::Copy ();
use File::Path ();
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use RT;


my $top = Cwd::abs_path("$FindBin::Bin/..");
my $built = Cwd::abs_path(RT::build_dir()) // '';
my $makefile = "$built/module/Makefile";
my ($nginx_src) = grep { -f "$_/src/core/nginx.h" }
    $built =~ m{/asan$} ? "$built/../src/system" : '/usr/share/nginx/src';

plan skip_all => 'no build of the module' if !-f $makefile;
plan skip_all => 'no source of its nginx' if !$nginx_src;
plan skip_all => 'another module is tested'
    if Cwd::abs_path(RT::module()) ne "$built/ngx_http_realtime_module.so";

chdir $top or die "chdir: $!";
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

my $dir = File::Temp::tempdir('rt-toy-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $copy = "$dir/src";


sub run ($command) {
    my $out = qx($command 2>&1);
    return $? == 0 ? $out : undef, $out;
}


sub text ($file, @new) {
    if (@new) {
        open my $fh, '>', $file or die "$file: $!";
        print $fh @new;
        close $fh or die "$file: $!";
    }
    open my $fh, '<', $file or return '';
    local $/;
    return scalar <$fh>;
}


# the copy, one folder and one line more

my $list = qx(git ls-files -co --exclude-standard 2>/dev/null)
    || qx(find . -type f -printf '%P\\n');
my @files = grep { -f && m{^(?:config$|ngx_module/|worker/link/rt_wire\.)} }
    split /\n/, $list;

for my $file (@files) {
    File::Path::make_path("$copy/" . File::Basename::dirname($file));
    File::Copy::copy($file, "$copy/$file") or die "$file: $!";
}

my $folder = 'ngx_module/dialect/toy';
my $table = 'ngx_module/dialect/ngx_http_rt_dialects.c';
my $dialects = text($table);

for my $name (qw(labelled toy)) {
    my $own = "ngx_module/dialect/$name";
    mkdir "$copy/$own" or die "$own: $!";
    File::Copy::copy("t/toy/ngx_http_rt_$name.c", "$copy/$own")
        or die "$name: $!";
    ok($dialects
       =~ s/^( +)dialect\(native\)( +)\\\n\K/$1dialect($name)$2\\\n/m,
       "$name: the table takes one line");
}

text("$copy/$table", $dialects);


# which sources and folders the module has, as nginx's configure learns it

mkdir "$dir/auto";
text("$dir/auto/feature", "ngx_found=yes\n");
text("$dir/auto/module", 'echo $ngx_module_srcs; echo $ngx_module_incs', "\n");

my ($said, $all) = run("cd $dir && ngx_addon_dir=$copy"
                       . " sh -ec '. $copy/config'");
my ($srcs, $incs) = map { [ split ' ' ] } split /\n/, $said // '';

ok($incs && grep({ $_ eq "$copy/$folder/ngx_http_rt_toy.c" } @$srcs),
   'config finds the folder') or diag $all;


# the makefile: compiler, flags and libraries come from the module's own

my (@old, @new);

for my $src (@$srcs) {
    my $file = $src =~ s{^\Q$copy/}{}r;
    my $room = File::Basename::basename(File::Basename::dirname($file));
    my $o = File::Basename::basename($file) =~ s/\.c$/.o/r;

    if (-f $file && -f "$built/module/addon/$room/$o"
        && text($file) eq text($src))
    {
        push @old, "$built/module/addon/$room/$o";
    } else {
        push @new, [ $src, "$dir/$o" ];
    }
}

is_deeply([ sort map { $_->[0] =~ s{^\Q$copy/}{}r } @new ],
          [ 'ngx_module/dialect/labelled/ngx_http_rt_labelled.c', $table,
            "$folder/ngx_http_rt_toy.c" ], 'these files are compiled');

my ($libs) = text($makefile) =~ /^\t(-Wl,-z\S* .*|.*-lyajl .*)\\\n\t-shared/m;
my $so = "$dir/ngx_http_realtime_module.so";

text("$dir/Makefile", "include $makefile\n",
     'COPY_INCS = ', join(' ', map { "-I $_" } @$incs), "\n",
     "$so: ", join(' ', map { $_->[1] } @new), "\n",
     "\t\$(LINK) -o \$@ \$^ @old ",
     "$built/module/ngx_http_realtime_module_modules.o ",
     ($libs // '-lyajl -lz'), " -shared\n",
     map { "$_->[1]: $_->[0]\n\t\$(CC) -c -fPIC \$(CFLAGS) \$(COPY_INCS) "
           . "\$(ALL_INCS) -o \$@ \$<\n" } @new);

($said, $all) = run("make -s -C $nginx_src -f $dir/Makefile $so");
ok(-f $so, 'it is built') or diag $all;
is($all, '', 'without a warning');


# it speaks

$ENV{TEST_RT_MODULE} = $so;

my $rt = RT->new(workers => 2, server => <<'EOC');
        location = /toy {
            realtime_subscribe room/**;
            realtime_publish   room/** websocket;
            realtime_protocol  toy;
        }
        location = /few {
            realtime_subscribe          a b c d;
            realtime_protocol           toy;
            realtime_subscription_limit 4;
        }
        location = /any {
            realtime_subscribe a;
        }
        location = /labelled {
            realtime_subscribe room/a;
            realtime_protocol  labelled;
        }
EOC


# what the connection has got so far, as lines

sub got ($ws) {
    return map { $_->{payload} } grep { $_->{opcode} == RT::WebSocket::TEXT }
        $ws->{frames}->@*;
}


sub came ($ws, @lines) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for(sub { got($ws) >= @lines || $ws->eof });
    is_deeply([ got($ws) ], \@lines, "came: $lines[-1]");
    $ws->{frames} = [];
}


# The location's topics are what a session begins with, so it leaves them.

sub toy ($uri = '/toy') {
    my $ws = $rt->ws($uri, protocol => 'toy');
    $ws->send_text('-room/**') if $uri eq '/toy';
    return $ws;
}

my ($one, $two) = (toy(), toy());

is($one->status, 101, 'open');
is($one->header('Sec-WebSocket-Protocol'), 'toy', 'the subprotocol');

$one->send_text('+room/a');
$one->send_text('room/a: hello');
came($one, 'room/a: hello');
$one->send_text('room/a: ');
came($one, 'room/a: ');

$two->send_text('+room/**');
$two->send_text('room/a: to both: of us');
came($_, 'room/a: to both: of us') for $one, $two;
$rt->publish('room/b', 'over HTTP');
came($two, 'room/b: over HTTP');

$two->send_text('-room/**');
$two->send_text('room/a: not to two');
came($one, 'room/a: not to two');
$two->send_text('-room/**');
came($two, '! not subscribed');

my %refused = (
    '+room/a' => 'the session has this topic',
    '+other' => 'this topic may not be subscribed to',
    '+room/*' => 'this topic may not be subscribed to',
    '-room/x' => 'not subscribed',
    'other: x' => 'topic may not be published to here',
    'room/a' => 'neither +, - nor topic: text',
    'room/a:x' => 'neither +, - nor topic: text',
);

for my $line (sort keys %refused) {
    $one->send_text($line);
    came($one, "! $refused{$line}");
}

$one->send_text('+');
wait_for(sub { got($one) });
like((got($one))[0], qr/^! \w/, 'a bad topic');

$one->send_binary('room/a: x');
is($one->wait_close, 1003, 'binary is closed with 1003');


# what is private goes before what all share, also in a batch, empty or large

my @labelled = map { $rt->ws('/labelled') } 1, 2;
my $large = 'x' x 60000;
$rt->publish('room/a', $_) for 'one', '', 'two';
$rt->publish('room/a', $large);
for my $ws (@labelled) {
    came($ws, map { "room/a|$_" } 'one', '', 'two', $large);
    $ws->close;
}


# by the subprotocol alone, limits, and the goodbye of a process

my $few = toy('/few');
my $any = toy('/any');

$rt->publish('a', 'x');
came($_, 'a: x') for $few, $any;
$few->send_text('-d');
$few->send_text('+b');
came($few, '! the session has this topic');
$rt->quit;
is($_->wait_close, 1012, 'a process that goes') for $two, $few, $any;

RT->end;
