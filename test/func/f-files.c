/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HIGH 1000

static const int flags[] = {
	O_RDONLY,
	O_WRONLY,
	O_RDWR,
	O_RDWR | O_APPEND,
	O_WRONLY | O_NONBLOCK,
	O_RDWR | O_SYNC,
	O_RDWR | O_DSYNC,
	O_RDONLY | O_NOATIME,
	O_RDONLY | O_DIRECT,
};
#define N ((int)(sizeof(flags) / sizeof(flags[0])))

static int fds[N], got_flags[N];
static int shared, copy, copy_cloexec, high, other, far_away;

static off_t offset_of(int i)
{
	return 4096 * (i + 1);
}

static const char *prepare(void)
{
	const char *path = subject_path("data");
	char block[4096];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	need(fd >= 0);
	memset(block, 'd', sizeof(block));
	for (int i = 0; i < 16; i++)
		need(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	close(fd);
	for (int i = 0; i < N; i++) {
		fds[i] = open(path, flags[i]);
		if (fds[i] < 0 && errno == EINVAL && flags[i] & O_DIRECT)
			fds[i] = open(path, flags[i] & ~O_DIRECT);
		need(fds[i] >= 0 && lseek(fds[i], offset_of(i), SEEK_SET) == offset_of(i));
		got_flags[i] = fcntl(fds[i], F_GETFL);
	}
	shared = open(path, O_RDWR);
	copy = dup(shared);
	copy_cloexec = fcntl(shared, F_DUPFD_CLOEXEC, 100);
	high = dup2(shared, HIGH);
	other = open(path, O_RDWR | O_CLOEXEC);
	far_away = open(path, O_RDONLY);
	need(shared >= 0 && copy >= 0 && copy_cloexec >= 100 && high == HIGH && other >= 0);
	need(lseek(far_away, 5ll << 40, SEEK_SET) == 5ll << 40);
	return NULL;
}

static const char *check_sharing(void)
{
	need(lseek(shared, 123, SEEK_SET) == 123);
	need(lseek(copy, 0, SEEK_CUR) == 123 && lseek(copy_cloexec, 0, SEEK_CUR) == 123);
	need(lseek(high, 0, SEEK_CUR) == 123 && lseek(other, 0, SEEK_CUR) == 0);
	need(fcntl(shared, F_GETFD) == 0 && fcntl(copy, F_GETFD) == 0 && fcntl(high, F_GETFD) == 0);
	need(fcntl(copy_cloexec, F_GETFD) == FD_CLOEXEC && fcntl(other, F_GETFD) == FD_CLOEXEC);
	need(fcntl(shared, F_SETFL, O_APPEND) == 0);
	need((fcntl(high, F_GETFL) & O_APPEND) && !(fcntl(other, F_GETFL) & O_APPEND));
	return NULL;
}

static const char *verify(void)
{
	char byte;

	for (int i = 0; i < N; i++) {
		int now = fcntl(fds[i], F_GETFL);

		if (now != got_flags[i])
			return wrong("flags of fd %d are %#o, were %#o", fds[i], now, got_flags[i]);
		need(lseek(fds[i], 0, SEEK_CUR) == offset_of(i));
	}
	need(lseek(far_away, 0, SEEK_CUR) == 5ll << 40);
	pass_on(check_sharing());
	need(read(fds[0], &byte, 1) == 1 && byte == 'd');
	need(write(fds[0], &byte, 1) < 0 && errno == EBADF);
	need(read(fds[1], &byte, 1) < 0 && errno == EBADF);
	need(write(fds[3], "appended", 8) == 8 && lseek(fds[3], 0, SEEK_CUR) == 16 * 4096 + 8);
	return NULL;
}

const struct subject subject = {
	.about = "regular files: flags, offsets, sharing by dup, numbers, close-on-exec",
	.prepare = prepare,
	.verify = verify,
};
