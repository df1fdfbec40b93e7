# What "make" leaves behind: a module that nginx loads, that is not made again
# without need, and that installs as Debian's own do.

use v5.36;

use Cwd ();
use File::Temp ();
use FindBin;
use Test::More;

my $top = Cwd::abs_path("$FindBin::Bin/..");
my $build = "$top/build";
my $so = 'ngx_http_realtime_module.so';

chdir $top or die "chdir: $!";

plan skip_all => 'about the plain build'
    if Cwd::abs_path($ENV{RT_BUILD} // $build) ne $build;
plan skip_all => 'nothing is built' if !-f "$build/$so";

delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

my $dir = File::Temp::tempdir('rt-build-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $nginx = $ENV{TEST_NGINX_BINARY} // '/usr/sbin/nginx';


sub file ($name, @text) {
    if (@text) {
        open my $fh, '>', $name or die "$name: $!";
        print $fh @text;
        close $fh or die "$name: $!";
    }
    open my $fh, '<', $name or return;
    local $/;
    return scalar <$fh>;
}


sub run ($command) {
    my $out = qx($command 2>&1);
    return ($? >> 8, $out);
}


# Without http{}, whose temporary directories nginx would make and chown.

sub loads ($module, $name) {
    file("$dir/nginx.conf", "load_module $module;\npid $dir/nginx.pid;\n",
         "error_log stderr;\nevents { }\n");
    my ($code, $out) = run("$nginx -t -p $dir -c $dir/nginx.conf");
    is($code, 0, $name) or diag $out;
}


loads("$build/$so", 'nginx loads the module');

my ($code, $out) = run('make');
is($code, 0, 'make, once more') or diag $out;
is($out, '', 'has nothing to do');

my ($source) = glob "$top/ngx_module/*/*.c";
my ($where) = file("$top/Makefile") =~ /^NGINX_SRC\s*=\s*(\S+)/m;
($code, $out) = run("make -n -C $where -f $build/module/Makefile"
                    . " -W $source modules");
my @compiled = $out =~ /^\S+ -c .*\n.*\n\s*(\S+)/mg;
is_deeply(\@compiled, [ $source ], 'a changed file is compiled alone')
    or diag $out;

($code, $out) = run("make install DESTDIR=$dir/root");
is($code, 0, 'make install') or diag $out;
my ($installed) = glob "$dir/root/usr/lib/*/modules/$so";
ok($installed, 'the module goes where nginx looks') or diag $out;

my $snippet = "$dir/root/etc/nginx/modules-enabled/50-mod-http-realtime.conf";
ok(-l $snippet, 'it is enabled');
is(file($snippet), "load_module modules/$so;\n", 'by a line that loads it');
loads($installed, 'and can be loaded') if $installed;

($code, $out) = run("make uninstall DESTDIR=$dir/root");
is($code, 0, 'make uninstall') or diag $out;
is(qx(find $dir/root ! -type d), '', 'leaves no file');

($code, $out) = run("make NGINX_FLAGS=$dir/none");
isnt($code, 0, 'nothing is built without nginx-dev');
like($out, qr/^\Q$dir\E\/none is missing; make packages/, 'what to do is said');

done_testing();
