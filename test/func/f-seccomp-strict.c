/* SPDX-License-Identifier: MIT */
/* One thread in strict mode waits in read(2) and answers; another makes a call that it may not make. */
#include "subject.h"

#include <pthread.h>

#include "filter.h"

static int ask[2], answer[2], order[2];
static pthread_t good, bad;
static volatile int good_tid, bad_tid, survived;

static void *obey(void *unused)
{
	char c;

	good_tid = gettid();
	syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	while (syscall(SYS_read, ask[0], &c, 1) == 1) {
		c++;
		syscall(SYS_write, answer[1], &c, 1);
		if (c == 'z')
			break;
	}
	syscall(SYS_exit, 0);
	return unused;
}

static void *disobey(void *unused)
{
	char c;

	bad_tid = gettid();
	syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	syscall(SYS_read, order[0], &c, 1);
	syscall(SYS_getpid);
	survived = 1;
	syscall(SYS_exit, 0);
	return unused;
}

static const char *prepare(void)
{
	char c = 'a';

	need(pipe(ask) == 0 && pipe(answer) == 0 && pipe(order) == 0);
	need(pthread_create(&good, NULL, obey, NULL) == 0);
	need(pthread_create(&bad, NULL, disobey, NULL) == 0);
	need(write(ask[1], &c, 1) == 1 && read(answer[0], &c, 1) == 1 && c == 'b');
	while (filter_status(bad_tid, "Seccomp:") != 1)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	char c = 'k';

	need(filter_status(good_tid, "Seccomp:") == 1 && filter_status(bad_tid, "Seccomp:") == 1);
	need(filter_status(gettid(), "Seccomp:") == 0);
	need(write(ask[1], &c, 1) == 1 && read(answer[0], &c, 1) == 1 && c == 'l');
	need(write(order[1], &c, 1) == 1);
	need(pthread_join(bad, NULL) == 0 && !survived);
	c = 'y';
	need(write(ask[1], &c, 1) == 1 && read(answer[0], &c, 1) == 1 && c == 'z');
	need(pthread_join(good, NULL) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "seccomp in strict mode, of two threads beside one without",
	.prepare = prepare,
	.verify = verify,
};
