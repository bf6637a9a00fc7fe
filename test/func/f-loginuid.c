/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile pid_t thread;

static void *sleeper(void *unused)
{
	thread = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return unused;
}

static const char *prepare(void)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
	pthread_t t;

	if (fd < 0 || write(fd, "4711", 4) != 4)
		return skip("the login uid cannot be set");
	close(fd);
	need(pthread_create(&t, NULL, sleeper, NULL) == 0);
	while (!thread)
		usleep(1000);
	return NULL;
}

static const char *look(pid_t tid)
{
	char text[16] = "", path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/loginuid", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	if (strcmp(text, "4711") != 0)
		return wrong("the login uid of %d is %s", tid, text);
	return NULL;
}

static const char *verify(void)
{
	pass_on(look(getpid()));
	return look(thread);
}

const struct subject subject = {
	.about = "login uid for the audit system",
	.prepare = prepare,
	.verify = verify,
};
