#!/bin/sh
# SPDX-License-Identifier: MIT
# An image of another kernel or another processor, which is one of this with other words in its manifest:
# what programs hold of the old vDSO goes on working, or cr says why not.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc
change=${builddir:-.}/test/other-kernel
[ -x "$change" ] || skip_all "$change is not there"
[ "$(id -u)" -eq 0 ] || skip_all "needs root"

# Threads that ask for the time without end, by pointers into the vDSO that they took at the start, and
# hold it against what the kernel says.
cat >"$work/subject.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*gettime)(clockid_t, struct timespec *);
static int (*day)(struct timeval *, void *);
static int (*resolution)(clockid_t, struct timespec *);
static int (*where)(unsigned *, unsigned *, void *);
static time_t (*seconds)(time_t *);

static long long ns(struct timespec t)
{
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static void want(int condition, const char *what)
{
	char text[64];

	if (!condition)
		_exit(write(1, text, snprintf(text, sizeof(text), "wrong: %s\n", what)) > 0 ? 3 : 4);
}
static void *ask(void *arg)
{
	clockid_t clock = arg ? CLOCK_MONOTONIC : CLOCK_REALTIME;

	for (;;) {
		struct timespec a, b, c, r;
		struct timeval tv;
		unsigned cpu = 99999, node;

		syscall(SYS_clock_gettime, clock, &a);
		want(gettime(clock, &b) == 0, "clock_gettime");
		syscall(SYS_clock_gettime, clock, &c);
		want(ns(a) <= ns(b) + 1000 && ns(b) <= ns(c) + 1000, "the time");
		for (int i = 0; i < 20; i++)
			gettime(clock, &b);
		want(where(&cpu, &node, NULL) == 0 && cpu < 65536, "getcpu");
		want(resolution(clock, &r) == 0 && r.tv_sec == 0 && r.tv_nsec > 0, "clock_getres");
		want(day(&tv, NULL) == 0 && tv.tv_sec > 1700000000, "gettimeofday");
		want(seconds(NULL) > 1700000000, "time");
	}
	return NULL;
}
static void trapped(int signal)
{
	want(0, "SIGTRAP");
}
int main(void)
{
	void *vdso;
	pthread_t t;

	signal(SIGTRAP, trapped);

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	if (!vdso)
		return 77;
	*(void **)&gettime = dlsym(vdso, "__vdso_clock_gettime");
	*(void **)&day = dlsym(vdso, "__vdso_gettimeofday");
	*(void **)&resolution = dlsym(vdso, "__vdso_clock_getres");
	*(void **)&where = dlsym(vdso, "__vdso_getcpu");
	*(void **)&seconds = dlsym(vdso, "__vdso_time");
	for (long i = 0; i < 3; i++)
		pthread_create(&t, NULL, ask, (void *)(i % 2));
	for (;;) {
		write(1, ".", 1);
		usleep(5000);
	}
}
END
gcc -O1 -w -pthread -o "$work/subject" "$work/subject.c" -ldl || give_up "the subject does not compile"

start() {
	: >"$work/out"
	setsid "$work/subject" </dev/null >>"$work/out" 2>&1 &
	pid=$!
	until_true is_longer 5 || give_up "the subject does not run"
}
finish() {
	kill -9 "$pid" 2>/dev/null
	until_true is_gone
	pid=
	rm -rf "$work/image"
}
# These say what is wrong, in the shell itself, which has to reap the subject.
dump() {
	rm -rf "$work/image"
	"$cr" dump "$pid" "$work/image" 2>"$work/err" || { echo "dump: $(cat "$work/err")"; return 1; }
	until_true is_gone
}
restore() {
	size=$(wc -c <"$work/out")
	"$cr" restore --detach "$@" "$work/image" 2>"$work/err" || { echo "restore: $(cat "$work/err")"; return 1; }
	until_true is_longer $((size + 20)) || echo "it does not go on"
	! grep -a wrong "$work/out"
}
refused() { # REGEX [OPTION...]
	regex=$1
	shift
	! "$cr" restore --detach "$@" "$work/image" 2>"$work/err" || echo "it is restored"
	sentence "$regex"
	is_gone || echo "process $pid is there"
}
# judged TITLE: by what was said
judged() {
	report "$1" "$(cat "$work/wrong")"
}
vdso_at() {
	sed -n 's/-.* \[vdso\]$//p' "/proc/$pid/maps"
}

# --- the way out of the vDSO --------------------------------------------------------------------------------
start
{
	for _ in 1 2 3 4 5 6 7 8; do
		rm -rf "$work/image"
		"$cr" dump --leave-running "$pid" "$work/image" 2>"$work/err" || cat "$work/err"
		"$change" "$work/image" vdso
		"$cr" restore --explain "$work/image" 2>&1 >/dev/null | grep inside
		runs_on || echo "it does not go on"
	done
	! grep -a wrong "$work/out"
} >"$work/wrong"
judged "threads leave the vDSO before they are saved, and the program sees no signal"
finish

# --- another kernel -----------------------------------------------------------------------------------------
start
before=$(vdso_at)
{
	dump && "$change" "$work/image" vdso && restore
	after=$(vdso_at)
	[ -n "$after" ] && [ "$before" != "$after" ] || echo "[vdso] is at $after, and was at $before"
	grep -q "^$before-.* r-xp .* 0 *$" "/proc/$pid/maps" || echo "nothing is at $before"
	grep -q "^[0-9a-f]*-$before ---p .* 0 *$" "/proc/$pid/maps" || echo "what is below $before?"
	grep -q "vvar" "/proc/$pid/maps" || echo "no vvar"
} >"$work/wrong"
judged "pointers into another kernel's vDSO lead into this one's"

{
	dump && restore
	[ "$(vdso_at)" = "$after" ] || echo "[vdso] is at $(vdso_at), and was at $after"
} >"$work/wrong"
judged "and do so after one more dump and restore"

{
	dump && "$change" "$work/image" vdso && restore
	[ "$(vdso_at)" != "$after" ] || echo "[vdso] is at $after still"
	grep -q "^$after-.* r-xp .* 0 *$" "/proc/$pid/maps" || echo "nothing is at $after"
} >"$work/wrong"
judged "and once more on a third kernel"
finish

start
{
	dump && "$change" "$work/image" vdso no-vdso && refused "task $pid: .* does not hold its own"
	"$change" "$work/image" "ip=$pid,0x1" && refused "does not hold its own"
} >"$work/wrong"
judged "an image without its vDSO is refused"
finish

start
{
	dump && "$change" "$work/image" vdso "ip=$pid,0x1" &&
		refused "task $pid: context: it was stopped inside the vDSO .* restore it there"
} >"$work/wrong"
judged "a thread in the middle of the old vDSO is refused"
finish

start
{
	dump && "$change" "$work/image" vdso rename=time,tomb &&
		"$cr" restore --detach "$work/image" 2>"$work/err"
	sentence "this kernel's lacks, and it will answer ENOSYS: tomb"
	until_true is_gone
	grep -aq 'wrong: time' "$work/out" || tail -c 100 "$work/out"
} >"$work/wrong"
judged "a function that nobody knows answers ENOSYS, and cr says so"
finish

# --- another processor --------------------------------------------------------------------------------------
start
{
	dump && "$change" "$work/image" 'cpu=frob mmz2' &&
		refused 'this processor lacks .* chosen their code by it: frob mmz2; .* --any-cpu'
	restore --any-cpu
	sentence 'one of these will be ended by SIGILL: frob mmz2'
} >"$work/wrong"
judged "a processor that lacks a feature is refused, and taken with --any-cpu"
finish
finish_test
