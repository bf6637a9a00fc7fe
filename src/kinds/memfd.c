/* SPDX-License-Identifier: MIT */
/*
 * An open file description of memory without a name: of a memory file (memfd_create), or of shared
 * anonymous memory that was opened through /proc. The memory itself is the engine's; here is what
 * each description has of its own.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "dump/api.h"
#include "memfd.pb-c.h"
#include "proc/shmem.h"
#include "restore/api.h"

/* Of what F_GETFL gives: what open takes again. */
#define OPEN_FLAGS                                                                     \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME | \
	 KERNEL_O_LARGEFILE)

static int mine(const struct fd_view *v)
{
	return v->st.st_nlink == 0 && shmem_sort_of(v->link) != SHMEM_NONE;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	Memfd *m = record;

	m->memory = dump_shmem(d, v);
	m->pos = v->info.pos;
	return m->memory ? 0 : fail(e, 0, "its memory was not looked at, an error in cr");
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const Memfd *m = record;

	if (!restore_record(r, "SHRM", m->memory))
		return fail(e, 0, "there is no record of its memory %u", m->memory);
	if (m->pos > INT64_MAX)
		return fail(e, 0, "position %llu", (unsigned long long)m->pos);
	return 0;
}

/* What memfd_create itself gives looks the same as what is opened through /proc. */
static int open_again(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const Memfd *m = record;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", restore_shmem(r, m->memory));
	auto_fd fd = restore_open(r, path, (int)(flags & OPEN_FLAGS), e);
	if (fd < 0)
		return fd;
	if (m->pos && lseek(fd, (off_t)m->pos, SEEK_SET) < 0)
		return fail(e, errno, "set the position %llu", (unsigned long long)m->pos);
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .type = S_IFREG },
	.is_shmem = true,
	.mine = mine,
	.dump = dump,
	.link = link_record,
	.open = open_again,
	.late_flags = O_ASYNC,
};

const struct kind kind_memfd = {
	.name = "memfd",
	.record = { "MEMF", 1, &memfd__descriptor },
	.fd = &ops,
};
