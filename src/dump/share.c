/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, fs (working folder, root folder, umask), memory, signal actions and I/O contexts: which tasks have the
 * same. Nearly always the threads of a process share all and processes nothing, so a thread is compared with the
 * speaker of its process, and only the speakers, and threads that differ from them, with each other: by the order
 * that the kernel has for such objects.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "dump/internal.h"
#include "tree/contexts.h"

enum part {
	PART_FILES = TABLE_FILES,
	PART_FS = TABLE_FS,
	PART_VM,
	PART_SIGHAND, /* behind it: who shares them shares memory */
	PART_IO,
	PARTS = SHARE_PARTS
};

static const struct {
	int type;
	const char *name;
} parts[PARTS] = {
	[PART_FILES] = { KCMP_FILES, "descriptor table" },
	[PART_FS] = { KCMP_FS, "working folder" },
	[PART_VM] = { KCMP_VM, "memory" },
	[PART_SIGHAND] = { KCMP_SIGHAND, "table of signal actions" },
	[PART_IO] = { KCMP_IO, "I/O context" },
};

uint32_t table_id(const struct dump_thread *t, enum table which)
{
	(void)which;
	return (uint32_t)(t == speaker_of(t->process) ? t->process->pid : t->tid);
}

uint32_t context_id(const struct dump_thread *t)
{
	return t->context ? table_id(t->context, TABLE_FILES) : 0;
}

int share_look(struct dump_thread *t, struct error *e)
{
	struct dump_thread *speaker = speaker_of(t->process);
	long priority = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, t->tid);

	/* A kernel without block devices has no such contexts. */
	t->io_priority = priority > 0 ? (uint32_t)priority : 0;

	for (enum table i = 0; i < TABLES; i++) {
		int rc = t == speaker ? 1 : sys_kcmp(speaker->tid, t->tid, parts[i].type, 0, 0);

		if (rc == -ENOSYS)
			return fail(e, ENOSYS, "kcmp (CONFIG_KCMP)");
		if (rc < 0)
			return fail(e, -rc, "compare with thread %d", speaker->tid);
		t->table[i] = rc ? t : speaker;
	}
	return 0;
}

/* --- between processes ---------------------------------------------------------------------------- */

struct head {
	struct dump_thread *thread;
	size_t place; /* in the order of the tree */
	bool follows; /* the one before it has the same */
};

struct heads {
	vec(struct head) list;
	enum part which;
	bool any_equal; /* somebody was equal to somebody */
	bool is_shared; /* memory or actions of several */
	int rc;         /* of the first kcmp that failed */
};

/* 1 less and 2 greater, by the kernel's own order. */
static int compare(const struct head *a, const struct head *b, struct heads *h)
{
	int rc = sys_kcmp(a->thread->tid, b->thread->tid, parts[h->which].type, 0, 0);

	/* Has ended meanwhile, if it is not held. */
	if (rc == -ESRCH)
		rc = 1;
	if (rc < 0 || rc > 2)
		h->rc = h->rc < 0 ? h->rc : rc < 0 ? rc : -EINVAL;
	h->any_equal = h->any_equal || !rc;
	return rc == 1 ? -1 : rc == 2;
}

static int by_object(const void *pa, const void *pb, void *heads)
{
	const struct head *a = pa, *b = pb;
	int order = compare(a, b, heads);

	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

/* include/linux/sched.h; told by /proc/PID/stat */
#define PF_EXITING 0x4u
#define PF_KTHREAD 0x200000u

/* Of two that have nothing kcmp says that they share it: they have ended, or are about to, or are the kernel's own. */
static bool has_nothing(const struct proc_stat *s)
{
	return proc_has_ended(s->state) || s->flags & (PF_EXITING | PF_KTHREAD);
}

static bool has_ended(const struct dump *d, const struct dump_thread *t)
{
	struct proc_stat stat;
	struct error ignored;

	if (d->frozen)
		return false;
	return proc_stat_read(t->dir, &stat, &ignored) < 0 || has_nothing(&stat);
}

static bool is_speaker(const struct dump_thread *t)
{
	return t == speaker_of(t->process);
}

/* A thread gets it from another of its process, and a process from another: not from a thread. */
static int check_mixed(struct dump *d, const struct head *first, const struct dump_thread *t,
		       enum part which, struct error *e)
{
	const struct dump_thread *a = first->thread;
	const struct dump_thread *odd = is_speaker(a) ? t : a, *other = odd == t ? a : t;
	struct object o = { "task", odd->process->pid, odd->tid };

	if (a->process == t->process || (is_speaker(a) && is_speaker(t)))
		return 0;
	return verdict(
		d, o,
		fail(e, 0,
		     "has a %s that is not that of its process but that of process %d, which "
		     "cannot be saved yet",
		     parts[which].name, other->process->pid),
		e, "%s", d->report ? odd->stat.comm : "");
}

/* The child of a vfork, too, has its parent's memory until it runs another program; the freeze waits for that. */
static void join_process(struct dump_process *first, struct dump_process *p, enum part which)
{
	if (which == PART_SIGHAND) {
		p->actions = first;
		return;
	}
	p->memory = first;
	first->has_company = p->has_company = first->has_company || p != first;
}

/* Equal ones, of whom the first in the tree stands for all. */
static int join(struct dump *d, struct heads *h, size_t start, size_t end, struct error *e)
{
	const struct head *first = NULL;
	int rc = 0;

	for (size_t i = start; i < end && end - start > 1 && rc >= 0; i++) {
		struct head *x = &h->list.v[i];

		if (has_ended(d, x->thread))
			continue;
		first = first ? first : x;
		if (h->which == PART_IO) {
			x->thread->context = first->thread;
			continue;
		}
		if (h->which >= PART_VM) {
			join_process(first->thread->process, x->thread->process, h->which);
			h->is_shared = h->is_shared || x != first;
			continue;
		}
		rc = check_mixed(d, first, x->thread, h->which, e);
		x->thread->table[h->which] = first->thread;
	}
	return rc;
}

static bool is_head(const struct dump_thread *t, enum part which)
{
	if (t->stat.state == 'Z')
		return false;
	/* Those without a context are equal for kcmp, and of one without a priority nothing tells that it is there. */
	if (which == PART_IO)
		return t->io_priority != 0;
	return which < PART_VM ? stands_for(t, (enum table)which) : is_speaker(t);
}

static int by_rank(const void *pa, const void *pb, void *heads)
{
	const struct head *a = pa, *b = pb;
	enum part which = ((struct heads *)heads)->which;
	size_t x = a->thread->rank[which], y = b->thread->rank[which];

	if (x != y)
		return x < y ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* Who has the same, one comparison each; and whether they are in order. */
static bool find_equal(struct heads *h)
{
	bool is_ordered = true;

	for (size_t i = 1; i < h->list.n; i++) {
		struct head *a = &h->list.v[i - 1], *b = &h->list.v[i];
		int order = compare(a, b, h);

		if (order > 0 || (!order && a->place > b->place))
			is_ordered = false;
		b->follows = !order;
	}
	return is_ordered;
}

/*
 * Where the last look has found them they still are, mostly. A sort compares all that are neighbours in the end:
 * when no two were equal, nothing is shared.
 */
static void sort_heads(struct heads *h)
{
	struct head *v = h->list.v;

	qsort_r(v, h->list.n, sizeof(*v), by_rank, h);
	if (!v[0].thread->rank[h->which] || !find_equal(h)) {
		h->any_equal = false;
		qsort_r(v, h->list.n, sizeof(*v), by_object, h);
		for (size_t i = 0; i < h->list.n; i++)
			v[i].follows = false;
		if (h->any_equal)
			(void)!find_equal(h);
	}
	for (size_t i = 0; i < h->list.n; i++)
		v[i].thread->rank[h->which] = i + 1;
}

/* Sorted. */
static int find_heads(struct dump *d, struct heads *h, struct error *e)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (is_head(*t, h->which))
				*vec_add(&h->list) =
					(struct head){ .thread = *t, .place = h->list.n };
	if (h->list.n > 1)
		sort_heads(h);
	return h->rc < 0 ? fail(e, -h->rc, "compare processes (kcmp)") : 0;
}

static int join_all(struct dump *d, struct heads *h, struct error *e)
{
	int rc = 0;

	for (size_t i = 0, end; i < h->list.n && rc >= 0; i = end) {
		for (end = i + 1; end < h->list.n && h->list.v[end].follows;)
			end++;
		rc = join(d, h, i, end, e);
	}
	return rc;
}

/* --- outside the tree ------------------------------------------------------------------------------ */

static int open_parent(const struct dump *d)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", speaker_of(d->processes.v[0])->stat.ppid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* An I/O context is a thread's. */
static void find_threads_of_parent(const struct dump *d, struct pids *out)
{
	struct error ignored;
	auto_fd dir = open_parent(d);

	if (dir >= 0)
		(void)!proc_threads(dir, out, &ignored);
}

/*
 * No count in /proc tells that somebody else has what a task has, and to compare all tasks of a machine would
 * take longer than the dump. The root has what it shares from birth: from its parent, whose other children may have
 * it too.
 */
static void find_relatives(const struct dump *d, struct pids *out)
{
	int parent = speaker_of(d->processes.v[0])->stat.ppid;
	struct pids tids = { 0 };
	struct error ignored;
	char path[32];
	auto_fd dir = open_parent(d);

	if (!parent || dir < 0 || proc_threads(dir, &tids, &ignored) < 0)
		return;
	*vec_add(&out->list) = parent;
	vec_each(tid, &tids.list) {
		snprintf(path, sizeof(path), "task/%d", *tid);
		auto_fd task = openat(dir, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (task >= 0)
			(void)!proc_task_children(task, out, &ignored);
	}
	vec_free(&tids.list);
}

/* For memory that several of the tree have: the kernel, asked later whether somebody else has it too, says yes. */
static void find_everybody(struct pids *out)
{
	DIR *all = opendir("/proc");
	struct dirent *de;
	int pid;

	while (all && (de = readdir(all)))
		if (str_to_pid(de->d_name, &pid) && pid != getpid())
			*vec_add(&out->list) = pid;
	if (all)
		closedir(all);
}

/* Which of those that are sorted has the same; NULL: none. */
static const struct head *find_same(const struct heads *h, int pid)
{
	size_t low = 0, high = h->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int rc = sys_kcmp(h->list.v[mid].thread->tid, pid, parts[h->which].type, 0, 0);

		if (rc == 0)
			return &h->list.v[mid];
		if (rc < 0 || rc > 2)
			return NULL;
		low = rc == 1 ? mid + 1 : low;
		high = rc == 1 ? high : mid;
	}
	return NULL;
}

static int read_stat(int pid, struct proc_stat *stat)
{
	struct error ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : proc_stat_read(dir, stat, &ignored);
}

/* A child that was born since the tree was looked at is not outside, as long as its parent lives. */
static bool is_below(const struct dump *d, int pid)
{
	struct proc_stat stat = { .ppid = pid };

	while (stat.ppid > 1 && !dump_has_process(d, stat.ppid))
		if (read_stat(stat.ppid, &stat) < 0)
			return true; /* it has ended by now, or that one has */
	return stat.ppid > 1;
}

static int compare_outside(struct dump *d, const struct heads *h, const struct pids *others,
			   struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < others->list.n && rc >= 0; i++) {
		int pid = others->list.v[i];
		const struct head *x = dump_has_process(d, pid) ? NULL : find_same(h, pid);
		struct proc_stat stat;

		if (!x || has_ended(d, x->thread) || is_below(d, pid))
			continue;
		if (read_stat(pid, &stat) < 0 || has_nothing(&stat))
			continue;
		rc = verdict(d, (struct object){ "task", x->thread->process->pid, x->thread->tid },
			     fail(e, 0,
				  "shares its %s with `%s` (pid %d), outside the tree; dump that "
				  "process too",
				  parts[h->which].name, stat.comm, pid),
			     e, "%s", d->report ? x->thread->stat.comm : "");
	}
	return rc;
}

/* --- threads ---------------------------------------------------------------------------------------- */

/* Whether the threads of a process can get theirs from each other again. */
static int check_threads(struct dump *d, const struct dump_process *p, struct error *e)
{
	struct object o = { "task", p->pid, p->pid };
	vec(struct kin) kin = { 0 };
	int rc = 0;

	vec_each(t, &p->threads) {
		struct kin *k;

		if (!(*t)->table[TABLE_FILES] || !(*t)->table[TABLE_FS])
			continue;
		k = vec_add(&kin);
		k->id = table_id(*t, TABLE_FILES);
		k->context = context_id(*t);
		for (enum table i = 0; i < TABLES; i++)
			k->table[i] = (uint32_t)(*t)->table[i]->tid;
	}
	if (kin.n > 1)
		rc = tables_find_threads(kin.v, kin.n, e);
	if (kin.n > 1 && rc >= 0)
		rc = contexts_find_threads(kin.v, kin.n, e);
	vec_free(&kin);
	return rc < 0 ? verdict(d, o, rc, e, "%s", "") : 0;
}

static bool has_contexts(const struct dump_process *p)
{
	vec_each(t, &p->threads)
		if ((*t)->context)
			return true;
	return false;
}

/* The table of a thread is that of its speaker, which may be that of another process. */
static bool follow(const struct dump_process *p, enum table which)
{
	bool any = false;

	for (size_t i = 1; i < p->threads.n; i++) {
		struct dump_thread *t = p->threads.v[i];

		if (!t->table[which])
			continue;
		any = any || t->table[which]->process != p || !is_speaker(t->table[which]);
		t->table[which] = t->table[which]->table[which];
	}
	return any;
}

static int find_part(struct dump *d, enum part which, const struct pids *others, bool *is_shared,
		     struct error *e)
{
	struct heads h = { .which = which };
	struct pids all = { 0 };
	int rc = find_heads(d, &h, e);

	if (rc >= 0 && (which < PART_VM || which == PART_IO) && h.list.n)
		rc = compare_outside(d, &h, others, e);
	if (rc >= 0 && which == PART_IO && h.list.n && !d->frozen) {
		find_threads_of_parent(d, &all);
		rc = compare_outside(d, &h, &all, e);
	}
	if (rc >= 0)
		rc = join_all(d, &h, e);
	*is_shared = h.is_shared;
	if (which == PART_VM && h.is_shared && !d->frozen)
		find_everybody(&all);
	if (rc >= 0 && which == PART_VM)
		rc = compare_outside(d, &h, all.list.n ? &all : others, e);
	vec_free(&all.list);
	vec_free(&h.list);
	return rc;
}

int share_find(struct dump *d, struct error *e)
{
	struct pids others = { 0 };
	bool is_shared = false;
	int rc = 0;

	if (!d->frozen)
		find_relatives(d, &others);
	vec_each(p, &d->processes) {
		(*p)->memory = (*p)->actions = *p;
		(*p)->has_company = false;
		vec_each(t, &(*p)->threads)
			(*t)->context = NULL;
	}
	/* CLONE_SIGHAND needs CLONE_VM, and execve(2) gives both anew: who shares no memory shares no actions. */
	for (enum part i = 0; i < PARTS && rc >= 0; i++)
		if (i != PART_SIGHAND || is_shared)
			rc = find_part(d, i, &others, &is_shared, e);
	vec_free(&others.list);
	vec_each(p, &d->processes) {
		bool any = has_contexts(*p);

		for (enum table i = 0; i < TABLES && rc >= 0; i++)
			any = follow(*p, i) || any;
		if (any && rc >= 0)
			rc = check_threads(d, *p, e);
	}
	return rc;
}
