/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * Most files of /proc fit at once; the kernel hands out the long ones (maps, smaps) in pieces of
 * about one page, however large the buffer is.
 */
#define RECORD_MAX ((ssize_t)16 * 1024)
#define FIRST_READ ((size_t)64 * 1024 - 1)

void fd_cleanup(int *fd)
{
	int kept = errno;

	if (*fd >= 0)
		close(*fd); /* once: Linux has let go of the number even when it answers EINTR */
	errno = kept;
}

/* An open is interrupted by a signal where the kernel asks somebody else (a seccomp listener). */
int fd_open(int dir, const char *path, int flags)
{
	int fd;

	do
		fd = openat(dir, path, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

void fd_make_room(size_t n)
{
	auto_fd any = open("/", O_PATH | O_CLOEXEC);
	auto_fd far = -1;

	if (any >= 0 && n <= INT_MAX / 2)
		far = fcntl(any, F_DUPFD_CLOEXEC, any + (int)n);
}

static int read_all(int fd, struct buf *b)
{
	for (;;) {
		size_t old = b->len, spare = b->room - old - 1;
		size_t n = spare >= 4096 ? spare : old < FIRST_READ ? FIRST_READ : old;
		char *p = buf_grow(b, n);
		ssize_t got = read(fd, p, n);
		int code = errno;

		b->len = old + (got > 0 ? (size_t)got : 0);
		b->p[b->len] = '\0';
		if (got < 0 && code != EINTR)
			return -code;
		if (got == 0)
			return 0;
	}
}

int fd_read_file(int dir, const char *what, struct buf *b)
{
	buf_grow(b, 0);
	b->len = 0;
	b->p[0] = '\0';

	auto_fd fd = fd_open(dir, what, O_RDONLY | O_NOCTTY);
	if (fd < 0)
		return fd;
	return read_all(fd, b);
}

int fd_read_record(int dir, const char *what, struct buf *b)
{
	ssize_t got;

	b->len = 0;
	buf_grow(b, RECORD_MAX);
	b->len = 0;
	b->p[0] = '\0';

	auto_fd fd = fd_open(dir, what, O_RDONLY | O_NOCTTY);
	if (fd < 0)
		return fd;
	do
		got = read(fd, b->p, RECORD_MAX);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	b->len = (size_t)got;
	b->p[got] = '\0';
	return got == RECORD_MAX ? read_all(fd, b) : 0;
}

int fd_pread_full(int fd, void *p, size_t n, off_t offset)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = pread(fd, at, n, offset);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return -ENODATA;
		if (got > 0) {
			at += got;
			offset += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

int fd_pwrite_full(int fd, const void *p, size_t n, off_t offset)
{
	const char *at = p;

	while (n > 0) {
		ssize_t put = pwrite(fd, at, n, offset);

		if (put < 0 && errno != EINTR)
			return -errno;
		if (put > 0) {
			at += put;
			offset += put;
			n -= (size_t)put;
		}
	}
	return 0;
}

int fd_write_full(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t put = write(fd, at, n);

		if (put < 0 && errno != EINTR)
			return -errno;
		if (put > 0) {
			at += put;
			n -= (size_t)put;
		}
	}
	return 0;
}

char *fd_readlink(struct arena *a, int dir, const char *path)
{
	char text[8192]; /* no link of Linux holds more than 4095 bytes */
	ssize_t n = readlinkat(dir, path, text, sizeof(text));

	if (n < 0)
		return NULL;
	if ((size_t)n == sizeof(text)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return arena_strndup(a, text, (size_t)n);
}

void fd_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
