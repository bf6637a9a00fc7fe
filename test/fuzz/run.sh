#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh SECONDS TARGET...: each libFuzzer target for its part of the time, beginning with the files that
# are kept for it. What breaks one is left in the current folder (crash-..., timeout-...).
set -u
seconds=$(($1 / ($# - 1)))
shift
[ $seconds -gt 0 ] || seconds=1
work=$(mktemp -d "${TMPDIR:-/tmp}/cr-fuzz.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
failed=0
for target; do
	name=${target##*/f-}
	mkdir "$work/$name"
	if ! "./$target" -help=1 2>&1 | grep -q max_total_time; then
		echo "$target is not a fuzzer: configure with --enable-fuzz CC=clang" >&2
		exit 1
	fi
	if "./$target" -max_total_time=$seconds -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
		-verbosity=1 "$work/$name" "${srcdir:-.}/test/data/fuzz/$name" >"$work/log" 2>&1; then
		echo "ok - $name: $(grep -c '' "$work/log") lines, $(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$work/log")"
	else
		tail -n 60 "$work/log"
		echo "not ok - $name"
		failed=1
	fi
done
exit $failed
