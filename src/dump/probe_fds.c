/* SPDX-License-Identifier: MIT */
/* Descriptors: which kind each is of. Only links, stat and fdinfo: a duplicate of a running process'
 * descriptor would delay ends of file and the release of locks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "dump/shmem.h"

/* 0: the descriptor was closed meanwhile. */
static int read_view(struct dump *d, struct dump_thread *t, int fd, struct fd_view *v,
		     struct error *e)
{
	char path[32];
	int dir = t->dir, rc;

	snprintf(path, sizeof(path), "fd/%d", fd);
	*v = (struct fd_view){ .pid = (int)table_id(t, TABLE_FILES),
			       .tid = t->tid,
			       .fd = fd,
			       .proc = dir,
			       .dup = -1 };
	v->in_tree = dump_has_process;
	v->engine = d->whole ? d->whole : d;
	v->link = fd_readlink(&d->arena, dir, path);
	if (!v->link)
		return errno == ENOENT ? 0 : fail(e, errno, "read the link");
	if (fstatat(dir, path, &v->st, 0) < 0)
		return errno == ENOENT ? 0 : fail(e, errno, "stat %s", v->link);
	rc = fdinfo_read(dir, fd, &d->arena, &v->info, e);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : 1;
}

static const char *sort_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a folder";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	case S_IFLNK:
		return "a symbolic link";
	}
	return "an object";
}

static int find_kind(const struct fd_view *v, const struct kind **k, struct error *e)
{
	const struct kind *second;

	*k = kind_of_fd(v, &second);
	if (!*k)
		return fail(e, 0,
			    "%s of a sort that cannot be saved yet; have the program close it",
			    sort_name(v->st.st_mode));
	if (second)
		return fail(e, 0, "is both of kind %s and of kind %s, an error in cr", (*k)->name,
			    second->name);
	return 0;
}

static int check_locks(const struct fd_view *v, struct error *e)
{
	for (size_t i = 0; i < v->info.n_lines; i++)
		if (!strcmp(v->info.lines[i].key, "lock"))
			return fail(e, 0,
				    "holds a lock or lease (%s), and locks cannot be saved yet",
				    v->info.lines[i].value);
	return 0;
}

static int ask_kind(struct dump *d, const struct fd_view *v, const struct kind *k, struct error *e)
{
	struct known_name name = { k, v->link, v->st.st_dev, v->st.st_ino,
				   v->info.flags & ~(uint32_t)O_CLOEXEC };
	int rc;

	if (k->fd->probes_name && probe_knows(d, &name))
		return 0;
	rc = k->fd->probe(v, e);
	if (rc >= 0 && k->fd->probes_name)
		probe_note(d, name);
	return rc;
}

static int probe_fd(struct dump *d, const struct fd_view *v, const struct kind **k, struct error *e)
{
	int rc = find_kind(v, k, e);

	if (rc >= 0)
		rc = check_locks(v, e);
	if (rc >= 0 && (*k)->fd->probe)
		rc = ask_kind(d, v, *k, e);
	return rc;
}

static struct object object_of(const struct dump_thread *t)
{
	return (struct object){ "descriptor", t->process->pid,
				t == speaker_of(t->process) ? 0 : t->tid };
}

static int add_fd(struct dump *d, struct dump_thread *t, int fd, struct error *e)
{
	struct dump_fd f = { .thread = t };
	int rc = read_view(d, t, fd, &f.view, e);

	if (rc == -ESRCH || rc == 0)
		return rc;
	if (rc >= 0)
		rc = probe_fd(d, &f.view, &f.kind, e);
	if (rc >= 0 && f.kind->fd->is_shmem && !d->whole)
		rc = shmem_add_fd(d, t->process, &f.view, e);
	if (rc >= 0)
		*vec_add(&t->fds) = f;
	return verdict(d, object_of(t), rc, e, "fd %d: %s", fd, f.view.link ? f.view.link : "?");
}

/* What a worker has left, since objects of shared memory are in a list that all have. */
static int add_shmems(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < t->fds.n && rc >= 0; i++) {
		const struct dump_fd *f = &t->fds.v[i];

		if (!f->kind->fd->is_shmem)
			continue;
		rc = shmem_add_fd(d, t->process, &f->view, e);
		rc = verdict(d, object_of(t), rc, e, "fd %d: %s", f->view.fd, f->view.link);
	}
	return rc;
}

int probe_fds(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc;

	if (!t->seen_fds.is_there)
		return probe_fds_alone(d, t, e);
	rc = add_shmems(d, t, e);
	return rc < 0 ? rc : finding_take(&t->seen_fds, e);
}

int probe_fds_alone(struct dump *d, struct dump_thread *t, struct error *e)
{
	struct pids list = { 0 };
	int rc = proc_fds(t->dir, &list, e);

	t->fds.n = 0;
	for (size_t i = 0; i < list.list.n && rc >= 0; i++)
		rc = add_fd(d, t, list.list.v[i], e);
	vec_free(&list.list);
	return rc;
}
