/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char before[PATH_MAX];

static const char *prepare(void)
{
	ssize_t n = readlink("/proc/self/exe", before, sizeof(before) - 1);

	need(n > 0);
	return NULL;
}

static const char *verify(void)
{
	char now[PATH_MAX] = "";
	int status;
	pid_t pid;

	need(readlink("/proc/self/exe", now, sizeof(now) - 1) > 0 && strcmp(before, now) == 0);
	pid = fork();
	need(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", before, "--exit-42", (char *)NULL);
		_exit(1);
	}
	need(waitpid(pid, &status, 0) == pid);
	need(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	return NULL;
}

const struct subject subject = {
	.about = "the exe link: the same path, and it can be executed",
	.prepare = prepare,
	.verify = verify,
};
