#!/bin/sh
# SPDX-License-Identifier: MIT
# dump --dedup: pages with equal contents stand once in the image, whatever they belong to, and all of them come back. The
# subject is f-dedup, which looks at its contents itself; here is looked at what the image takes.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
subject=${builddir:-.}/test/func/f-dedup
needs "$subject"
[ "$(id -u)" -eq 0 ] || skip_all "needs root"

# A cr with other options for dump, which notes what the image takes.
cat >"$work/cr" <<END
#!/bin/sh
[ "\$1" = dump ] || exec "$cr" "\$@"
shift
"$cr" dump \$CR_DUMP_OPTIONS "\$@" || exit
for dir; do :; done
cat "\$dir"/pages-* | wc -c >>"$work/sizes"
"$cr" verify "\$dir" >>"$work/verified" 2>&1 || echo "cr verify: \$?" >>"$work/verified"
"$cr" show "\$dir" | grep '^size ' >>"$work/shown"
END
chmod +x "$work/cr"
# take TITLE MOST OPTION...: pages that the image has at most; 0: at least as many as there are
all=16000
take() {
	title=$1
	most=$2
	shift 2
	rm -f "$work"/sizes "$work"/verified "$work"/shown
	wrong=
	CR=$work/cr CR_DUMP_OPTIONS=$* CR_TEST_MODES="$modes" "$subject" >"$work/told" 2>&1 || wrong=$(cat "$work/told")
	[ -s "$work/sizes" ] || wrong="$wrong no image was made"
	while read -r bytes; do
		pages=$((bytes / 4096))
		if [ "$most" -eq 0 ]; then
			[ $pages -ge $all ] || wrong="$wrong only $pages pages"
		else
			[ $pages -le "$most" ] || wrong="$wrong $pages pages, more than $most"
		fi
	done <"$work/sizes"
	grep -q 'cr verify:' "$work/verified" && wrong="$wrong $(cat "$work/verified")"
	report "$title" "$wrong"
}
# 64 common pages, one in 257 of 16 MiB that is odd, and what two small programs have.
few=200
modes=cr
take "without it everything is stored" 0
modes="cr cr-twice leave-running"
take "equal pages stand once" $few --dedup
wrong=
[ "$(grep -c 'which stand for 6[34]\.[0-9] MiB,' "$work/shown")" -eq "$(grep -c . "$work/sizes")" ] ||
	wrong=$(cat "$work/sizes" "$work/shown")
report "... and cr show tells for how much" "$wrong"
modes=cr
take "... with one worker" $few --dedup --jobs 1
take "... with eight" $few --dedup --jobs 8
take "... compressed by lz4" $few --dedup --compress lz4
wrong=
grep -q '(lz4), which stand for' "$work/shown" || wrong=$(cat "$work/shown")
report "... which is told as well" "$wrong"
take "... compressed by zstd" $few --dedup --compress zstd --jobs 4
without="setpriv --bounding-set -sys_admin --inh-caps -sys_admin"
if $without true 2>/dev/null; then
	sed -i "s|^\"[^\"]*\" dump|$without &|" "$work/cr"
	take "... without the right to see frames" $few --dedup
else
	skip "... without the right to see frames" "cannot give it up here"
fi
finish_test
