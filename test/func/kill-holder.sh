#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL of the holder, and of it and `cr dump` in both orders, at many moments. Whoever lives says so and
# leaves no file, no process of cr is left, and nobody stays stopped or traced. The subject is what it was, but
# for a mapping that may be left after a kill in the middle of the questions that its threads answer, and for a kill
# while one of them makes a system call for cr, which it may not outlive: two of those for each process in all of a
# dump (cr-dump(1), LIMITS; crash.sh tries each moment). When the image has its name a cr that lives ends all of
# it; when both are killed in that very moment it runs on.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
moments=${CR_KILL_MOMENTS:-6}

is_free() { # PID: runs or sleeps, traced by nobody
	case $(state "$1") in [RSD]) ;; *) return 1 ;; esac
	grep -q '^TracerPid:.0$' "/proc/$1/status"
}
rich_is_free_or_ended() {
	for p in $rich; do
		is_ended "$p" || is_free "$p" || return 1
	done
}
one_has_ended() {
	for p in $rich; do
		! is_ended "$p" || return 0
	done
	return 1
}
rich_is_ended() {
	for p in $rich; do
		is_ended "$p" || return 1
	done
}
again() {
	end_rich
	[ -z "$started" ] || wait "$started" 2>/dev/null
	rm -rf "$work/image" "$work/image.partial"
	start_rich
	rich_pages >"$work/looks"
}
unharmed() {
	rich_pages >"$work/looks.now"
	[ -z "$(but_new_mappings "$work/looks" "$work/looks.now")" ] && rich_runs_on
}
# left: prints what is wrong, whatever was killed when
left() {
	until_true no_cr_is_left "CR_KILL_HOLDER=$$" || echo "a process of cr is left"
	until_true rich_is_free_or_ended || for p in $rich; do
		grep -E '^(Pid|State|TracerPid)' "/proc/$p/status"
	done
	case $whom-$status in
	"holder:KILL-1") sentence "the process that holds the subject .* has ended: it was killed" ;;
	holder:KILL-0 | *cr:KILL*-137 | *cr:KILL*-0) ;;
	*) echo "status $status: $(cat "$work/err")" ;;
	esac
	case $whom-$status in
	holder:KILL-0 | *cr:KILL*) ;;
	*) [ ! -e "$work/image" ] && [ ! -e "$work/image.partial" ] || echo "left: $(ls "$work")" ;;
	esac
	[ ! -e "$work/image" ] || "$cr" verify "$work/image" 2>&1
}

# loop SIGNALS [OPTION]
loop() {
	whom=$1
	mode=${2:-}
	i=0 same=0 mapped=0 ended=0 whole_ones=0 wrong=''
	while [ $i -lt "$moments" ] || { [ $same -eq 0 ] && [ $i -lt $((moments + 40)) ]; }; do
		us=$((whole * (i % moments) / moments))
		i=$((i + 1))
		# shellcheck disable=SC2086 # none, or one word
		status=$(CR_KILL_HOLDER=$$ kill_at "$whom" $us "$cr" dump --no-sync $mode "$pid" "$work/image")
		bad=$(left)
		if [ -e "$work/image" ] && [ -z "$mode" ]; then
			until_true rich_is_ended || { [ "$status" -eq 137 ] && [ "$whom" != holder:KILL ] && unharmed; } ||
				bad="$bad; the image is there, but the subject runs"
			whole_ones=$((whole_ones + 1))
			again
		elif one_has_ended; then
			ended=$((ended + 1))
			again
		elif unharmed; then
			cmp -s "$work/looks" "$work/looks.now" || mapped=$((mapped + 1))
			mv "$work/looks.now" "$work/looks"
			same=$((same + 1))
		else
			# It goes on with what a call of cr has left.
			ended=$((ended + 1))
			again
		fi
		rm -rf "$work/image"
		[ -z "$bad" ] || wrong="$wrong$us us: $bad
"
		[ "${#wrong}" -lt 2000 ] || break
	done
	[ $same -ge 1 ] || wrong="${wrong}never was the subject what it was"
	all_ended=$((all_ended + ended)) all_moments=$((all_moments + i))
	report "$whom of cr dump${mode:+ $mode}: $same unharmed ($mapped with a mapping), $ended did not outlive it, $whole_ones done" "$wrong"
}

make_kill_at
measure_rich
all_ended=0 all_moments=0
rich_pages >"$work/looks"
whom=holder:KILL status=0
report "must fail: an image that is not there, a process that is stopped" "$(
	kill -STOP "$pid"
	status=1
	: >"$work/err"
	until_true() { "$@"; }
	found=$(left)
	kill -CONT "$pid"
	for text in 'not one line' 'left: ' 'State:.T'; do
		echo "$found" | grep -q "$text" || echo "'$text' is not found"
	done
)"
rm -rf "$work/image"
for signals in holder:KILL "holder:KILL cr:KILL" "cr:KILL holder:KILL"; do
	loop "$signals" --leave-running
	loop "$signals"
done
report "it outlives nearly all kills" "$([ $((3 * all_ended)) -le $all_moments ] || echo "$all_ended of $all_moments not")"
wrong=$("$cr" dump --no-sync "$pid" "$work/image" 2>&1)
[ -z "$wrong" ] && "$cr" verify "$work/image" 2>"$work/err" && [ ! -e "$work/image.partial" ]
result $? "the next dump replaces what was left"
finish_test
