/* SPDX-License-Identifier: MIT */
/*
 * One thread of two is under a filter with a listener, and two processes have that: the one sleeps in the call that
 * waits for a request, the other answers what the first tells it to, by pipe.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listener.h"

#define ASKED SYS_getpgid

static struct table {
	atomic_uint may_ask, asked, right, free_rounds;
	atomic_int listener;
	atomic_uint has_listener;
} * table;
static pid_t child, other;
static int listener, orders[2];

/* --- the child -------------------------------------------------------------------------------------- */

static void *ask(void *unused)
{
	table->listener = listener_install(ASKED);
	table->has_listener = 1;
	while (!table->may_ask)
		usleep(1000);
	close(table->listener);
	for (;;) {
		unsigned int number = table->asked + 7;

		while (table->may_ask <= table->asked)
			usleep(1000);
		if (syscall(ASKED, number) == (long)number + 1)
			atomic_fetch_add(&table->right, 1);
		atomic_fetch_add(&table->asked, 1);
	}
	return unused;
}

/* Its first thread is under no filter: nobody answers it. */
static _Noreturn void live(void)
{
	pthread_t thread;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (pthread_create(&thread, NULL, ask, NULL))
		_exit(1);
	for (;;) {
		if (syscall(ASKED, 0) != getpgrp())
			_exit(2);
		atomic_fetch_add(&table->free_rounds, 1);
		usleep(1000);
	}
}

/* --- the supervisors ---------------------------------------------------------------------------------- */

static _Noreturn void answer(void)
{
	struct seccomp_notif_resp r;

	while (read(orders[0], &r, sizeof(r)) == sizeof(r))
		while (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) < 0 && errno == EINTR)
			continue;
	_exit(3);
}

static void *receive(void *unused)
{
	for (;;) {
		struct seccomp_notif n;
		struct seccomp_notif_resp r = { 0 };

		if (!listener_take(listener, &n))
			return (void *)(intptr_t)errno;
		r.id = n.id;
		r.val = (long long)n.data.args[0] + 1;
		if (write(orders[1], &r, sizeof(r)) != sizeof(r))
			return unused;
	}
}

static bool is_answered(unsigned int n)
{
	table->may_ask = n;
	while (table->asked < n) {
		if (waitpid(-1, NULL, WNOHANG) != 0)
			return false;
		usleep(1000);
	}
	return table->right == n;
}

static const char *prepare(void)
{
	pthread_t thread;

	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	need(table != MAP_FAILED && pipe(orders) == 0);
	child = fork();
	need(child >= 0);
	if (!child)
		live();
	while (!table->has_listener)
		usleep(1000);
	if (table->listener < 0)
		return skip("no filter with a listener");
	listener = listener_fetch(child, table->listener);
	need(listener >= 0);
	other = fork();
	need(other >= 0);
	if (!other)
		answer();
	need(pthread_create(&thread, NULL, receive, NULL) == 0);
	need(is_answered(5));
	return NULL;
}

static const char *verify(void)
{
	unsigned int free_rounds = table->free_rounds;

	need(is_answered(20));
	while (table->free_rounds < free_rounds + 5) {
		need(waitpid(child, NULL, WNOHANG) == 0);
		usleep(1000);
	}
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	need(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
	return NULL;
}

const struct subject subject = {
	.about = "a listener for one thread of two, which two processes have",
	.prepare = prepare,
	.verify = verify,
};
