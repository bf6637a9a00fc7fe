/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int counter, semaphore, empty;

static const char *prepare(void)
{
	uint64_t many = UINT64_MAX - 2;

	counter = eventfd(0, EFD_CLOEXEC);
	semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
	empty = eventfd(0, EFD_NONBLOCK);
	need(counter >= 0 && semaphore >= 0 && empty >= 0);
	need(write(counter, &many, 8) == 8);
	return NULL;
}

static const char *verify(void)
{
	uint64_t value;

	need(read(counter, &value, 8) == 8 && value == UINT64_MAX - 2);
	for (int i = 0; i < 3; i++)
		need(read(semaphore, &value, 8) == 8 && value == 1);
	need(read(semaphore, &value, 8) == -1 && errno == EAGAIN);
	need(read(empty, &value, 8) == -1 && errno == EAGAIN);
	value = 7;
	need(write(empty, &value, 8) == 8);
	need(read(empty, &value, 8) == 8 && value == 7);
	return NULL;
}

const struct subject subject = {
	.about = "eventfd: counter, semaphore, close-on-exec, non-blocking",
	.prepare = prepare,
	.verify = verify,
};
