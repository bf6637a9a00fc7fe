/* SPDX-License-Identifier: MIT */
/* The tree: processes and threads, from /proc before the freeze, from the holder's list after it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "dump/shmem.h"

static void thread_close(struct dump_thread *t)
{
	vec_free(&t->children.list);
	fd_cleanup(&t->dir);
	fd_cleanup(&t->pidfd);
	plan_free(&t->batch);
	vec_free(&t->fds);
}

void process_close(struct dump_process *p)
{
	vec_each(t, &p->threads)
		thread_close(*t);
	if (p->exited)
		thread_close(p->exited);
	vec_free(&p->threads);
	maps_free(&p->maps);
	vec_free(&p->pages.list);
	vec_free(&p->pages.guards);
	vec_free(&p->pages.huge);
	buf_free(&p->auxv);
	fd_cleanup(&p->dir);
	fd_cleanup(&p->pidfd);
}

void discover_free(struct dump *d)
{
	vec_each(p, &d->processes)
		process_close(*p);
	vec_free(&d->processes);
	vec_free(&d->zombies);
	vec_free(&d->descriptions);
	vec_free(&d->shared);
	vec_free(&d->tags);
	vec_free(&d->files);
	vec_free(&d->shmems);
	vec_free(&d->outsiders);
}

int thread_read(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = proc_stat_read(t->dir, &t->stat, e);

	if (rc >= 0)
		rc = proc_status_read(t->dir, &d->arena, &t->status, e);
	t->is_fresh = rc >= 0;
	return rc;
}

int thread_open(const struct dump_process *p, int tid, struct error *e)
{
	char path[32];
	int dir;

	snprintf(path, sizeof(path), "task/%d", tid);
	dir = openat(p->dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(e, errno == ENOENT ? ESRCH : errno, "thread %d", tid);
	return dir;
}

/* -ESRCH: there is no such thread (any more). */
static int thread_add(struct dump *d, struct dump_process *p, int tid, struct dump_thread **out,
		      struct error *e)
{
	int dir = thread_open(p, tid, e);

	if (dir < 0)
		return dir;
	*out = arena_alloc(&d->arena, sizeof(**out));
	**out = (struct dump_thread){ .process = p, .tid = tid, .dir = dir, .pidfd = -1 };
	*vec_add(&p->threads) = *out;
	return 0;
}

/* /proc/TID is there for every thread, and shows the process as that thread has it. */
static int open_process(struct dump_process *p, int tid, struct error *e)
{
	char path[32];

	fd_cleanup(&p->dir);
	snprintf(path, sizeof(path), "/proc/%d", tid);
	p->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->dir < 0 && errno == ENOENT)
		return fail(e, ESRCH, "process %d", p->pid);
	if (p->dir < 0)
		return fail(e, errno, "open %s", path);
	return 0;
}

/* /proc/TID is there for every thread, though it is not listed. */
static int check_is_process(struct dump_process *p, struct error *e)
{
	const struct dump_thread *t = speaker_of(p);

	if (t->status.tgid != p->pid)
		return fail(e, 0, "%d is a thread of process %d; a process is saved as a whole",
			    p->pid, t->status.tgid);
	if (t->stat.flags & 0x00200000)
		return fail(e, 0, "%d (%s) is a kernel thread", p->pid, t->stat.comm);
	if (p->pid == getpid())
		return fail(e, 0,
			    "%d is this cr itself; run it outside the tree that is to be saved",
			    p->pid);
	return 0;
}

/* Of the leader's there is none that gives descriptors when it has exited; of a thread since 6.9. */
static int open_pidfd(struct dump_process *p, struct error *e)
{
	bool leader = !p->exited;

	fd_cleanup(&p->pidfd);
	p->pidfd = sys_pidfd_open(speaker_id(p), leader ? 0 : PIDFD_THREAD);
	if (p->pidfd == -EINVAL && !leader)
		return 0;
	if (p->pidfd < 0)
		return fail(e, -p->pidfd, "open a pidfd of process %d", p->pid);
	return 0;
}

/* What is two folders above the thread's is then the process as this thread has it. */
static int turn_to_speaker(struct dump_process *p, struct error *e)
{
	struct dump_thread *t = speaker_of(p);
	int rc = open_process(p, t->tid, e);

	if (rc < 0)
		return rc;
	fd_cleanup(&t->dir);
	t->dir = thread_open(p, t->tid, e);
	return t->dir < 0 ? t->dir : 0;
}

/* The leader has exited: what it left is told by its entry in /proc, all else by another thread. */
static int take_exited(struct dump *d, struct dump_process *p, struct error *e)
{
	struct pids tids = { 0 };
	struct dump_thread *t = NULL;
	int rc = proc_threads(p->dir, &tids, e);

	p->exited = speaker_of(p);
	p->threads.n = 0;
	for (size_t i = 0; i < tids.list.n && rc >= 0 && !t; i++) {
		if (tids.list.v[i] == p->pid)
			continue;
		rc = thread_add(d, p, tids.list.v[i], &t, e);
		if (rc == -ESRCH)
			rc = 0;
	}
	vec_free(&tids.list);
	if (rc >= 0 && !t)
		rc = fail(e, ESRCH, "process %d", p->pid);
	if (rc >= 0)
		rc = turn_to_speaker(p, e);
	return rc < 0 ? rc : thread_read(d, t, e);
}

static bool has_exited(const struct dump_thread *t)
{
	return t->tid == t->process->pid && t->stat.state == 'Z' && t->status.threads > 1;
}

static bool is_zombie(const struct dump_thread *t)
{
	return t->stat.state == 'Z' && !has_exited(t);
}

void zombie_add(struct dump *d, struct dump_process *parent, const struct proc_stat *stat)
{
	*vec_add(&d->zombies) =
		(struct dump_zombie){ .pid = stat->pid, .parent = parent, .stat = *stat };
}

int process_open(struct dump *d, struct dump_process *p, struct error *e)
{
	struct dump_thread *leader;
	int rc = open_process(p, p->pid, e);

	if (rc < 0)
		return rc;
	rc = thread_add(d, p, p->pid, &leader, e);
	if (rc == -ESRCH) /* /proc/TID/task has the threads, under their own numbers */
		rc = fail(e, ESRCH, "process %d", p->pid);
	if (rc >= 0)
		rc = thread_read(d, leader, e);
	if (rc >= 0)
		rc = check_is_process(p, e);
	if (rc >= 0 && p->parent && is_zombie(leader))
		return 1;
	if (rc >= 0 && has_exited(leader))
		rc = take_exited(d, p, e);
	if (rc >= 0)
		rc = open_pidfd(p, e);
	if (rc < 0)
		process_close(p);
	return rc;
}

struct dump_process *process_new(struct dump *d, int pid, struct dump_process *parent)
{
	struct dump_process *p = arena_alloc(&d->arena, sizeof(*p));

	*p = (struct dump_process){ .pid = pid, .parent = parent, .dir = -1, .pidfd = -1 };
	return p;
}

int process_add(struct dump *d, int pid, struct dump_process **out, struct error *e)
{
	struct dump_process *p = process_new(d, pid, NULL);
	int rc = process_open(d, p, e);

	if (rc < 0)
		return rc;
	*vec_add(&d->processes) = p;
	*out = p;
	return 0;
}

/* --- after the freeze -------------------------------------------------------------------------- */

static struct dump_process *find_process(const struct dump *d, int pid)
{
	vec_each(p, &d->processes)
		if ((*p)->pid == pid)
			return *p;
	return NULL;
}

/* Nearly always the first that the holder has not been asked for yet. */
static struct dump_thread *find_thread(struct dump_process *p, int tid)
{
	size_t n = p->threads.n;

	for (size_t i = 0; i < n; i++) {
		size_t k = (p->next_held + i) % n;

		if (p->threads.v[k]->tid != tid)
			continue;
		p->next_held = k + 1;
		return p->threads.v[k];
	}
	return NULL;
}

/* A number can have changed hands between the discovery and the freeze. */
static int check_same(struct dump_process *p, struct error *e)
{
	int rc = p->pidfd < 0 ? 0 : sys_pidfd_send_signal(p->pidfd, 0, NULL, 0);

	if (rc < 0)
		return fail(e, -rc, "process %d", p->pid);
	return 0;
}

static int take_held(struct dump *d, struct held *h, struct error *e)
{
	struct dump_process *p = find_process(d, h->pid);
	struct dump_thread *t;
	int rc = 0;

	if (!p)
		rc = process_add(d, h->pid, &p, e);
	if (rc < 0)
		return rc;
	t = find_thread(p, h->thread.tid);
	if (!t)
		rc = thread_add(d, p, h->thread.tid, &t, e);
	if (rc < 0)
		return rc;
	t->held = &h->thread;
	/* A stop that comes while threads are being held reaches some of them only; the others are on
	 * their way. */
	if (h->thread.stop_signal)
		p->stop_signal = h->thread.stop_signal;
	return 0;
}

static void drop_threads(struct dump_process *p)
{
	size_t n = 0;

	vec_each(t, &p->threads) {
		if ((*t)->held)
			p->threads.v[n++] = *t;
		else if ((*t)->tid == p->pid && !p->exited)
			p->exited = *t;
		else
			thread_close(*t);
	}
	p->threads.n = n;
}

/* The one that spoke until now may have exited. */
static int renew_speaker(struct dump *d, struct dump_process *p, struct error *e)
{
	int rc = 0;

	if (!p->exited)
		return 0;
	rc = thread_read(d, p->exited, e);
	if (rc >= 0)
		rc = turn_to_speaker(p, e);
	return rc < 0 ? rc : open_pidfd(p, e);
}

static bool is_held(const struct dump_process *p)
{
	vec_each(t, &p->threads)
		if ((*t)->held)
			return true;
	return false;
}

static void drop_processes(struct dump *d)
{
	size_t n = 0;

	vec_each(p, &d->processes) {
		if (is_held(*p))
			d->processes.v[n++] = *p;
		else
			process_close(*p);
	}
	d->processes.n = n;
}

static int read_speaker(struct dump *d, void *unused, size_t i, struct error *e)
{
	struct dump_process *p = d->processes.v[i];
	int rc = check_same(p, e);

	(void)unused;
	return rc < 0 ? rc : thread_read(d, speaker_of(p), e);
}

/* Orphans have got another parent meanwhile, and a process can be found before its parent. */
static int set_parents(struct dump *d, struct error *e)
{
	int rc = gather_over(d, d->processes.n, GRAIN_PROCESSES, read_speaker, NULL, e);

	for (size_t i = 0; i < d->processes.n && rc >= 0; i++) {
		struct dump_process *p = d->processes.v[i];

		if (i)
			p->parent = find_process(d, speaker_of(p)->stat.ppid);
		if (i && !p->parent)
			return fail(e, 0, "process %d has left the tree; try again", p->pid);
	}
	return rc;
}

/* Nobody can wait for one any more: all parents are held. */
static int find_zombies(struct dump *d, struct error *e)
{
	const struct holder_page *page = d->holder.page;

	d->zombies.n = 0;
	for (uint32_t i = 0; i < page->n_held; i++) {
		struct dump_process *parent;
		struct proc_stat stat;
		char path[32];
		int rc;

		if (!page->held[i].is_zombie)
			continue;
		snprintf(path, sizeof(path), "/proc/%d", page->held[i].pid);
		auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0 && errno != ENOENT)
			return fail(e, errno, "open %s", path);
		rc = dir < 0 ? -ESRCH : proc_stat_read(dir, &stat, e);
		if (rc == -ESRCH)
			continue;
		if (rc < 0)
			return within(e, rc, "task %d", page->held[i].pid);
		parent = find_process(d, stat.ppid);
		/* Its parent has ended as well: it is init's now. */
		if (parent)
			zombie_add(d, parent, &stat);
	}
	return 0;
}

static size_t depth(const struct dump_process *p)
{
	size_t n = 0;

	for (; p->parent; p = p->parent)
		n++;
	return n;
}

/* Insertion sort: nearly always in order already. */
static void sort_by_depth(struct dump *d)
{
	struct dump_process **v = d->processes.v;

	for (size_t i = 1; i < d->processes.n; i++) {
		for (size_t k = i; k && depth(v[k - 1]) > depth(v[k]); k--) {
			struct dump_process *p = v[k];

			v[k] = v[k - 1];
			v[k - 1] = p;
		}
	}
}

int discover_held(struct dump *d, struct error *e)
{
	struct holder_page *page = d->holder.page;
	int rc = 0;

	for (uint32_t i = 0; i < page->n_held && rc >= 0; i++)
		if (!page->held[i].is_gone)
			rc = take_held(d, &page->held[i], e);
	if (rc < 0)
		return rc;
	drop_processes(d);
	for (size_t i = 0; i < d->processes.n && rc >= 0; i++) {
		drop_threads(d->processes.v[i]);
		rc = renew_speaker(d, d->processes.v[i], e);
	}
	if (rc >= 0)
		rc = set_parents(d, e);
	sort_by_depth(d);
	return rc < 0 ? rc : find_zombies(d, e);
}

bool dump_has_process(const struct dump *d, int pid)
{
	vec_each(p, &d->processes)
		if ((*p)->pid == pid)
			return true;
	return false;
}
