/* SPDX-License-Identifier: MIT */
/*
 * The listener of a seccomp filter: where a supervisor reads of the calls that a task makes and answers them.
 *
 * The kernel gives one to whoever installs the filter, and nobody tells which belongs to which: so there is one in
 * the tree, or it is refused (seccomp.c). A task's filter comes last of all, and so does this. Until then another
 * description has its numbers; then the task installs the filter, the supervisor's keeper fetches what that has given
 * (supervisor.c), and the task closes its own.
 *
 * No request is in it: a task that waits for the answer begins its call anew, as after a signal, and who answers the
 * request of before is told that it is gone (ENOENT).
 */
#include "kind.h"

#include <fcntl.h>
#include <poll.h>

#include "dump/api.h"
#include "listener.pb-c.h"
#include "restore/api.h"

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	struct pollfd p = { v->dup, 0, 0 };

	(void)record;
	if (poll(&p, 1, 0) == 1 && p.revents & POLLHUP)
		return fail(e, 0, "listens to a seccomp filter that nobody has any more; close it");
	/* Tasks come before descriptors: whoever has the filter has said so. */
	if (!dump_make_late(d, v->id, 0))
		return fail(
			e, 0,
			"listens to a seccomp filter that no task of the tree has, which cannot be "
			"saved; dump that task too");
	return 0;
}

static int open_place(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	(void)record;
	(void)flags;
	return restore_open(r, "/dev/null", O_RDWR, e);
}

static const struct fd_ops ops = {
	.match = { .link = "anon_inode:seccomp notify" },
	.dump = dump,
	.open = open_place,
	.made_late = true,
};

const struct kind kind_listener = {
	.name = "listener",
	.record = { "LSTN", 1, &listener__descriptor },
	.fd = &ops,
};
