/* SPDX-License-Identifier: MIT */
/* An open folder. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "directory.pb-c.h"
#include "dump/api.h"
#include "proc/link.h"
#include "restore/api.h"

#define OPEN_FLAGS                                                                         \
	(O_DIRECTORY | O_NONBLOCK | O_NOATIME | O_NOFOLLOW | O_SYNC | O_DSYNC | O_APPEND | \
	 KERNEL_O_LARGEFILE)

static int probe(const struct fd_view *v, struct error *e)
{
	int rc = link_check_proc(v->link, &v->st, v->proc, e);

	return rc < 0 ? rc : link_check(v->link, &v->st, true, e);
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	Directory *m = record;

	(void)e;
	m->path = arena_strdup(dump_arena(d), v->link);
	m->pos = v->info.pos;
	return 0;
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const Directory *m = record;

	(void)r;
	if (m->path[0] != '/')
		return fail(e, 0, "%s: not an absolute path", m->path);
	return 0;
}

static int open_folder(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const Directory *m = record;
	struct stat st;

	/* Not by adding O_DIRECTORY, which F_GETFL would show from then on. */
	if (stat(m->path, &st) < 0)
		return fail(e, errno, "%s: was open at the dump; put it back", m->path);
	if (!S_ISDIR(st.st_mode))
		return fail(e, 0, "%s: is not a folder, as it was at the dump; put that back",
			    m->path);
	auto_fd fd = restore_open(r, m->path, (int)(flags & OPEN_FLAGS) | O_CLOEXEC, e);
	if (fd < 0)
		return fd;
	/* The filesystem's own number: ext4 hashes names, btrfs counts entries. */
	if (m->pos && lseek(fd, (off_t)m->pos, SEEK_SET) < 0)
		return fail(e, errno, "%s: set the position %llu of readdir", m->path,
			    (unsigned long long)m->pos);
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .type = S_IFDIR },
	.probe = probe,
	.probes_name = true,
	.dump = dump,
	.link = link_record,
	.open = open_folder,
	.late_flags = O_ASYNC,
};

const struct kind kind_directory = {
	.name = "directory",
	.record = { "DIRF", 1, &directory__descriptor },
	.fd = &ops,
};
