#!/bin/sh

# debian-root.sh make DIR SUITE PACKAGE ...: a small Debian in DIR, with these
#     packages.  One that is there is kept for a week, and for longer when the
#     mirror fails.
# debian-root.sh run DIR COMMAND ...: runs COMMAND in it.
# debian-root.sh remove DIR
#
# Needs root, or sudo without a password.  What is mounted, /proc, is mounted in
# a namespace of the processes that need it and goes with the last of them, as
# do the processes themselves; so there is nothing to unmount, and no tree with
# a mount in it to be removed.

set -e

what=$1
dir=$2
shift 2

as_root=

if [ "$(id -u)" != 0 ]; then
    as_root='sudo -n'
fi

apart="$as_root unshare --mount --pid --fork --kill-child"


# The packages that "make" needs are the same everywhere.

create() {
    suite=$1
    shift

    # "&&", for "set -e" does not hold in an "if"
    $apart debootstrap --variant=minbase "$suite" "$dir.new" \
        "$("$(dirname "$0")/debian-mirror.sh")" \
    && $as_root sh -ec "cd '$dir.new/etc'
        printf 'path-exclude=/usr/share/%s/*\n' doc man locale info \
            > dpkg/dpkg.cfg.d/small
        echo force-unsafe-io > dpkg/dpkg.cfg.d/fast
        echo 'Acquire::Check-Valid-Until \"false\";' > apt/apt.conf.d/90old" \
    && inside "$dir.new" sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update
        apt-get -q -y --no-install-recommends install "$@"
        apt-get -q clean
        rm -rf /var/lib/apt/lists
        mkdir /src
        echo "$@" > /packages' sh "$@" < /dev/null
}


inside() {
    root=$1
    shift

    $apart --mount-proc="$root/proc" chroot "$root" env -i HOME=/root \
        LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin \
        ${RT_TIMEOUT:+"RT_TIMEOUT=$RT_TIMEOUT"} "$@"
}


remove() {
    $as_root rm -rf --one-file-system "$@"
}


case $what in
make)
    suite=$1
    shift

    if [ "$(cat "$dir/packages" 2> /dev/null)" != "$*" ]; then
        remove "$dir"
    fi

    if [ -n "$(find "$dir/packages" -mtime -7 2> /dev/null)" ]; then
        exit 0
    fi

    echo "installing Debian $suite in $dir"
    mkdir -p "$(dirname "$dir")"
    remove "$dir.new"
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT

    if (create "$suite" "$@") > "$log" 2>&1; then
        remove "$dir"
        $as_root mv "$dir.new" "$dir"

    elif [ -e "$dir/packages" ]; then
        echo "Debian $suite: not to be had, an older one is used" \
            | tee -a "${RT_SKIPPED:-/dev/null}"

    else
        cat "$log"
        remove "$dir.new"
        exit 1
    fi
    ;;

run)
    inside "$dir" "$@"
    ;;

remove)
    remove "$dir"
    ;;
esac
