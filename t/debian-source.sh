#!/bin/sh

# debian-source.sh CODENAME PACKAGE DIR: the source of a Debian package as in
# that release, without later security updates, unpacked and patched into DIR.
#
# apt gets lists, a cache and a list of sources of its own below DIR's parent,
# so the system's are neither needed nor touched; only the mirror is taken over
# from there.  CODENAME may be "system".  No root needed.

set -e

codename=$1
package=$2
dir=$3

. /etc/os-release

system=$VERSION_CODENAME

if [ "$codename" = system ]; then
    codename=$system
fi

parent=$(dirname "$dir")
mkdir -p "$parent"
work=$(cd "$parent" && pwd)
dir=$work/$(basename "$dir")
apt=$work/apt-$codename

rm -rf "$dir" "$dir.part"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"

# The mirror is where the running release comes from.  The origin is unknown
# before a first apt-get update.

mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(SITE)' \
             'Created-By: Packages' 'Component: main' \
         | sed -n -e "s/^Debian $system //p" \
                  -e "s/^\$(ORIGIN) $system \(.*\/debian\/*\)$/\1/p" \
         | head -n 1)

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

echo "deb-src [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian}" \
     "$codename main" > "$apt/sources.list"

cat << END > "$apt/apt.conf"
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "";
END

export APT_CONFIG="$apt/apt.conf"

apt-get -qq update

cd "$apt"
rm -f ./*.dsc
apt-get -qq --download-only --only-source source "$package"
dpkg-source -q --no-check --no-copy -x ./*.dsc "$dir.part"
mv "$dir.part" "$dir"
rm -rf "$apt"
