#!/bin/sh

# packages.sh NAME ... [-- NAME ...]: installs the Debian packages that are
# missing; says and does nothing when none is.  A NAME of the form
# command/package is missing only when there is no such command, wherever it
# came from.  Without those after "--" something is skipped, but not all.

set -e

missing=
needed=
more=

for name in "$@"; do
    case $name in
    --)
        needed=$missing
        more=yes
        continue
        ;;
    */*)
        command -v "${name%%/*}" > /dev/null || missing="$missing ${name#*/}"
        ;;
    *)
        dpkg -s "$name" 2> /dev/null | grep -q '^Status: .* installed$' \
            || missing="$missing $name"
        ;;
    esac
done

if [ -z "$missing" ]; then
    exit 0
fi

echo "installing$missing"

apt="env DEBIAN_FRONTEND=noninteractive apt-get -q -y"

if [ "$(id -u)" != 0 ]; then
    apt="sudo $apt"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT


# shellcheck disable=SC2086
install() {
    $apt --no-install-recommends install "$@" < /dev/null
}


if { $apt update; install $missing; } > "$log" 2>&1; then
    exit 0
fi

if [ -z "$more" ] || [ "$needed" = "$missing" ]; then
    cat "$log"
    exit 1
fi

# something cannot be had: one by one

if [ -n "$needed" ] && ! install $needed > "$log" 2>&1; then
    cat "$log"
    exit 1
fi

for name in ${missing#"$needed"}; do
    # shellcheck disable=SC2086
    "$(dirname "$0")/or-skip.sh" "what needs $name" \
        $apt --no-install-recommends install "$name" < /dev/null || true
done
