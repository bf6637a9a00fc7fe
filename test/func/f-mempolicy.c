/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "subject.h"

static const char *prepare(void)
{
	unsigned long node0 = 1;

	if (syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &node0, 64) < 0)
		return errno == ENOSYS ? NULL : "set_mempolicy";
	return NULL;
}

static const char *verify(void)
{
	unsigned long nodes[16] = { 0 };
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, nodes, 1024, 0, 0) < 0)
		return errno == ENOSYS ? NULL : "get_mempolicy";
	return mode == MPOL_INTERLEAVE && nodes[0] == 1 ? NULL : "the policy is another";
}

const struct subject subject = {
	.about = "NUMA memory policy of the thread",
	.prepare = prepare,
	.verify = verify,
};
