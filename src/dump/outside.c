/* SPDX-License-Identifier: MIT */
/*
 * Memory without a name is shared by who has inherited it or was sent a descriptor, and neither has to
 * be of the tree. No count in /proc tells of it, so every process is looked at: its maps as text, and
 * the links of its descriptors. That takes a while, which is why it is done once, before the freeze, and
 * only where there is such memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "dump/shmem.h"

struct look {
	struct dump *d;
	vec(struct outsider) inside; /* likewise, of the tree */
	int pid;
	bool is_inside;
};

static struct outsider *find(struct outsider *v, size_t n, enum shmem_sort sort, uint64_t page_size,
			     uint64_t inode)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].inode == inode && v[i].sort == sort && v[i].page_size == page_size)
			return &v[i];
	return NULL;
}

/* Where it lies on a device of such memory. */
static void note(struct look *l, enum shmem_sort sort, uint64_t dev, uint64_t inode)
{
	uint64_t page_size = shmem_page_size(l->d, sort, dev);
	struct outsider o = { sort, inode, page_size, l->pid };

	if (!page_size)
		return;

	if (l->is_inside) {
		if (!find(l->inside.v, l->inside.n, sort, page_size, inode))
			*vec_add(&l->inside) = o;
	} else if (!find(l->d->outsiders.v, l->d->outsiders.n, sort, page_size, inode)) {
		*vec_add(&l->d->outsiders) = o;
	}
}

/* "START-END PERMS OFFSET MAJ:MIN INODE   TEXT" */
static void look_at_line(struct look *l, char *line)
{
	unsigned int major, minor;
	unsigned long long inode;
	enum shmem_sort sort;
	int at = 0;

	if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &major, &minor, &inode, &at) < 3 || !at)
		return;
	sort = shmem_sort_of(line + at);
	/* System V segments have a count of their own. */
	if (sort != SHMEM_NONE && sort != SHMEM_SYSV)
		note(l, sort, makedev(major, minor), inode);
}

static void look_at_maps(struct look *l, int proc)
{
	auto_buf text = { 0 };

	if (fd_read_file(proc, "maps", &text) < 0)
		return;
	for (char *line = text.p, *end; line && *line; line = end) {
		end = strchrnul(line, '\n');
		if (*end)
			*end++ = '\0';
		if (strstr(line, " (deleted)"))
			look_at_line(l, line);
	}
}

static void look_at_fds(struct look *l, int proc)
{
	struct pids fds = { 0 };
	struct error e;

	if (proc_fds(proc, &fds, &e) < 0)
		return;
	vec_each(fd, &fds.list) {
		/* Longer than any name of a memory file. */
		char path[32], text[320];
		struct stat st;
		ssize_t n;

		snprintf(path, sizeof(path), "fd/%d", *fd);
		n = readlinkat(proc, path, text, sizeof(text) - 1);
		if (n <= 0)
			continue;
		text[n] = '\0';
		if (shmem_sort_of(text) == SHMEM_NONE || fstatat(proc, path, &st, 0) < 0)
			continue;
		note(l, shmem_sort_of(text), st.st_dev, st.st_ino);
	}
	vec_free(&fds.list);
}

static void look_at_all(struct look *l)
{
	const struct dump *d = l->d;
	DIR *all = opendir("/proc");
	struct dirent *de;

	while (all && (de = readdir(all))) {
		auto_fd proc = -1;

		if (!str_to_pid(de->d_name, &l->pid) || l->pid == getpid() ||
		    l->pid == d->holder.pid)
			continue;
		l->is_inside = dump_has_process(d, l->pid);
		proc = openat(dirfd(all), de->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			continue;
		look_at_maps(l, proc);
		look_at_fds(l, proc);
	}
	if (all)
		closedir(all);
}

static int refuse(struct dump *d, const struct outsider *o, int inside, const char *text,
		  struct error *e)
{
	struct object object = { "shared memory", inside, 0 };
	struct proc_stat stat;
	char path[32];
	struct error ignored;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d", o->pid);
	auto_fd proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || proc_stat_read(proc, &stat, &ignored) < 0)
		stat = (struct proc_stat){ .comm = "?" };
	rc = fail(e, 0, "is shared with `%s` (pid %d), outside the tree; dump that process too",
		  stat.comm, o->pid);
	return verdict(d, object, rc, e, "%s", text);
}

static const char *text_of(enum shmem_sort sort)
{
	return sort == SHMEM_ANON    ? "shared anonymous memory"
	       : sort == SHMEM_TMPFS ? "a deleted file of /dev/shm"
				     : "a memory file (memfd_create)";
}

/* Before the freeze, when cr has not seen the mappings itself. */
static int check_seen(struct look *l, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < l->inside.n && rc >= 0; i++) {
		const struct outsider *in = &l->inside.v[i];
		const struct outsider *out = find(l->d->outsiders.v, l->d->outsiders.n, in->sort,
						  in->page_size, in->inode);

		if (out)
			rc = refuse(l->d, out, in->pid, text_of(in->sort), e);
	}
	return rc;
}

int outside_check(struct dump *d, struct error *e)
{
	struct look l = { .d = d };
	bool is_complete = d->frozen || d->report;
	int rc = d->shmem_dev ? 0 : shmem_device(&d->shmem_dev, &d->tmpfs_dev, e);

	if (rc < 0)
		return rc;
	if (!d->has_looked_outside)
		look_at_all(&l);
	d->has_looked_outside = true;
	if (!is_complete)
		rc = check_seen(&l, e);
	for (size_t i = 0; is_complete && i < d->shmems.n && rc >= 0; i++) {
		const struct shmem *s = d->shmems.v[i];
		const struct outsider *out =
			find(d->outsiders.v, d->outsiders.n, s->sort, s->page_size, s->inode);

		if (out)
			rc = refuse(d, out, s->process->pid, text_of(s->sort), e);
	}
	vec_free(&l.inside);
	return rc;
}
