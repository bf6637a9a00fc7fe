/* SPDX-License-Identifier: MIT */
/* A place for the plans, the rounds in which they are run there, and the way back. */
#include "remote/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cr-restorer.h"
#include "remote/filters.h"
#include "remote/memory.h"
#include "remote/session.h"

#define PAGE 4096u
#define INTERPRETER_AT ARCH_STUB_SIZE /* behind the stub; then the ways back, one for each thread */
/* Room for plans of threads that run at once: what stays in the processor's cache. */
#define WISH ((size_t)128 << 10)
#define BIT(signal) (1ull << ((signal)-1))

static size_t page_up(size_t n)
{
	return (n + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* --- rounds: threads [first, last), whose plans lie in a part of the image ----------------------- */

struct round {
	size_t first, last;
	uint64_t from, to; /* bytes of the image; the first round has the report with it */
};

static uint64_t begin_of(const struct batch *b, size_t i)
{
	return i == 0 ? 0 : i < b->n ? b->threads[i].plan_at : b->size;
}

/* Bytes in the room: the report comes first. */
static size_t size_of(const struct batch *b, size_t first, size_t last)
{
	return (first ? BATCH_PLANS_AT : 0) + begin_of(b, last) - begin_of(b, first);
}

/* The first thread runs alone in a place that it maps itself. */
static struct round round_from(const struct session *s, size_t first)
{
	const struct batch *b = s->b;
	size_t last = first + 1;

	while ((first || !s->is_mapped) && last < b->n && size_of(b, first, last + 1) <= s->room)
		last++;
	return (struct round){ first, last, begin_of(b, first), begin_of(b, last) };
}

static size_t largest_plan(const struct batch *b)
{
	size_t size = 0;

	for (size_t i = 0; i < b->n; i++)
		if (size_of(b, i, i + 1) > size)
			size = size_of(b, i, i + 1);
	return page_up(size);
}

/* Where a byte of the image is in the process. */
static uint64_t place(const struct session *s, const struct round *r, uint64_t at)
{
	return s->data_at + at - r->from + (r->first ? BATCH_PLANS_AT : 0);
}

/* --- a place that the process maps ----------------------------------------------------------------- */

static size_t area_size(const struct session *s)
{
	return s->code + 2 * s->room;
}

static void choose_room(struct session *s)
{
	size_t all = page_up(s->b->size), least = largest_plan(s->b);

	s->room = all < WISH ? all : least > WISH ? least : WISH;
}

/* 1: there is one now; 0: it cannot. */
static int take_area(struct session *s, int64_t result)
{
	/* The one reason for which a private anonymous mapping is answered so: mlockall(MCL_FUTURE). */
	if (result == -EAGAIN)
		s->place = BATCH_WOULD_BE_LOCKED;
	if (result < 0 && result > -4096)
		return 0;
	s->is_mapped = true;
	s->code_at = (uint64_t)result;
	s->data_at = s->code_at + s->code + s->room;
	return 1;
}

static void map_areas(struct session *s, size_t n)
{
	struct session_call calls[BATCH_AT_ONCE];
	size_t n_calls = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i].rc < 0)
			continue;
		choose_room(&s[i]);
		calls[n_calls++] = (struct session_call){
			&s[i],
			SYS_mmap,
			{ 0, area_size(&s[i]), PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			  (uint64_t)-1 },
			.e = &s[i].error,
		};
	}
	(void)!session_calls(calls, n_calls);
	for (size_t i = 0; i < n_calls; i++)
		calls[i].s->rc =
			calls[i].rc < 0 ? calls[i].rc : take_area(calls[i].s, calls[i].result);
}

static int take_unmapped(struct session *s, int64_t result, struct error *e)
{
	if (result < 0)
		return fail(e, (int)-result, "unmap the code that asks process %d", s->b->pid);
	s->is_mapped = false;
	s->code_at = 0;
	return 0;
}

static void unmap_areas(struct session *s, size_t n)
{
	struct session_call calls[BATCH_AT_ONCE];
	size_t n_calls = 0;

	for (size_t i = 0; i < n; i++)
		if (s[i].rc > 0)
			calls[n_calls++] = (struct session_call){
				&s[i],
				SYS_munmap,
				{ s[i].code_at, area_size(&s[i]) },
				.e = &s[i].error,
			};
	(void)!session_calls(calls, n_calls);
	for (size_t i = 0; i < n_calls; i++) {
		struct session *of = calls[i].s;
		int rc = calls[i].rc;

		if (rc >= 0)
			rc = take_unmapped(of, calls[i].result, &of->error);
		if (rc < 0)
			of->rc = rc;
	}
}

static int unmap_area(struct session *s, struct error *e)
{
	const uint64_t args[6] = { s->code_at, area_size(s) };
	int64_t result = 0;
	int rc = session_call(s, SYS_munmap, args, &result, e);

	return rc < 0 ? rc : take_unmapped(s, result, e);
}

static uint64_t ways_at(void)
{
	return (INTERPRETER_AT + cr_rst_size() + 15) & ~15ull;
}

/* The code of a place that is mapped; borrowed memory could not be put back on the way, so there is none. */
static size_t code_size(const struct batch *b, bool has_ways)
{
	return page_up(ways_at() + (has_ways ? b->n * ARCH_WAY_SIZE : 0));
}

static uint64_t way_of(const struct session *s, size_t i)
{
	return s->is_mapped ? s->code_at + ways_at() + i * ARCH_WAY_SIZE : 0;
}

/* Into a private mapping that is not writable. */
static int write_code(struct session *s, struct error *e)
{
	size_t size = s->code + (s->is_mapped ? begin_of(s->b, 1) : 0);
	auto_free uint8_t *code = mem_try(size);

	if (!code)
		return fail(e, ENOMEM, "the code that asks process %d", s->b->pid);
	arch_stub_write(code, ~BIT(s->signal));
	memcpy(code + INTERPRETER_AT, cr_rst_begin(), cr_rst_size());
	for (size_t i = 0; i < s->b->n && s->is_mapped; i++) {
		const struct held_thread *t = s->b->threads[i].held;

		arch_way_write(code + ways_at() + i * ARCH_WAY_SIZE, way_of(s, i), t->regs,
			       t->n_regs, t->sigmask);
	}
	memcpy(code + s->code, s->b->image, size - s->code);
	return memory_write_traced(s->b->threads[0].held->tid, s->code_at, code, size, e);
}

static int give_back(struct session *s, struct error *e)
{
	return s->is_mapped ? unmap_area(s, e) : borrow_return(s, e);
}

/* --- running ----------------------------------------------------------------------------------------- */

static void fill_stub(const struct session *s, const struct round *r, size_t i,
		      struct arch_stub *stub)
{
	const struct batch_thread *t = &s->b->threads[i];
	uintptr_t run = (uintptr_t)cr_rst_run - (uintptr_t)cr_rst_begin();

	*stub = (struct arch_stub){
		.at = s->code_at,
		.size = s->is_mapped && i == 0 ? s->room : 0,
		.source = s->code_at + s->code,
		.run = s->code_at + INTERPRETER_AT + run,
		.plan = place(s, r, t->plan_at),
		.way = way_of(s, i),
		.process = s->b->pid,
		.thread = t->held->tid,
		.signal = s->signal,
	};
}

/* The report of a later round stands before its plans, too. */
static int write_plans(struct session *s, const struct round *r, struct error *e)
{
	const struct batch *b = s->b;
	uint8_t *from = b->image + r->from - (r->first ? BATCH_PLANS_AT : 0);
	uint8_t kept[BATCH_PLANS_AT];
	int rc;

	for (size_t i = r->first; i < r->last; i++) {
		struct cr_rst_plan *plan = (void *)(b->image + b->threads[i].plan_at);

		plan->report = (int64_t)(s->data_at - place(s, r, b->threads[i].plan_at));
	}
	/* In the image the end of the stack before, which nobody reads. */
	memcpy(kept, from, sizeof(kept));
	if (r->first)
		memset(from, 0, sizeof(kept));
	rc = memory_write(b->threads[0].held->tid, s->data_at, from, size_of(b, r->first, r->last));
	memcpy(from, kept, sizeof(kept));
	if (rc < 0)
		return fail(e, -rc, "write the questions of process %d", b->pid);
	return 0;
}

static int read_answers(struct session *s, const struct round *r, struct error *e)
{
	const struct batch *b = s->b;
	struct cr_rst_report *all = (void *)b->image;
	_Alignas(struct cr_rst_report) uint8_t head[BATCH_PLANS_AT];
	struct cr_rst_report *report = (void *)head;
	int rc;

	if (!r->first) {
		rc = memory_read(b->threads[0].held->tid, s->data_at, b->image, r->to);
	} else {
		rc = memory_read(b->threads[0].held->tid, s->data_at, head, sizeof(head));
		if (rc >= 0)
			rc = memory_read(b->threads[0].held->tid, s->data_at + sizeof(head),
					 b->image + r->from, r->to - r->from);
		if (rc >= 0 && report->state && !all->state)
			*all = *report;
	}
	if (rc < 0)
		return fail(e, -rc, "read the answers of process %d", b->pid);
	return 0;
}

/* What fails first is told. */
static struct error *error_of(struct session *s)
{
	return s->rc < 0 ? &s->ignored : &s->error;
}

static void note(struct session *s, int rc)
{
	if (s->rc >= 0)
		s->rc = rc;
}

static void start_threads(struct session *s, const struct round *r)
{
	struct arch_stub stub;

	if (r->first || !s->is_mapped)
		note(s, write_plans(s, r, error_of(s)));
	for (size_t i = r->first; i < r->last && s->rc >= 0; i++) {
		fill_stub(s, r, i, &stub);
		note(s, session_start(s, &s->b->threads[i], &stub, error_of(s)));
	}
}

/* rc is 0 then if the first could not map its end of the area, and nothing has been run. */
static void await_threads(struct session *s, const struct round *r)
{
	for (size_t i = r->first; i < r->last && s->rc >= 0; i++)
		note(s, session_await_end(s, &s->b->threads[i], error_of(s)));
}

static int bring_back(struct session *s, size_t i, bool is_stopped, struct error *e)
{
	struct batch_thread *t = &s->b->threads[i];
	int rc = is_stopped ? 0 : session_stop(s, t, e);

	return rc < 0 ? rc : session_restore(t, e);
}

/* Whatever comes out, the threads of the round are brought back. */
static void end_round(struct session *s, const struct round *r)
{
	bool are_stopped = s->rc >= 0;

	for (size_t i = r->first; i < r->last; i++) {
		int rc = bring_back(s, i, are_stopped, error_of(s));

		if (rc < 0)
			note(s, rc);
	}
	if (s->rc > 0) {
		int rc = read_answers(s, r, &s->error);

		s->rc = rc < 0 ? rc : 1;
	}
}

/* All at once: each wait but the first finds that the thread is there already, or nearly. */
static void run_round(struct session *s, const struct round *r, const size_t *which, size_t n)
{
	for (size_t i = 0; i < n; i++)
		start_threads(&s[which[i]], &r[which[i]]);
	for (size_t i = 0; i < n; i++)
		await_threads(&s[which[i]], &r[which[i]]);
	for (size_t i = 0; i < n; i++)
		end_round(&s[which[i]], &r[which[i]]);
}

/* Of those that have a place. */
static void run_rounds(struct session *s, size_t n)
{
	struct round rounds[BATCH_AT_ONCE] = { 0 };
	size_t which[BATCH_AT_ONCE], n_which;

	for (size_t i = 0; i < n; i++) {
		int rc = s[i].rc > 0 ? write_code(&s[i], &s[i].error) : 0;

		if (rc < 0)
			s[i].rc = rc;
	}
	do {
		n_which = 0;
		for (size_t i = 0; i < n; i++) {
			if (s[i].rc <= 0 || rounds[i].last == s[i].b->n)
				continue;
			rounds[i] = round_from(&s[i], rounds[i].last);
			which[n_which++] = i;
		}
		run_round(s, rounds, which, n_which);
		/* With one that has failed the dump fails, and the time may be over for all. */
		for (size_t i = 0; i < n; i++)
			if (s[i].rc < 0)
				n_which = 0;
	} while (n_which);
}

static int set_aside_one(const struct held_thread *t, bool aside, struct error *e)
{
	int rc = t->dispatch.is_on ? trace_set_dispatch(t, !aside) : 0;

	if (rc < 0)
		return fail(e, -rc, "turn the dispatch of system calls of thread %d %s", t->tid,
			    aside ? "off" : "on again");
	return filters_suspend(t, aside, e);
}

/* Whatever would come between the threads and the calls they are to make. */
static int set_aside(const struct batch *b, bool aside, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < b->n && (rc >= 0 || !aside); i++) {
		struct error other;
		int rc2 = set_aside_one(b->threads[i].held, aside, rc < 0 ? &other : e);

		rc = rc < 0 ? rc : rc2;
	}
	return rc;
}

static void send_owed(const struct session *s)
{
	for (int signal = 1; s->owed && signal <= 64; signal++)
		if (s->owed & BIT(signal))
			kill(s->b->pid, signal);
}

/* Not given up half way, whatever becomes of cr: a call that has begun is waited for. has_failed: nobody knows
 * what the thread was left with. */
static int undo(struct session *s, bool has_failed, struct error *e)
{
	struct batch_thread *leader = &s->b->threads[0];
	struct error ignored;
	int rc = session_stop(s, leader, e), rc2;

	if (rc >= 0)
		rc = give_back(s, e);
	if (rc >= 0 && !has_failed)
		return rc;
	rc2 = session_stop(s, leader, &ignored);
	if (rc2 >= 0)
		rc2 = session_restore(leader, rc < 0 ? &ignored : e);
	return rc < 0 ? rc : rc2;
}

static void undo_one(struct session *s)
{
	int rc = undo(s, s->rc < 0, error_of(s));

	if (rc >= 0)
		return;
	note(s, rc);
	/* A call that failed once may not the second time, and there is nothing else to be done. */
	(void)!undo(s, true, &s->ignored);
}

static void run_mapped(struct session *s, size_t n, const struct trace_watch *w)
{
	for (size_t i = 0; i < n; i++)
		session_be_alone(&s[i]);
	map_areas(s, n);
	for (size_t i = 0; i < n; i++)
		s[i].watch = *w;
	run_rounds(s, n);
	for (size_t i = 0; i < n; i++) {
		if (s[i].rc > 0)
			s[i].place = BATCH_MAPPED;
		session_be_alone(&s[i]);
	}
	unmap_areas(s, n);
}

static void run_borrowed(struct session *s, const struct trace_watch *w)
{
	size_t least = largest_plan(s->b), all = page_up(s->b->size);

	session_be_alone(s);
	if (s->is_mapped)
		s->rc = unmap_area(s, &s->error);
	s->code = code_size(s->b, false);
	s->signal = s->b->last_signal;
	if (s->rc >= 0)
		s->rc = borrow(s, least, all < WISH ? all : WISH, &s->error);
	s->watch = *w;
	if (s->rc < 0)
		return;
	s->rc = 1;
	run_rounds(s, 1);
}

static bool stands_aside(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->threads[i].held->dispatch.is_on || b->threads[i].held->seccomp)
			return true;
	return false;
}

size_t batch_together(const struct batch *b, size_t n)
{
	size_t k = 0;

	while (k < n && k < BATCH_AT_ONCE && !stands_aside(&b[k]))
		k++;
	return k ? k : n > 0;
}

static void run_all(struct session *s, size_t n, const struct trace_watch *w)
{
	for (size_t i = 0; i < n; i++)
		s[i].rc = set_aside(s[i].b, true, &s[i].error);
	run_mapped(s, n, w);
	for (size_t i = 0; i < n; i++) {
		if (s[i].rc == 0)
			run_borrowed(&s[i], w);
		undo_one(&s[i]);
	}
	for (size_t i = 0; i < n; i++) {
		int rc = set_aside(s[i].b, false, error_of(&s[i]));

		if (rc < 0)
			note(&s[i], rc);
		send_owed(&s[i]);
		s[i].b->image[BATCH_PLACE_AT] = (uint8_t)s[i].place;
	}
}

int batch_run(const struct batch *b, size_t n, const struct trace_watch *w, size_t *failed,
	      struct error *e)
{
	auto_free struct session *s = mem_try(n * sizeof(*s));

	*failed = 0;
	if (!s)
		return fail(e, ENOMEM, "the questions of process %d", b->pid);
	for (size_t i = 0; i < n; i++)
		s[i] = (struct session){ .b = &b[i],
					 .code = code_size(&b[i], true),
					 .signal = b[i].signal };
	run_all(s, n, w);
	for (; *failed < n; ++*failed) {
		if (s[*failed].rc >= 0)
			continue;
		*e = s[*failed].error;
		return s[*failed].rc;
	}
	return 0;
}
