#!/bin/sh
# SPDX-License-Identifier: MIT
# A login uid that cr may not set is told once, and is no failure.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs sleep setpriv

sh -c 'echo 7 >/proc/self/loginuid' 2>/dev/null || skip_all "the login uid cannot be set here"
setpriv --bounding-set -audit_control --inh-caps -audit_control true 2>/dev/null ||
	skip_all "no rights to give up"

# shellcheck disable=SC2016 # for the other shells
bare setsid sh -c 'echo 4711 >/proc/self/loginuid
	exec setpriv --bounding-set -audit_control --inh-caps -audit_control sh -c "$1"' \
	sh 'sleep 1000 & echo "$!"; wait' </dev/null >"$work/out" 2>&1 &
pid=$!
until_true has_lines 1 || give_up "the program does not start"
child=$(cat "$work/out")
"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$pid" 2>/dev/null
until_true is_gone "$child"

# restore UID: by a cr with this login uid, that may not set one
restore() {
	# shellcheck disable=SC2016 # for the other shell
	sh -c 'echo "$1" >/proc/self/loginuid && exec setpriv --bounding-set -audit_control \
		--inh-caps -audit_control "$2" restore --detach "$3"' sh "$1" "$cr" "$work/image" 2>"$work/err"
}
end() {
	kill -9 "$pid" "$child" 2>/dev/null
	until_true is_gone && until_true is_gone "$child"
}

restore 12 && [ "$(cat "/proc/$pid/loginuid")" = 12 ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
	grep -q "warning: task $pid: its login uid .* is 12 and no longer 4711: .*CAP_AUDIT_CONTROL" "$work/err"
result $? "another login uid that cannot be set"
end

restore 4711 && [ "$(cat "/proc/$child/loginuid")" = 4711 ] && [ ! -s "$work/err" ]
result $? "the same login uid: not a word"
end

finish_test
