/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N 300

static int fd, fresh;
static unsigned char seen[N];
static unsigned int n_seen;

/* Reads some entries straight from the kernel. Gives the number of bytes. */
static long read_some(int from)
{
	char buffer[1024];
	long n = getdents64(from, buffer, sizeof(buffer));

	for (long at = 0; at < n;) {
		struct dirent64 *entry = (struct dirent64 *)(void *)(buffer + at);

		at += entry->d_reclen;
		if (entry->d_name[0] == '.')
			continue;
		seen[atoi(entry->d_name)]++;
		n_seen++;
	}
	return n;
}

static const char *prepare(void)
{
	char name[64];

	need(mkdir(subject_path("dir"), 0755) == 0);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "dir/%d", i);
		need(mknod(subject_path(name), S_IFREG | 0644, 0) == 0);
	}
	fd = open(subject_path("dir"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fresh = open(subject_path("dir"), O_RDONLY | O_NONBLOCK);
	need(fd >= 0 && fresh >= 0);
	while (n_seen < N / 3)
		need(read_some(fd) > 0);
	return NULL;
}

static const char *verify(void)
{
	struct stat st;
	long n;

	while ((n = read_some(fd)) > 0)
		;
	need(n == 0 && n_seen == N);
	for (int i = 0; i < N; i++)
		need(seen[i] == 1);
	need(fstatat(fd, "17", &st, 0) == 0);
	need(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fresh, F_GETFL) & O_NONBLOCK);
	need(read_some(fresh) > 0);
	return NULL;
}

const struct subject subject = {
	.about = "a directory that is read half way",
	.prepare = prepare,
	.verify = verify,
};
