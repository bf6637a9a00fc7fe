#!/bin/sh
# SPDX-License-Identifier: MIT
# A kernel that shows memory which the program itself may not read to its tracer alone
# (proc_mem.force_override=ptrace): the holder reads it for cr. test/cr-tracer-only is a cr on such a kernel.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
[ "$(id -u)" -eq 0 ] || skip_all "needs root"
cr=${builddir:-.}/test/cr-tracer-only
[ -x "$cr" ] || give_up "$cr is not there"
CR_DENIED_LOG=$work/denied
export CR_DENIED_LOG
# as the kernel would: was cr denied something, and nobody else?
was_denied() { # [AT-LEAST]
	[ "$(wc -l <"$work/denied" 2>/dev/null || echo 0)" -ge "${1:-1}" ] || echo "hardly anything was denied"
	rm -f "$work/denied"
}

# one SUBJECT TITLE
one() {
	CR=$cr CR_TEST_MODES="cr leave-running" "${builddir:-.}/test/func/$1" >"$work/out" 2>&1
	status=$?
	if grep -q SKIP "$work/out"; then
		skip "$2" "$(sed -n 's/.*# SKIP //p' "$work/out" | head -n 1)"
		rm -f "$work/denied"
		return
	fi
	wrong=
	[ $status -eq 0 ] || wrong=$(cat "$work/out")
	report "$2" "$wrong"
}
for name in f-anon f-pkey; do
	one $name $name
	[ ! -e "$work/denied" ] || report "... and cr was denied something" "$(was_denied)"
done
# limit-data: the code borrows a page of a file.
CR_DENIED_HOW=never
export CR_DENIED_HOW
for name in f-anon f-pkey f-threads f-limit-data; do
	one $name "$name, when nobody may by /proc/PID/mem"
done
unset CR_DENIED_HOW
rm -f "$work/denied"

# 24 MiB that nobody may read, enough for several workers; 20 children, enough for pages to be saved while others
# answer, have all of it but a page of their own. Upon SIGUSR1 each looks at what it has, and the parent says so.
cat >"$work/large.c" <<'END'
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 20
#define PAGES (24ul << 8)
#define WORDS 512

static uint64_t *all;
static int me;

static uint64_t word(unsigned long page, int of, unsigned long k)
{
	return (page * CHILDREN + of + 1) * 0x9e3779b97f4a7c15ull + k;
}
static void write_page(unsigned long page, int of)
{
	for (unsigned long k = 0; k < WORDS; k++)
		all[page * WORDS + k] = word(page, of, k);
}
static int is_right(void)
{
	int right = 1;

	mprotect(all, PAGES * 4096, PROT_READ);
	for (unsigned long i = 0; i < PAGES; i++)
		for (unsigned long k = 0; k < WORDS; k++)
			if (all[i * WORDS + k] != word(i, i == me * 7ul ? me : 0, k))
				right = 0;
	mprotect(all, PAGES * 4096, PROT_NONE);
	return right;
}
int main(void)
{
	pid_t children[CHILDREN] = { 0 };
	struct timespec t = { 0, 20000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, 0);
	all = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(all, PAGES * 4096, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < PAGES; i++)
		write_page(i, 0);
	for (int i = 0; i < CHILDREN; i++) {
		if ((children[i] = fork()) == 0) {
			int signal;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			me = i + 1;
			write_page(me * 7, me);
			mprotect(all, PAGES * 4096, PROT_NONE);
			kill(getppid(), SIGUSR2);
			for (;;) {
				sigemptyset(&set);
				sigaddset(&set, SIGUSR1);
				sigwait(&set, &signal);
				_exit(!is_right());
			}
		}
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigwaitinfo(&set, 0);
	}
	mprotect(all, PAGES * 4096, PROT_NONE);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (sigtimedwait(&set, 0, &t) != SIGUSR1)
		dprintf(1, "runs\n");
	dprintf(1, "%s\n", is_right() ? "good" : "the parent's memory has changed");
	for (int i = 0; i < CHILDREN; i++) {
		int status = -1;

		kill(children[i], SIGUSR1);
		waitpid(children[i], &status, 0);
		if (status)
			dprintf(1, "child %d ended with 0x%x\n", i, status);
	}
	dprintf(1, "end\n");
	return 0;
}
END
gcc -O1 -w -o "$work/large" "$work/large.c" || give_up "the subject does not compile"
start() { # [WITH...]
	: >"$work/out"
	bare "$@" setsid "$work/large" </dev/null >>"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true has_lines 1 || give_up "the program does not run"
}
has_ended() {
	tail -n 1 "$work/out" | grep -qx end
}
# It looks at all that it has, and ends.
judge() {
	kill -USR1 "$pid"
	until_true has_ended || echo "it does not end"
	[ "$(grep -vx runs "$work/out" | tr '\n' ' ')" = 'good end ' ] || grep -vx runs "$work/out"
	wait "$started" 2>/dev/null
	until_true is_gone || echo "it is there"
}
# restored IMAGE BY...: dumped by that, and restored by root
restored() {
	image=$1
	shift
	rm -rf "$image"
	"$@" dump --no-sync --jobs 4 "$pid" "$image" 2>"$work/err" || {
		cat "$work/err"
		return
	}
	wait "$started" 2>/dev/null
	until_true is_gone
	"$cr" restore --detach "$image" </dev/null >"$work/told" 2>"$work/err" || {
		cat "$work/err" "$work/told"
		return
	}
	judge
}
# What the others have of the parent stands once.
stored_once() { # IMAGE
	size=$(cat "$1"/pages-* | wc -c)
	[ "$size" -lt $((30 << 20)) ] || echo "$size bytes"
}

start
wrong=$(restored "$work/image" "$cr")
report "a tree, by several workers" "$wrong$(was_denied 40)"
report "... and what they share stands once" "$(stored_once "$work/image")"

title="a tree of an ordinary user, who compares contents"
if can_be_nobody; then
	mkdir -p "$work/user"
	chmod 777 "$work" "$work/user"
	start setpriv --reuid 65534 --regid 65534 --clear-groups
	wrong=$(restored "$work/user/image" as_nobody "$work/cr-of-all")
	report "$title" "$wrong$(was_denied 40)"
	report "... and what they share stands once" "$(stored_once "$work/user/image")"
else
	skip "$title" "nobody else can be"
fi

# --- what goes wrong -----------------------------------------------------------------------------
# failing N HOW STATUS REGEX...: at the N-th read that is denied; the program runs on, nothing is left
failing() {
	nth=$1 how=$2 want=$3
	shift 3
	CR_DENIED_N=$nth CR_DENIED_HOW=$how env --default-signal=INT,QUIT \
		"$cr" dump --no-sync --jobs 4 "$pid" "$work/none" 2>"$work/err"
	status=$?
	[ $status -eq "$want" ] || echo "status $status"
	sentence "$@"
	[ ! -e "$work/none" ] && [ ! -e "$work/none.partial" ] || echo "there is an image"
	until_true no_cr_is_left "CR_DENIED_N=$nth" || echo "a process of cr is left"
	runs_on || echo "the program does not run on"
	! grep -q 'TracerPid:.[1-9]' "/proc/$pid/status" || echo "it is still traced"
}
start
for nth in 1 20 60; do
	report "the tracer may not either: number $nth" \
		"$(failing $nth all 1 'task [0-9]+: read [0-9]+ bytes of memory at 0x[0-9a-f]+: Input/output error')"
	report "the holder is killed: number $nth" \
		"$(failing $nth kill 1 '^cr: the process that holds the subject \([0-9]*\) has ended: it was killed')"
	report "SIGINT: number $nth" "$(failing $nth end 130 'SIGINT: nothing was saved, and the process runs on')"
done
report "after all of that it has what it had" "$(judge)"
finish_test
