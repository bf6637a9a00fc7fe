#!/bin/sh
# SPDX-License-Identifier: MIT
# The golden image in test/data keeps the format honest: what was written once can be read, is valid,
# shows the same, and is refused when it is touched. t-golden writes it anew, byte for byte. If this
# fails, the format has changed: then IMAGE_FORMAT or the version of a record has to change as well.
: "${CR:?the path of cr}"
: "${srcdir:=.}"

work=$(mktemp -d "${TMPDIR:-/tmp}/cr-golden.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
n=0
failed=0

result()
{
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
	fi
}

echo "1..6"
"$CR" verify "$srcdir/test/data/golden"
result $? "the golden image is whole"

"$CR" show --json "$srcdir/test/data/golden" >"$work/json" &&
	cmp "$work/json" "$srcdir/test/data/golden.json"
result $? "it shows every field as it did"

"$CR" show "$srcdir/test/data/golden" >"$work/text" && grep -q 'count 7, semaphore yes' "$work/text"
result $? "it shows itself to people"

mkdir "$work/image" && cp "$srcdir"/test/data/golden/* "$work/image" && chmod u+w "$work"/image/*
printf X | dd of="$work/image/objects" bs=1 seek=100 conv=notrunc 2>/dev/null
! "$CR" verify "$work/image" 2>"$work/err" && grep -q checksum "$work/err"
result $? "one byte that was changed is found"

cp "$srcdir"/test/data/golden/objects "$work/image" && rm "$work/image/pages-0"
! "$CR" verify "$work/image" 2>"$work/err" && grep -q pages-0 "$work/err"
result $? "a file that is missing is named"

# One that was written before page stores had blocks.
"$CR" verify "$srcdir/test/data/golden-1"
result $? "an image of format 1 is still read"
exit $failed
