#!/bin/sh
# SPDX-License-Identifier: MIT
# Large programs of others, dumped twice in the middle of their work and restored: node with worker
# threads, java with its collector and compilers, and with a heap of 2 GiB, python3 with the arrays of numpy and a
# file mapped shared, xz with two threads, openssl. Each ends as if nothing had happened: with the output, or the
# file, that it would have made.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"

# start PROGRAM ARGUMENT...: without terminal, with no descriptor but 0, 1 and 2; sets pid
start() {
	: >"$work/out"
	bare setsid "$@" </dev/null >"$work/out" 2>&1 &
	pid=$!
	parent=$pid
}

# shellcheck disable=SC2317 # called by until_true
# There is progress when a file has become longer.
has_grown() {
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

# interrupt FILE: dump and restore, once FILE has grown; cr is the parent from then on
interrupt() {
	until_true has_grown "$1" "$(stat -c %s "$1")" || return
	"$cr" dump --force "$pid" "$work/image" 2>"$work/err" || return
	wait "$parent" 2>/dev/null
	"$cr" restore "$work/image" 2>"$work/err" &
	parent=$!
}

# once FILE PROGRAM ARGUMENT...: two interruptions, and the program ends well
once() {
	grows=$1
	shift
	: >"$grows"
	start "$@"
	until_true [ -s "$grows" ] && interrupt "$grows" && interrupt "$grows"
	rc=$?
	if [ $rc -eq 0 ]; then
		wait "$parent" || rc=$?
	fi
	pid=
}

# whole FILE PROGRAM ARGUMENT...: on a machine with much else to do the program can be done before it has
# been interrupted twice; then it is begun anew
whole() {
	for _ in 1 2 3 4 5; do
		once "$@"
		if [ $rc -eq 0 ] || ! grep -Eq ' ended, or |No such process$' "$work/err"; then
			break
		fi
	done
}

# same TITLE WANT GOT
same() {
	if [ "$rc" -eq 0 ]; then
		diff "$2" "$3" >"$work/err" || rc=$?
	fi
	result "$rc" "$1"
}

# --- node ----------------------------------------------------------------------------------------------
cat >"$work/count.js" <<'END'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const steps = 25;
if (isMainThread) {
	let running = 3, ticks = 0;
	for (let id = 0; id < 3; id++) {
		const worker = new Worker(__filename, { workerData: id });
		worker.on('message', m => console.log('worker', m.id, m.step, m.hash));
		worker.on('exit', code => {
			console.log('exit', id, code);
			if (--running === 0)
				clearInterval(ticker);
		});
	}
	const ticker = setInterval(() => ticks++, 20);
	process.on('exit', () => console.log(ticks > 0 ? 'timers ran' : 'timers stood still'));
} else {
	let hash = workerData + 1, step = 0;
	(function work() {
		for (let k = 0; k < 1e6; k++)
			hash = (Math.imul(hash, 31) + k) | 0;
		parentPort.postMessage({ id: workerData, step, hash });
		if (++step < steps)
			setTimeout(work, 40);
	})();
}
END
if command -v node >/dev/null; then
	node "$work/count.js" 2>&1 </dev/null | sort >"$work/want"
	whole "$work/out" node "$work/count.js"
	sort "$work/out" >"$work/got"
	same "node with worker threads" "$work/want" "$work/got"
else
	missing "node"
fi

# --- java ----------------------------------------------------------------------------------------------
cat >"$work/Count.java" <<'END'
import java.util.ArrayList;

public class Count {
	static void work(int me) {
		long hash = me;
		ArrayList<byte[]> keep = new ArrayList<>();

		for (int step = 0; step < 30; step++) {
			for (int k = 0; k < 1000000; k++)
				hash = hash * 31 + k;
			keep.add(new byte[1 << 20]);
			if (keep.size() > 8)
				keep.remove(0);
			synchronized (Count.class) {
				System.out.println("thread " + me + " " + step + " " + hash);
			}
			try {
				Thread.sleep(40);
			} catch (InterruptedException e) {
				System.out.println("interrupted");
			}
		}
	}

	public static void main(String[] arguments) throws Exception {
		Thread[] threads = new Thread[3];

		for (int i = 0; i < 3; i++) {
			final int me = i;
			threads[i] = new Thread(() -> work(me));
			threads[i].start();
		}
		for (Thread thread : threads)
			thread.join();
		System.out.println("end");
	}
}
END
if command -v javac >/dev/null; then
	javac -d "$work" "$work/Count.java"
	java -cp "$work" Count 2>&1 </dev/null | sort >"$work/want"
	whole "$work/out" java -cp "$work" Count
	sort "$work/out" >"$work/got"
	same "java with its collector and its compilers" "$work/want" "$work/got"
else
	missing "java"
fi

# Two GiB that are all there (AlwaysPreTouch), more than half of them live, and so much garbage that the collector works
# all the time. What comes out does not depend on the machine. Not for a cr with sanitizers, which would take minutes.
has_room() {
	[ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -gt 9000000 ]
}
cat >"$work/Heap.java" <<'END'
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;

public class Heap {
	static final int ARRAYS = 19200, LENGTH = 1 << 13;

	public static void main(String[] arguments) throws Exception {
		long[][] live = new long[ARRAYS][LENGTH];
		long x = 88172645463325252L, sum = 0, collections = 0;

		for (long[] array : live) {
			for (int i = 0; i < LENGTH; i++) {
				x ^= x << 13;
				x ^= x >>> 7;
				x ^= x << 17;
				array[i] = x;
			}
		}
		for (int step = 0; step < 40; step++) {
			for (int k = 0; k < 1600; k++) {
				int at = (step * 1277 + k * 13) % ARRAYS;
				long[] old = live[at], now = new long[LENGTH];

				for (int i = 0; i < LENGTH; i++)
					now[i] = old[i] * 31 + i;
				live[at] = now;
				sum += now[step];
			}
			System.out.println(step);
		}
		for (long[] array : live)
			for (long value : array)
				sum = sum * 31 + value;
		for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans())
			collections += bean.getCollectionCount();
		System.out.println("end " + sum + (collections > 2 ? " collected" : " never collected"));
	}
}
END
title="java with a heap of 2 GiB, and much garbage"
if ! command -v javac >/dev/null; then
	missing "$title" "java"
elif grep -q __asan_init "$cr"; then
	skip "$title" "cr has sanitizers"
elif ! has_room; then
	skip "$title" "needs 9 GB of memory"
else
	javac -d "$work" "$work/Heap.java"
	{
		seq 0 39
		echo "end -2239914782934774647 collected"
	} >"$work/want"
	whole "$work/out" java -Xms2g -Xmx2g -XX:+AlwaysPreTouch -cp "$work" Heap
	same "$title" "$work/want" "$work/out"
	rm -rf "$work/image"
fi

# --- python3 ---------------------------------------------------------------------------------------------
# Arrays of 160 and 80 MB that are made anew all the time, and one of 32 MB that is a file.
cat >"$work/arrays.py" <<'END'
import sys, numpy
a = numpy.arange(20000000, dtype=numpy.float64)
b = numpy.random.default_rng(7).integers(0, 1 << 60, 10000000)
file = numpy.memmap(sys.argv[1], dtype=numpy.int64, mode="w+", shape=(4000000,))
for step in range(24):
    a = numpy.sqrt(a * a + step)
    b ^= numpy.roll(b, 1) >> 3
    file[step::24] = b[step:4000000:24]
    print(step, repr(float(a.sum())), int(b.sum()), int(file.sum()), flush=True)
a.sort()
print("end", repr(float(a[::1001].sum())), int(numpy.bitwise_xor.reduce(b)), flush=True)
file.flush()
END
python=$(readlink -f /usr/bin/python3)
if [ -x "$python" ] && "$python" -c 'import numpy' 2>/dev/null; then
	"$python" "$work/arrays.py" "$work/want.file" >"$work/want" 2>&1 </dev/null
	whole "$work/out" "$python" "$work/arrays.py" "$work/file"
	same "python3 with large arrays" "$work/want" "$work/out"
	cmp "$work/want.file" "$work/file" >"$work/err" 2>&1
	result $? "... and a file that it maps shared"
	rm -rf "$work/image" "$work/file" "$work/want.file"
else
	missing "python3 with large arrays" "python3-numpy"
fi

# --- xz ------------------------------------------------------------------------------------------------
if command -v xz >/dev/null; then
	seq 1 4000000 >"$work/numbers"
	xz -2 -T2 --block-size=1MiB <"$work/numbers" >"$work/want"
	cat >"$work/pack" <<END
exec xz -2 -T2 --block-size=1MiB <"$work/numbers" >"$work/packed"
END
	whole "$work/packed" sh "$work/pack"
	same "xz with two threads, in the middle of a file" "$work/want" "$work/packed"
else
	missing "xz"
fi

# --- openssl -------------------------------------------------------------------------------------------
# Vector code up to AVX-512 where the processor has it, and an interval timer that ends each round.
# By the clock: the processor time of a process begins anew when it is restored.
if command -v openssl >/dev/null; then
	whole "$work/out" openssl speed -elapsed -seconds 1 -evp chacha20
	if [ "$rc" -eq 0 ]; then
		tail -n 1 "$work/out" >"$work/err"
		grep -Eqi '^chacha20( +[0-9.]+k){6}' "$work/err" || rc=1
	fi
	result "$rc" "openssl in the middle of its vector code"
else
	missing "openssl"
fi

finish_test
