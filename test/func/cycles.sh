#!/bin/sh
# SPDX-License-Identifier: MIT
# One subject of several threads is dumped and restored again and again: it goes on every time, and
# nothing of it grows, neither mappings nor descriptors nor threads nor what else /proc counts.
# CR_TEST_CYCLES says how often; 500 is a good number for an evening.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl python3
cycles=${CR_TEST_CYCLES:-12} # two at least
CR_CYCLES=$$
export CR_CYCLES

# Each thread counts, and checks its own memory; a line of all counters says that they go on.
cat >"$work/subject.py" <<'END'
import os, sys, threading, time

N = 6
os.closerange(3, 1024)
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
counters = [0] * N


def work(i):
    text = bytes([65 + i]) * 100000
    while True:
        counters[i] += 1
        if text.count(65 + i) != 100000:
            os._exit(3)
        time.sleep(0.002)


for i in range(N):
    threading.Thread(target=work, args=(i,), daemon=True).start()
before = list(counters)
while True:
    if all(a > b for a, b in zip(counters, before)):
        before = list(counters)
        os.write(out, b".")
    time.sleep(0.002)
END

# mappings: range, rights and flags of each, from smaps. Anonymous ones side by side that are alike are one: the
# kernel keeps them apart or not by when they were used first.
mappings() {
	awk '
		/^[0-9a-f]+-[0-9a-f]+ / {
			split($1, range, "-")
			what = $0
			sub(/^[^ ]* /, "", what)
			named = NF > 5
		}
		/^VmFlags/ {
			if (!named && !was_named && range[1] == end && what == was && $0 == flags) {
				end = range[2]
				next
			}
			if (end)
				print start "-" end, was, flags
			start = range[1]; end = range[2]; was = what; flags = $0; was_named = named
		}
		END { print start "-" end, was, flags }
	'
}
# What must be the same after all cycles. Fields of stat: parent, group, session, flags, priorities,
# threads, policy, and all addresses. Not FDSize, the capacity of a table of descriptors: it is what its
# makers had open at most, and a restore makes one as large as is needed.
picture() {
	mappings <"/proc/$pid/smaps"
	find "/proc/$pid/fd" -printf '%f %l\n' | sort
	cat "/proc/$pid/limits" "/proc/$pid/oom_score_adj" "/proc/$pid/timerslack_ns" "/proc/$pid/coredump_filter"
	for task in "/proc/$pid/task"/*; do
		echo "${task##*/}"
		grep -E '^(Name|Umask|Tgid|TracerPid|Uid|Gid|Groups|Threads|Sig[^Q]|Shd|Cap|NoNew|Seccomp|Cpus|Mems)' "$task/status"
		cat "$task/comm" "$task/children"
		sed 's/.*) . //' "$task/stat" | cut -d ' ' -f 2-3,15-17,23-25,42-48
	done
}
start_subject() {
	: >"$work/log"
	setsid python3 "$work/subject.py" "$work/log" </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true is_longer 2 "$work/log" || exit 99
}
# The restore is over when its helper has unmapped what is cr's, a moment after the program goes on.
is_released() {
	! grep -q '/dev/zero' "/proc/$pid/maps"
}
# Pages that are in memory or swapped, in KiB.
size() {
	awk '/^(VmRSS|VmSwap)/ { n += $2 } END { print n }' "/proc/$pid/status"
}

start_subject
image=$work/image
wrong=
i=0
while [ $i -lt "$cycles" ] && [ -z "$wrong" ]; do
	i=$((i + 1))
	[ $i -gt 1 ] || picture >"$work/first"
	# Pages that a restore leaves out are gone by now.
	[ $i -ne 2 ] || second=$(size)
	if ! "$cr" dump --no-sync --force "$pid" "$image" 2>"$work/err"; then
		wrong="cycle $i: dump: $(cat "$work/err")"
		break
	fi
	wait "$started" 2>/dev/null
	until_true is_gone || wrong="cycle $i: the subject is there after the dump"
	# cr stays its parent, and ends with it.
	"$cr" restore "$image" 2>"$work/err" &
	started=$!
	runs_on "$work/log" ||
		wrong="cycle $i: the subject does not run: $(cat "$work/err" "$work/out")"
	until_true is_released || wrong="cycle $i: memory of cr is left in the subject"
done
report "$cycles cycles of dump and restore" "$wrong"
if [ -z "$wrong" ]; then
	picture >"$work/now"
	report "nothing has changed since the first" "$(diff "$work/first" "$work/now" | head -20)"
	last=$(size)
	report "its memory has not grown: $second kB, $last kB" \
		"$([ "$last" -le $((second + second / 20 + 64)) ] || echo "it was $second kB after one cycle")"
	kill -9 "$pid"
	wait "$started" 2>/dev/null
	report "no process of cr is left" \
		"$(until_true no_cr_is_left "CR_CYCLES=$$" || echo "one is there")"
fi
finish_test
