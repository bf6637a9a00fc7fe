#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL of `cr dump` at many moments. Up to the commit the subject runs on unharmed and no image is
# there, at most an IMAGE.partial that the next dump replaces; behind it the image is whole and the
# subject has ended. No process of cr is left in either case.
# Functions are called by name.
# shellcheck disable=SC2317
set -u
LC_ALL=C
export LC_ALL

cr=${CR:-${builddir:-.}/cr}
moments=50
skip() {
	if [ -n "${CR_MUST_WORK:-}" ]; then
		echo "1..1"
		echo "not ok 1 - cannot test here: $1"
		exit 1
	fi
	echo "1..0 # SKIP $1"
	exit 0
}
[ -x "$cr" ] || skip "$cr is not there"
command -v perl >/dev/null || skip "perl is not there"

work=$(mktemp -d) || exit 99
subject=
end() {
	[ -z "$subject" ] || kill -9 "$subject" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT
trap 'exit 99' HUP INT TERM

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

# until_true SECONDS COMMAND...
until_true() {
	stop=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$stop" ] || return 1
		sleep 0.02
	done
}

log_size() {
	stat -c %s "$work/log"
}
has_grown() { # BYTES
	[ "$(log_size)" -gt "$1" ]
}

start_subject() {
	: >"$work/log"
	setsid perl "$work/subject.pl" "$work/log" 16777216 </dev/null >"$work/out" 2>&1 &
	subject=$!
	until_true 20 has_grown 20 || exit 99
	looks >"$work/looks"
}

# What must be the same afterwards.
looks() {
	cat "/proc/$subject/maps"
	grep -E '^(TracerPid|Threads|Sig[^Q]|Shd)' "/proc/$subject/status"
	ls "/proc/$subject/fd"
}

is_ended() {
	state=$(sed 's/.*) //; s/ .*//' "/proc/$subject/stat" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ]
}

# The holder and cr itself have the environment that this test gave them.
no_cr_is_left() {
	for comm in /proc/[0-9]*/comm; do
		read -r name <"$comm" || continue
		case $name in
		cr | cr-holder)
			! tr '\0' '\n' <"${comm%comm}environ" | grep -qx "CR_KILL_DUMP=$$" ||
				return 1
			;;
		esac
	done 2>/dev/null
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
	until_true 10 has_grown "$(log_size)" || echo "the subject does not run"
}

# committed: prints what is wrong
committed() {
	"$cr" verify "$work/image" 2>&1
	until_true 10 is_ended || echo "the image is there, but the subject runs"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there beside image"
}

n=0
failed=0
report() { # TITLE WRONG
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		failed=1
		echo "not ok $n - $1"
		echo "$2" | sed 's/^/# /'
	fi
}

start_subject
begin=$(now_ms)
why=$("$cr" dump --no-sync --leave-running "$subject" "$work/image" 2>&1) || skip "$why"
whole=$(($(now_ms) - begin))
echo "1..$((moments + 2))"
echo "# a whole dump takes $whole ms"
rm -rf "$work/image"

before=0
i=0
while [ $i -lt $moments ]; do
	i=$((i + 1))
	us=$((whole * 1000 * (i - 1) / (moments * 8 / 10)))
	CR_KILL_DUMP=$$ "$cr" dump --no-sync "$subject" "$work/image" 2>/dev/null &
	dump=$!
	sleep "$(printf '%d.%06d' $((us / 1000000)) $((us % 1000000)))"
	kill -9 $dump 2>/dev/null
	wait $dump 2>/dev/null
	status=$?
	wrong=
	until_true 30 no_cr_is_left || wrong="a process of cr is left"
	if [ -e "$work/image" ]; then
		report "$us us: behind the commit, status $status" "$wrong$(committed)"
		rm -rf "$work/image"
		kill -9 "$subject" 2>/dev/null
		wait "$subject" 2>/dev/null
		start_subject
		continue
	fi
	before=$((before + 1))
	[ $status -eq 137 ] || wrong="$wrong dump failed by itself, status $status"
	report "$us us: before the commit" "$wrong$(unharmed)"
done

wrong=
[ $before -ge 5 ] || wrong="only $before of $moments dumps were killed before the commit"
report "$before of $moments dumps were killed before the commit" "$wrong"

wrong=$("$cr" dump --no-sync "$subject" "$work/image" 2>&1)
report "the next dump replaces what was left" "$wrong$(committed)"
exit $failed
