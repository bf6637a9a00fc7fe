/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_BEST_EFFORT(n) (2 << 13 | (n))
#define IOPRIO_IDLE (3 << 13)

struct settings {
	int policy, nice, priority, io;
	cpu_set_t cpus;
};

static struct settings main_before, thread_before;
static pthread_t thread;
static volatile int stop, running;

static const char *learn(struct settings *s)
{
	struct sched_param p;

	memset(s, 0, sizeof(*s));
	s->policy = sched_getscheduler(0);
	need(sched_getparam(0, &p) == 0);
	s->priority = p.sched_priority;
	s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	s->io = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	need(sched_getaffinity(0, sizeof(s->cpus), &s->cpus) == 0);
	return NULL;
}

static const char *check(const struct settings *before)
{
	struct settings now;

	pass_on(learn(&now));
	need(now.policy == before->policy && now.priority == before->priority);
	need(now.nice == before->nice && now.io == before->io);
	need(CPU_EQUAL(&now.cpus, &before->cpus));
	return NULL;
}

static const char *set_up_thread(void)
{
	struct sched_param p = { 0 };

	need(sched_setscheduler(0, SCHED_BATCH, &p) == 0);
	need(setpriority(PRIO_PROCESS, (id_t)gettid(), 7) == 0);
	need(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE) == 0);
	return learn(&thread_before);
}

static void *work(void *unused)
{
	const char *text = set_up_thread();

	(void)unused;
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)(text ? text : check(&thread_before));
}

static const char *prepare(void)
{
	struct sched_param p = { .sched_priority = 0 };
	cpu_set_t all, last;
	int cpu = CPU_SETSIZE - 1;

	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	need(sched_getaffinity(0, sizeof(all), &all) == 0);
	while (!CPU_ISSET(cpu, &all))
		cpu--;
	CPU_ZERO(&last);
	CPU_SET(cpu, &last);
	need(sched_setaffinity(0, sizeof(last), &last) == 0);
	need(setpriority(PRIO_PROCESS, 0, 3) == 0);
	need(sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &p) == 0);
	need(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BEST_EFFORT(6)) == 0);
	return learn(&main_before);
}

static const char *verify(void)
{
	void *text;

	pass_on(check(&main_before));
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	return text;
}

const struct subject subject = {
	.about = "scheduling: policy, nice value, processors, I/O priority of each thread",
	.prepare = prepare,
	.verify = verify,
};
