#!/bin/sh
# SPDX-License-Identifier: MIT
# Subjects that do not wait for a dump: one that runs another program again and again, small or with much
# memory to give back, one that makes threads and children all the time, and ones that end meanwhile. Each
# dump is done or refused in one sentence, the subject goes on, and no file is left.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc
times=${CR_MOVING_TIMES:-6}

# moving WHAT [MIB]; a dot for each round
cat >"$work/moving.c" <<'END_OF_C'
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *nothing(void *arg)
{
	return arg;
}
static void exec_again(char **argv)
{
	size_t n = strtoul(argv[2], NULL, 10) << 20;
	char *p = n ? mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : argv[2];

	if (p == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < n; i += 4096)
		p[i] = 1;
	execv(argv[0], argv);
	_exit(1);
}
static void threads(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, nothing, NULL))
			_exit(1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}
static void children(void)
{
	pid_t p = fork();

	if (!p) {
		if (!fork())
			_exit(0);
		_exit(0);
	}
	waitpid(p, NULL, 0);
}
/* A child that runs itself again and again, and writes for both. */
static void child_exec(char **argv)
{
	char *other[] = { argv[0], "exec", argv[2], NULL };

	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		exec_again(other);
	}
	for (;;)
		pause();
}
static void spawn(void)
{
	char *argv[] = { "true", NULL }, *none[] = { NULL };
	int status;
	pid_t p;

	if (posix_spawn(&p, "/bin/true", NULL, NULL, argv, none) || waitpid(p, &status, 0) != p || status)
		_exit(1);
}
/* Several at once; and one that has the memory for good. */
static void *spawn_for_ever(void *unused)
{
	for (;;)
		spawn();
	return unused;
}
static int sleep_for_ever(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;)
		syscall(SYS_pause);
	return unused != 0;
}
static void spawn_in_threads(void)
{
	static char stack[16384];
	static int started;
	pthread_t t;

	if (started++)
		return spawn();
	if (clone(sleep_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0)
		_exit(1);
	pthread_create(&t, NULL, spawn_for_ever, NULL);
	pthread_create(&t, NULL, spawn_for_ever, NULL);
}
/* The parent cannot be stopped as long as the child, which has its memory, does not end. */
static void wait_in_vfork(const char *us)
{
	pid_t p = vfork();

	if (!p) {
		usleep((unsigned int)atoi(us));
		_exit(0);
	}
	waitpid(p, NULL, 0);
}
/* The same, but the child becomes its sibling: their parent waits for them. */
static int end_later(void *us)
{
	usleep((unsigned int)atoi(us));
	_exit(0);
}
static void vfork_siblings(char *us)
{
	static char stack[16384];
	static int started;

	if (!started++ && !fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			if (clone(end_later, stack + sizeof(stack),
				  CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, us) < 0)
				_exit(1);
	}
	waitpid(-1, NULL, 0);
}
/* The thread that is not the first one runs the program: it gets the number of the first. */
static void *exec_from_thread(void *argv)
{
	exec_again(argv);
	return NULL;
}
int main(int argc, char **argv)
{
	pthread_t t;

	(void)argc;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	signal(SIGCHLD, SIG_DFL);
	for (;;) {
		if (write(1, ".", 1) != 1)
			return 1;
		if (!strcmp(argv[1], "exec"))
			exec_again(argv);
		else if (!strcmp(argv[1], "exec-thread")) {
			pthread_create(&t, NULL, exec_from_thread, argv);
			for (;;)
				pause();
		} else if (!strcmp(argv[1], "threads"))
			threads();
		else if (!strcmp(argv[1], "children"))
			children();
		else if (!strcmp(argv[1], "child-exec"))
			child_exec(argv);
		else if (!strcmp(argv[1], "spawn"))
			spawn();
		else if (!strcmp(argv[1], "spawn-threads"))
			spawn_in_threads();
		else if (!strcmp(argv[1], "vfork"))
			wait_in_vfork(argv[2]);
		else if (!strcmp(argv[1], "vfork-siblings"))
			vfork_siblings(argv[2]);
		else {
			usleep((unsigned int)atoi(argv[2]));
			return 0;
		}
	}
}
END_OF_C
gcc -O1 -w -pthread -o "$work/moving" "$work/moving.c" || give_up "the subject does not compile"

start_moving() {
	: >"$work/out"
	bare setsid "$work/moving" "$@" </dev/null >>"$work/out" 2>&1 &
	pid=$!
}
no_file() {
	[ ! -e "$work/image.partial" ] || echo "image.partial is there"
	if [ "$1" -eq 0 ]; then
		"$cr" verify "$work/image" 2>&1
	else
		[ ! -e "$work/image" ] || echo "the image is there"
	fi
	rm -rf "$work/image" "$work/image.partial"
	no_cr_is_left "CR_MOVING=$$" || echo "a process of cr is left"
}

# goes_on TITLE ARGUMENT...: of a subject that never ends
goes_on() {
	title=$1
	shift
	start_moving "$@"
	until_true is_longer 3 || give_up "it does not run: $(cat "$work/out")"
	i=0 wrong=
	: >"$work/said"
	while [ $i -lt "$times" ] && [ -z "$wrong" ]; do
		i=$((i + 1))
		CR_MOVING=$$ "$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>"$work/err"
		status=$?
		[ $status -ne 1 ] || cat "$work/err" >>"$work/said"
		case $status in
		0) ;;
		1) wrong=$(sentence "(task|process|thread) [0-9]+") ;;
		*) wrong="status $status: $(cat "$work/err")" ;;
		esac
		wrong="$wrong$(no_file $status)"
		runs_on || wrong="$wrong; it does not run on: $(state)"
	done
	! grep -q 'trace thread' "$work/said" || wrong="$wrong; nobody forbids it"
	! grep -q 'does not stop' "$work/said" || wrong="$wrong; it was waited for in vain"
	! grep -q 'shares its' "$work/said" || wrong="$wrong; it shares nothing"
	report "$title: $((i - $(wc -l <"$work/said"))) of $i dumps were done" "$wrong"
	sed 's/[0-9][0-9]*/N/g; s/^/# /' "$work/said" | sort -u
	# The default: it ends, or goes on.
	CR_MOVING=$$ "$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err"
	status=$?
	wrong=$(no_file $status)
	if [ $status -eq 0 ]; then
		until_true is_ended || wrong="$wrong; it has not ended"
	else
		runs_on || wrong="$wrong; it does not run on: $(state)"
	fi
	report "... and one that ends it: status $status" "$wrong"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	pid=
}
goes_on "a program that runs itself again and again" exec 0
goes_on "... in another thread" exec-thread 0
goes_on "... with memory that takes long to give back" exec "${CR_MOVING_MIB:-128}"
goes_on "threads that come and go" threads
goes_on "children and orphans that come and go" children
goes_on "a child that runs itself again and again" child-exec 0
goes_on "posix_spawn in a loop" spawn
goes_on "... in threads, beside one who shares the memory" spawn-threads
goes_on "children by vfork that take their time" vfork 50000
goes_on "... and are siblings of who waits for them" vfork-siblings 50000

# One that takes longer than the dump may.
start_moving vfork 2000000
until_true is_longer 0
until_true grep -q . "/proc/$pid/task/$pid/children"
CR_MOVING=$$ "$cr" dump --no-sync --timeout 0.3 "$pid" "$work/image" 2>"$work/err"
status=$?
wrong=$(no_file $status)
[ $status -eq 1 ] || wrong="$wrong; status $status"
wrong="$wrong$(sentence "(task|process|thread) $pid.*vfork")"
runs_on || wrong="$wrong; it does not run on: $(state)"
report "the child of a vfork that lasts longer than the time limit" "$wrong"
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=

i=0 done=0 wrong=""
while [ $i -lt $((times * 2)) ]; do
	us=$((i * 15000))
	i=$((i + 1))
	start_moving end $us
	until_true is_longer 0
	CR_MOVING=$$ "$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err"
	status=$?
	bad=
	case $status in
	0) done=$((done + 1)) ;;
	1) bad=$(sentence "(task|process|thread) $pid") ;;
	*) bad="status $status: $(cat "$work/err")" ;;
	esac
	bad="$bad$(no_file $status)"
	until_true is_ended || bad="$bad; it has not ended: $(state)"
	wait "$pid" 2>/dev/null
	[ -z "$bad" ] || wrong="$wrong$us us: $bad
"
done
pid=
report "one that ends after 0 to $us us: $done dumps were done" "$wrong"
finish_test
