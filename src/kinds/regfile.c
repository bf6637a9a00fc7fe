/* SPDX-License-Identifier: MIT */
/* A regular file that has a name. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/api.h"
#include "proc/link.h"
#include "proc/shmem.h"
#include "regfile.pb-c.h"
#include "restore/api.h"

/* Of what F_GETFL gives: what open takes again. Not O_TMPFILE, which a file that has been linked to
 * a name since still shows. */
#define OPEN_FLAGS                                                                     \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME | \
	 O_NOFOLLOW | KERNEL_O_LARGEFILE)

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Namespace files and other pseudo files are regular files too, with texts such as net:[4026531840]. */
static int mine(const struct fd_view *v)
{
	if (v->st.st_nlink == 0 && shmem_sort_of(v->link) != SHMEM_NONE)
		return 0;
	return v->link[0] == '/';
}

/* They look like files of their names, in a file system that need not be mounted. */
static bool is_message_queue(const struct fd_view *v)
{
	char path[64];
	struct statfs st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/fd/%d", v->proc, v->fd);
	return statfs(path, &st) == 0 && st.f_type == MQUEUE_MAGIC;
}

static int probe(const struct fd_view *v, struct error *e)
{
	int rc = link_check_proc(v->link, &v->st, v->proc, e);

	if (rc < 0)
		return rc;
	rc = link_check(v->link, &v->st, true, e);
	if (rc < 0 && is_message_queue(v))
		return fail(e, 0,
			    "is a POSIX message queue, which cannot be saved yet; have the program "
			    "close it");
	return rc;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	RegFile *m = record;

	(void)e;
	m->path = arena_strdup(dump_arena(d), v->link);
	m->pos = v->info.pos;
	m->size = (uint64_t)v->st.st_size;
	m->inode = v->st.st_ino;
	m->dev = v->st.st_dev;
	m->mtime_ns = mtime_ns(&v->st);
	return 0;
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const RegFile *m = record;

	(void)r;
	if (m->path[0] != '/')
		return fail(e, 0, "%s: not an absolute path", m->path);
	if (m->pos > INT64_MAX || m->size > INT64_MAX)
		return fail(e, 0, "%s: position %llu of %llu bytes", m->path,
			    (unsigned long long)m->pos, (unsigned long long)m->size);
	return 0;
}

/*
 * Device and inode are those of the machine of the dump, and the program itself may have changed the
 * file before it was killed; but what it has seen of the file must still be there.
 */
static int check(const RegFile *m, uint32_t flags, struct error *e)
{
	struct stat st;

	if (stat(m->path, &st) < 0)
		return fail(e, errno, "%s: was open at the dump; put it back", m->path);
	if (!S_ISREG(st.st_mode))
		return fail(e, 0, "%s: is not a regular file, as it was at the dump; put that back",
			    m->path);
	if ((uint64_t)st.st_size < m->size)
		return fail(
			e, 0,
			"%s: is smaller than at the dump: %llu bytes, was %llu; put the file back",
			m->path, (unsigned long long)st.st_size, (unsigned long long)m->size);
	if ((flags & O_ACCMODE) == O_RDONLY && (uint64_t)st.st_size != m->size &&
	    mtime_ns(&st) != m->mtime_ns)
		warn("%s: was changed since the dump: %llu bytes, was %llu", m->path,
		     (unsigned long long)st.st_size, (unsigned long long)m->size);
	return 0;
}

static int open_file(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const RegFile *m = record;
	auto_fd fd = -1;
	int rc = check(m, flags, e);

	if (rc < 0)
		return rc;
	fd = restore_open(r, m->path, (int)(flags & OPEN_FLAGS) | O_NOCTTY | O_CLOEXEC, e);
	if (fd < 0)
		return fd;
	if (m->pos && lseek(fd, (off_t)m->pos, SEEK_SET) < 0)
		return fail(e, errno, "%s: set the position %llu", m->path,
			    (unsigned long long)m->pos);
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .type = S_IFREG },
	.mine = mine,
	.probe = probe,
	.probes_name = true,
	.dump = dump,
	.link = link_record,
	.open = open_file,
	.late_flags = O_ASYNC,
};

const struct kind kind_regfile = {
	.name = "regfile",
	.record = { "REGF", 1, &reg_file__descriptor },
	.fd = &ops,
};
