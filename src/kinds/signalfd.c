/* SPDX-License-Identifier: MIT */
/*
 * A signalfd: a set of signals. It has nothing of whoever made it: a read takes from the queues of
 * the reader, a poll waits where the caller's signals arrive, and an epoll set where those of the task
 * arrive that added it. So cr makes it, and the epoll sets are the business of their owner.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "signalfd.pb-c.h"

static bool mask_of(const struct fd_view *v, uint64_t *mask)
{
	for (size_t i = 0; i < v->info.n_lines; i++) {
		if (!strcmp(v->info.lines[i].key, "sigmask"))
			return str_to_u64(v->info.lines[i].value, 16, mask);
	}
	return false;
}

static int probe(const struct fd_view *v, struct error *e)
{
	uint64_t mask;

	return mask_of(v, &mask) ? 0 : fail(e, 0, "this kernel does not show its mask in fdinfo");
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	SignalFd *m = record;

	(void)d;
	if (!mask_of(v, &m->mask))
		return probe(v, e);
	return 0;
}

/* Not libc's signalfd, which takes a set of libc's. */
static int open_signalfd(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const SignalFd *m = record;
	long fd = syscall(SYS_signalfd4, -1, &m->mask, sizeof(m->mask),
			  SFD_CLOEXEC | (flags & O_NONBLOCK ? SFD_NONBLOCK : 0));

	(void)r;
	return fd < 0 ? fail(e, errno, "signalfd") : (int)fd;
}

static const struct fd_ops ops = {
	.match = { .link = "anon_inode:[signalfd]" },
	.probe = probe,
	.dump = dump,
	.open = open_signalfd,
	.late_flags = O_APPEND | O_ASYNC | O_NOATIME,
};

const struct kind kind_signalfd = {
	.name = "signalfd",
	.record = { "SGFD", 1, &signal_fd__descriptor },
	.fd = &ops,
};
