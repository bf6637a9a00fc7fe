/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rlimit before[RLIM_NLIMITS];

/* Lower limits that a test can live with; the hard ones too, which not even root may raise again
 * without CAP_SYS_RESOURCE. */
static const struct {
	int resource;
	rlim_t soft, hard;
} lowered[] = {
	{ RLIMIT_CPU, 3000, 4000 },
	{ RLIMIT_FSIZE, 1ul << 33, 1ul << 34 },
	{ RLIMIT_STACK, 4 << 20, 6 << 20 },
	{ RLIMIT_CORE, 0, 1 << 20 },
	{ RLIMIT_NOFILE, 300, 400 },
	{ RLIMIT_AS, 1ul << 40, 1ul << 41 },
	{ RLIMIT_DATA, 1ul << 32, 1ul << 33 },
	{ RLIMIT_MSGQUEUE, 1000, 2000 },
	{ RLIMIT_SIGPENDING, 100, 200 },
	{ RLIMIT_RTTIME, 1000000, 2000000 },
};

static const char *prepare(void)
{
	for (size_t i = 0; i < sizeof(lowered) / sizeof(lowered[0]); i++) {
		struct rlimit now, limit = { lowered[i].soft, lowered[i].hard };

		need(getrlimit(lowered[i].resource, &now) == 0);
		if (limit.rlim_max > now.rlim_max)
			limit.rlim_max = now.rlim_max;
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		need(setrlimit(lowered[i].resource, &limit) == 0);
	}
	for (int i = 0; i < RLIM_NLIMITS; i++)
		need(getrlimit(i, &before[i]) == 0);
	return NULL;
}

static const char *verify(void)
{
	struct rlimit now;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		need(getrlimit(i, &now) == 0);
		if (now.rlim_cur != before[i].rlim_cur || now.rlim_max != before[i].rlim_max)
			return wrong("limit %d is %lu/%lu, was %lu/%lu", i, now.rlim_cur,
				     now.rlim_max, before[i].rlim_cur, before[i].rlim_max);
	}
	need(dup2(0, 299) == 299 && dup2(0, 300) < 0 && errno == EBADF);
	return NULL;
}

const struct subject subject = {
	.about = "resource limits, soft and hard",
	.prepare = prepare,
	.verify = verify,
};
