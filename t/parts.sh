#!/bin/sh

# parts.sh MAKE PART ...: makes one after the other, and says at the end how
# each went, how long it took, and what was skipped ($RT_SKIPPED).

make=$1
shift

failed=0
said=

for part in "$@"; do
    begin=$(date +%s)
    how=ok

    if ! "$make" -k "$part"; then
        how=failed
        failed=1
    fi

    said="$said$(printf '%-20s %6d s  %s' "$part" \
                 $(($(date +%s) - begin)) "$how")
"
done

echo
echo "$said"

if [ -s "$RT_SKIPPED" ]; then
    sort -u "$RT_SKIPPED"
else
    echo "nothing was skipped"
fi

exit $failed
