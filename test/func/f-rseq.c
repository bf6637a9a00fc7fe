/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_t thread;
static volatile int stop, running;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* The length glibc registered with: at least the original 32 bytes. */
static unsigned int registered_size(void)
{
	for (unsigned int size = 32; size <= 256; size += 4)
		if (syscall(SYS_rseq, area(), size, 0, RSEQ_SIG) < 0 && errno == EBUSY)
			return size;
	return 0;
}

/* On each processor that the thread may use the kernel writes that one's number. */
static const char *check_alive(void)
{
	cpu_set_t all, one;

	need(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		need(sched_setaffinity(0, sizeof(one), &one) == 0);
		need(__atomic_load_n(&area()->cpu_id, __ATOMIC_RELAXED) == cpu);
		need(sched_getcpu() == (int)cpu);
	}
	need(sched_setaffinity(0, sizeof(all), &all) == 0);
	return NULL;
}

static const char *check(void)
{
	unsigned int size = registered_size();

	pass_on(check_alive());
	need(size != 0);
	need(syscall(SYS_rseq, (char *)area() + 1024, size, 0, RSEQ_SIG) == -1 && errno == EINVAL);
	need(syscall(SYS_rseq, area(), size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0);
	need(syscall(SYS_rseq, area(), size, 0, RSEQ_SIG) == 0);
	return check_alive();
}

static void *work(void *unused)
{
	(void)unused;
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)check();
}

static const char *prepare(void)
{
	if (__rseq_size == 0 || registered_size() == 0)
		return skip("this libc has registered no rseq");
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	stop = 1;
	need(pthread_join(thread, &text) == 0);
	pass_on(text);
	return check();
}

const struct subject subject = {
	.about = "restartable sequences stay registered and alive",
	.prepare = prepare,
	.verify = verify,
};
