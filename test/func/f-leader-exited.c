/* SPDX-License-Identifier: MIT */
/* A child whose first thread has exited while three others count on, hold a file and wait for a pipe. */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 2
#define FIRST 7
#define LAST 3

static volatile unsigned long counts[N];
static int question[2], answer[2];
static pid_t child;

static volatile int over;

static void *count(void *arg)
{
	volatile unsigned long *n = arg;

	while (!over) {
		++*n;
		usleep(100);
	}
	syscall(SYS_exit, LAST);
	return NULL;
}

/* Answers with what a system call of another thread than the leader says. */
static void *serve(void *arg)
{
	char byte;

	(void)arg;
	while (!over && read(question[0], &byte, 1) == 1) {
		over = byte == '!';
		byte = getpid() == getppid() || gettid() == getpid() ? 'n' : 'y';
		if (write(answer[1], &byte, 1) != 1)
			break;
	}
	syscall(SYS_exit, LAST);
	return NULL;
}

static void child_main(void)
{
	pthread_t t;

	prctl(PR_SET_NAME, "first");
	for (int i = 0; i < N; i++)
		if (pthread_create(&t, NULL, count, (void *)&counts[i]))
			_exit(1);
	if (pthread_create(&t, NULL, serve, NULL))
		_exit(1);
	syscall(SYS_exit, FIRST);
}

static const char *look(unsigned long out[N])
{
	char path[64], text[512] = "", *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	f = fopen(path, "r");
	need(f && fgets(text, sizeof(text), f));
	fclose(f);
	p = strrchr(text, ')');
	need(p && strstr(text, "(first)"));
	if (p[2] != 'Z')
		return wrong("the first thread has state %c", p[2]);
	p = strrchr(text, ' ');
	if (atoi(p + 1) != FIRST << 8)
		return wrong("the first thread has exited with%s", p);
	for (int tid = child + 1; out; tid++) {
		struct iovec to = { out, sizeof(counts) };
		struct iovec from = { (void *)counts, sizeof(counts) };

		snprintf(path, sizeof(path), "/proc/%d/task/%d", child, tid);
		if (access(path, F_OK) < 0 && tid < child + 1000)
			continue;
		need(process_vm_readv(tid, &to, 1, &from, 1, 0) == (ssize_t)sizeof(counts));
		break;
	}
	return NULL;
}

static bool is_zombie(void)
{
	return look(NULL) == NULL;
}

/* All three threads have come to their work, and go on with it. */
static const char *all_live(void)
{
	unsigned long before[N], now[N];
	char byte = '?';
	int moved = 0;

	pass_on(look(before));
	while (moved < N) {
		moved = 0;
		pass_on(look(now));
		for (int i = 0; i < N; i++)
			moved += now[i] > before[i];
		usleep(1000);
	}
	need(write(question[1], "?", 1) == 1 && read(answer[0], &byte, 1) == 1);
	if (byte != 'y')
		return wrong("the answer is '%c'", byte);
	return NULL;
}

static const char *prepare(void)
{
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0)
		child_main();
	need(child > 0);
	while (!is_zombie())
		usleep(1000);
	return all_live();
}

static const char *verify(void)
{
	int status;

	pass_on(all_live());
	need(waitpid(child, &status, WNOHANG) == 0);
	/* When the last thread has ended, the status of the process is that of the last, before 5.18 that
	 * of the first. */
	need(write(question[1], "!", 1) == 1 && waitpid(child, &status, 0) == child);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != LAST && WEXITSTATUS(status) != FIRST))
		return wrong("it ended with 0x%x", status);
	return NULL;
}

const struct subject subject = {
	.about = "a process whose first thread has exited goes on",
	.prepare = prepare,
	.verify = verify,
};
