/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SIZE (256 << 10)

static int unread[2], empty[2], full[2], packets[2], widowed[2], orphaned[2], doubled[2], writer2;
static char block[SIZE];
static ssize_t full_at;

static const char *prepare(void)
{
	for (size_t i = 0; i < SIZE; i++)
		block[i] = (char)(i * 7 + i / 251);
	need(pipe(unread) == 0 && write(unread[1], block, 5000) == 5000);
	need(read(unread[0], block, 1000) == 1000); /* begins within a page */
	need(pipe2(empty, O_NONBLOCK | O_CLOEXEC) == 0);
	need(pipe2(full, O_NONBLOCK) == 0 && fcntl(full[1], F_SETPIPE_SZ, SIZE) == SIZE);
	full_at = write(full[1], block, SIZE);
	need(full_at == SIZE && write(full[1], block, 1) < 0 && errno == EAGAIN);
	need(pipe2(packets, O_DIRECT) == 0);
	need(write(packets[1], block, 10) == 10 && write(packets[1], block + 10, 3000) == 3000);
	need(write(packets[1], block + 5000, 1) == 1);
	need(pipe(widowed) == 0 && write(widowed[1], block, 100) == 100);
	close(widowed[1]);
	need(pipe(orphaned) == 0 && write(orphaned[1], block, 100) == 100);
	close(orphaned[0]);
	need(pipe(doubled) == 0 && (writer2 = dup(doubled[1])) >= 0);
	return NULL;
}

static const char *check_packets(void)
{
	char text[SIZE / 8];

	need(fcntl(packets[1], F_GETFL) & O_DIRECT);
	need(read(packets[0], text, sizeof(text)) == 10 && memcmp(text, block, 10) == 0);
	need(read(packets[0], text, 100) == 100 && memcmp(text, block + 10, 100) == 0);
	need(read(packets[0], text, sizeof(text)) == 1 && text[0] == block[5000]);
	return NULL;
}

static const char *check_full(void)
{
	char text[SIZE];

	need(fcntl(full[0], F_GETPIPE_SZ) == SIZE);
	need(write(full[1], block, 1) < 0 && errno == EAGAIN);
	for (ssize_t n = 0; n < SIZE;) {
		ssize_t got = read(full[0], text + n, (size_t)(SIZE - n));

		need(got > 0);
		n += got;
	}
	need(memcmp(text, block, SIZE) == 0);
	need(read(full[0], text, 1) < 0 && errno == EAGAIN);
	return NULL;
}

static const char *verify(void)
{
	char text[8192];
	int n;

	/* prepare read 1000 bytes over the beginning of block: they are the same bytes. */
	need(ioctl(unread[0], FIONREAD, &n) == 0 && n == 4000);
	need(write(unread[1], "more", 4) == 4);
	need(read(unread[0], text, 5000) == 4004);
	need(memcmp(text, block + 1000, 4000) == 0 && memcmp(text + 4000, "more", 4) == 0);
	need(read(empty[0], text, 1) < 0 && errno == EAGAIN);
	need(fcntl(empty[1], F_GETFD) == FD_CLOEXEC && write(empty[1], "e", 1) == 1);
	need(read(empty[0], text, 2) == 1 && text[0] == 'e');
	pass_on(check_full());
	pass_on(check_packets());
	need(read(widowed[0], text, 200) == 100 && memcmp(text, block, 100) == 0);
	need(read(widowed[0], text, 200) == 0);
	signal(SIGPIPE, SIG_IGN);
	need(write(orphaned[1], "x", 1) < 0 && errno == EPIPE);
	close(doubled[1]);
	need(write(writer2, "two", 3) == 3 && read(doubled[0], text, 8) == 3);
	close(writer2);
	need(read(doubled[0], text, 8) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "pipes: unread data, size, non-blocking, packets, full, one end closed, dup",
	.prepare = prepare,
	.verify = verify,
};
