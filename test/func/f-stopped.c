/* SPDX-License-Identifier: MIT */
/*
 * Children in a job-control stop: one whose four threads count without a pause, and one asleep in a
 * call; the parent has waited for the stop of the first and not for that of the second.
 */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 4

static volatile unsigned long counts[N], stopped_at[N];
static volatile int told;
static pid_t counting, asleep;

static void *count(void *arg)
{
	volatile unsigned long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

static void count_all(void)
{
	pthread_t t;

	for (int i = 1; i < N; i++)
		if (pthread_create(&t, NULL, count, (void *)&counts[i]))
			_exit(1);
	count((void *)&counts[0]);
}

static void on_child(int signal)
{
	(void)signal;
	told++;
}

/* What the other process has at this address. */
static bool look(pid_t pid, unsigned long out[N])
{
	struct iovec to = { out, sizeof(counts) }, from = { (void *)counts, sizeof(counts) };

	return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof(counts);
}

static bool all_count(pid_t pid)
{
	unsigned long first[N], now[N];
	int moved = 0;

	if (!look(pid, first))
		return false;
	while (moved < N && look(pid, now)) {
		moved = 0;
		for (int i = 0; i < N; i++)
			moved += now[i] > first[i];
		usleep(1000);
	}
	return moved == N;
}

static const char *prepare(void)
{
	int status;

	need(signal(SIGCHLD, on_child) != SIG_ERR);
	counting = fork();
	if (counting == 0)
		count_all();
	asleep = fork();
	if (asleep == 0)
		for (;;)
			pause();
	need(counting > 0 && asleep > 0 && all_count(counting));
	need(kill(counting, SIGSTOP) == 0 && waitpid(counting, &status, WUNTRACED) == counting);
	if (!WIFSTOPPED(status))
		return wrong("stopped with wait status 0x%x", status);
	need(look(counting, (unsigned long *)stopped_at));
	need(kill(asleep, SIGSTOP) == 0);
	while (subject_state(asleep) != 'T' || told < 2)
		usleep(1000);
	return NULL;
}

static const char *verify(void)
{
	unsigned long now[N];
	int status;

	if (subject_state(counting) != 'T' || subject_state(asleep) != 'T')
		return wrong("the states are %c and %c", subject_state(counting),
			     subject_state(asleep));
	if (told != 2)
		return wrong("%d signals for two stops", told);
	need(waitpid(counting, &status, WUNTRACED | WNOHANG) == 0);
	need(waitpid(asleep, &status, WUNTRACED | WNOHANG) == asleep);
	need(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	need(look(counting, now));
	for (int i = 0; i < N; i++)
		if (now[i] != stopped_at[i])
			return wrong("thread %d ran on: %lu, %lu", i, stopped_at[i], now[i]);
	need(kill(counting, SIGCONT) == 0 && kill(asleep, SIGCONT) == 0);
	need(waitpid(counting, &status, WCONTINUED) == counting && WIFCONTINUED(status));
	need(waitpid(asleep, &status, WCONTINUED) == asleep && WIFCONTINUED(status));
	need(all_count(counting));
	need(kill(counting, SIGKILL) == 0 && kill(asleep, SIGKILL) == 0);
	need(waitpid(counting, &status, 0) == counting && WTERMSIG(status) == SIGKILL);
	need(waitpid(asleep, &status, 0) == asleep && WTERMSIG(status) == SIGKILL);
	return NULL;
}

const struct subject subject = {
	.about = "stopped children stay stopped: not an instruction, nothing told twice",
	.prepare = prepare,
	.verify = verify,
};
