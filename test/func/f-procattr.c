/* SPDX-License-Identifier: MIT */
/* What a process sets by writing to its own files in /proc. */
#include "subject.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (n < 0)
		return wrong_errno("%s", path);
	close(fd);
	return NULL;
}

static long get(const char *path, int base)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return -1;
	close(fd);
	return strtol(text, NULL, base);
}

static const char *prepare(void)
{
	pass_on(put("/proc/self/oom_score_adj", "321"));
	return put("/proc/self/coredump_filter", "0x1f");
}

static const char *verify(void)
{
	need(get("/proc/self/oom_score_adj", 10) == 321);
	need(get("/proc/self/coredump_filter", 16) == 0x1f);
	return NULL;
}

const struct subject subject = {
	.about = "out-of-memory score and core dump filter",
	.prepare = prepare,
	.verify = verify,
};
