/* SPDX-License-Identifier: MIT */
/* Names that a parser of /proc/PID/stat may stumble over. */
#include "subject.h"

#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char main_name[16] = ") R 1 (\n\\ x\t";
static const char thread_name[16] = "";
static volatile int stop, running;
static pthread_t thread;

static const char *check(const char *name)
{
	char found[16] = "?";

	need(prctl(PR_GET_NAME, found) == 0 && strcmp(found, name) == 0);
	return NULL;
}

static void *work(void *unused)
{
	(void)unused;
	prctl(PR_SET_NAME, thread_name);
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)check(thread_name);
}

static const char *prepare(void)
{
	need(prctl(PR_SET_NAME, main_name) == 0);
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
	return check(main_name);
}

const struct subject subject = {
	.about = "names of threads: brackets, blanks, a newline, an empty one",
	.prepare = prepare,
	.verify = verify,
};
