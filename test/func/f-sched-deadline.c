/* SPDX-License-Identifier: MIT */
/* One thread with a share of processor time that is promised to it, beside an ordinary one. */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POLICY 6 /* SCHED_DEADLINE */

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
static const struct attributes wanted = {
	.size = sizeof(wanted),
	.policy = POLICY,
	.flags = 1 | 2, /* reset on fork, reclaim */
	.runtime = 1100000,
	.deadline = 12000000,
	.period = 23000000,
};
static pthread_t thread;
static volatile int stop, running;

static const char *check(void)
{
	struct attributes now;

	need(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) == 0);
	need(now.policy == POLICY && now.flags == wanted.flags);
	need(now.runtime == wanted.runtime && now.deadline == wanted.deadline);
	need(now.period == wanted.period);
	return NULL;
}

static void *work(void *unused)
{
	(void)unused;
	running = syscall(SYS_sched_setattr, 0, &wanted, 0) == 0 ? 1 : -errno;
	while (!stop)
		usleep(1000);
	return (void *)check();
}

static const char *prepare(void)
{
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	if (running == -EPERM || running == -EBUSY)
		return skip("no deadline scheduling here: %s", strerror(-running));
	need(running == 1);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	need(sched_getscheduler(0) == SCHED_OTHER);
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	return text;
}

const struct subject subject = {
	.about = "deadline scheduling of one thread",
	.prepare = prepare,
	.verify = verify,
};
