/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct {
	const char *path;
	unsigned int minor;
	int flags;
} devices[] = {
	{ "/dev/null", 3, O_RDWR },     { "/dev/null", 3, O_WRONLY | O_APPEND },
	{ "/dev/zero", 5, O_RDONLY },   { "/dev/full", 7, O_RDWR | O_NONBLOCK },
	{ "/dev/random", 8, O_RDONLY }, { "/dev/urandom", 9, O_RDONLY | O_CLOEXEC },
};
#define N (sizeof(devices) / sizeof(devices[0]))

static int fds[N], flags[N];

static const char *prepare(void)
{
	for (size_t i = 0; i < N; i++) {
		fds[i] = open(devices[i].path, devices[i].flags);
		need(fds[i] >= 0);
		flags[i] = fcntl(fds[i], F_GETFL);
	}
	return NULL;
}

static const char *verify(void)
{
	char text[8] = "xxxxxxx";
	struct stat st;

	for (size_t i = 0; i < N; i++) {
		need(fstat(fds[i], &st) == 0 && S_ISCHR(st.st_mode));
		need(major(st.st_rdev) == 1 && minor(st.st_rdev) == devices[i].minor);
		need(fcntl(fds[i], F_GETFL) == flags[i]);
	}
	need(write(fds[0], text, 8) == 8 && read(fds[0], text, 8) == 0 &&
	     write(fds[1], text, 8) == 8);
	need(read(fds[2], text, 8) == 8 && memcmp(text, "\0\0\0\0\0\0\0", 8) == 0);
	need(write(fds[3], text, 8) < 0 && errno == ENOSPC);
	need(read(fds[4], text, 8) == 8 && read(fds[5], text, 8) == 8);
	need(fcntl(fds[5], F_GETFD) == FD_CLOEXEC);
	return NULL;
}

const struct subject subject = {
	.about = "memory devices: null, zero, full, random, urandom",
	.prepare = prepare,
	.verify = verify,
};
