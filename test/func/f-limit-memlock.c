/* SPDX-License-Identifier: MIT */
/* All memory is locked, all to come would be, and RLIMIT_MEMLOCK is used up. */
#include "full.h"
#include "subject.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define SIZE (256 << 10)

static unsigned char data[SIZE];
static unsigned long copied, locked;

/* By the call itself: a library would have to be linked for it. */
static const char *drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];
	const unsigned int bit = 1u << CAP_IPC_LOCK;

	need(syscall(SYS_capget, &head, sets) == 0);
	sets[0].effective &= ~bit;
	sets[0].permitted &= ~bit;
	sets[0].inheritable &= ~bit;
	need(syscall(SYS_capset, &head, sets) == 0);
	return NULL;
}

static const char *prepare(void)
{
	struct rlimit limit;

	fill_pattern(data, SIZE);
	copied = copied_code_kb();
	need(mlockall(MCL_CURRENT | MCL_FUTURE) == 0);
	locked = status_kb("\nVmLck:\t");
	need(locked);
	limit.rlim_cur = limit.rlim_max = locked << 10;
	need(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	pass_on(drop_ipc_lock());
	need(!can_map() && errno == EAGAIN);
	return NULL;
}

static const char *verify(void)
{
	need(status_kb("\nVmLck:\t") == locked);
	need(has_pattern(data, SIZE));
	need(copied_code_kb() == copied);
	need(!can_map() && errno == EAGAIN);
	return NULL;
}

const struct subject subject = {
	.about = "RLIMIT_MEMLOCK is used up, and what is mapped would be locked",
	.prepare = prepare,
	.verify = verify,
};
