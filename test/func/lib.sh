# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2317
# What the scripts of this folder share; read by `. "${srcdir:-.}/test/func/lib.sh"`. Gives $cr and a
# private folder $work, ends what $pid and $started name when the script ends, and prints TAP.
set -u
LC_ALL=C
export LC_ALL

cr=${CR:-${builddir:-.}/cr}

# skip_all WHY: ends the script
skip_all() {
	if [ -n "${CR_MUST_WORK:-}" ]; then
		echo "1..1"
		echo "not ok 1 - cannot test here: $1"
		exit 1
	fi
	echo "1..0 # SKIP $1"
	exit 0
}
# needs PROGRAM...
needs() {
	for program; do
		command -v "$program" >/dev/null || skip_all "$program is not there"
	done
}
needs "$cr"

work=$(mktemp -d "${TMPDIR:-/tmp}/cr-func.XXXXXX") || exit 99
pid=     # the subject
started= # what the shell waits for
end_of_test() {
	for p in $pid $started; do
		kill -9 "$p" 2>/dev/null
	done
	rm -rf "$work"
}
trap end_of_test EXIT
trap 'exit 99' HUP INT TERM

# --- TAP -----------------------------------------------------------------------------------------------
n=0
failed=0
report() { # TITLE WRONG: it has passed if nothing is wrong
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		failed=1
		echo "not ok $n - $1"
		echo "$2" | sed 's/^/# /'
	fi
}
result() { # RC TITLE: what stands in $work/err is told if RC is not 0
	if [ "$1" -eq 0 ]; then
		report "$2" ""
	else
		report "$2" "status $1 $(cat "$work/err" 2>/dev/null)"
	fi
}
skip() { # TITLE WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
finish_test() {
	echo "1..$n"
	exit $failed
}

# --- waiting -------------------------------------------------------------------------------------------
# until_true COMMAND...: for 20 seconds and more
until_true() {
	turns=0
	until "$@"; do
		turns=$((turns + 1))
		[ $turns -lt 1000 ] || return 1
		sleep 0.02
	done
}
is_longer() { # THAN [FILE]: what the subject has written
	[ "$(wc -c <"${2:-$work/out}")" -gt "$1" ]
}
has_lines() { # N
	[ "$(wc -l <"$work/out")" -ge "$1" ]
}
runs_on() { # [FILE]
	until_true is_longer "$(wc -c <"${1:-$work/out}")" "${1:-$work/out}"
}
is_gone() { # [PID]: and its number is free
	[ ! -e "/proc/${1:-$pid}" ]
}
state() { # [PID]: a letter; nothing when it is not there
	sed 's/.*) //; s/ .*//' "/proc/${1:-$pid}/stat" 2>/dev/null
}
is_ended() { # [PID]: a zombie at most
	case $(state "${1:-$pid}") in '' | Z | X) return 0 ;; esac
	return 1
}

# --- processes and messages -------------------------------------------------------------------------------
# What must be the same after a dump that was refused or failed.
looks() { # [PID]
	cat "/proc/${1:-$pid}/maps"
	grep -E '^(TracerPid|Threads|Sig[^Q]|Shd)' "/proc/${1:-$pid}/status"
	ls "/proc/${1:-$pid}/fd"
}

# bare COMMAND...: in place of the shell; without a descriptor but 0, 1 and 2
bare() {
	# shellcheck disable=SC2016 # perl expands it
	exec perl -MPOSIX -e 'POSIX::close($_) for 3 .. 1023; exec @ARGV or die' "$@"
}

# no_cr_is_left NAME=VALUE: no cr and no holder that has this in its environment
no_cr_is_left() {
	for comm in /proc/[0-9]*/comm; do
		read -r name <"$comm" || continue
		case $name in
		cr | cr-holder)
			! tr '\0' '\n' <"${comm%comm}environ" | grep -qx "$1" || return 1
			;;
		esac
	done 2>/dev/null
}

# one_sentence FILE REGEX...: prints what is wrong with a message of cr
one_sentence() {
	file=$1
	shift
	[ "$(wc -l <"$file")" -eq 1 ] || echo "not one line but $(wc -l <"$file"):"
	grep -q -E '^cr( [a-z]+)?: ' "$file" || echo "does not begin with cr:"
	for regex; do
		grep -q -E -e "$regex" "$file" || echo "does not match '$regex':"
	done
}
# sentence REGEX...: of $work/err, which is shown if something is wrong
sentence() {
	not=$(one_sentence "$work/err" "$@")
	[ -z "$not" ] || { echo "$not"; cat "$work/err"; }
}

# --- an ordinary user -----------------------------------------------------------------------------------------
# as_nobody COMMAND...; $work/cr-of-all is a cr that anybody may run
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
can_be_nobody() {
	[ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || return 1
	chmod 755 "$work"
	[ -e "$work/cr-of-all" ] || cp "$cr" "$work/cr-of-all"
	as_nobody "$work/cr-of-all" --help >/dev/null 2>&1
}
