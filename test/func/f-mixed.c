/* SPDX-License-Identifier: MIT */
/*
 * More processes than are asked at once, of every sort that is asked in another way: with threads, with a filter
 * of system calls, without room for a mapping, at every place among the ordinary ones.
 */
#include "full.h"
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "filter.h"

#define N 45
#define THREADS 3

enum sort {
	ORDINARY,
	THREADED,
	FILTERED,
	FULL,
	SORTS
};

struct child {
	pid_t pid;
	atomic_uint rounds[THREADS + 1];
	atomic_bool is_wrong;
};

static struct child *children;
static atomic_bool *over;

static enum sort sort_of(int i)
{
	/* Each sort beside each. */
	return (enum sort)((i + i / SORTS) % SORTS);
}

static void *count(void *arg)
{
	atomic_uint *round = arg;

	for (;;) {
		atomic_fetch_add(round, 1);
		usleep(2000);
	}
	return NULL;
}

static const char *become(enum sort sort, struct child *c)
{
	struct rlimit limit;
	pthread_t thread;

	switch (sort) {
	case THREADED:
		for (int i = 1; i <= THREADS; i++)
			need(pthread_create(&thread, NULL, count, &c->rounds[i]) == 0);
		break;
	case FILTERED:
		need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		need(filter_deny(SYS_getppid, 71, 0) == 0);
		break;
	case FULL:
		limit.rlim_cur = limit.rlim_max = status_kb("\nVmSize:\t") << 10;
		need(setrlimit(RLIMIT_AS, &limit) == 0);
		break;
	default:
		break;
	}
	return NULL;
}

static bool is_right(enum sort sort, pid_t self, pid_t parent)
{
	errno = 0;
	if (getpid() != self)
		return false;
	if (sort == FILTERED ? syscall(SYS_getppid) != -1 || errno != 71 : getppid() != parent)
		return false;
	/* Not while somebody looks at the mappings from outside. */
	return !*over || can_map() == (sort != FULL);
}

static _Noreturn void live(int i, pid_t parent)
{
	struct child *c = &children[i];
	pid_t self = getpid();

	if (become(sort_of(i), c))
		_exit(1);
	for (;;) {
		if (!is_right(sort_of(i), self, parent))
			c->is_wrong = true;
		atomic_fetch_add(&c->rounds[0], 1);
		usleep(2000);
	}
}

/* Every thread of every child gets on, and finds nothing wrong. */
static const char *look(void)
{
	for (int i = 0; i < N; i++) {
		int n = sort_of(i) == THREADED ? THREADS + 1 : 1;

		for (int k = 0; k < n; k++)
			for (unsigned before = children[i].rounds[k];
			     children[i].rounds[k] < before + 2;) {
				need(waitpid(children[i].pid, NULL, WNOHANG) == 0);
				usleep(1000);
			}
		if (children[i].is_wrong)
			return wrong("child %d of sort %d has found something wrong", i,
				     sort_of(i));
	}
	return NULL;
}

static const char *prepare(void)
{
	pid_t parent = getpid();

	children = mmap(NULL, (N + 1) * sizeof(*children), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(children != MAP_FAILED);
	over = &children[N].is_wrong;
	for (int i = 0; i < N; i++) {
		pid_t pid = fork();

		need(pid >= 0);
		if (!pid)
			live(i, parent);
		children[i].pid = pid;
	}
	return look();
}

static const char *verify(void)
{
	*over = true;
	pass_on(look());
	for (int i = 0; i < N; i++) {
		need(kill(children[i].pid, SIGKILL) == 0);
		need(waitpid(children[i].pid, NULL, 0) == children[i].pid);
	}
	return NULL;
}

const struct subject subject = {
	.about = "45 processes: ordinary, with threads, with a filter, without room",
	.prepare = prepare,
	.verify = verify,
};
