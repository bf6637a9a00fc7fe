/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <pthread.h>
#include <sys/personality.h>
#include <unistd.h>

static pthread_t thread;
static volatile int stop, running;

static void *work(void *unused)
{
	(void)unused;
	personality(ADDR_NO_RANDOMIZE | WHOLE_SECONDS);
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)(personality(0xffffffff) == (ADDR_NO_RANDOMIZE | WHOLE_SECONDS)
				? NULL
				: "the thread's personality changed");
}

static const char *prepare(void)
{
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	need(personality(SHORT_INODE | UNAME26) >= 0);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	need(personality(0xffffffff) == (SHORT_INODE | UNAME26));
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	return text;
}

const struct subject subject = {
	.about = "personality of each thread",
	.prepare = prepare,
	.verify = verify,
};
