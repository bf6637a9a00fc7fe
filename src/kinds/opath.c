/* SPDX-License-Identifier: MIT */
/* A descriptor opened with O_PATH: a place in the file system, whatever lies there. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "dump/api.h"
#include "opath.pb-c.h"
#include "proc/link.h"
#include "restore/api.h"

static int probe(const struct fd_view *v, struct error *e)
{
	int rc = link_check_proc(v->link, &v->st, v->proc, e);

	return rc < 0 ? rc : link_check(v->link, &v->st, false, e);
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	OPath *m = record;

	(void)e;
	m->path = arena_strdup(dump_arena(d), v->link);
	m->type = v->st.st_mode & S_IFMT;
	return 0;
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const OPath *m = record;

	(void)r;
	if (m->path[0] != '/')
		return fail(e, 0, "%s: not an absolute path", m->path);
	return 0;
}

static int open_place(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const OPath *m = record;
	uint32_t take = O_NOFOLLOW | O_DIRECTORY;
	auto_fd fd = restore_open(r, m->path, (int)(flags & take) | O_PATH | O_CLOEXEC, e);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return fail(e, errno, "fstat %s", m->path);
	if ((st.st_mode & S_IFMT) != m->type)
		return fail(e, 0,
			    "%s: is of another type (%#o) than at the dump (%#o); put that back",
			    m->path, st.st_mode & S_IFMT, m->type);
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .o_path = true },
	.probe = probe,
	.probes_name = true,
	.dump = dump,
	.link = link_record,
	.open = open_place,
};

const struct kind kind_opath = {
	.name = "opath",
	.record = { "OPTH", 1, &opath__descriptor },
	.fd = &ops,
};
