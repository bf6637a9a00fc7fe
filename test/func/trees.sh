#!/bin/sh
# SPDX-License-Identifier: MIT
# Trees of real programs, dumped twice in the middle of their work and restored at once: a pipeline of five,
# make -j4, perl with workers that end one after the other, a pool of Python processes, a shell with jobs. Each ends as if nothing had
# happened.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs bash perl make gcc md5sum python3
# Of the make that runs the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# Each waits at some point for the file go, so that the second dump never comes too late.
start() { # PROGRAM ARGUMENT...
	: >"$work/progress"
	rm -f "$work/go"
	bare setsid "$@" </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	rc=0
}
# It runs, and what is cr's has gone from its memory.
is_restored() {
	[ -n "$(state)" ] && ! grep -q '/dev/zero' "/proc/$pid/maps"
}
# interrupt CONDITION...: dump and restore when it is true; cr is the parent from then on
interrupt() {
	[ $rc -eq 0 ] || return
	: >"$work/err"
	until_true "$@" || { rc=90; return; }
	"$cr" dump --no-sync --force "$pid" "$work/image" 2>"$work/err" || { rc=91; return; }
	"$cr" show "$work/image" >>"$work/shown" 2>&1
	wait "$started" 2>/dev/null
	"$cr" restore "$work/image" 2>"$work/err" &
	started=$!
	until_true is_restored || rc=92
}
# ends TITLE [STATUS]
ends() {
	touch "$work/go"
	if [ $rc -eq 0 ]; then
		wait "$started"
		rc=$?
		[ $rc -ne "${2:-0}" ] || rc=0
	fi
	wrong=
	if [ $rc -ne 0 ]; then
		wrong="status $rc $(cat "$work/err" "$work/out")"
		kill -9 "-$pid" 2>/dev/null
	fi
	report "$1" "$wrong"
	pid=
	started=
}

# --- a pipeline of five, with data in every pipe ---------------------------------------------------------
cat >"$work/lines.pl" <<'END'
$| = 1;
for my $i (1 .. 400) {
	print map { ($_ * 7919) % 100003, "\n" } $i * 500 .. $i * 500 + 499;
	open my $f, '>>', $ARGV[0];
	print $f '.';
	close $f;
	select undef, undef, undef, 0.002;
	select undef, undef, undef, 0.01 while $i == 300 && !-e $ARGV[1];
}
END
start bash -c "perl '$work/lines.pl' '$work/progress' '$work/go' | sed 's/1/one/' | tr 0-9 a-j | sort | md5sum"
interrupt is_longer 50 "$work/progress"
interrupt is_longer 200 "$work/progress"
ends "a pipeline of five"
: >"$work/progress"
want=$(perl "$work/lines.pl" "$work/progress" "$work/go" | sed 's/1/one/' | tr 0-9 a-j | sort | md5sum)
[ "$(cat "$work/out")" = "$want" ]
result $? "... and its result"

# --- make -j4 ------------------------------------------------------------------------------------------------
files=40
mkdir "$work/project"
i=0
while [ $i -lt $files ]; do
	i=$((i + 1))
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <pthread.h>\nint f%d(int x) { return x * %d; }\n' \
		$i $i >"$work/project/f$i.c"
done
# make expands these.
# shellcheck disable=SC2016
{
	printf 'objects = $(patsubst %%.c,%%.o,$(wildcard *.c))\nprogram: $(objects)\n\tgcc -o $@ $^\n'
	printf '%%.o: %%.c\n\tgcc -O2 -c $<\n'
	printf 'main.o: main.c\n\twhile [ ! -e ../go ]; do sleep 0.01; done\n\tgcc -O2 -c $<\n'
} >"$work/project/Makefile"
{
	printf '#include <stdio.h>\n'
	i=0
	while [ $i -lt $files ]; do
		i=$((i + 1))
		printf 'int f%d(int);\n' $i
	done
	printf 'int main(void)\n{\n\tint sum = 0;\n\n'
	i=0
	while [ $i -lt $files ]; do
		i=$((i + 1))
		printf '\tsum += f%d(%d);\n' $i $i
	done
	printf '\tprintf("%%d\\n", sum);\n\treturn 0;\n}\n'
} >"$work/project/main.c"
has_objects() {
	[ "$(find "$work/project" -name '*.o' | wc -l)" -ge "$1" ]
}
start make -j4 -C "$work/project"
interrupt has_objects 3
interrupt has_objects 15
ends "make -j4"
[ "$("$work/project/program")" = $((files * (files + 1) * (2 * files + 1) / 6)) ]
result $? "... and what it has built"

# --- workers, the first of which are zombies when the second dump comes ---------------------------------------
cat >"$work/workers.pl" <<'END'
my @workers;
$SIG{CHLD} = sub { $told++ };
for my $i (1 .. 6) {
	my $pid = fork;
	if (!$pid) {
		for my $step (1 .. $i * 40) {
			open my $f, '>>', $ARGV[0];
			print $f '.';
			close $f;
			select undef, undef, undef, 0.005;
		}
		kill KILL => $$ if $i == 2;
		exit $i;
	}
	push @workers, $pid;
}
# Behind all of them.
my $until = 40 * 21;
select undef, undef, undef, 0.01 while -s $ARGV[0] < $until || !-e $ARGV[1];
print join(' ', map { waitpid($_, 0) == $_ ? ($? >> 8) . ':' . ($? & 127) : 'lost' } @workers), "\n";
END
has_zombie() {
	cat "/proc/$pid/task/$pid/children" >"$work/children" 2>/dev/null || return 1
	tr ' ' '\n' <"$work/children" | while read -r child; do
		[ "$(state "$child")" != Z ] || echo "$child"
	done | grep -q .
}
: >"$work/shown"
start perl "$work/workers.pl" "$work/progress" "$work/go"
interrupt is_longer 20 "$work/progress"
interrupt has_zombie
ends "perl with six workers"
[ "$(cat "$work/out")" = "1:0 0:9 3:0 4:0 5:0 6:0" ]
result $? "... and how each has ended"
grep -q "zombie of [0-9]*, exit status 1" "$work/shown"
result $? "... some of them before the dump"

# --- a pool of processes: semaphores without names, pipes, threads ----------------------------------------------
cat >"$work/pool.py" <<'END'
import multiprocessing
import os
import sys
import time


def work(x):
    total = 0
    while x > 110 and not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
    for i in range(100000):
        total += i * x
    with open(sys.argv[1], 'a') as f:
        f.write('.')
    return total


if __name__ == '__main__':
    os.closerange(3, 1024)
    with multiprocessing.Pool(8) as pool:
        print(sum(pool.imap_unordered(work, range(150))))
END
start python3 "$work/pool.py" "$work/progress" "$work/go"
interrupt is_longer 20 "$work/progress"
interrupt is_longer 100 "$work/progress"
ends "a pool of eight Python processes"
[ "$(cat "$work/out")" = $((99999 * 50000 * 11175)) ]
result $? "... and what it has counted"

# --- a shell that controls jobs: groups with and without their leaders, one that is stopped ---------------------
cat >"$work/jobs.sh" <<'END'
set -m
echo begun
{ sleep 0.1; while [ ! -e "$1/go" ]; do printf . >>"$1/progress"; sleep 0.01; done; } | { cat; echo piped; } &
{ true; } | { while [ ! -e "$1/go" ]; do sleep 0.01; done; echo leaderless; } &
{ kill -STOP $BASHPID; echo continued; } &
stopped=$!
while [ ! -e "$1/go" ]; do sleep 0.01; done
kill -CONT -- -$stopped
wait
jobs -l
echo over
END
start bash "$work/jobs.sh" "$work"
interrupt is_longer 5 "$work/progress"
interrupt is_longer 40 "$work/progress"
ends "a shell with jobs"
said=$(grep -v '^\[' "$work/out" | sort | tr '\n' ' ')
wrong=
[ "$said" = "begun continued leaderless over piped " ] || wrong="it has said: $(cat "$work/out")"
report "... each of which comes to its end" "$wrong"
finish_test
