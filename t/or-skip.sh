#!/bin/bash

# or-skip.sh WHAT COMMAND ...: runs COMMAND, which fetches something.  Should it
# fail, so does this, and WHAT is skipped: that and why is said here, and again
# at the end of "make test", which has the list in $RT_SKIPPED.

set -o pipefail

what=$1
shift

log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$@" 2>&1 | tee "$log" && exit

# the first line that complains, else the last

why=$(grep -m 1 -E '^(E:|W: Failed|npm err|npm ERR|.*: not found)' "$log" \
      || tail -n 1 "$log")
why=${why:-"$*" fails}

echo "ok - $what # SKIP $why"
echo "$what: skipped, $why" >> "${RT_SKIPPED:-/dev/null}"

exit 1
