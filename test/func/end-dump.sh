#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGINT, SIGTERM and SIGHUP of `cr dump` at many moments. It is undone, and cr ends by the same signal with
# one sentence: the subject is what it was, no file and no process of cr is left when cr has ended. Or it was done already.
# The same for a signal that the subject gets too, as both would in a terminal.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
moments=${CR_KILL_MOMENTS:-6}

no_file() {
	[ ! -e "$work/image" ] || echo "the image is there"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there"
	rm -rf "$work/image" "$work/image.partial"
}
unharmed() {
	for p in $rich; do
		! is_ended "$p" || { echo "process $p has ended: $(cat "$work/out")"; return; }
	done
	rich_looks >"$work/looks.now"
	cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now"
	rich_runs_on || echo "the subject does not run on: $(cat "$work/out")"
}
rich_is_ended() {
	for p in $rich; do
		is_ended "$p" || return 1
	done
}
again() {
	end_rich
	[ -z "$started" ] || wait "$started" 2>/dev/null
	start_rich
	rich_looks >"$work/looks"
}
# undone SIGNAL STATUS
undone() {
	case $1-$2 in
	INT-130 | TERM-143 | HUP-129) ;;
	*) echo "status $2" ;;
	esac
	no_cr_is_left "CR_END_DUMP=$$" || echo "a process of cr is left"
	[ ! -s "$work/err" ] || sentence "^cr: SIG$1: nothing was saved, and the process runs on$"
	no_file
	unharmed
}
done_all() {
	"$cr" verify "$work/image" 2>&1
	[ ! -s "$work/err" ] || cat "$work/err"
	if [ "$mode" = --leave-running ]; then
		unharmed
	else
		until_true rich_is_ended || echo "the image is there, but the subject runs"
	fi
	rm -rf "$work/image"
}

# loop SIGNAL OPTION...
loop() {
	signal=$1
	mode=$2
	i=0 said=0 before=0 wrong=
	# If all of them were too late or too early, some more in the first half.
	while [ $i -lt "$moments" ] || { [ $said -eq 0 ] && [ $i -lt $((moments + 40)) ]; }; do
		us=$((whole * 5 * i / (4 * moments)))
		[ $i -lt "$moments" ] || us=$((whole * (i - moments) / 80))
		i=$((i + 1))
		# shellcheck disable=SC2086 # none, or one word
		status=$(CR_END_DUMP=$$ kill_at cr:"$signal" $us "$cr" dump --no-sync $mode "$pid" "$work/image")
		if [ "$status" -eq 0 ]; then
			bad=$(done_all)
			# In a subshell: the numbers are others.
			[ "$mode" = --leave-running ] || again
		else
			before=$((before + 1))
			[ ! -s "$work/err" ] || said=$((said + 1))
			bad=$(undone "$signal" "$status")
		fi
		[ -z "$bad" ] || { wrong="$wrong$us us: $bad
"; again; rm -rf "$work/image" "$work/image.partial"; }
		[ "${#wrong}" -lt 2000 ] || break
	done
	[ $said -ge 1 ] || wrong="${wrong}none was ended in the middle"
	report "SIG$signal at $i moments of cr dump${mode:+ $mode}: $before times it was undone" "$wrong"
}

make_kill_at
measure_rich
report "must fail: a dump that nothing has ended" "$(
	[ "$(undone INT 0 | grep -c -e 'status 0' -e 'the image is there')" -eq 2 ] || echo "is not found"
)"

loop INT --leave-running
loop TERM ""
loop HUP ""

# --- what is ignored stays so ---------------------------------------------------------------------------------
report "a signal that is ignored ends no dump" "$(
	trap '' INT HUP
	"$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>"$work/err" &
	kill -INT $!
	kill -HUP $!
	wait $!
	status=$?
	[ $status -eq 0 ] || echo "status $status: $(cat "$work/err")"
	rm -rf "$work/image"
)"
end_rich
wait "$started" 2>/dev/null

# --- the subject gets it too -------------------------------------------------------------------------------------
cat >"$work/typed.pl" <<'END_OF_PERL'
use strict;
use POSIX ();
my ($dir, $handles) = @ARGV;
POSIX::close($_) for 3 .. 1023;
open(my $out, '>>', "$dir/typed.log") or die;
open(my $got, '>>', "$dir/got") or die;
$SIG{INT} = $handles ? sub { syswrite($got, 'x') } : 'DEFAULT';
for (;;) { select(undef, undef, undef, 0.005); syswrite($out, '.'); }
END_OF_PERL
start_typed() {
	: >"$work/typed.log"
	: >"$work/got"
	setsid perl "$work/typed.pl" "$work" "$1" </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true is_longer 3 "$work/typed.log" || give_up "the second subject does not run: $(cat "$work/out")"
}
typed() {
	handles=$1
	i=0 wrong=
	start_typed "$handles"
	while [ $i -lt "$moments" ]; do
		us=$((whole * 5 * i / (4 * moments)))
		i=$((i + 1))
		: >"$work/got"
		status=$(kill_at "subject:INT cr:INT" $us "$cr" dump --no-sync --leave-running "$pid" "$work/image")
		bad=
		case $status in
		0 | 130) ;;
		# The subject has died of it before cr has.
		1) [ "$handles" = 0 ] && bad=$(sentence "(process|task|thread) $pid") || bad="status 1: $(cat "$work/err")" ;;
		*) bad="status $status: $(cat "$work/err")" ;;
		esac
		[ "$status" -eq 0 ] || [ ! -e "$work/image" ] || bad="$bad; the image is there"
		rm -rf "$work/image"
		[ ! -e "$work/image.partial" ] || bad="$bad; image.partial is there"
		no_cr_is_left "CR_END_DUMP=$$" || bad="$bad; a process of cr is left"
		if [ "$handles" = 1 ]; then
			until_true is_longer 0 "$work/got" || bad="$bad; the handler has not run"
			runs_on "$work/typed.log" || bad="$bad; it does not run on"
			[ "$(cat "$work/got")" = x ] || bad="$bad; the handler has run more than once"
		else
			until_true is_ended || bad="$bad; the signal has not ended it: $(state)"
			wait "$pid" 2>/dev/null
			[ $? -eq 130 ] || bad="$bad; it has not ended by SIGINT"
			start_typed 0
		fi
		[ -z "$bad" ] || wrong="$wrong$us us: $bad
"
	done
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	pid=
	report "SIGINT for both at $i moments, $2" "$wrong"
}
typed 1 "the subject has a handler"
typed 0 "the subject ends by it"
finish_test
