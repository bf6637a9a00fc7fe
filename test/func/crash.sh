#!/bin/sh
# SPDX-License-Identifier: MIT
# The process that holds the subject kills itself by SIGKILL before each of its calls (CR_FAULT=kill:N, see
# test/fault.c), at once, or a moment later when the subject has done what it was told. The subject is what it
# was and goes on; or, when the image has its name, cr has ended or stopped all of it. What may be otherwise:
#   freeze: a call that the kernel never makes anew after a stop may tell EINTR (signal(7))
#   batch:  while the threads answer questions, the mapping that they do it in may be left, and nothing else
#   call:   while a system call is made at an instruction of the program, it may not outlive that
#   CR_FAULT_STEP   1: each call; by default as many as can be tried in a moment
#   CR_FAULT_FROM   the number of the first one
# Functions are called by name.
# shellcheck disable=SC2317
set -u
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
grep -q CR_FAULT_DELAY "$cr" || {
	echo "1..0 # SKIP cr is not configured with --enable-fault"
	exit 0
}
ASAN_OPTIONS=detect_leaks=0
export ASAN_OPTIONS

# One process whose threads wait in calls of all sorts of restart, or hold values in registers; in place of the
# rich subject, and looked at in the same way. With a second argument it handles what ends a batch.
make_waiters() {
	cat >"$work/waiters.c" <<'END_OF_C'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define NEED(x)                                                                        \
	do {                                                                           \
		if (!(x)) {                                                            \
			dprintf(2, "line %d: %s: %s\n", __LINE__, #x, strerror(errno)); \
			kill(getpid(), SIGKILL);                                       \
		}                                                                      \
	} while (0)

static int pair[2], set, handles;
static _Atomic unsigned int rounds[5];

/* A handler of its own may break a call off that was stopped. */
static int done(int rc)
{
	return rc == 0 || (handles && rc == -1 && errno == EINTR);
}
static void *sleeps(void *arg)
{
	for (;; rounds[0]++) {
		struct timespec t = { 0, 70000000 }, begin, end;
		double took;

		clock_gettime(CLOCK_MONOTONIC, &begin);
		if (nanosleep(&t, NULL)) {
			NEED(done(-1));
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		took = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
		NEED(took >= 0.07);
	}
	return arg;
}
static void *reads(void *arg)
{
	char c;

	for (;; rounds[1]++)
		NEED(read(pair[0], &c, 1) == 1 && c == 'x');
	return arg;
}
static void *polls(void *arg)
{
	struct pollfd p = { set, POLLIN };

	for (;; rounds[2]++)
		NEED(done(poll(&p, 1, 40)));
	return arg;
}
static void *waits(void *arg)
{
	struct epoll_event ev;

	for (;; rounds[3]++) {
		int rc = epoll_wait(set, &ev, 1, 50);

		if (rc < 0 && errno == EINTR)
			close(open("eintr", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
		else
			NEED(rc == 0);
	}
	return arg;
}

/* Every general register, the flags, bytes below the stack pointer, a vector. -1: all is there still. */
long hold(const void *values, long turns);
asm(".text\n"
    "hold: push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rdi\n push %rsi\n"
    "mov %rsi, %r15\n"
    "movups (%rdi), %xmm5\n movups 16(%rdi), %xmm15\n"
    "mov $0x1111, %eax\n mov $0x2222, %ebx\n mov $0x3333, %ecx\n mov $0x4444, %edx\n"
    "mov $0x5555, %ebp\n mov $0x6666, %esi\n mov $0x8888, %r8d\n mov $0x9999, %r9d\n"
    "mov $0xaaaa, %r10d\n mov $0xbbbb, %r11d\n mov $0xcccc, %r12d\n mov $0xdddd, %r13d\n mov $0xeeee, %r14d\n"
    "movq $0x7777, -8(%rsp)\n movq $0x7778, -120(%rsp)\n"
    "1: std\n stc\n pause\n jnc 2f\n"
    "lea -1(%r15), %r15\n"
    "cmp $0x1111, %rax\n jne 2f\n cmp $0x2222, %rbx\n jne 2f\n cmp $0x3333, %rcx\n jne 2f\n"
    "cmp $0x4444, %rdx\n jne 2f\n cmp $0x5555, %rbp\n jne 2f\n cmp $0x6666, %rsi\n jne 2f\n"
    "cmp $0x8888, %r8\n jne 2f\n cmp $0x9999, %r9\n jne 2f\n cmp $0xaaaa, %r10\n jne 2f\n"
    "cmp $0xbbbb, %r11\n jne 2f\n cmp $0xcccc, %r12\n jne 2f\n cmp $0xdddd, %r13\n jne 2f\n"
    "cmp $0xeeee, %r14\n jne 2f\n cmp (%rsp), %r15\n jg 2f\n cmp 8(%rsp), %rdi\n jne 2f\n"
    "cmpq $0x7777, -8(%rsp)\n jne 2f\n cmpq $0x7778, -120(%rsp)\n jne 2f\n"
    "test %r15, %r15\n jnz 1b\n"
    "movups (%rdi), %xmm1\n pcmpeqb %xmm5, %xmm1\n movups 16(%rdi), %xmm2\n pcmpeqb %xmm15, %xmm2\n"
    "pand %xmm2, %xmm1\n pmovmskb %xmm1, %eax\n cmp $0xffff, %eax\n jne 2f\n"
    "mov $-1, %rax\n"
    "2: cld\n pop %rsi\n pop %rdi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

static void *spins(void *arg)
{
	char values[32];

	memset(values, 0x5a, sizeof(values));
	for (;; rounds[4]++) {
		NEED(hold(values, 300000) == -1);
		usleep(1000);
	}
	return arg;
}
static void handler(int sig) { (void)sig; }

int main(int argc, char **argv)
{
	void *(*const all[])(void *) = { sleeps, reads, polls, waits, spins };
	unsigned int before[5] = { 0 };
	sigset_t s, now;
	pthread_t t;
	int out;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	NEED(chdir(argv[1]) == 0 && pipe(pair) == 0);
	set = epoll_create1(0);
	handles = argc > 2;
	for (int sig = 1; sig < 32 && argc > 2; sig++)
		if (sig == SIGURG || sig == SIGWINCH || sig == SIGCHLD) {
			struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };

			NEED(sigaction(sig, &a, NULL) == 0);
		}
	out = open("log.0", O_WRONLY | O_APPEND | O_CREAT, 0666);
	NEED(out >= 0);
	/* In the leader alone, so that the masks of the others are not those. */
	for (int i = 0; i < 5; i++)
		NEED(pthread_create(&t, NULL, all[i], NULL) == 0);
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &s, NULL);
	for (;;) {
		struct timespec nap = { 0, 10000000 };
		int grown = 0;

		NEED(write(pair[1], "x", 1) == 1);
		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL))
			NEED(handles);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		NEED(!memcmp(&s, &now, sizeof(long)));
		for (int i = 0; i < 5; i++)
			grown += rounds[i] != before[i];
		if (grown < 5)
			continue;
		for (int i = 0; i < 5; i++)
			before[i] = rounds[i];
		NEED(write(out, ".", 1) == 1);
	}
}
END_OF_C
	gcc -O1 -w -pthread -o "$work/rich" "$work/waiters.c" || give_up "the waiters do not compile"
}
start_waiters() {
	end_all_rich
	rm -rf "$work/rich.dir"
	mkdir "$work/rich.dir"
	# shellcheck disable=SC2086 # none, or one word
	setsid env --default-signal=INT,QUIT "$work/rich" "$work/rich.dir" $handles </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	rich=$pid
	until_true is_longer 1 "$work/rich.dir/log.0" || give_up "the waiters do not run: $(cat "$work/out")"
}

rich_is_ended() {
	for p in $rich; do
		is_ended "$p" || return 1
	done
}
rich_is_stopped() {
	for p in $rich; do
		[ "$(state "$p")" = T ] || return 1
	done
}
again() {
	end_rich
	[ -z "$started" ] || wait "$started" 2>/dev/null
	rm -rf "$work/image" "$work/image.partial"
	$start
	rich_pages >"$work/looks"
}
# dump N DELAY: sets status, and what: the call before which the holder was killed, "" if there is no such
dump() {
	rm -f "$work/log"
	# shellcheck disable=SC2086 # none, or one word
	CR_FAULT=kill:$1 CR_FAULT_DELAY=$2 CR_FAULT_LOG=$work/log \
		"$cr" dump --no-sync $mode "$pid" "$work/image" >"$work/text" 2>"$work/err"
	status=$?
	what=$(grep -v -m 1 '^total' "$work/log" 2>/dev/null)
}

same() {
	rich_pages >"$work/looks.now"
	case $what in
	batch:*) but_new_mappings "$work/looks" "$work/looks.now" ;;
	*) diff "$work/looks" "$work/looks.now" | head -5 ;;
	esac
	rich_runs_on || echo "the subject does not run: $(cat "$work/out")"
	[ -n "$handles" ] || case $what in
	freeze:*) ;;
	*) [ ! -e "$work/rich.dir/eintr" ] || echo "epoll_wait was broken off" ;;
	esac
	rm -f "$work/rich.dir/eintr"
}
# one: prints what is wrong
one() {
	until_true no_cr_is_left "CR_FAULT=kill:$i" || echo "a process of cr is left"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there"
	case $status in
	0)
		"$cr" verify "$work/image" 2>&1
		[ ! -s "$work/err" ] || grep -q 'was killed when the image had its name' "$work/err" || cat "$work/err"
		;;
	1)
		sentence 'the process that holds the subject .* has ended: it was killed'
		[ ! -e "$work/image" ] || echo "status 1, but the image is there"
		;;
	*) echo "status $status: $(cat "$work/err")" ;;
	esac
	case $status$mode in
	0) until_true rich_is_ended || echo "the image is there, but the subject runs" ;;
	0--leave-stopped)
		until_true rich_is_stopped || echo "the image is there, but the subject runs"
		for p in $rich; do
			kill -CONT "$p"
		done
		same
		;;
	*) same ;;
	esac
}

# loop HOW-MANY DELAY SUBJECT [OPTION]: before so many calls, spread over all
loop() {
	delay=$2 start=start_$3 subject=$3 mode=${4:-}
	again
	dump 0 0
	all=$(awk '/^total/ { print $6 }' "$work/log")
	again
	step=${CR_FAULT_STEP:-$(((all + $1 - 1) / $1))}
	i=${CR_FAULT_FROM:-$((step / 2 + 1))}
	tried=0 early=0 calls=0 batches=0 bads=0 wrong=
	while [ "$i" -le "$all" ]; do
		dump "$i" "$delay"
		tried=$((tried + 1)) bad=
		[ "$status" -ne 1 ] || early=$((early + 1))
		case $what in
		call:*) calls=$((calls + 1)) ;;
		*)
			bad=$(one)
			[ -z "$bad" ] || bads=$((bads + 1)) wrong="$wrong$i ($what): $(echo "$bad" | head -20)
"
			[ $bads -lt 4 ] || break
			;;
		esac
		case $what in
		batch:*)
			batches=$((batches + 1))
			mv "$work/looks.now" "$work/looks"
			;;
		call:*) bad=again ;;
		esac
		if [ -n "$bad" ] || [ "$status$mode" = 0 ]; then
			again
		fi
		rm -rf "$work/image"
		i=$((i + step))
	done
	[ $early -gt 0 ] || wrong="$wrong none of $tried came before the image"
	all_batches=$((all_batches + batches))
	report "killed, $subject, after $delay us, cr dump $mode: $tried of $all, $batches in a batch, $calls in a call" "$wrong"
}

handles='' rich='' all_batches=0
many=${CR_FAULT_MANY:-12}
make_rich
loop "$many" 0 rich --leave-running
loop $((many / 2)) 0 rich --leave-stopped
loop $((many / 2)) 0 rich
loop "$many" 3000 rich --leave-running
end_rich
make_waiters
loop "$many" 0 waiters --leave-running
loop "$many" 3000 waiters --leave-running
handles=yes
loop "$many" 3000 waiters --leave-running
report "some came in a batch" "$([ $all_batches -gt 0 ] || echo "none did")"
finish_test
