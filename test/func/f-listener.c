/* SPDX-License-Identifier: MIT */
/*
 * A supervisor that answers the calls of a child by the listener of its seccomp filter. Frozen while one request is
 * in its hand, not answered yet, and while it waits for the next: no call of the child is lost or answered twice.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "filter.h"
#include "listener.h"

#define THREADS 3
#define ASKED SYS_getpgid /* with a number of its own each time */
#define LISTENER 40       /* and once more at LISTENER + 2, kept at exec */

/* What child and supervisor share, sealed against change of its size. */
static struct table {
	atomic_uint rounds[THREADS]; /* answers that were right */
	atomic_uint wrong;
	atomic_uint handled; /* calls that the supervisor has answered */
	atomic_uint holds;   /* it has one in its hand */
	atomic_uint let_go;  /* it may answer that */
} * table;
static pid_t child;
static pthread_t answering;
static int listener;

/* --- the child ------------------------------------------------------------------------------------ */

static void *work(void *arg)
{
	atomic_uint *rounds = arg;
	size_t self = (size_t)(rounds - table->rounds);

	for (;;) {
		unsigned int asked = (unsigned int)(*rounds * THREADS + self);

		if (syscall(ASKED, asked) != (long)asked * 3 + 1)
			atomic_fetch_add(&table->wrong, 1);
		atomic_fetch_add(rounds, 1);
	}
	return NULL;
}

static _Noreturn void live(int report)
{
	pthread_t thread;
	int fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(1);
	filter_deny(SYS_getppid, 71, 0);
	fd = listener_install(ASKED);
	if (write(report, &fd, sizeof(fd)) != sizeof(fd))
		_exit(1);
	while (fcntl(fd, F_GETFD) >= 0 && !table->handled)
		usleep(1000);
	close(fd);
	for (int i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, work, &table->rounds[i]))
			_exit(1);
	work(&table->rounds[0]);
	_exit(1);
}

/* --- the supervisor ------------------------------------------------------------------------------- */

/* Whether the request was there still; if not the task asks again. */
static bool answer(const struct seccomp_notif *n)
{
	if (!listener_answer(listener, n, (long long)n->data.args[0] * 3 + 1))
		return false;
	atomic_fetch_add(&table->handled, 1);
	return true;
}

static void *answer_all(void *unused)
{
	struct seccomp_notif n;

	(void)unused;
	while (listener_take(listener, &n)) {
		/* Once it keeps one in its hand until it is told to go on. */
		if (table->handled == 20 && !table->let_go) {
			table->holds = 1;
			while (!table->let_go)
				usleep(1000);
		}
		(void)answer(&n);
	}
	return (void *)(uintptr_t)errno;
}

static const char *prepare(void)
{
	int report[2], memory = memfd_create("table", MFD_ALLOW_SEALING | MFD_CLOEXEC), fd;

	need(memory >= 0 && ftruncate(memory, sizeof(*table)) == 0);
	need(fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	need(table != MAP_FAILED && pipe(report) == 0);
	child = fork();
	need(child >= 0);
	if (!child)
		live(report[1]);
	need(read(report[0], &fd, sizeof(fd)) == sizeof(fd));
	close(report[0]);
	close(report[1]);
	if (fd < 0)
		return skip("no filter with a listener");
	fd = listener_fetch(child, fd);
	need(fd >= 0 && dup3(fd, LISTENER, O_CLOEXEC) == LISTENER && close(fd) == 0);
	need(dup2(LISTENER, LISTENER + 2) == LISTENER + 2);
	need(fcntl(LISTENER, F_SETFL, O_NONBLOCK) == 0);
	listener = LISTENER;
	atomic_store(&table->handled, 1); /* the child closes its own, and begins */
	need(pthread_create(&answering, NULL, answer_all, NULL) == 0);
	while (!table->holds)
		usleep(1000);
	return NULL;
}

static const char *verify(void)
{
	struct pollfd p = { LISTENER + 2, POLLIN, 0 };
	unsigned int before[THREADS];

	need(fcntl(LISTENER, F_GETFD) == FD_CLOEXEC && fcntl(LISTENER + 2, F_GETFD) == 0);
	need(fcntl(LISTENER + 2, F_GETFL) & O_NONBLOCK);
	need(poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR)));
	for (int i = 0; i < THREADS; i++)
		before[i] = table->rounds[i];
	table->let_go = 1;
	for (int i = 0; i < THREADS; i++)
		while (table->rounds[i] < before[i] + 20) {
			need(waitpid(child, NULL, WNOHANG) == 0);
			usleep(1000);
		}
	if (table->wrong)
		return wrong("%u answers were wrong", table->wrong);
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	/* Nobody has the filter any more. */
	need(poll(&p, 1, 10000) == 1 && p.revents & POLLHUP);
	return NULL;
}

const struct subject subject = {
	.about = "the listener of a filter: requests in hand and waiting, numbers, flags",
	.prepare = prepare,
	.verify = verify,
};
