/* SPDX-License-Identifier: MIT */
/* What only the threads themselves can tell: one plan for each, written here, run by the holder. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "arch/remote.h"
#include "base/log.h"
#include "base/mem.h"
#include "dump/internal.h"
#include "remote/batch.h"
#include "remote/memory.h"

#define PAGE 4096u

/* The engine's own questions, the first operations of a leader's plan. */
enum {
	ASK_BRK,
	ASK_SEGMENTS,
	ASK_LOCKED,
	ASK_ALONE,
};

static void ask_engine(struct plan *batch)
{
	plan_call_any(batch, SYS_brk, arg_num(0));
	arch_ask_segments(batch);
	/* It does nothing but find out whether the new mapping with the plans is locked: EBUSY. */
	plan_call_any(batch, SYS_msync, arg_region(0), arg_num(PAGE), arg_num(MS_INVALIDATE));
	/* It does nothing, but says whether another process has this memory: EINVAL. Or another thread. */
	plan_call_any(batch, SYS_unshare, arg_num(CLONE_VM));
}

static void ask_kind(struct dump_thread *t, const struct kind *k, struct asked *asked)
{
	struct task_view v;
	struct plan *batch = &t->batch;

	view_of_thread(t, k, &v);
	asked->first_op = (uint32_t)batch->ops.n;
	asked->data_at = (batch->data.len + 15) & ~15ull;
	k->task->ask(batch, &v);
	asked->n_ops = (uint32_t)batch->ops.n - asked->first_op;
	asked->n_data = batch->data.len > asked->data_at ? batch->data.len - asked->data_at : 0;
}

/* What the kernel writes of a siginfo for waitid: the numbers up to the status. */
#define TOLD_BYTES 32u

/*
 * Of a parent: whether it has waited for the stop of a child, or for its being continued (WCONTINUED). Who has
 * ever been stopped nobody tells, so all children are asked about; WNOWAIT with P_ALL tells of the first one only.
 * Behind all other questions, since it is known only now.
 */
static void ask_stops(struct dump *d)
{
	for (size_t i = 1; i < d->processes.n; i++) {
		struct dump_process *p = d->processes.v[i];
		struct plan *batch = &speaker_of(p->parent)->batch;
		uint64_t what = p->stop_signal ? WSTOPPED : WCONTINUED;

		p->told_at = plan_data(batch, NULL, TOLD_BYTES);
		p->told_op = plan_call_any(batch, SYS_waitid, arg_num(P_PID),
					   arg_num((uint64_t)p->pid), arg_data(p->told_at),
					   arg_num(what | WNOHANG | WNOWAIT | __WALL), arg_num(0));
	}
}

/* Of a parent: how a child has ended that it has not waited for. */
static void ask_zombies(struct dump *d)
{
	vec_each(z, &d->zombies) {
		struct plan *batch = &speaker_of(z->parent)->batch;

		z->asked_at = plan_data(batch, NULL, sizeof(siginfo_t));
		z->asked_op =
			plan_call_any(batch, SYS_waitid, arg_num(P_PID), arg_num((uint64_t)z->pid),
				      arg_data(z->asked_at),
				      arg_num(WEXITED | WNOHANG | WNOWAIT | __WALL), arg_num(0));
	}
}

static int take_zombies(struct dump *d, struct error *e)
{
	vec_each(z, &d->zombies) {
		const struct dump_thread *t = speaker_of(z->parent);
		const uint8_t *answers = z->parent->answers;
		const int64_t *results =
			(const void *)(answers + plan_results_at(&t->batch, t->plan_at));

		memcpy(&z->how, answers + plan_data_at(&t->batch, t->plan_at) + z->asked_at,
		       sizeof(z->how));
		if (results[z->asked_op] < 0 || z->how.si_pid != z->pid)
			return fail(e, results[z->asked_op] < 0 ? (int)-results[z->asked_op] : 0,
				    "zombie %d: its parent %d cannot tell how it has ended", z->pid,
				    z->parent->pid);
	}
	return 0;
}

static void take_stops(struct dump *d)
{
	for (size_t i = 1; i < d->processes.n; i++) {
		struct dump_process *p = d->processes.v[i];
		const struct dump_thread *t = speaker_of(p->parent);
		const uint8_t *answers = p->parent->answers;
		const int64_t *results =
			(const void *)(answers + plan_results_at(&t->batch, t->plan_at));
		siginfo_t si = { 0 };
		bool waits;

		memcpy(&si, answers + plan_data_at(&t->batch, t->plan_at) + p->told_at, TOLD_BYTES);
		waits = results[p->told_op] == 0 && si.si_pid == p->pid;
		p->stop_told = p->stop_signal && results[p->told_op] == 0 && !waits;
		p->was_continued = !p->stop_signal && waits;
	}
}

/* Before the freeze nobody knows who will stand for memory and signal actions after it. */
static bool is_asked(const struct kind *k, const struct dump_thread *t)
{
	if (k->task && (k->task->scope == SCOPE_MM || k->task->scope == SCOPE_SIGHAND))
		return t == speaker_of(t->process);
	return kind_is_of_thread(k, t);
}

static void write_questions(struct dump *d, struct dump_thread *t)
{
	struct asked *asked = arena_alloc(&d->arena, n_kinds * sizeof(*asked));

	plan_init(&t->batch, &d->arena, (uint32_t)t->tid);
	if (t == speaker_of(t->process))
		ask_engine(&t->batch);
	for (size_t i = 0; i < n_kinds; i++)
		if (is_asked(kinds[i], t) && kinds[i]->task->ask && !kinds[i]->task->asks_late)
			ask_kind(t, kinds[i], &asked[i]);
	t->asked = asked;
}

/* What can be asked only when it is known what there is. */
static void ask_late(struct dump *d)
{
	for (size_t i = 0; i < n_kinds; i++) {
		if (!kinds[i]->task || !kinds[i]->task->asks_late)
			continue;
		vec_each(p, &d->processes)
			vec_each(t, &(*p)->threads)
				if (is_asked(kinds[i], *t))
					ask_kind(*t, kinds[i], &(*t)->asked[i]);
	}
}

/* --- protection keys ------------------------------------------------------------------------------ */

#define KEYS 16u
/* In the kernel's half, where nothing is changed: ENOMEM for a key that is allocated, EINVAL for others. */
#define NOWHERE 0xffff800000000000ull

static bool has_keys(const struct dump_process *p)
{
	return p->maps.list.n && p->maps.list.v[0].has_key;
}

static void ask_keys(struct dump *d)
{
	vec_each(p, &d->processes) {
		struct plan *batch = &speaker_of(*p)->batch;

		if (!has_keys(*p))
			continue;
		(*p)->keys_op = (uint32_t)batch->ops.n;
		for (uint64_t key = 1; key < KEYS; key++)
			plan_call_any(batch, SYS_pkey_mprotect, arg_num(NOWHERE), arg_num(PAGE),
				      arg_num(PROT_NONE), arg_num(key));
	}
}

static void take_keys(struct dump_process *p, const int64_t *results)
{
	p->keys = 0;
	for (uint32_t key = 1; key < KEYS && p->keys_op; key++)
		if (results[p->keys_op + key - 1] == -ENOMEM)
			p->keys |= 1u << key;
}

/* --- where a system call can be made --------------------------------------------------------------- */

static bool is_call_at(const struct dump_process *p, uint64_t place)
{
	uint8_t bytes[16];

	return place && memory_read(speaker_id(p), place, bytes, arch_call_size) == 0 &&
	       !memcmp(bytes, arch_call_bytes, arch_call_size);
}

static uint64_t find_in_mappings(const struct dump_process *p, bool vdso)
{
	for (size_t i = 0; i < p->maps.list.n; i++) {
		const struct vma *v = &p->maps.list.v[i];
		uint64_t at;

		if (!(v->flags & VMF(ex)) || !(v->flags & VMF(rd)))
			continue;
		if ((mapping_sort(v) == MAPPING_VDSO) != vdso || mapping_sort(v) == MAPPING_NONE)
			continue;
		at = memory_find(speaker_id(p), v->start, v->end, arch_call_bytes, arch_call_size);
		if (at)
			return at;
	}
	return 0;
}

static int find_call(const struct dump_process *p, uint64_t *call, struct error *e)
{
	vec_each(t, &p->threads) {
		*call = arch_call_place((*t)->held->regs);
		if (is_call_at(p, *call))
			return 0;
	}
	*call = find_in_mappings(p, true);
	if (!*call)
		*call = find_in_mappings(p, false);
	if (!*call)
		return fail(e, 0, "has no instruction in its memory that makes a system call");
	return 0;
}

/* --- the batch --------------------------------------------------------------------------------------- */

static int first_of(const int *signals, size_t n, uint64_t but)
{
	for (size_t i = 0; i < n; i++)
		if (!(but >> (signals[i] - 1) & 1))
			return signals[i];
	return 0;
}

/*
 * Signals for the end of a batch, not pending in the process. The first does nothing to it if nobody swallows
 * it: `quiet` ones are ignored, unless they are caught. With handlers for all of them it is one that may come at
 * any time. false: there is none.
 */
static bool choose_signals(const struct dump_process *p, struct batch *b)
{
	static const int quiet[] = { SIGURG, SIGWINCH, SIGCHLD };
	static const int loud[] = { SIGSTKFLT, SIGPWR,  SIGXFSZ,   SIGXCPU, SIGIO,
				    SIGUSR2,   SIGUSR1, SIGVTALRM, SIGPROF };
	uint64_t pending = 0, caught = speaker_of(p)->status.sig_caught;

	vec_each(t, &p->threads)
		pending |= (*t)->status.sig_pending | (*t)->status.shared_pending;
	b->signal = b->last_signal = first_of(loud, sizeof(loud) / sizeof(loud[0]), pending);
	if (first_of(quiet, 2, pending))
		b->signal = first_of(quiet, 2, pending);
	if (first_of(quiet, 3, pending | caught))
		b->signal = first_of(quiet, 3, pending | caught);
	return b->last_signal != 0;
}

/* The plans of a process, at `image`; the size is known already. */
static void write_plans(struct dump_process *p, struct batch *b, uint8_t *image)
{
	b->pid = p->pid;
	b->n = p->threads.n;
	b->image = p->answers = image;
	b->size = p->answers_size;
	b->threads = (struct batch_thread *)(image + b->size);
	for (size_t i = 0; i < b->n; i++) {
		struct dump_thread *t = p->threads.v[i];

		b->threads[i] = (struct batch_thread){ .held = t->held, .plan_at = t->plan_at };
		plan_write(&t->batch, image, t->plan_at, BATCH_STACK, 0);
	}
}

/* Offsets of the plans in the image of a process; gives its size with the list of threads behind it. */
static uint64_t lay_out(struct dump_process *p)
{
	uint64_t size = BATCH_PLANS_AT;

	vec_each(t, &p->threads) {
		(*t)->plan_at = size;
		size += plan_size(&(*t)->batch, BATCH_STACK);
	}
	p->answers_size = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	return (p->answers_size + p->threads.n * sizeof(struct batch_thread) + 63) & ~63ull;
}

static uint8_t *take_room(struct dump *d, struct error *e)
{
	struct holder_page *page = d->holder.page;
	uint64_t size = 0;
	uint8_t *room;

	page->n_batches = (uint32_t)d->processes.n;
	vec_each(p, &d->processes)
		size += lay_out(*p);
	room = holder_scratch(&d->holder, size + page->n_batches * sizeof(struct batch));
	if (!room)
		(void)!fail(e, 0, "too many threads to ask");
	else
		mem_populate(room, size);
	page->batches = (struct batch *)(void *)(room + size);
	return room;
}

static int check_report(const struct dump_process *p, struct error *e)
{
	const struct cr_rst_report *r = (const void *)p->answers;
	auto_buf text = { 0 };

	if (!r->state)
		return 0;
	vec_each(t, &p->threads)
		if ((uint32_t)(*t)->tid == r->task && r->index < (*t)->batch.ops.n)
			plan_explain_op(&(*t)->batch, r->index, &text);
	return fail(e, r->result < 0 ? (int)-r->result : 0, "thread %u: %s", r->task,
		    text.p ? text.p : "a call");
}

static int take_engine(struct dump_process *p, struct error *e)
{
	const struct dump_thread *t = speaker_of(p);
	const int64_t *results =
		(const void *)(p->answers + plan_results_at(&t->batch, t->plan_at));

	take_keys(p, results);
	p->brk = (uint64_t)results[ASK_BRK];
	p->locks_future =
		p->answers[BATCH_PLACE_AT] == BATCH_WOULD_BE_LOCKED ||
		(p->answers[BATCH_PLACE_AT] == BATCH_MAPPED && results[ASK_LOCKED] == -EBUSY);
	if (results[ASK_ALONE] == -EINVAL && p->threads.n == 1 && !p->exited && !p->has_company)
		return fail(
			e, 0,
			"shares its memory with a process outside the tree (vfork, CLONE_VM); dump that one "
			"too, or try again when it runs a program of its own");
	/* An int, whatever the width of the register. */
	if ((int32_t)results[ASK_SEGMENTS] > 0)
		return fail(
			e, 0,
			"has segments of its own (modify_ldt), which cannot be saved yet; programs for "
			"16 or 32 bits and their emulators use them");
	return 0;
}

void ask_prepare(struct dump *d)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (!(*t)->asked)
				write_questions(d, *t);
}

int ask_start(struct dump *d, struct error *e)
{
	uint8_t *room;
	int rc = 0;

	ask_prepare(d);
	ask_late(d);
	ask_keys(d);
	ask_stops(d);
	ask_zombies(d);
	room = take_room(d, e);
	if (!room)
		return -EINVAL;
	for (size_t i = 0; i < d->processes.n && rc >= 0; i++) {
		struct dump_process *p = d->processes.v[i];
		struct batch *b = &d->holder.page->batches[i];

		write_plans(p, b, room);
		room += lay_out(p);
		rc = choose_signals(p, b) ? find_call(p, &b->call, e)
					  : fail(e, 0, "has too many different signals pending");
		rc = within(e, rc, "task %d", p->pid);
	}
	return rc < 0 ? rc : holder_start_batches(&d->holder, e);
}

int ask_finish(struct dump *d, struct error *e)
{
	const struct holder_page *page = d->holder.page;
	int rc = holder_await(&d->holder, e);

	if (rc < 0 && !d->holder.is_lost && page->batch_at < page->n_batches)
		return within(e, rc, "task %d", page->batches[page->batch_at].pid);
	for (size_t i = 0; i < d->processes.n && rc >= 0; i++) {
		struct dump_process *p = d->processes.v[i];

		debug(DUMP, "process %d: %zu threads answered, %zu bytes", p->pid, p->threads.n,
		      p->answers_size);
		rc = check_report(p, e);
		if (rc >= 0)
			rc = take_engine(p, e);
		rc = within(e, rc, "task %d", p->pid);
	}
	if (rc < 0)
		return rc;
	take_stops(d);
	return take_zombies(d, e);
}
