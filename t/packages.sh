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

sudo=

if [ "$(id -u)" != 0 ]; then
    sudo="sudo"
fi

export DEBIAN_FRONTEND=noninteractive

$sudo apt-get -qq update

# shellcheck disable=SC2086
$sudo apt-get -qq -y --no-install-recommends install $missing
