#!/bin/sh
# SPDX-License-Identifier: MIT
# However many workers look at a tree, the image is the same, and so is the sentence that refuses it.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl python3 taskset nproc
[ "$(nproc)" -gt 1 ] || skip_all "there is one processor only"
one=$(taskset -cp $$ | sed 's/.*: *//; s/[-,].*//')

# A parent with 80 threads, 60 children, and nine below these, with descriptors, shared memory and memory of their own.
# Some children have the descriptor table of the parent, or its fs; some threads have one of their own.
# All wait at the end of a pipe that nobody writes to.
cat >"$work/tree.py" <<'END'
import ctypes, fcntl, mmap, os, platform, signal, sys, threading

CLONE_FS, CLONE_FILES = 0x200, 0x400
libc = ctypes.PyDLL(None)

def fork(i):
    flags = {3: CLONE_FILES, 6: CLONE_FS, 9: CLONE_FILES | CLONE_FS}.get(i % 10)
    if not flags:
        return os.fork(), 0
    number = {"x86_64": 56}.get(platform.machine(), 220)
    return libc.syscall(number, flags | signal.SIGCHLD, 0, 0, 0, 0), flags

def wait(i):
    if i % 20 == 5:
        libc.unshare(CLONE_FS)
    if i % 20 == 9:
        try:
            os.close(os.pidfd_open(threading.get_native_id(), os.O_EXCL)) # PIDFD_THREAD, since 6.9
            libc.unshare(CLONE_FILES)
        except OSError:
            pass
    os.read(block, 1)

memory = mmap.mmap(-1, 65536)
memfd = os.memfd_create("shared")
os.ftruncate(memfd, 1 << 20)
block, never = os.pipe()
ready, tell = os.pipe()
for i in range(60):
    child, shared = fork(i)
    if child:
        continue
    mine = bytearray(os.urandom(4096) * (i + 1))
    files = [open(sys.argv[0]), open("/dev/null"), os.eventfd(i), os.memfd_create(f"own {i}")]
    if i % 7 == 0 and os.fork() == 0:
        files.append(os.dup(memfd))
        mine = mine[: len(mine) // 2]
    for order in sys.argv[1:]:
        number, what = order.split("=")
        if int(number) == i and what == "lock":
            lock = open(sys.argv[0])
            fcntl.flock(lock, fcntl.LOCK_SH)
        elif int(number) == i:
            gone = os.open(f"{sys.argv[0]}.{i}", os.O_RDWR | os.O_CREAT)
            os.unlink(f"{sys.argv[0]}.{i}")
    if not shared & CLONE_FILES:
        os.close(never)
    memory[i] = 1
    os.write(tell, b"r")
    os.read(block, 1)
    os._exit(0)
large = os.urandom(24 << 20) # enough for several workers
threading.stack_size(65536)
for i in range(80):
    threading.Thread(target=wait, args=(i,), daemon=True).start()
for i in range(69):
    os.read(ready, 1)
os.write(1, b"ready\n")
os.read(block, 1)
END
start() { # ARGUMENT...
	: >"$work/out"
	# The kernel writes the processor that a thread is on into its memory (rseq).
	GLIBC_TUNABLES=glibc.pthread.rseq=0
	export GLIBC_TUNABLES
	bare setsid python3 "$work/tree.py" "$@" </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true is_ready || give_up "the tree does not come up: $(cat "$work/out")"
	until_true all_sleep || give_up "the threads do not fall asleep: $(states)"
}
is_ready() {
	grep -qx ready "$work/out"
}
states() { # of the threads, each once
	cat "/proc/$pid/task"/*/stat | sed 's/.*) //; s/ .*//' | sort -u
}
all_sleep() {
	[ "$(states)" = S ]
}
stop() {
	pkill -9 -s "$pid"
	wait "$started" 2>/dev/null
	until_true is_gone
}
# dump NAME [COMMAND...]: an image of the tree, which runs on
dump() {
	name=$1
	shift
	"$@" "$cr" dump --no-sync --jobs "${jobs:-0}" --leave-running "$pid" "$work/$name" 2>"$work/err.$name"
}
# What is not of the moment; contents in place of where they lie, since each worker has its own store.
records() {
	"$cr" show --json "$work/$1" | python3 -c '
import glob, hashlib, json, sys
stores = [open(f"{sys.argv[1]}/pages-{i}", "rb").read() for i in range(len(glob.glob(sys.argv[1] + "/pages-*")))]
def page(x, at):
    if x["sort"] != "DATA":
        return x["sort"]
    at += x["offset"]
    return hashlib.md5(stores[x["store"]][at : at + 4096]).hexdigest()
image = json.load(sys.stdin)
for record in image["records"]:
    if "extents" in record:
        record["extents"] = [[int(str(x["start"]), 0) + at, page(x, at)]
                             for x in record["extents"] for at in range(0, int(x["length"]), 4096)]
    print(json.dumps(record, sort_keys=True))' "$work/$1"
}

start
wrong=
dump narrow taskset -c "$one" || wrong=$(cat "$work/err.narrow")
jobs=3
dump wide || wrong="$wrong $(cat "$work/err.wide")"
jobs=
if [ -z "$wrong" ]; then
	records narrow >"$work/records.narrow"
	records wide >"$work/records.wide"
	[ "$(wc -l <"$work/records.wide")" -gt 1000 ] || wrong="too few records"
	wrong="$wrong$(diff "$work/records.narrow" "$work/records.wide" | cut -c 1-200 | head -20)"
	sizes=$(cat "$work"/narrow/pages-* | wc -c)/$(cat "$work"/wide/pages-* | wc -c)
	[ "${sizes%/*}" = "${sizes#*/}" ] || wrong="$wrong sizes of the pages: $sizes"
	[ ! -e "$work/narrow/pages-1" ] || wrong="$wrong one worker wrote several stores"
	[ -e "$work/wide/pages-1" ] || wrong="$wrong several workers wrote one store"
fi
report "an image of one worker and one of several are the same" "$wrong"
stop

# The later one fails for a reason that is found sooner.
start 20=lock 45=gone
wrong=
dump refused-narrow taskset -c "$one" && wrong="not refused"
sentence=$(cat "$work/err.refused-narrow")
case $sentence in *lock*) ;; *) wrong="$sentence" ;; esac
for i in 1 2 3 4 5; do # the threads of workers take turns as they like
	dump "refused-wide-$i" && wrong="not refused"
	[ "$(cat "$work/err.refused-wide-$i")" = "$sentence" ] ||
		wrong="$wrong one: $sentence; several: $(cat "$work/err.refused-wide-$i")"
done
report "the first in the order of the tree is told" "$wrong"
stop
finish_test
