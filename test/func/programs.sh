#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that nobody here wrote, dumped in the middle of their work: python3 with threads and perl
# end with the output that they would have had; gdb finds the binary of a restored program by its exe
# link and shows where it is.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl

# until_lines FILE N: for at most 30 seconds
until_lines()
{
	turns=0
	while [ "$(wc -l <"$1")" -lt "$2" ]; do
		turns=$((turns + 1))
		[ $turns -lt 600 ] || return 1
		sleep 0.05
	done
}

until_gone()
{
	turns=0
	while [ -r "/proc/$1/exe" ] && readlink "/proc/$1/exe" >/dev/null; do
		turns=$((turns + 1))
		[ $turns -lt 600 ] || return 1
		sleep 0.05
	done
}

# start PROGRAM ARGUMENT...: without terminal, with no descriptor but 0, 1 and 2; sets pid
start()
{
	: >"$work/out"
	bare setsid "$@" </dev/null >"$work/out" 2>&1 &
	pid=$!
}

# dump: in the middle; the number is free once the parent has waited, which is the shell or, for a
# restored program, the cr that restored it
parent=
dump()
{
	"$cr" dump --force "$pid" "$work/image" 2>"$work/err" || { sed 's/^/# /' "$work/err"; return 1; }
	wait "${parent:-$pid}" 2>/dev/null
	parent=
	until_gone "$pid"
}

# restore: cr stays as its parent
restore()
{
	"$cr" restore "$work/image" 2>"$work/err" &
	parent=$!
}

cat >"$work/count.py" <<'END'
import os, sys, threading, time
lines = 40
table, log, lock = {}, open(sys.argv[1], "w+"), threading.Lock()
def worker(me):
    for step in range(4000):
        with lock:
            table[(me, step)] = (me * 7919 + step * step) % 65537
            log.write("%d %d\n" % (me, step))
        if step % 40 == 0:
            time.sleep(0.02)
threads = [threading.Thread(target=worker, args=(i,)) for i in range(4)]
for t in threads: t.start()
for i in range(lines):
    while i == 12 and not os.path.exists(sys.argv[2] + "-1"): time.sleep(0.05)
    while i == 20 and not os.path.exists(sys.argv[2]): time.sleep(0.05)
    print(i, sum(range(i)), flush=True)
    time.sleep(0.05)
for t in threads: t.join()
log.flush(); log.seek(0)
print("end", len(table), sum(table.values()), len(log.readlines()), threading.active_count(), flush=True)
END

cat >"$work/count.pl" <<'END'
$| = 1;
my %seen;
for my $i (0 .. 39) {
	select(undef, undef, undef, 0.05) while $i == 12 && !-e "$ARGV[0]-1";
	select(undef, undef, undef, 0.05) while $i == 20 && !-e $ARGV[0];
	$seen{$_ % 1009} += $_ * $i for 0 .. 2000;
	print "$i ", scalar(keys %seen), "\n";
	select(undef, undef, undef, 0.05);
}
my $sum = 0;
$sum += $seen{$_} for keys %seen;
print "end $sum\n";
END

# whole WHAT PROGRAM ARGUMENT...: its output with a dump and a restore, and a second pair, in the middle. It waits
# for the file `rest-1` after the first and for `rest` after the second, however slow cr is.
whole()
{
	what=$1
	shift
	: >"$work/rest"
	: >"$work/rest-1"
	"$@" >"$work/want" 2>&1 </dev/null
	rm "$work/rest" "$work/rest-1"
	start "$@"
	until_lines "$work/out" 8 && dump && restore && : >"$work/rest-1" && until_lines "$work/out" 16 && dump && restore
	rc=$?
	: >"$work/rest"
	# cr ends as the program does
	[ $rc -ne 0 ] || wait "$parent" || rc=1
	parent=
	[ $rc -eq 0 ] || sed 's/^/# /' "$work/err"
	cmp -s "$work/want" "$work/out" || rc=1
	[ $rc -eq 0 ] || diff "$work/want" "$work/out" | head -20 | sed 's/^/# /'
	result $rc "$what"
}

python=$(readlink -f "$(command -v /usr/bin/python3 || command -v python3)")
if [ -x "$python" ]; then
	whole "python3 with threads, an open file and a growing table" "$python" "$work/count.py" "$work/log" "$work/rest"
else
	missing "python3"
fi
if command -v perl >/dev/null; then
	whole "perl" "$(command -v perl)" "$work/count.pl" "$work/rest"
else
	missing "perl"
fi

# gdb: the exe link, a backtrace by name, and a variable
cat >"$work/deep.c" <<'END'
#include <stdio.h>
#include <unistd.h>
volatile int marker;
__attribute__((noinline)) void innermost(void)
{
	puts("ready");
	fflush(stdout);
	for (marker = 4711;;)
		usleep(10000);
}
__attribute__((noinline)) void middle(int n) { if (n) middle(n - 1); else innermost(); marker++; }
int main(void) { middle(3); return marker; }
END
if command -v gdb >/dev/null && command -v gcc >/dev/null; then
	gcc -g -O0 -o "$work/deep" "$work/deep.c" || exit 1
	start "$work/deep"
	until_lines "$work/out" 1 && dump && "$cr" restore --detach "$work/image"
	rc=$?
	gdb -nx -batch -p "$pid" -ex 'info proc exe' -ex bt -ex 'print marker' >"$work/gdb" 2>&1
	for text in "exe = '$work/deep'" "innermost ()" "middle (n=3)" "main ()" "= 4711"; do
		grep -qF "$text" "$work/gdb" || { echo "# gdb does not say: $text"; rc=1; }
	done
	[ $rc -eq 0 ] || sed 's/^/# /' "$work/gdb"
	result $rc "gdb on a restored program"
	kill -9 "$pid"
	pid=
else
	missing "gdb"
fi

finish_test
