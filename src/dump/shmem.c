/* SPDX-License-Identifier: MIT */
#include "dump/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"

#define PAGE 4096u

/* --- which there are --------------------------------------------------------------------------- */

static struct shmem *find(const struct dump *d, enum shmem_sort sort, uint64_t page_size,
			  uint64_t inode)
{
	struct shmem *s = d->shmems.n ? d->shmem_buckets[inode % SHMEM_BUCKETS] : NULL;

	while (s && (s->inode != inode || s->sort != sort || s->page_size != page_size))
		s = s->next;
	return s;
}

static struct shmem *add(struct dump *d, const struct dump_process *p, const char *text,
			 uint64_t page_size, uint64_t inode)
{
	struct shmem *s = arena_alloc(&d->arena, sizeof(*s)), **bucket;

	if (!d->shmems.n)
		d->shmem_buckets = arena_alloc(&d->arena, SHMEM_BUCKETS * sizeof(*bucket));
	bucket = &d->shmem_buckets[inode % SHMEM_BUCKETS];
	*vec_add(&d->shmems) = s;
	*s = (struct shmem){
		.sort = shmem_sort_of(text),
		.inode = inode,
		.page_size = page_size,
		.id = (uint32_t)d->shmems.n,
		.text = text,
		.process = p,
		.next = *bucket,
	};
	*bucket = s;
	return s;
}

uint64_t shmem_page_size(struct dump *d, enum shmem_sort sort, uint64_t dev)
{
	if (dev == (sort == SHMEM_TMPFS ? d->tmpfs_dev : d->shmem_dev))
		return PAGE;
	if (sort != SHMEM_ANON && sort != SHMEM_FILE)
		return 0;
	if (!d->knows_huge)
		d->n_huge = shmem_huge_devices(d->huge);
	d->knows_huge = true;
	for (size_t i = 0; i < d->n_huge; i++)
		if (d->huge[i].dev == dev)
			return d->huge[i].page_size;
	return 0;
}

static int check_device(struct dump *d, enum shmem_sort sort, uint64_t dev, uint64_t *page_size,
			struct error *e)
{
	int rc = d->shmem_dev ? 0 : shmem_device(&d->shmem_dev, &d->tmpfs_dev, e);

	*page_size = rc < 0 ? 0 : shmem_page_size(d, sort, dev);
	if (rc < 0 || *page_size)
		return rc;
	return fail(e, 0,
		    "a deleted file, or a System V segment of hugetlbfs, cannot be saved yet; have "
		    "the program use ordinary memory");
}

static void name_mapping(char path[64], uint64_t start, uint64_t end)
{
	snprintf(path, 64, "map_files/%llx-%llx", (unsigned long long)start,
		 (unsigned long long)end);
}

/* Whether the way to the object is open; a running program may have unmapped it again. */
static int check_access(struct dump *d, const struct dump_process *p, const struct vma *v,
			struct error *e)
{
	char path[64];
	struct stat st;

	name_mapping(path, v->start, v->end);
	if (fstatat(p->dir, path, &st, 0) == 0) {
		if (st.st_nlink && shmem_sort_of(v->name) == SHMEM_TMPFS)
			return fail(e, 0,
				    "the file has lost this name, but has another, which cannot be "
				    "saved");
		return 0;
	}
	if (errno == ENOENT && !d->frozen)
		return 0;
	return fail(e, errno,
		    "look at shared memory (%s; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN)",
		    path);
}

/* A segment that mremap has made longer than it is, or that was mapped by another way than shmat. */
static int check_attach(const struct vma *v, const struct shmid_ds *ds, struct error *e)
{
	uint64_t size = (ds->shm_segsz + PAGE - 1) & ~(uint64_t)(PAGE - 1);

	if (!v->shared)
		return fail(e, 0,
			    "a private mapping of a System V segment cannot be saved; have the "
			    "program use shmat");
	if (v->offset > size || v->end - v->start > size - v->offset || v->start < v->offset)
		return fail(e, 0,
			    "is mapped beyond the end of the System V segment, or far from where "
			    "it was attached (mremap); have the program attach it again");
	return 0;
}

static int check_segment(const struct vma *v, struct error *e)
{
	struct shmid_ds ds;

	if (shmctl((int)v->inode, IPC_STAT, &ds) < 0)
		return fail(e, errno, "look at System V segment %d (shmctl)", (int)v->inode);
	return check_attach(v, &ds, e);
}

int shmem_add_mapping(struct dump *d, const struct dump_process *p, const struct vma *v,
		      struct error *e)
{
	enum shmem_sort sort = shmem_sort_of(v->name);
	uint64_t page_size;
	int rc = check_device(d, sort, v->dev, &page_size, e);
	struct shmem *s = rc < 0 ? NULL : find(d, sort, page_size, v->inode);

	if (rc >= 0 && sort == SHMEM_SYSV)
		rc = check_segment(v, e);
	if (rc >= 0 && !s)
		rc = check_access(d, p, v, e);
	if (rc < 0)
		return rc;
	if (!s)
		s = add(d, p, v->name, page_size, v->inode);
	if (!s->end) {
		s->process = p;
		s->start = v->start;
		s->end = v->end;
	}
	s->noreserve = s->noreserve || v->flags & VMF(nr);
	return 0;
}

int shmem_add_fd(struct dump *d, const struct dump_process *p, const struct fd_view *v,
		 struct error *e)
{
	enum shmem_sort sort = shmem_sort_of(v->link);
	uint64_t page_size;
	int rc = check_device(d, sort, v->st.st_dev, &page_size, e);

	if (rc < 0)
		return rc;
	if (sort == SHMEM_SYSV)
		return fail(e, 0,
			    "a descriptor of a System V segment cannot be saved; have the program "
			    "close it");
	if (!find(d, sort, page_size, v->st.st_ino))
		add(d, p, v->link, page_size, v->st.st_ino)->fd = v->fd;
	return 0;
}

void shmem_forget(struct dump *d)
{
	d->shmems.n = 0;
}

uint32_t shmem_id(struct dump *d, const char *text, uint64_t dev, uint64_t inode)
{
	enum shmem_sort sort = shmem_sort_of(text);
	const struct shmem *s = find(d, sort, shmem_page_size(d, sort, dev), inode);

	return s ? s->id : 0;
}

/* In the tree. Where it is not known yet who shares memory some count twice, and nobody is refused for that. */
static uint64_t count_attached(const struct dump *d, const struct shmem *s)
{
	uint64_t n = 0;

	vec_each(p, &d->processes) {
		if (!has_own_memory(*p))
			continue;
		vec_each(v, &(*p)->maps.list)
			n += v->inode == s->inode && shmem_sort_of(v->name) == SHMEM_SYSV;
	}
	return n;
}

static int check_attached(struct dump *d, const struct shmem *s, struct error *e)
{
	struct object o = { "shared memory", s->process->pid, 0 };
	uint64_t n_mapped = count_attached(d, s);
	struct shmid_ds ds;
	int rc = 0;

	if (shmctl((int)s->inode, IPC_STAT, &ds) < 0)
		rc = fail(e, errno, "look at it (shmctl)");
	else if (ds.shm_nattch > n_mapped)
		rc = fail(e, 0,
			  "processes outside the tree are attached to it as well (%llu of %llu "
			  "attachments); dump those too",
			  (unsigned long long)(ds.shm_nattch - n_mapped),
			  (unsigned long long)ds.shm_nattch);
	return verdict(d, o, rc, e, "System V segment %d", (int)s->inode);
}

int shmem_check_attached(struct dump *d, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < d->shmems.n && rc >= 0; i++)
		if (d->shmems.v[i]->sort == SHMEM_SYSV)
			rc = check_attached(d, d->shmems.v[i], e);
	return rc;
}

int shmem_check(struct dump *d, struct error *e)
{
	int rc = d->shmems.n ? outside_check(d, e) : 0;

	return rc < 0 ? rc : shmem_check_attached(d, e);
}

/* --- records ----------------------------------------------------------------------------------- */

/* A description of our own: positions of the subject's stay where they are. */
static int open_shmem(const struct shmem *s, struct error *e)
{
	char path[64];
	int fd;

	if (s->end)
		name_mapping(path, s->start, s->end);
	else
		snprintf(path, sizeof(path), "fd/%d", s->fd);
	fd = openat(s->process->dir, path, O_RDONLY | O_CLOEXEC | O_NOATIME);
	return fd < 0 ? fail(e, errno, "open %s of process %d", path, s->process->pid) : fd;
}

static int fill_name(struct dump *d, const struct shmem *s, SharedMemory *m)
{
	const char *name;
	size_t n = shmem_name(s->text, &name);

	m->name = arena_strndup(&d->arena, name, n);
	return 0;
}

static int fill_file(struct dump *d, const struct shmem *s, SharedMemory *m, int fd,
		     struct error *e)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return fail(e, errno, "F_GET_SEALS");
	m->has_seals = true;
	m->seals = (uint32_t)seals;
	return fill_name(d, s, m);
}

static int fill_segment(const struct shmem *s, SharedMemory *m, struct error *e)
{
	struct shmid_ds ds;

	if (shmctl((int)s->inode, IPC_STAT, &ds) < 0)
		return fail(e, errno, "shmctl");
	m->size = ds.shm_segsz;
	m->uid = ds.shm_perm.uid;
	m->gid = ds.shm_perm.gid;
	m->mode = ds.shm_perm.mode;
	m->has_shmid = m->has_key = m->has_cpid = m->has_ctime = true;
	m->shmid = (int32_t)s->inode;
	m->key = shmem_key(s->text);
	m->cpid = (uint32_t)ds.shm_cpid;
	m->ctime = ds.shm_ctime;
	return 0;
}

static int fill(struct dump *d, const struct shmem *s, SharedMemory *m, int fd, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(e, errno, "fstat");
	m->id = s->id;
	m->size = (uint64_t)st.st_size;
	m->uid = st.st_uid;
	m->gid = st.st_gid;
	m->mode = st.st_mode & 07777;
	m->noreserve = s->noreserve;
	m->has_page_size = s->page_size != PAGE;
	m->page_size = m->has_page_size ? s->page_size : 0;
	switch (s->sort) {
	case SHMEM_FILE:
		m->sort = SHARED_MEMORY__SORT__FILE;
		return fill_file(d, s, m, fd, e);
	case SHMEM_SYSV:
		m->sort = SHARED_MEMORY__SORT__SYSV;
		return fill_segment(s, m, e);
	case SHMEM_TMPFS:
		m->sort = SHARED_MEMORY__SORT__TMPFS;
		return fill_name(d, s, m);
	default:
		m->sort = SHARED_MEMORY__SORT__ANON;
		return 0;
	}
}

static int save_one(struct dump *d, const struct shmem *s, struct error *e)
{
	auto_fd fd = open_shmem(s, e);
	SharedMemory m = SHARED_MEMORY__INIT;
	int rc = fd;

	if (rc >= 0)
		rc = fill(d, s, &m, fd, e);
	if (rc >= 0)
		rc = shmem_save_pages(d, fd, &m, e);
	if (rc >= 0)
		rc = records_put(d, &record_shmem, &m.base, e);
	return within(e, rc, "task %d: %s", s->process->pid, s->text);
}

int shmem_save(struct dump *d, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < d->shmems.n && rc >= 0; i++)
		rc = save_one(d, d->shmems.v[i], e);
	return rc;
}
