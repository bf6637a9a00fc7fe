#!/bin/sh
# SPDX-License-Identifier: MIT
# Somebody kills a task, or its supervisor, when the restore has committed and the listener of its filter is not with
# the supervisor yet. Those who wait for each other then make no calls and hear nothing: they must end, at once, and
# cr says so. Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
[ "$(id -u)" -eq 0 ] || skip_all "needs root"
subject=${builddir:-.}/test/func/f-listener
[ -x "$subject" ] || give_up "$subject is not there"

# at-call TASK CALL NTH VICTIM: waits for the task, and kills the victim when the task begins this call
cat >"$work/at-call.c" <<'END_OF_C'
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t task = argc == 5 ? atoi(argv[1]) : 0, victim = argc == 5 ? atoi(argv[4]) : 0;
	long nr = !strcmp(argv[2], "seccomp") ? SYS_seccomp : SYS_close;
	int status, left = atoi(argv[3]), seen = 0;

	alarm(60);
	while (ptrace(PTRACE_SEIZE, task, 0, PTRACE_O_TRACESYSGOOD) < 0)
		if (errno != ESRCH && errno != EPERM)
			return 2;
	ptrace(PTRACE_INTERRUPT, task, 0, 0);
	while (waitpid(task, &status, __WALL) == task && WIFSTOPPED(status)) {
		struct __ptrace_syscall_info info = { 0 };

		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof(info), &info);
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			/* closes count from the filters on */
			seen |= info.entry.nr == SYS_seccomp;
			if ((long)info.entry.nr == nr && seen && !--left) {
				kill(victim, SIGKILL);
				return 0;
			}
		}
		ptrace(PTRACE_SYSCALL, task, 0, 0);
	}
	return 1;
}
END_OF_C
gcc -w -o "$work/at-call" "$work/at-call.c" || give_up "at-call does not compile"

is_ready() {
	[ -e "$work/s/ready" ]
}
both_ended() {
	is_ended "$pid" && is_ended "$child"
}

# killed TITLE VICTIM CALL NTH
killed() {
	title=$1
	rm -rf "$work/s" "$work/image"
	mkdir "$work/s"
	bare setsid "$subject" --subject "$work/s" </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true is_ready || {
		report "$title" "the subject does not begin: $(cat "$work/out" "$work/s/verdict" 2>&1)"
		return
	}
	child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
	"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || {
		report "$title" "$(cat "$work/err")"
		return
	}
	wait "$pid" 2>/dev/null
	until_true is_gone "$pid"
	until_true is_gone "$child"
	case $2 in child) victim=$child ;; *) victim=$pid ;; esac
	"$work/at-call" "$child" "$3" "$4" "$victim" &
	tracer=$!
	"$cr" restore --detach "$work/image" 2>"$work/err"
	wrong=
	wait "$tracer" || wrong="there was no such call;"
	until_true both_ended || wrong="$wrong somebody waits still;"
	report "$title" "$wrong$(sentence "warning: task $victim was killed before the listener of a seccomp filter")"
	end_ours "$child"
	pid=
}
killed "a task, before its filter is there" child seccomp 2
killed "a task, when the others have its listener" child close 1
killed "the supervisor" supervisor seccomp 2
finish_test
