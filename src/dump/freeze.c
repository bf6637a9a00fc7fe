/* SPDX-License-Identifier: MIT */
/* In the holder: stopping the whole tree, and what ptrace tells of each thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "dump/holder.h"
#include "proc/task.h"
#include "remote/filters.h"
#include "remote/memory.h"

#define SPARE_SECONDS 2.0
#define SPARE_BUSY_SECONDS 0.1
#define XSTATE_USUAL 2432u /* with AVX-512: what is made present for each beforehand */
#define ASLEEP_LOOKS 1000

struct freezer {
	struct holder_page *page;
	const struct trace_watch *watch;
};

/* --- the list of threads; those of one process stand together, as they are found ---------------- */

static bool is_known(const struct freezer *f, int tid)
{
	return f->page->known[tid / 8] & 1 << tid % 8;
}

static void set_known(struct freezer *f, int tid, bool known)
{
	uint8_t bit = (uint8_t)(1 << tid % 8);

	if (known)
		f->page->known[tid / 8] |= bit;
	else
		f->page->known[tid / 8] &= (uint8_t)~bit;
}

/* 1: it is new. above: as in struct held. */
static int add(struct freezer *f, int pid, int tid, uint32_t above, struct error *e)
{
	struct holder_page *page = f->page;
	struct held *h;

	if (tid < 0 || (unsigned int)tid >= HOLDER_MAX_TIDS)
		return fail(e, 0, "a task with the number %d", tid);
	if (is_known(f, tid))
		return 0;
	set_known(f, tid, true);
	if (page->n_held == HOLDER_MAX_THREADS)
		return fail(e, 0, "more than %u threads", HOLDER_MAX_THREADS);
	h = &page->held[page->n_held++];
	memset(h, 0, sizeof(*h));
	h->pid = pid;
	h->thread.tid = tid;
	h->above = above;
	return 1;
}

/* --- stopping ------------------------------------------------------------------------------------ */

static char state_of(const struct held *h)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", h->pid, h->thread.tid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return proc_state(dir);
}

/* The link count of the folder `task` less 2: one call in place of a listing. A leader that has exited
 * before its threads counts. */
static uint32_t n_threads(int pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	return stat(path, &st) == 0 && st.st_nlink > 2 ? (uint32_t)st.st_nlink - 2 : 0;
}

/* A leader is missed; that another thread has ended meanwhile is nothing. */
static int gone(struct freezer *f, struct held *h, struct error *e)
{
	char state = state_of(h);

	h->is_gone = true;
	set_known(f, h->thread.tid, false);
	if (h->thread.tid != h->pid)
		return 0;
	if (state == 'Z' && n_threads(h->pid) > 1) {
		h->is_exited = true;
		set_known(f, h->thread.tid, true);
		return 0;
	}
	if (h->pid == f->page->root)
		return fail(
			e, ESRCH,
			"process %d ended, or began another program, before it could be stopped",
			h->pid);
	if (state == 'Z') {
		h->is_zombie = true;
		set_known(f, h->thread.tid, true);
	}
	return 0;
}

static int seize(struct freezer *f, struct held *h, struct error *e)
{
	int rc = trace_seize(h->thread.tid);

	/* Who is ending cannot be traced. By now the number may be that of a thread that has run another
	 * program, which can be. */
	if (rc == -EPERM && proc_has_ended(state_of(h)))
		rc = -ESRCH;
	else if (rc == -EPERM)
		rc = trace_seize(h->thread.tid);
	if (rc == -ESRCH)
		return gone(f, h, e);
	if (rc == -EPERM)
		return fail(e, EPERM,
			    "trace thread %d (somebody else traces it, it is another user's, or "
			    "kernel.yama.ptrace_scope forbids it)",
			    h->thread.tid);
	if (rc < 0)
		return fail(e, -rc, "trace thread %d", h->thread.tid);
	h->is_seized = true;
	rc = trace_interrupt(h->thread.tid);
	if (rc < 0 && rc != -ESRCH)
		return fail(e, -rc, "stop thread %d", h->thread.tid);
	return 0;
}

/* Within a restartable sequence: the kernel would abort it now, but cannot tell any more once the
 * thread has been elsewhere (rseq(2)). */
static int abort_sequence(struct held *h, struct error *e)
{
	struct held_thread *t = &h->thread;
	struct {
		uint32_t version, flags;
		uint64_t start, length, abort_ip;
	} cs = { 0 };
	uint64_t at = 0;
	int rc;

	if (!t->rseq_address)
		return 0;
	rc = memory_read(t->tid, t->rseq_address + 8, &at, sizeof(at));
	if (rc >= 0 && at)
		rc = memory_read(t->tid, at, &cs, sizeof(cs));
	if (rc < 0)
		return fail(e, -rc, "read the rseq area of thread %d", t->tid);
	if (at && arch_ip(t->regs) - cs.start < cs.length)
		arch_set_ip(t->regs, cs.abort_ip);
	return 0;
}

int freeze_next_stop(struct held *h, const struct trace_watch *w, struct error *e)
{
	int tid = h->thread.tid, signal, rc;

	for (;;) {
		rc = trace_wait(tid, w, &signal, e);
		if (rc < 0 || rc == TRACE_GONE)
			return rc;
		if (rc == TRACE_STOP || rc == TRACE_GROUP_STOP)
			break;
		rc = trace_run(tid, false, signal, e);
		if (rc < 0)
			return rc;
	}
	h->thread.stop_signal = rc == TRACE_GROUP_STOP ? signal : 0;
	return rc;
}

/*
 * Where in the kernel the thread sleeps, when it has fallen asleep: on a busy machine that takes its time, and
 * one that has lost the processor on the way is shown as asleep before the kernel tells where.
 */
static bool read_sleep(const struct held *h, struct deadline d, struct buf *out)
{
	unsigned int asleep = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/wchan", h->pid, h->thread.tid);
	for (;;) {
		if (fd_read_file(AT_FDCWD, path, out) < 0)
			return false;
		if (out->len && strcmp(out->p, "0"))
			return true;
		if (asleep == ASLEEP_LOOKS || deadline_is_over(d))
			return false;
		usleep(asleep < 10 ? 100 : 1000);
		asleep += state_of(h) == 'S';
	}
}

/* Lets a thread sleep on in a call that has lost its name, to see which it is. */
static int name_call(struct freezer *f, struct held *h, struct error *e)
{
	struct held_thread *t = &h->thread;
	auto_buf sleeps_in = { 0 };
	bool seen;
	int rc;

	if (!arch_is_nameless(t->regs))
		return 0;
	rc = trace_run(t->tid, false, 0, e);
	if (rc < 0)
		return rc;
	seen = read_sleep(h, f->watch->deadline, &sleeps_in);
	rc = trace_interrupt(t->tid);
	if (rc < 0 && rc != -ESRCH)
		return fail(e, -rc, "stop thread %d", t->tid);
	rc = freeze_next_stop(h, f->watch, e);
	if (rc < 0 || rc == TRACE_GONE)
		return rc < 0 ? rc : gone(f, h, e);
	rc = trace_read_thread(t, HOLDER_XSTATE_ROOM, e);
	if (rc >= 0 && arch_is_nameless(t->regs) && !seen)
		return fail(
			e, 0,
			"thread %d sleeps in a call that was interrupted before, and this kernel does not "
			"tell in which (/proc/PID/wchan); try again",
			t->tid);
	if (rc >= 0 && arch_is_nameless(t->regs))
		arch_name_call(t->regs, sleeps_in.p);
	return rc < 0 ? rc : trace_set_regs(t->tid, t->regs, t->n_regs, e);
}

/* The stop has broken a call off that would tell it to the program, which has got no signal: it is made
 * anew. With a signal on its way the answer is right. */
static int hide_interruption(struct held *h, struct error *e)
{
	struct arena arena = { 0 };
	struct proc_status status;
	char path[64];
	int rc;

	if (!arch_is_broken_off(h->thread.regs))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", h->pid, h->thread.tid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(e, errno, "open %s", path);
	rc = proc_status_read(dir, &arena, &status, e);
	arena_free(&arena);
	if (rc < 0 || (status.sig_pending | status.shared_pending) & ~h->thread.sigmask)
		return rc;
	arch_begin_anew(h->thread.regs);
	/* At once, so that it is so too when the dump fails before it has come to this thread. */
	return trace_set_regs(h->thread.tid, h->thread.regs, h->thread.n_regs, e);
}

static int read_thread(struct freezer *f, struct held *h, struct error *e)
{
	struct holder_page *page = f->page;
	uint64_t left = HOLDER_BYTES - page->used;
	int rc;

	if (left < 2 * HOLDER_XSTATE_ROOM)
		return fail(e, 0, "too many threads");
	h->thread.xstate = (uint8_t *)page + page->used;
	rc = trace_read_thread(&h->thread, HOLDER_XSTATE_ROOM, e);
	if (rc >= 0)
		rc = name_call(f, h, e);
	if (rc < 0 || h->is_gone)
		return rc;
	rc = freeze_leave_vdso(page, h, f->watch, e);
	if (rc == TRACE_GONE)
		return gone(f, h, e);
	if (rc < 0)
		return rc;
	page->used += (h->thread.xstate_size + 63) & ~63u;
	h->is_read = true;
	rc = hide_interruption(h, e);
	return rc < 0 ? rc : abort_sequence(h, e);
}

static int await_stop(struct freezer *f, struct held *h, struct error *e)
{
	int rc = freeze_next_stop(h, f->watch, e);

	if (rc == TRACE_GONE)
		return gone(f, h, e);
	return rc < 0 ? rc : read_thread(f, h, e);
}

static bool is_new(const struct held *h)
{
	return !h->is_gone && !h->is_read;
}

static bool is_of_wave(const struct holder_page *page, uint32_t start, uint32_t i)
{
	const struct held *first = &page->held[start], *h = &page->held[i];

	if (h->above != HOLDER_ROOT && h->above >= start)
		return false;
	if (first->has_company || h->has_company)
		return h->pid == first->pid;
	return true;
}

/*
 * One past those, from held[start] on, whose parents stand before all of them. A process that shares its memory is
 * alone: the child of its vfork may be its sibling (CLONE_PARENT).
 */
static uint32_t end_of_wave(const struct holder_page *page, uint32_t start)
{
	uint32_t end = start;

	while (end < page->n_held && is_of_wave(page, start, end))
		end++;
	return end;
}

/*
 * All at once whose parents have stopped: the first of them stop while the others are told to. A parent before its
 * children, since one that waits for the child of its vfork stops only when that child has run on.
 */
static int stop_new(struct freezer *f, struct error *e)
{
	const struct holder_page *page = f->page;
	int rc = 0;

	for (uint32_t start = 0, end; start < page->n_held && rc >= 0; start = end) {
		end = end_of_wave(page, start);
		for (uint32_t i = start; i < end && rc >= 0; i++)
			if (is_new(&f->page->held[i]))
				rc = seize(f, &f->page->held[i], e);
		for (uint32_t i = start; i < end && rc >= 0; i++)
			if (is_new(&f->page->held[i]))
				rc = await_stop(f, &f->page->held[i], e);
	}
	return rc;
}

/* --- looking for more ------------------------------------------------------------------------------ */

static int find_threads(struct freezer *f, uint32_t one, struct error *e)
{
	const struct holder_page *page = f->page;
	uint32_t n = 0, above = page->held[one].above;
	int pid = page->held[one].pid;
	char path[32];
	struct pids tids = { 0 };
	int rc, more = 0;

	for (uint32_t i = 0; i < page->n_held; i++)
		n += page->held[i].pid == pid &&
		     (!page->held[i].is_gone || page->held[i].is_exited);
	if (n_threads(pid) == n)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	rc = proc_threads(dir, &tids, e);
	for (size_t i = 0; i < tids.list.n && rc >= 0; i++) {
		rc = add(f, pid, tids.list.v[i], above, e);
		more |= rc > 0;
	}
	vec_free(&tids.list);
	if (rc == -ESRCH)
		return 0;
	return rc < 0 ? rc : more;
}

static int find_children(struct freezer *f, uint32_t one, struct error *e)
{
	const struct held *h = &f->page->held[one];
	char path[64];
	auto_buf text = { 0 };
	const char *p;
	uint64_t pid;
	int rc, more = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", h->pid, h->thread.tid);
	rc = fd_read_file(AT_FDCWD, path, &text);
	if (rc == -ESRCH || rc == -ENOENT)
		return 0;
	if (rc < 0)
		return fail(e, -rc, "read %s", path);
	for (p = text.p; str_take_u64(&p, 10, &pid); p++) {
		rc = add(f, (int)pid, (int)pid, one, e);
		if (rc < 0)
			return rc;
		more |= rc > 0;
		if (*p != ' ')
			break;
	}
	return more;
}

static int find_more(struct freezer *f, struct error *e)
{
	const struct holder_page *page = f->page;
	uint32_t n = page->n_held;
	int more = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct held *h = &page->held[i];
		int rc = 0;

		if (i == 0 || page->held[i - 1].pid != h->pid)
			rc = find_threads(f, i, e);
		more |= rc > 0;
		if (rc >= 0 && !h->is_gone)
			rc = find_children(f, i, e);
		if (rc < 0)
			return rc;
		more |= rc > 0;
	}
	return more;
}

/* A parent may have waited for it before it was stopped itself, and the number be somebody else's. */
static int find_reused(struct freezer *f)
{
	int more = 0;

	for (uint32_t i = 0; i < f->page->n_held; i++) {
		struct held *h = &f->page->held[i];
		char state = h->is_zombie ? state_of(h) : 'Z';

		if (state == 'Z')
			continue;
		h->is_zombie = false;
		if (!state)
			continue;
		set_known(f, h->thread.tid, false);
		more = 1;
	}
	return more;
}

/* One of each process: its leader or, when that has exited, some other. */
static int choose_speakers(struct holder_page *page, struct error *e)
{
	for (uint32_t i = 0; i < page->n_held; i++) {
		struct held *h = &page->held[i];
		uint32_t k = 0;

		if (!h->is_gone && h->thread.tid == h->pid)
			h->speaks = true;
		if (!h->is_exited)
			continue;
		while (k < page->n_held && (page->held[k].pid != h->pid || page->held[k].is_gone))
			k++;
		if (k == page->n_held)
			return fail(e, 0, "process %d has ended meanwhile; try again", h->pid);
		page->held[k].speaks = true;
	}
	return 0;
}

/* A pass that finds nothing new, when all that is known stands still, ends it. */
int freeze_tree(struct holder_page *page, const struct trace_watch *w, struct error *e)
{
	struct freezer f = { page, w };
	int rc;

	mem_populate(page->held, page->n_held * sizeof(*page->held));
	mem_populate((char *)page + page->used, (size_t)page->n_held * XSTATE_USUAL);
	for (uint32_t i = 0; i < page->n_held; i++)
		set_known(&f, page->held[i].thread.tid, true);

	do {
		rc = stop_new(&f, e);
		if (rc >= 0)
			rc = find_more(&f, e);
		if (rc == 0)
			rc = find_reused(&f);
	} while (rc > 0);
	if (rc >= 0)
		rc = choose_speakers(page, e);
	for (uint32_t i = 0; i < page->n_held && rc >= 0; i++)
		if (page->held[i].speaks)
			rc = trace_check_hardware(page->held[i].thread.tid, e);
	return rc;
}

/* --- filters of system calls ------------------------------------------------------------------------ */

/*
 * A sleep that the stop has interrupted goes on by restart_syscall(2), which the filter sees too. Where
 * it would not let that pass, the call is made anew: the whole time again is better than SIGSYS.
 */
static int allow_restart(struct held_thread *t, struct error *e)
{
	static const uint64_t none[6];

	if (t->filter && filters_let(t->filter, SYS_restart_syscall, none))
		return 0;
	arch_restart(t->regs);
	return trace_set_regs(t->tid, t->regs, t->n_regs, e);
}

static void spare(struct holder_page *page, struct held_thread *t)
{
	struct filter_store store = { (uint8_t *)page + page->used, (uint8_t *)page + HOLDER_BYTES,
				      NULL };
	struct error ignored;

	t->seccomp = SECCOMP_MODE_FILTER;
	if (filters_read(t, &store, &ignored) < 0)
		t->filter = NULL;
	page->used = (uint64_t)(store.at - (uint8_t *)page + 63) & ~63ull;
	(void)!allow_restart(t, &ignored);
}

/* Nothing is known of filters yet: cr has died before, or refuses what it has seen. Who waits without being
 * interruptible, as a parent in vfork(2) does, is not in a sleep that could be broken off, and may stay there. */
void freeze_spare_sleepers(struct holder_page *page)
{
	struct trace_watch alone = { deadline_in(SPARE_SECONDS), -1 };
	struct trace_watch brief = { deadline_in(SPARE_BUSY_SECONDS), -1 };
	struct freezer f = { page, &alone };
	struct error ignored;

	for (uint32_t i = 0; i < page->n_held; i++) {
		struct held *h = &page->held[i];

		if (!h->is_seized || h->is_gone)
			continue;
		f.watch = !h->is_read && state_of(h) == 'D' ? &brief : &alone;
		if (!h->is_read && await_stop(&f, h, &ignored) < 0)
			continue;
		if (h->is_read && !h->thread.filter && arch_is_asleep(h->thread.regs) &&
		    filters_are_there(h->thread.tid))
			spare(page, &h->thread);
	}
}

int freeze_read_filters(struct holder_page *page, struct error *e)
{
	struct filter_store store = { (uint8_t *)page + page->used, (uint8_t *)page + HOLDER_BYTES,
				      NULL };
	int rc = 0;

	for (uint32_t i = 0; i < page->n_held && rc >= 0; i++) {
		struct held_thread *t = &page->held[i].thread;

		if (page->held[i].is_gone || !t->seccomp)
			continue;
		rc = filters_read(t, &store, e);
		if (rc >= 0)
			rc = allow_restart(t, e);
	}
	page->used = (uint64_t)(store.at - (uint8_t *)page + 63) & ~63ull;
	return rc;
}

/* --- pending signals ---------------------------------------------------------------------------------- */

static int read_queue(struct holder_page *page, int tid, bool shared, struct held_signals *to,
		      struct error *e)
{
	siginfo_t *list = (void *)((char *)page + page->used);
	uint64_t room = (HOLDER_BYTES - page->used) / sizeof(*list);
	int n;

	if (!to->wanted)
		return 0;
	n = trace_read_signals(tid, shared, list, (uint32_t)room, e);
	if (n < 0)
		return n;
	if ((uint64_t)n == room)
		return fail(e, 0, "thread %d has too many pending signals", tid);
	to->list = list;
	to->n = (uint32_t)n;
	page->used += (uint64_t)n * sizeof(*list);
	return 0;
}

int freeze_read_signals(struct holder_page *page, struct error *e)
{
	int rc = 0;

	page->used = (page->used + 63) & ~63ull;
	for (uint32_t i = 0; i < page->n_held && rc >= 0; i++) {
		struct held_thread *t = &page->held[i].thread;

		if (page->held[i].is_gone)
			continue;
		rc = read_queue(page, t->tid, false, &t->pending, e);
		if (rc >= 0)
			rc = read_queue(page, t->tid, true, &t->shared, e);
	}
	return rc;
}
