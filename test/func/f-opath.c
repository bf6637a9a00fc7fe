/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	TO_FILE,
	TO_DIR,
	TO_LINK,
	N
};

static int fds[N];
static struct stat before[N];

static const char *prepare(void)
{
	int fd = open(subject_path("file"), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	need(fd >= 0 && write(fd, "content", 7) == 7);
	close(fd);
	need(mkdir(subject_path("dir"), 0755) == 0);
	need(symlink("nowhere", subject_path("link")) == 0);
	fds[TO_FILE] = open(subject_path("file"), O_PATH);
	fds[TO_DIR] = open(subject_path("dir"), O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[TO_LINK] = open(subject_path("link"), O_PATH | O_NOFOLLOW);
	for (int i = 0; i < N; i++)
		need(fds[i] >= 0 && fstat(fds[i], &before[i]) == 0);
	return NULL;
}

static const char *verify(void)
{
	char path[64], text[16] = "";
	struct stat now;
	int fd;

	for (int i = 0; i < N; i++) {
		need(fstat(fds[i], &now) == 0 && now.st_ino == before[i].st_ino);
		need(now.st_mode == before[i].st_mode);
		need(fcntl(fds[i], F_GETFL) & O_PATH);
		need(read(fds[i], text, 1) < 0 && errno == EBADF);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[TO_FILE]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, 7) == 7 && strcmp(text, "content") == 0);
	need(readlinkat(fds[TO_LINK], "", text, sizeof(text)) == 7);
	need(fcntl(fds[TO_DIR], F_GETFD) == FD_CLOEXEC && fchdir(fds[TO_DIR]) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "O_PATH descriptors of a file, a directory, a symbolic link",
	.prepare = prepare,
	.verify = verify,
};
