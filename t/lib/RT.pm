package RT;

# An nginx of its own for every test: private directory, private ports, master
# and processes in one process group, so that whatever is left can be seen.
#
#     use RT;
#     my $rt = RT->new(workers => 2, server => 'location ...');
#     my $sse = $rt->sse('/sub/a');
#     $rt->publish('a', 'hello');
#     ok($sse->wait_items(1), 'a message comes');
#     $rt->finish;            # or RT->end, which finishes all, and the plan
#
# Nothing here sleeps for a fixed time: RT::wait_for() turns the loop, which
# serves every open client, until a condition holds or the time is over.
#
# Environment: RT_BUILD (a directory with the module and perhaps an nginx),
# TEST_RT_MODULE, TEST_NGINX_BINARY, RT_LOG (error log level), RT_KEEP (leave
# the directory), RT_TIMEOUT (seconds, for the longest wait).

use v5.36;

use Exporter 'import';
use File::Spec ();
use File::Path ();
use File::Temp ();
use FindBin;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Socket;
use Test::More ();
use Time::HiRes;

use RT::Conn;
use RT::Follower;
use RT::Guard;
use RT::Loop;
use RT::Poll;
use RT::Publisher;
use RT::SSE;
use RT::Stream;
use RT::WebSocket;

our @EXPORT = qw(wait_for now seq epoch json_of uri_escape show same);

our $timeout = $ENV{RT_TIMEOUT} || 90;
our %live;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


sub wait_for ($cond, $seconds = $timeout) {
    return RT::Loop::wait_for($cond, $seconds);
}


sub now { return RT::Loop::now() }


# what an id says

sub seq ($id) { return ($id // '') =~ /^[0-9a-f]+-(0|[1-9]\d*)$/ ? $1 : undef }


sub epoch ($id) { return ($id // '') =~ /^([0-9a-f]+)-\d+$/ ? $1 : undef }


# undef when it is no JSON, so that a test fails and does not die

sub json_of ($text) {
    return eval { $json->decode($text) };
}


sub show (@values) {
    return join ' ', map {
        !defined $_ ? 'undef' : ref $_ ? $json->convert_blessed->encode($_) : $_
    } @values;
}


# is() for data that nobody wants to see whole

sub same ($got, $want, $name) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $got //= '(undef)';
    return if Test::More::ok($got eq $want, $name);

    my $at = 0;
    $at++ while $at < length $want && substr($got, $at, 1) eq
        substr $want, $at, 1;
    Test::More::diag(length($got) . ' bytes, not ' . length($want)
        . ", other from byte $at on: '" . substr($got, $at, 60) . "' for '"
        . substr($want, $at, 60) . "'");
}


# bytes of a topic as they go into a path

sub uri_escape ($bytes) {
    return $bytes =~ s/([^A-Za-z0-9_.~\/*,-])/sprintf '%%%02X', ord $1/gre;
}


sub build_dir {
    return $ENV{RT_BUILD} // "$FindBin::Bin/../build";
}


sub module {
    return $ENV{TEST_RT_MODULE}
           // build_dir() . '/ngx_http_realtime_module.so';
}


sub nginx {
    return $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};
    my $own = build_dir() . '/nginx';
    return -x $own ? $own : '/usr/sbin/nginx';
}


sub nginx_version {
    state $version = do {
        my $said = qx(@{[nginx()]} -v 2>&1);
        my ($a, $b, $c) = $said =~ m{/(\d+)\.(\d+)\.(\d+)};
        $a * 1_000_000 + $b * 1000 + $c;
    };
    return $version;
}


# Options: workers, master (on|off), zone (after "realtime_zone"; a list for
# more than one), main, events, http, server (configuration to add), locations
# (0: without the usual ones), listen (parameters), tls, http2 (ports to add).

sub new ($class, %o) {
    my $self = bless {
        workers => 1, master => 'on', zone => 'main 4m', listen => '',
        main => '', http => '', server => '', locations => 1, %o,
        allowed => [], faults => [], pids => {},
    }, $class;

    $self->{dir} = File::Temp::tempdir('rt-test-XXXXXX', TMPDIR => 1);
    mkdir "$self->{dir}/body";

    for my $try (1 .. 5) {
        $self->_take_ports;
        $self->write_config;
        last if $self->_start;
        if ($try == 5 || $self->log !~ /Address already in use/) {
            my $log = $self->_stderr . $self->log;
            $self->_remove;
            die "nginx does not start:\n$log\n";
        }
        unlink "$self->{dir}/error.log";
    }

    $live{$self} = $self;
    return $self;
}


# A bound socket that does not listen keeps a port from other tests: the kernel
# gives it to nobody who asks for any port, and nginx may still bind it.

sub _take_ports ($self) {
    $self->{held} = [];
    for my $name (qw(port tls_port h2_port h2s_port)) {
        my $s = IO::Socket::INET->new(
            Proto => 'tcp', LocalAddr => '127.0.0.1', LocalPort => 0,
            ReuseAddr => 1, ReusePort => 1,
        ) or die "no port: $!";
        $self->{$name} = $s->sockport;
        push @{ $self->{held} }, $s;
    }
}


sub port ($self) { return $self->{port} }


sub _listens ($self) {
    my $more = $self->{listen};
    my @l = "listen 127.0.0.1:$self->{port} reuseport $more;";

    if ($self->{tls}) {
        push @l, "listen 127.0.0.1:$self->{tls_port} ssl reuseport $more;";
    }

    return "@l";
}


sub _tls ($self) {
    return '' unless $self->{tls} || $self->{http2};

    my $pem = "$self->{dir}/cert.pem";
    if (!-e $pem) {
        require IO::Socket::SSL::Utils;
        my ($cert, $key) = IO::Socket::SSL::Utils::CERT_create(
            subject => { commonName => 'localhost' },
            subjectAltNames => [ [ DNS => 'localhost' ] ],
            key => IO::Socket::SSL::Utils::KEY_create_ec(),
        );
        open my $f, '>', $pem or die "$pem: $!";
        print $f IO::Socket::SSL::Utils::PEM_cert2string($cert),
            IO::Socket::SSL::Utils::PEM_key2string($key);
        close $f;
    }

    return "ssl_certificate $pem; ssl_certificate_key $pem;";
}


sub _locations ($self) {
    my $usual = $self->{locations} ? <<'EOF_L' : '';
        location ~ ^/pub/(.+)$  { realtime_publish   $1; }
        location ~ ^/sub/(.+)$  { realtime_subscribe $1 patterns; }
        location ~ ^/room/(.+)$ {
            realtime_publish   room/$1 websocket;
            realtime_subscribe room/$1;
        }
        location = /status      { realtime_status; }
EOF_L

    return <<"EOF_L";
        location = /pid { return 200 \$pid; }
        $usual
        $self->{server}
EOF_L
}


sub config ($self) {
    my $dir = $self->{dir};
    my $level = $ENV{RT_LOG} // 'info';
    my $user = $> == 0 ? 'user root;' : '';
    my @zones = ref $self->{zone} ? @{ $self->{zone} } : ($self->{zone} || ());
    my $zones = join "\n    ", map { "realtime_zone $_;" } @zones;
    my $temp = join "\n    ",
        map { "${_}_temp_path $dir/$_;" } qw(proxy fastcgi uwsgi scgi);
    my $tls = $self->_tls;
    my $locations = $self->_locations;
    my $http2 = '';

    if ($self->{http2}) {
        my ($in, $on) = nginx_version() < 1_025_001 ? (' http2', '')
                                                    : ('', 'http2 on;');
        $http2 = <<"EOF_C";
    server {
        listen 127.0.0.1:$self->{h2_port}$in reuseport;
        $on
        merge_slashes off;
        $locations
    }
    server {
        listen 127.0.0.1:$self->{h2s_port} ssl$in reuseport;
        $on
        merge_slashes off;
        $locations
    }
EOF_C
    }

    return <<"EOF_C";
load_module @{[File::Spec->rel2abs(module())]};
$user
daemon off;
master_process $self->{master};
worker_processes $self->{workers};
error_log $dir/error.log $level;
pid $dir/nginx.pid;
$self->{main}
events {
    worker_connections 1024;
}
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path $dir/body;
    $temp
    $zones
    $tls
    add_header X-Pid \$pid always;
    @{[$ENV{RT_HTTP} // '']}
    $self->{http}
    server {
        @{[$self->_listens]}
        server_name localhost;
        merge_slashes off;
        $locations
    }
$http2
}
EOF_C
}


sub write_config ($self, %o) {
    $self->{$_} = $o{$_} for keys %o;
    open my $f, '>', "$self->{dir}/nginx.conf" or die "nginx.conf: $!";
    print $f $self->config;
    close $f;
}


sub _start ($self) {
    my $dir = $self->{dir};
    my @cmd = (nginx(), '-p', "$dir/", '-e', "$dir/error.log",
               '-c', "$dir/nginx.conf");

    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/stdout";
        open STDERR, '>', "$dir/stderr";
        { exec @cmd }
        warn "$cmd[0]: $!";
        POSIX::_exit(127);
    }

    POSIX::setpgid($pid, $pid);
    $self->{pid} = $pid;
    delete $self->{status};
    $self->{guard} = RT::Guard->new(-$pid, $dir);

    my $up = wait_for(sub {
        return 'died' if $self->_reaped;
        my $c = eval { RT::Conn->new($self) } or return;
        my $r = $c->ask('GET', '/pid', [], undef, 5);
        $c->close;
        return $r->status == 200;
    });
    return 1 if $up && $up ne 'died';

    kill 'KILL', -$pid;
    waitpid $pid, 0 unless $self->_reaped;
    delete($self->{guard})->leave;
    return 0;
}


sub _reaped ($self) {
    return 1 if defined $self->{status};
    return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
    $self->{status} = $?;
    return 1;
}


# Is a configuration good?  Answers ('', all that was said) or ('ok', ...).

sub try_config ($class, %o) {
    my $self = bless {
        workers => 1, master => 'on', zone => 'main 4m', listen => '',
        main => '', http => '', server => '', locations => 1, %o,
    }, $class;

    $self->{dir} = File::Temp::tempdir('rt-test-XXXXXX', TMPDIR => 1);
    mkdir "$self->{dir}/body";
    $self->_take_ports;
    $self->write_config;
    my $said = qx(@{[nginx()]} -t -p $self->{dir}/ -e stderr \\
                  -c $self->{dir}/nginx.conf 2>&1);
    my $ok = $? == 0 ? 'ok' : '';
    $self->_remove;
    return ($ok, $said);
}


# Skips the whole test where the module does not know a directive yet.

sub need ($class, $directive) {
    my ($ok, $said) = $class->try_config(server => "$directive x;");
    return if $said !~ /unknown directive "$directive"/;
    Test::More::plan(skip_all => "no $directive");
}


# the processes: pid => title

sub processes ($self) {
    my %found;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $f, '<', $stat or next;
        my $line = <$f> // next;
        my ($pid, $state, $parent) =
            $line =~ /^(\d+) \(.*\) (\S) (\d+) / or next;
        next if $parent != $self->{pid} || $state =~ /[ZX]/;

        open my $c, '<', "/proc/$pid/cmdline" or next;
        local $/;
        my $title = (<$c> // '') =~ tr/\0/ /r;
        next if $title !~ /worker process/;
        $found{$pid} = $title;
        $self->{pids}{$pid} = 1;
    }

    return %found;
}


# pids that take new connections, and pids that are saying goodbye

sub workers ($self) {
    return $self->{pid} if $self->{master} eq 'off';
    my %p = $self->processes;
    my @pids = grep { $p{$_} !~ /shutting down/ } sort { $a <=> $b } keys %p;
    return @pids;
}


sub leaving ($self) {
    my %p = $self->processes;
    my @pids = grep { $p{$_} =~ /shutting down/ } sort { $a <=> $b } keys %p;
    return @pids;
}


sub wait_workers ($self) {
    wait_for(sub { $self->workers == $self->{workers} })
        or $self->fault('not all processes came up: ' . show([$self->workers]));
    return $self->workers;
}


# all new processes serve when it returns; old ones may still be leaving

sub reload ($self, %o) {
    my %old = map { $_ => 1 } $self->wait_workers;
    $self->write_config(%o);
    kill 'HUP', $self->{pid};
    return wait_for(sub {
        my @now = $self->workers;
        return @now == $self->{workers} && !grep { $old{$_} } @now;
    });
}


sub quit ($self) { return kill 'QUIT', $self->{pid} }


# The master logs each death, and that the zone was held, if the process died
# holding it.

sub kill_hard ($self, @pids) {
    for my $pid (@pids) {
        $self->allow(qr/worker process $pid exited on signal 9/);
        $self->allow(qr/shared memory zone "main" was locked by $pid$/);
    }
    return kill 'KILL', @pids;
}


sub kill_worker ($self, $pid) {
    $self->kill_hard($pid);
    return wait_for(sub { !kill 0, $pid });
}


sub log ($self) {
    open my $f, '<', "$self->{dir}/error.log" or return '';
    local $/;
    return <$f> // '';
}


sub _stderr ($self) {
    open my $f, '<', "$self->{dir}/stderr" or return '';
    local $/;
    return <$f> // '';
}


# a line of the error log that this test provokes

sub allow ($self, $re) { push @{ $self->{allowed} }, $re }


sub fault ($self, $what) { push @{ $self->{faults} }, $what }


# Stops nginx and tells, as one test, whether it left anything behind.

sub finish ($self) {
    delete $live{$self} or return;

    if ($self->{master} ne 'off') {
        $self->processes;
    }
    RT::Loop::close_all($self);

    kill 'QUIT', $self->{pid};
    if (!wait_for(sub { $self->_reaped }, 2 * $timeout)) {
        my %p = $self->processes;
        $self->fault('hangs at quit: ' . show(\%p));
        kill 'KILL', -$self->{pid};
        waitpid $self->{pid}, 0;
        $self->{status} = 0;
    }

    if ($self->{status}) {
        $self->fault("exit status of nginx: $self->{status}");
    }
    if (kill 0, -$self->{pid}) {
        wait_for(sub { !kill 0, -$self->{pid} })
            or $self->fault('a process is left');
        kill 'KILL', -$self->{pid};
    }

    $self->_check_log;
    my @left = map { glob "$self->{dir}/$_/*" } qw(body proxy fastcgi);
    $self->fault("a file is left: @left") if @left;

    my @faults = @{ $self->{faults} };
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@faults, 'nginx ends cleanly');
    Test::More::diag($_) for @faults;

    $self->_remove;
}


sub _check_log ($self) {
    my $asan = 0;
    my $n = 0;

    LINE:
    for my $line (split /\n/, $self->_stderr . $self->log) {
        if ($line =~ /AddressSanitizer|runtime error|LeakSanitizer/) {
            $asan = 40;
        }
        if ($line =~ /\[(?:alert|emerg)\]/ || $asan) {
            for my $re (@{ $self->{allowed} }) {
                next LINE if $line =~ $re;
            }
            $asan-- if $asan;
            $self->fault("log: $line") if $n++ < 60;
        }
    }
}


sub _remove ($self) {
    if (my $guard = delete $self->{guard}) {
        $guard->leave;
    }
    close $_ for @{ $self->{held} // [] };
    if ($ENV{RT_KEEP}) {
        Test::More::note("kept: $self->{dir}");
        return;
    }
    File::Path::remove_tree($self->{dir});
}


# finishes all servers and the plan

sub end ($class = undef) {
    $_->finish for values %live;
    Test::More::done_testing();
}


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

END {
    local $?;
    for my $self (values %live) {
        $self->_check_log;
        Test::More::diag('the test died');
        Test::More::diag($_) for @{ $self->{faults} };
        my @log = split /\n/, $self->log;
        Test::More::diag($_) for splice @log, @log > 10 ? -10 : 0;
        kill 'KILL', -$self->{pid};
        waitpid $self->{pid}, 0;
        $self->_remove;
    }
}


# One request on a connection of its own: an RT::Response.
# Headers are a list of names and values, the body goes with Content-Length.

sub request ($self, $method, $uri, $headers = [], $body = undef, %o) {
    my $c = RT::Conn->new($self, %o);
    my $r = $c->ask($method, $uri, [ @$headers, Connection => 'close' ], $body);
    $c->close;
    return $r;
}


sub get ($self, $uri, @headers) {
    return $self->request('GET', $uri, \@headers);
}


sub publish ($self, $topic, $body, @headers) {
    return $self->request('POST', '/pub/' . uri_escape($topic), \@headers,
                          $body);
}


# the same with the id of the message alone

sub publish_id ($self, $topic, $body, @headers) {
    my $r = $self->publish($topic, $body, @headers);
    return $r->status == 201 ? ($r->json // {})->{id} : undef;
}


# a poll that does not wait: the response

sub poll_now ($self, $uri, $id = undef, @headers) {
    return $self->get($uri, Accept => 'application/json', Prefer => 'wait=0',
                      defined $id ? ('Last-Event-ID' => $id) : (), @headers);
}


sub status ($self) { return $self->get('/status')->json }


# Subscribed clients; options: id, headers, pid, tls, rcvbuf, and of each kind.

sub conn   ($self, %o)       { return RT::Conn->new($self, %o) }
sub sse    ($self, $uri, %o) { return RT::SSE->open($self, $uri, %o) }
sub ws     ($self, $uri, %o) { return RT::WebSocket->open($self, $uri, %o) }
sub stream ($self, $uri, %o) { return RT::Stream->open($self, $uri, %o) }
sub poll   ($self, $uri, %o) { return RT::Poll->open($self, $uri, %o) }


sub follower  ($self, %o) { return RT::Follower->new($self, %o) }
sub publisher ($self, %o) { return RT::Publisher->new($self, %o) }


# The same over HTTP/2, which curl speaks for us: class SSE, Stream or Poll.

sub h2 ($self, $class, $uri, %o) {
    my @over = $o{tls}
        ? ('-k', '--http2', "https://localhost:$self->{h2s_port}$uri")
        : ('--http2-prior-knowledge', "http://127.0.0.1:$self->{h2_port}$uri");
    my $accept = { SSE => 'text/event-stream', Poll => 'application/json',
                   Stream => 'application/x-ndjson' }->{$class};
    my @h = (Accept => $accept, $o{headers} ? @{ $o{headers} } : ());
    push @h, 'Last-Event-ID' => $o{id} if defined $o{id};

    my @args;
    while (my ($name, $value) = splice @h, 0, 2) {
        push @args, '-H', "$name: $value";
    }
    push @args, '--data-binary', $o{body} if defined $o{body};

    my $pid = open my $fh, '-|', 'curl', '-sNi', '--max-time', 60, @args, @over
        or die "curl: $!";
    return "RT::$class"->open($self, $uri, %o, once => 1, fh => $fh,
                              child => $pid);
}


# by name; a WebSocket with envelopes, so that all four show ids and gaps

sub client ($self, $transport, $uri, %o) {
    return $self->sse($uri, %o) if $transport eq 'sse';
    return $self->ws($uri, %o, envelope => 1) if $transport eq 'websocket';
    return $self->stream($uri, %o) if $transport eq 'stream';
    return $self->poll($uri, %o) if $transport eq 'poll';
    die "no transport $transport";
}


1;
