# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# TAP for scripts that run no subject; read by `. "${srcdir:-.}/test/tap.sh"`. Gives a private folder $work,
# which goes when the script ends. What stands in $work/out is told with a failure.
set -u
LC_ALL=C
export LC_ALL

work=$(mktemp -d "${TMPDIR:-/tmp}/cr-test.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

count=0
failed=0
say() { # RESULT(0 = ok) TEXT
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		[ ! -e "$work/out" ] || sed 's/^/# /' "$work/out"
		failed=1
	fi
}
skip() { # TEXT REASON
	if [ -n "${CR_MUST_WORK:-}" ]; then
		echo "$2" >"$work/out"
		say 1 "$1"
	else
		count=$((count + 1))
		echo "ok $count - $1 # SKIP $2"
	fi
}
finish_test() {
	echo "1..$count"
	exit $failed
}
