#!/bin/sh

# packages.sh NAME ...: installs the Debian packages that are missing; says and
# does nothing when none is.  A NAME of the form command/package is missing
# only when there is no such command, wherever it came from.

set -e

missing=

for name in "$@"; do
    case $name in
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
if ! { $apt update && $apt --no-install-recommends install $missing; } \
     > "$log" 2>&1 < /dev/null
then
    cat "$log"
    exit 1
fi
