/* SPDX-License-Identifier: MIT */
/* The devices without state of their own: /dev/null, zero, full, random and urandom. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "dump/api.h"
#include "memdev.pb-c.h"
#include "proc/link.h"
#include "restore/api.h"

#define MEM_MAJOR 1u /* Documentation/admin-guide/devices.txt */
#define MINORS (1u << 3 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9)

#define OPEN_FLAGS                                                                       \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_NOATIME | O_NOFOLLOW | \
	 KERNEL_O_LARGEFILE)

static int probe(const struct fd_view *v, struct error *e)
{
	return link_check(v->link, &v->st, true, e);
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	MemDev *m = record;

	(void)e;
	m->path = arena_strdup(dump_arena(d), v->link);
	m->minor = minor(v->st.st_rdev);
	m->pos = v->info.pos;
	return 0;
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const MemDev *m = record;

	(void)r;
	if (m->path[0] != '/')
		return fail(e, 0, "%s: not an absolute path", m->path);
	if (m->minor >= 32 || !(MINORS >> m->minor & 1))
		return fail(e, 0, "%s: character device %u:%u is not one of this kind", m->path,
			    MEM_MAJOR, m->minor);
	return 0;
}

static int open_device(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const MemDev *m = record;
	auto_fd fd = -1;
	struct stat st;

	if (stat(m->path, &st) < 0)
		return fail(e, errno, "%s", m->path);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(MEM_MAJOR, m->minor))
		return fail(e, 0, "%s: is not the character device %u:%u that it was at the dump",
			    m->path, MEM_MAJOR, m->minor);
	fd = restore_open(r, m->path, (int)(flags & OPEN_FLAGS) | O_NOCTTY | O_CLOEXEC, e);
	if (fd < 0)
		return fd;
	if (m->pos && lseek(fd, (off_t)m->pos, SEEK_SET) < 0)
		return fail(e, errno, "%s: set the position %llu", m->path,
			    (unsigned long long)m->pos);
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .type = S_IFCHR, .dev_major = MEM_MAJOR, .dev_minors = MINORS },
	.probe = probe,
	.probes_name = true,
	.dump = dump,
	.link = link_record,
	.open = open_device,
	.late_flags = O_ASYNC,
};

const struct kind kind_memdev = {
	.name = "memdev",
	.record = { "MDEV", 1, &mem_dev__descriptor },
	.fd = &ops,
};
