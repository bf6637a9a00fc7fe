/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "subject.h"

#define GET_REGISTRATIONS (1 << 9)

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

static const char *prepare(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) < 0 ? "cannot register" : NULL;
}

static const char *verify(void)
{
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) < 0)
		return "the registration is lost";
	if (membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) < 0)
		return "a command without registration fails";
	/* Before 6.3 nobody tells them, and all are made. */
	if (membarrier(GET_REGISTRATIONS) < 0)
		return NULL;
	if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0 || errno != EPERM)
		return "a registration that nobody made is there";
	return NULL;
}

const struct subject subject = {
	.about = "registrations for membarrier",
	.prepare = prepare,
	.verify = verify,
};
