#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing, builds in build/, and shows cr at work: a Python program with threads
# is dumped, its image is shown, it is restored and goes on where it was. For a bare checkout on
# Debian 12, as root. Nothing is left behind but build/ and the packages.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
sh "$top/build-aux/setup.sh"

cr=$top/build/cr
work=$(mktemp -d)
pid=
finish() {
	if [ -n "$pid" ]; then
		kill -KILL "$pid" 2>/dev/null || :
	fi
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
}
if ! [ -t 1 ]; then
	say() { printf '\n== %s\n' "$*"; }
fi
show() { # COMMAND...
	printf '$ %s\n' "$*"
	"$@"
}
# Waits until the output has grown by some lines.
wait_for_lines() { # NUMBER
	tries=0
	while [ "$(wc -l <"$work/output")" -lt "$1" ]; do
		tries=$((tries + 1))
		if [ $tries -gt 300 ]; then
			echo "the program does not go on" >&2
			exit 1
		fi
		sleep 0.1
	done
}

cat >"$work/program.py" <<'END'
import os, threading, time

os.closerange(3, 1024)  # whatever the shell that started this has open

primes, ticks = [], [0, 0]

def tick(i):
    while True:
        ticks[i] += 1
        time.sleep(0.05)

for i in range(2):
    threading.Thread(target=tick, args=(i,), daemon=True).start()

n = 2
while True:
    if all(n % p for p in primes):
        primes.append(n)
        if len(primes) % 50 == 0:
            print(f"prime number {len(primes)} is {n}; threads ticked {ticks}", flush=True)
            time.sleep(0.2)
    n += 1
END

say "A Python program with three threads counts prime numbers."
cd "$work"
: >output
setsid /usr/bin/python3 -u program.py </dev/null >>output 2>&1 &
pid=$!
wait_for_lines 6
show cat output

say "Dump it: it is saved to a folder and ended."
show "$cr" dump "$pid" image
# What the shell says of its death is not of interest.
wait "$pid" 2>/dev/null || :
if kill -0 "$pid" 2>/dev/null; then
	echo "process $pid is still there" >&2
	exit 1
fi
lines=$(wc -l <output)
last=$(tail -n 1 output)

say "The image (its first lines):"
show "$cr" show image >shown
head -n 30 shown

say "Restore it: the same process, the same threads, the next prime number."
show "$cr" restore --detach image
wait_for_lines $((lines + 6))
tail -n +"$lines" output | head -n 7

say "Was anything lost?"
expected=$((lines * 50 + 50))
next=$(sed -n "$((lines + 1))p" output)
printf 'before the dump:   %s\nafter the restore: %s\n' "$last" "$next"
case $next in
"prime number $expected is "*) echo "It went on where it was, as process $pid." ;;
*)
	echo "It did not go on where it was." >&2
	exit 1
	;;
esac
