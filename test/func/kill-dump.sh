#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL of `cr dump` at many moments. Up to the commit the subject runs on unharmed and no image is
# there, at most an IMAGE.partial that the next dump replaces; behind it the image is whole and the
# subject has ended. No process of cr is left in either case. The same once more with a subject that
# has used up RLIMIT_AS, whose memory has to be borrowed.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl prlimit
full=

# Closes what it inherits from whoever runs the test, which would be refused. Checks its own memory and
# its sleep all the time; every round adds a byte to its log. An error ends it.
cat >"$work/subject.pl" <<'END'
use strict;
use Time::HiRes qw(sleep time);
use POSIX ();
my ($log, $size) = @ARGV;
POSIX::close($_) for 3 .. 1023;
open(my $out, '>>', $log) or die;
my $text = join('', map { chr(1 + $_ % 251) } 0 .. 4095) x ($size / 4096);
my $sum = unpack('%64C*', $text);
$SIG{USR1} = sub { };
for (my $i = 0;; $i++) {
	my $before = time;
	sleep(0.01);
	die "woken early" if time - $before < 0.0099;
	die "memory" if $i % 32 == 0 && unpack('%64C*', $text) != $sum;
	syswrite($out, '.') == 1 or die;
}
END

now_ms() {
	date +%s%N | sed 's/......$//'
}

size_of_subject() {
	echo $(($(sed -n 's/^VmSize:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status") * 1024))
}

start_subject() {
	: >"$work/log"
	setsid perl "$work/subject.pl" "$work/log" 16777216 </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true is_longer 20 "$work/log" || exit 99
	[ -z "$full" ] || prlimit --pid "$pid" --as="$(size_of_subject)" || exit 99
	looks >"$work/looks"
}

# unharmed: prints what is wrong
unharmed() {
	if is_ended; then
		echo "the subject has ended: $(cat "$work/out")"
		return
	fi
	looks >"$work/looks.now"
	cmp -s "$work/looks" "$work/looks.now" ||
		diff "$work/looks" "$work/looks.now" | sed 's/^/differs: /'
	runs_on "$work/log" || echo "the subject does not run"
}

# committed: prints what is wrong
committed() {
	"$cr" verify "$work/image" 2>&1
	until_true is_ended || echo "the image is there, but the subject runs"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there beside image"
}

# Sets whole to the time of a dump of the subject, in milliseconds: the shortest of three, since the first of all
# takes much longer than those to come.
measure() {
	whole=
	for _ in 1 2 3; do
		begin=$(now_ms)
		why=$("$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>&1) || give_up "$why"
		took=$(($(now_ms) - begin))
		[ -n "$whole" ] && [ "$whole" -le $took ] || whole=$took
		rm -rf "$work/image"
	done
	echo "# a whole dump takes $whole ms"
}

# kill_dumps MOMENTS TITLE
kill_dumps() {
	before=0
	i=0
	while [ $i -lt "$1" ]; do
		i=$((i + 1))
		us=$((whole * 1000 * (i - 1) / ($1 * 8 / 10)))
		CR_KILL_DUMP=$$ "$cr" dump --no-sync "$pid" "$work/image" 2>/dev/null &
		dump=$!
		sleep "$(printf '%d.%06d' $((us / 1000000)) $((us % 1000000)))"
		kill -9 $dump 2>/dev/null
		wait $dump 2>/dev/null
		status=$?
		wrong=
		until_true no_cr_is_left "CR_KILL_DUMP=$$" || wrong="a process of cr is left"
		if [ -e "$work/image" ]; then
			report "$2$us us: behind the commit, status $status" "$wrong$(committed)"
			rm -rf "$work/image"
			kill -9 "$pid" 2>/dev/null
			wait "$pid" 2>/dev/null
			start_subject
			continue
		fi
		before=$((before + 1))
		[ $status -eq 137 ] || wrong="$wrong dump failed by itself, status $status"
		report "$2$us us: before the commit" "$wrong$(unharmed)"
	done
	wrong=
	[ $before -ge 5 ] || wrong="only $before of $1 dumps were killed before the commit"
	report "$2$before of $1 dumps were killed before the commit" "$wrong"
}

start_subject
measure
kill_dumps 50 ""
kill -9 "$pid"
wait "$pid" 2>/dev/null
full=yes
start_subject
measure
kill_dumps 36 "RLIMIT_AS is used up, "

wrong=$("$cr" dump --no-sync "$pid" "$work/image" 2>&1)
report "the next dump replaces what was left" "$wrong$(committed)"
finish_test
