package Bench::Server;

# The servers that are measured, on core 0 and with one process each unless
# the scenario says otherwise:
#
#     ours    nginx with our module
#     nchan   the same nginx with Debian's libnginx-mod-nchan
#     bare    a bare send loop, t/bench/bare.c
#     joined  the same, frames of one turn of its loop joined
#
# A server lives for one scenario.  Whatever it writes is below build/bench.
# "from" is another build directory that the module is taken from.

use v5.36;

use File::Path ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes;


our %title = (
    ours   => 'ngx_realtime',
    nchan  => 'nchan',
    bare   => 'bare loop',
    joined => 'bare loop, joined',
);

our $nginx = $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
our $nchan = $ENV{BENCH_NCHAN}
             || '/usr/lib/nginx/modules/ngx_nchan_module.so';

my $module = 'ngx_http_realtime_module.so';
my %live;


sub available ($name, $build) {
    return -e "$build/$module" if $name eq 'ours';
    return -e $nchan if $name eq 'nchan';
    return -x "$build/bench/$name" || -x "$build/bench/bare";
}


sub new ($class, $name, %conf) {
    my $self = bless { name => $name, %conf }, $class;

    $self->{dir} = "$conf{build}/bench/servers/$name";
    $self->{processes} //= 1;
    $self->{port} = _port();
    $self->{ssl_port} = _port();
    $self->{h2_port} = _port();
    $self->{h2_ssl_port} = _port();

    File::Path::remove_tree($self->{dir});
    File::Path::make_path("$self->{dir}/temp");

    $self->_spawn($self->_command);
    $live{$self->{pid}} = $self;

    $self->_wait;

    return $self;
}


sub pids ($self) {
    return join ',', @{ $self->{workers} };
}


# bytes of private memory

sub memory ($self) {
    my $sum = 0;

    for my $pid (@{ $self->{workers} }) {
        open my $f, '<', "/proc/$pid/status" or die "process $pid died\n";
        $sum += 1024 * (map { /^RssAnon:\s+(\d+)/ } <$f>)[0];
    }

    return $sum;
}


sub reload ($self) {
    $self->{reloads} += kill HUP => $self->{pid};
}


# none of these is there any more: they were told to go, and went

sub replaced ($self) {
    my $end = time + 20;

    while (grep { kill 0, $_ } @{ $self->{workers} }) {
        return 0 if time > $end;
        Time::HiRes::sleep(0.05);
    }

    return 1;
}


sub stop ($self) {
    my $pid = delete $self->{pid} or return;

    kill TERM => $pid;
    waitpid $pid, 0;
    delete $live{$pid};

    $self->_complain;
}


sub stop_all {
    $_->stop for values %live;
}


# what is wrong with the configuration, such as an unknown directive

sub refuses ($class, $name, %conf) {
    my $self = bless { name => $name, %conf }, $class;

    $self->{dir} = "$conf{build}/bench/servers/$name-test";
    $self->{processes} = 1;
    $self->{$_} = _port() for qw(port ssl_port h2_port h2_ssl_port);

    File::Path::remove_tree($self->{dir});
    File::Path::make_path("$self->{dir}/temp");

    my @command = $self->_command;
    my $out = `@command -t 2>&1`;

    return $? == 0 ? undef : $out =~ /\[emerg\] (.*)/ ? $1 : $out;
}


sub _port {
    my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no port: $!\n";

    return $s->sockport;
}


sub _command ($self) {
    my $name = $self->{name};

    return ("$self->{build}/bench/bare", $self->{port},
            $name eq 'joined' ? 'joined' : ())
        if $name !~ /^(ours|nchan)/;

    my $conf = "$self->{dir}/nginx.conf";

    open my $f, '>', $conf or die "$conf: $!\n";
    print $f $self->_nginx_conf;
    close $f or die "$conf: $!\n";

    return ($nginx, '-p', "$self->{dir}/", '-c', 'nginx.conf',
            '-e', 'error.log');
}


sub _spawn ($self, @command) {
    my $pid = fork // die "fork() failed: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$self->{dir}/out";
        open STDERR, '>&', \*STDOUT;
        exec('taskset', '-c', $self->{cores} // 0, @command)
            or POSIX::_exit(127);
    }

    $self->{pid} = $pid;
}


# until it listens and all of its processes are there

sub _wait ($self) {
    my $end = time + 20;

    while (time < $end) {
        Time::HiRes::sleep(0.02);

        if (waitpid($self->{pid}, POSIX::WNOHANG) > 0) {
            delete $live{ delete $self->{pid} };
            $self->_complain;
            die "$self->{name} does not start\n";
        }

        $self->{workers} = [$self->{pid}];

        if ($self->{name} =~ /^(ours|nchan)/) {
            my $file = "/proc/$self->{pid}/task/$self->{pid}/children";
            open my $f, '<', $file or next;
            my @pids = map { split } <$f>;

            next if @pids < $self->{processes};
            $self->{workers} = [@pids[0 .. $self->{processes} - 1]];
        }

        return if IO::Socket::INET->new("127.0.0.1:$self->{port}");
    }

    die "$self->{name} does not listen\n";
}


sub _complain ($self) {
    for my $file (grep { -s } map { "$self->{dir}/$_" } qw(error.log out)) {
        open my $f, '<', $file or next;
        my @lines = <$f>;

        print STDERR "$self->{name}: $_" for @lines > 5 ? @lines[0 .. 4]
                                                        : @lines;
        printf STDERR "%s: %d more lines in %s\n", $self->{name}, @lines - 5,
               $file if @lines > 5;
    }
}


sub _nginx_conf ($self) {
    my $own = $self->{name} =~ /^ours/ ? $self->_ours : $self->_nchan;
    my $root = $> == 0 ? 'user root root;' : '';
    my $files = $self->{files} - 64;
    my $listen = 'backlog=4096';

    # the kernel spreads connections evenly

    $listen .= ' reuseport' if $self->{processes} > 1;

    return <<"EOC";
$own->{main}
$root
daemon             off;
pid                nginx.pid;
error_log          error.log warn;

worker_processes      $self->{processes};
worker_rlimit_nofile  $self->{files};

events {
    worker_connections  $files;
    multi_accept        on;
}

http {
    access_log               off;
    keepalive_requests       1000000000;
    keepalive_timeout        1h;
    client_body_buffer_size  512k;
    client_max_body_size     8m;
    client_body_temp_path    temp/body;
    proxy_temp_path          temp/proxy;
    fastcgi_temp_path        temp/fastcgi;
    uwsgi_temp_path          temp/uwsgi;
    scgi_temp_path           temp/scgi;
    ssl_certificate          ../../cert.pem;
    ssl_certificate_key      ../../key.pem;

@{[ $self->{http} // '' ]}
$own->{http}

    server {
        listen  127.0.0.1:$self->{port} $listen;
        listen  127.0.0.1:$self->{ssl_port} backlog=4096 ssl;
        listen  127.0.0.1:$self->{h2_port} backlog=4096 http2;
        listen  127.0.0.1:$self->{h2_ssl_port} backlog=4096 ssl http2;

        location /nothing/  { return 201 '{}'; }
        location = /process { return 200 \$pid; }

$own->{server}
@{[ $self->{locations} // '' ]}
    }
}
EOC
}


sub _ours ($self) {
    return {
        main => 'load_module ' . ($self->{from} // $self->{build})
                . "/$module;",
        http => "    realtime_zone main 64m;\n" . ($self->{ours} // ''),
        server => <<'EOC',
        location ~ ^/pub/(.+)$ { realtime_publish $1; }
        location ~ ^/sub/(.+)$ { realtime_subscribe $1; }
        location = /batch      { realtime_publish t/**; }
EOC
    };
}


# messages are kept as ours keeps them: a hundred for an hour

sub _nchan ($self) {
    return {
        main => "load_module $nchan;",
        http => "    nchan_shared_memory_size 256m;\n",
        server => <<"EOC",
        location ~ ^/pub/(.+)\$ {
            nchan_publisher http;
            nchan_channel_id \$1;
            nchan_message_buffer_length 100;
            nchan_message_timeout 1h;
@{[ $self->{nchan} // '' ]}
        }

        location ~ ^/sub/(.+)\$ {
            nchan_subscriber websocket eventsource;
            nchan_channel_id \$1;
            nchan_subscriber_first_message newest;
@{[ $self->{nchan} // '' ]}
        }
EOC
    };
}


END {
    my $status = $?;
    stop_all();
    $? = $status;
}


1;
