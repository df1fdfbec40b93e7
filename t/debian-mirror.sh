#!/bin/sh

# debian-mirror.sh: the mirror of Debian that the running system uses.

set -e

. /etc/os-release

# the origin is unknown before a first apt-get update

mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(SITE)' \
             'Created-By: Packages' 'Component: main' \
         | sed -n -e "s/^Debian $VERSION_CODENAME //p" \
                  -e "s/^\$(ORIGIN) $VERSION_CODENAME \(.*\/debian\/*\)$/\1/p" \
         | head -n 1)

echo "${mirror:-http://deb.debian.org/debian}"
