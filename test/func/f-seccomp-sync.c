/* SPDX-License-Identifier: MIT */
/*
 * Filters that root has installed without no_new_privs and for all threads at once. That works once more
 * only if the threads share them still.
 */
#include "subject.h"

#include <pthread.h>

#include "filter.h"

static pthread_t threads[3];
static volatile int stop, running;

static const char *check(void)
{
	need(syscall(SYS_getppid) == -1 && errno == 71);
	need(syscall(SYS_getuid) == -1 && errno == 72);
	need(filter_status(gettid(), "Seccomp_filters:") == (stop ? 3 : 2));
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	return NULL;
}

static void *work(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		usleep(1000);
	return (void *)check();
}

static const char *prepare(void)
{
	if (geteuid() != 0)
		return skip("needs root");
	for (int i = 0; i < 3; i++)
		need(pthread_create(&threads[i], NULL, work, NULL) == 0);
	while (running < 3)
		usleep(100);
	need(filter_deny(SYS_getppid, 71, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	need(filter_deny(SYS_getuid, 72, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG) == 0);
	return check();
}

static const char *verify(void)
{
	void *text;

	pass_on(check());
	need(filter_deny(SYS_getgid, 73, SECCOMP_FILTER_FLAG_TSYNC) == 0);
	stop = 1;
	for (int i = 0; i < 3; i++) {
		need(pthread_join(threads[i], &text) == 0);
		pass_on(text);
	}
	need(syscall(SYS_getgid) == -1 && errno == 73);
	return NULL;
}

const struct subject subject = {
	.about = "seccomp filters that all threads share",
	.prepare = prepare,
	.verify = verify,
};
