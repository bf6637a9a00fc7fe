/* SPDX-License-Identifier: MIT */
/*
 * System V segments. They live in the IPC namespace and outlive those that attach them: after a dump
 * that has ended its subject they are still there, and are used again if they are the very ones;
 * else they are made anew, under their old number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/fd.h"
#include "restore/shmem.h"

#define TURNS 5 /* somebody else may take the number that was asked for */

/* Sets the number of the next segment that anybody in the namespace makes. */
static int set_next(int id, struct error *e)
{
	static const char path[] = "/proc/sys/kernel/shm_next_id";
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", id);

	if (fd < 0)
		return fail(e, errno, "open %s", path);
	if (write(fd, text, (size_t)n) != n)
		return fail(e, errno, "write %s (needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN)",
			    path);
	return 0;
}

static int make_new(const SharedMemory *m, struct error *e)
{
	int flags =
		IPC_CREAT | IPC_EXCL | (int)(m->mode & 0777) | (m->noreserve ? SHM_NORESERVE : 0);

	for (unsigned int turn = 0; turn < TURNS; turn++) {
		int rc = set_next(m->shmid, e), id;

		if (rc < 0)
			return rc;
		id = shmget((key_t)m->key, m->size, flags);
		if (id < 0 && errno == EEXIST)
			return fail(e, 0,
				    "another System V segment has the key 0x%08x; remove it: ipcrm "
				    "-M 0x%08x",
				    m->key, m->key);
		if (id < 0)
			return fail(e, errno, "make a System V segment of %llu bytes",
				    (unsigned long long)m->size);
		if (id == m->shmid)
			return 0;
		shmctl(id, IPC_RMID, NULL);
	}
	return fail(e, 0,
		    "the number %d of a System V segment is not free: another has it, or one that "
		    "differs from it by a multiple of 32768",
		    m->shmid);
}

/* 1: the segment of the dump is still there. */
static int find_old(const SharedMemory *m, struct error *e)
{
	struct shmid_ds ds;

	if (shmctl(m->shmid, IPC_STAT, &ds) < 0)
		return 0;
	if (ds.shm_segsz != m->size || (uint32_t)ds.shm_cpid != m->cpid ||
	    ds.shm_ctime != m->ctime || ds.shm_perm.mode & SEGMENT_DEST)
		return fail(e, 0,
			    "another System V segment has the number %d; remove it: ipcrm -m %d",
			    m->shmid, m->shmid);
	if (ds.shm_nattch)
		return fail(e, 0,
			    "System V segment %d is still there, and %llu processes are attached "
			    "to it; end them",
			    m->shmid, (unsigned long long)ds.shm_nattch);
	return 1;
}

static int attach(struct made_shmem *s, struct error *e)
{
	void *p = shmat(s->rec->shmid, NULL, 0);

	if (p == (void *)-1)
		return fail(e, errno, "attach System V segment %d", s->rec->shmid);
	s->attached = p;
	s->fd = shmem_open_mapped(p, s->rec->size, e);
	return s->fd;
}

/* What was there is what somebody may have written since. */
static int empty(const struct made_shmem *s, struct error *e)
{
	if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)s->rec->size) <
	    0)
		return fail(e, errno, "empty System V segment %d", s->rec->shmid);
	return 0;
}

static int set_manners(const SharedMemory *m, struct error *e)
{
	struct shmid_ds ds;

	if (shmctl(m->shmid, IPC_STAT, &ds) < 0)
		return fail(e, errno, "look at System V segment %d", m->shmid);
	if (ds.shm_perm.uid != m->uid || ds.shm_perm.gid != m->gid ||
	    (ds.shm_perm.mode & 0777u) != (m->mode & 0777)) {
		ds.shm_perm.uid = m->uid;
		ds.shm_perm.gid = m->gid;
		ds.shm_perm.mode = (unsigned short)(m->mode & 0777);
		if (shmctl(m->shmid, IPC_SET, &ds) < 0)
			return fail(e, errno, "set owner and permissions of System V segment %d",
				    m->shmid);
	}
	if (m->mode & SEGMENT_LOCKED && shmctl(m->shmid, SHM_LOCK, NULL) < 0)
		return fail(e, errno, "lock System V segment %d", m->shmid);
	/* cr is attached to it, so it stays until the tasks are. */
	if (m->mode & SEGMENT_DEST && shmctl(m->shmid, IPC_RMID, NULL) < 0)
		return fail(e, errno, "remove System V segment %d", m->shmid);
	return 0;
}

int segment_make(struct made_shmem *s, struct error *e)
{
	int old = find_old(s->rec, e), rc = old;

	if (rc == 0) {
		rc = make_new(s->rec, e);
		s->is_new = rc == 0;
	}
	if (rc >= 0)
		rc = attach(s, e);
	if (rc >= 0 && old == 1)
		rc = empty(s, e);
	return rc < 0 ? rc : set_manners(s->rec, e);
}

void segment_close(struct made_shmem *s, bool failed)
{
	if (s->attached)
		shmdt(s->attached);
	s->attached = NULL;
	if (s->is_new && failed)
		shmctl(s->rec->shmid, IPC_RMID, NULL);
	s->is_new = false;
}
