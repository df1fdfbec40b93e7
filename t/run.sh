#!/bin/sh

# run.sh BUILD PORT: nginx with conf/nginx.conf, and realtimed if there is one,
# until Ctrl-C.  All they write is below BUILD/run, and goes with them.

set -e

build=$1
port=$2
top=$(cd "$(dirname "$0")/.." && pwd)
run=$build/run

url=http://127.0.0.1:$port
nginx_pid=
daemon_pid=


stop() {
    trap - EXIT
    trap "" INT TERM HUP

    # again, since a signal is lost on those who have just been started

    for pid in $nginx_pid $daemon_pid $!; do
        while kill "$pid" 2> /dev/null; do
            sleep 0.1
        done
        wait "$pid" || true
    done
    rm -rf "$run"
}


if [ -s "$run/nginx.pid" ] && kill -0 "$(cat "$run/nginx.pid")"; then
    echo "it runs already; stop that one first"
    exit 1
fi 2> /dev/null

rm -rf "$run"
mkdir -p "$run/modules" "$run/temp" "$run/data"
ln -s "$build/ngx_http_realtime_module.so" "$run/modules/"
ln -s "$top/conf/demo" "$run/demo"
sed -e "s|127\.0\.0\.1:8080|127.0.0.1:$port|" \
    -e "s|unix:/run/|unix:$run/|" "$top/conf/nginx.conf" > "$run/nginx.conf"

trap stop EXIT
trap "exit 0" INT TERM HUP

if [ -x "$build/realtimed" ]; then
    "$build/realtimed" --listen "unix:$run/realtimed.sock" \
        --data "$run/data" &
    daemon_pid=$!
fi

# root's processes would be nobody's, who may not be able to come here

globals="daemon off;"
if [ "$(id -u)" = 0 ]; then
    globals="$globals user root root;"
fi

PATH=$PATH:/usr/sbin nginx -p "$run/" -c nginx.conf -g "$globals" &
nginx_pid=$!

while [ ! -s "$run/nginx.pid" ]; do
    if ! kill -0 "$nginx_pid" 2> /dev/null; then
        echo "nginx did not start; another port: make run PORT=8081"
        exit 1
    fi
    sleep 0.1
done

cat << END

Open    $url/ for topics and auctions

or try  curl -N -H 'Accept: text/event-stream' $url/sub/hello
        curl -d 'hello, world' $url/pub/hello
        curl $url/status

An auction: create it, bid, and watch it here or at $url/#auction/1
        curl -d '{"kind":"english","start":100,"ends_in_ms":600000}' \\
             '$url/auction/1/create?user=eve'
        curl -d '{"amount":150}' '$url/auction/1/bid?user=ann'
        curl -N '$url/sub/auction/1?last_event_id=earliest'

Ctrl-C stops it.

END

wait "$nginx_pid"
