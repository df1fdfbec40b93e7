#!/bin/sh

# debian-source.sh PACKAGE VERSION DIR: the source of a Debian package, as in
# the release of the running system without later security updates, unpacked
# and patched into DIR.
#
# A mirror's index may name files that its pool lacks.  Then it is what the
# authors released, without Debian's patches, of this release of Debian or of
# another, if that is VERSION or newer.  "make test" says so at its end.
#
# apt gets lists, a cache and a list of sources of its own below DIR's parent,
# so the system's are neither needed nor touched; only the mirror is taken over
# from there.  No root needed.

set -e

package=$1
version=$2
dir=$3

. /etc/os-release

here=$(cd "$(dirname "$0")" && pwd)
mirror=$("$here/debian-mirror.sh")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

mkdir -p "$(dirname "$dir")"
work=$(cd "$(dirname "$dir")" && pwd)
dir=$work/$(basename "$dir")
apt=$work/apt

rm -rf "$dir" "$dir.part"


# in a directory of its own, with what apt must know of that suite

suite() {
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"

    echo "deb-src [signed-by=$keyring] $mirror $1 main" > "$apt/sources.list"

    cat << END > "$apt/apt.conf"
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "";
END

    cd "$apt"
    APT_CONFIG=$apt/apt.conf apt-get -qq update
}


get() {
    APT_CONFIG=$apt/apt.conf \
        apt-get -qq --download-only --only-source "$@" source "$package"
}


patched() {
    suite "$VERSION_CODENAME" && get || return 1
    dpkg-source -q --no-check --no-copy -x ./*.dsc "$dir.part"
}


released() {
    suite "$1" && get --tar-only || return 1

    tar=$(echo "$package"_*.orig.tar.*z)
    has=${tar#*_}
    has=${has%.orig.tar.*}
    dpkg --compare-versions "$has" ge "$version" || return 1

    rm -rf "$dir.part"
    mkdir "$dir.part"
    tar -xf "$tar" --strip-components=1 -C "$dir.part" || return 1

    echo "source of $package: not to be had, $has as released is used" \
        | tee -a "${RT_SKIPPED:-/dev/null}"
}


patched || released "$VERSION_CODENAME" || released stable || released sid

cd "$work"
mv "$dir.part" "$dir"
rm -rf "$apt"
