/* SPDX-License-Identifier: MIT */
/* The phases of a dump. */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "arch/arch.h"
#include "base/ends.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/equal.h"
#include "dump/same.h"
#include "dump/shmem.h"

/* What a dump of a small process uses; more comes when it is used. */
#define DUMP_HEAP ((size_t)384 * 1024)
#define HOLDER_HEAP ((size_t)96 * 1024)

#define STATUS_NOT_ENDED 3 /* cmd/command.h */

static int check_time(const struct dump *d, const char *phase, struct error *e)
{
	if (deadline_is_over(d->deadline))
		return fail(e, ETIMEDOUT, "%s", phase);
	debug(DUMP, "%s", phase);
	timeline_mark(d->opt->times, phase);
	return ends_check(e, DUMP_ENDED);
}

/* How long the holder may wait. */
static void set_seconds(struct dump *d)
{
	uint64_t now = clock_now();

	if (!d->deadline.at)
		return;
	d->holder.page->seconds =
		d->deadline.at > now ? (double)(d->deadline.at - now) / 1e9 : 1e-3;
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- phases ---------------------------------------------------------------------------------------- */

/* For the freeze: which threads are inside it. */
static void note_vdsos(struct dump *d)
{
	struct holder_page *page = d->holder.page;

	page->n_vdsos = 0;
	page->vdso_low = UINT64_MAX;
	vec_each(p, &d->processes) {
		vec_each(v, &(*p)->maps.list) {
			if (mapping_sort(v) != MAPPING_VDSO || page->n_vdsos == HOLDER_MAX_THREADS)
				continue;
			page->vdsos[page->n_vdsos++] =
				(struct holder_vdso){ (*p)->pid, v->start, v->end };
			if (v->start < page->vdso_low)
				page->vdso_low = v->start;
			if (v->end > page->vdso_high)
				page->vdso_high = v->end;
		}
	}
}

static int look_at_memory(void *dump, struct error *e)
{
	struct dump *d = dump;
	int rc;

	d->width = 0;
	mem_warm(HOLDER_HEAP);
	rc = probe_tree(d, PROBE_MEMORY, e);
	d->holder.page->has_shmem = d->shmems.n;
	/* A program that runs may attach a segment between the two looks. */
	if (rc >= 0 && shmem_check_attached(d, e) < 0) {
		shmem_forget(d);
		rc = probe_tree(d, PROBE_MEMORY, e);
		if (rc >= 0)
			rc = shmem_check_attached(d, e);
	}
	note_vdsos(d);
	return rc;
}

/*
 * Leaves the processor that the subject ran on last to it and the holder, which wait for each other all
 * the time: the kernel wakes a task where it was, and there it would have to wait until cr sleeps.
 */
static void step_aside(struct dump *d)
{
	int processor = speaker_of(d->processes.v[0])->stat.processor;
	cpu_set_t set;

	if (d->is_aside || sched_getaffinity(0, sizeof(set), &set))
		return;
	d->processors = set;
	CPU_CLR(processor, &set);
	if (!CPU_COUNT(&set) || sched_setaffinity(0, sizeof(set), &set))
		return;
	d->is_aside = true;
	d->width = 0;
}

void dump_step_back(struct dump *d)
{
	if (!d->is_aside)
		return;
	(void)sched_setaffinity(0, sizeof(d->processors), &d->processors);
	d->is_aside = false;
	d->width = 0;
}

/* While the holder waits for cr, workers are welcome there. */
static void step_back(struct dump *d)
{
	if (gather_is_much(d))
		dump_step_back(d);
}

/* The holder takes a share of it, before it has anything else to do; what it finds comes before what
 * is wrong with descriptors, as everywhere. */
static int look(struct dump *d, struct error *e)
{
	struct error memory;
	int rc = holder_start(&d->holder, d->writer, look_at_memory, d, e), rc2;

	mem_warm(DUMP_HEAP);
	if (!gather_is_much(d))
		step_aside(d);
	probe_read_own(d);
	if (rc >= 0)
		rc = probe_tree(d, PROBE_TASKS, e);
	if (rc < 0)
		return rc;
	rc = probe_tree(d, PROBE_FDS, e);
	rc2 = holder_await(&d->holder, &memory);
	if (rc2 < 0)
		*e = memory;
	rc = rc2 < 0 ? rc2 : rc;
	if (rc >= 0 && (d->shmems.n || d->holder.page->has_shmem))
		rc = outside_check(d, e);
	return rc;
}

static int tell_holder(struct dump *d, struct error *e)
{
	struct holder_page *page = d->holder.page;

	page->root = d->opt->pid;
	vec_each(p, &d->processes) {
		(*p)->held_at = page->n_held;
		vec_each(t, &(*p)->threads) {
			if (page->n_held == HOLDER_MAX_THREADS)
				return fail(e, 0, "more than %u threads", HOLDER_MAX_THREADS);
			page->held[page->n_held].pid = (*p)->pid;
			page->held[page->n_held].has_company =
				!has_own_memory(*p) || (*p)->has_company;
			page->held[page->n_held].above =
				(*p)->parent ? (*p)->parent->held_at : HOLDER_ROOT;
			page->held[page->n_held++].thread.tid = (*t)->tid;
		}
	}
	return 0;
}

static int check_native(const struct dump *d, struct error *e)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (!arch_is_native((*t)->held->regs))
				return fail(e, 0,
					    "task %d: runs 32-bit code; only 64-bit programs can "
					    "be saved",
					    (*t)->tid);
	return 0;
}

/* What does not depend on the subject is done while it is being stopped. */
static int freeze(struct dump *d, Manifest *m, struct error *e)
{
	int rc = tell_holder(d, e);

	if (rc < 0)
		return rc;
	set_seconds(d);
	step_aside(d);
	timeline_stopped(d->opt->times);
	rc = holder_start_freeze(&d->holder, e);
	ask_prepare(d);
	if (rc >= 0)
		rc = manifest_begin(d, m, e);
	if (rc >= 0)
		rc = holder_await(&d->holder, e);
	if (rc < 0)
		return rc;
	d->frozen = true;
	d->realtime = read_clock(CLOCK_REALTIME);
	d->monotonic = read_clock(CLOCK_MONOTONIC);
	d->boottime = read_clock(CLOCK_BOOTTIME);
	return 0;
}

/* Those that the kernel lets only a tracer see. Nearly always there are none. */
static int read_filters(struct dump *d, struct error *e)
{
	bool any = false;
	int rc;

	vec_each(p, &d->processes) {
		vec_each(t, &(*p)->threads) {
			(*t)->held->seccomp = (*t)->status.seccomp;
			any = any || (*t)->status.seccomp;
		}
	}
	if (!any)
		return 0;
	rc = holder_start_filters(&d->holder, e);
	return rc < 0 ? rc : holder_await(&d->holder, e);
}

/* The queues of signals; nearly always they are empty. */
static int read_signals(struct dump *d, struct error *e)
{
	bool any = false;
	int rc;

	vec_each(p, &d->processes) {
		vec_each(t, &(*p)->threads) {
			const struct proc_status *s = &(*t)->status;
			struct held_thread *h = (*t)->held;

			h->pending.wanted = s->sig_pending != 0;
			h->shared.wanted = s->shared_pending && *t == speaker_of(*p);
			any = any || h->pending.wanted || h->shared.wanted;
		}
	}
	if (!any)
		return 0;
	rc = holder_start_signals(&d->holder, e);
	return rc < 0 ? rc : holder_await(&d->holder, e);
}

/* Of the first n, those whose memory nobody has who has not answered yet. */
static uint32_t count_whole(const struct dump *d, uint32_t n)
{
	for (size_t i = n; i < d->processes.n; i++) {
		const struct dump_process *p = d->processes.v[i];

		for (uint32_t k = (uint32_t)d->n_paged; !has_own_memory(p) && k < n; k++)
			if (d->processes.v[k] == p->memory)
				n = k;
	}
	return n;
}

/* The pages of those that are as they were, while the others of a large tree answer. What fails is told later. */
static void save_answered(struct dump *d)
{
	uint32_t known = 0;
	struct error e;
	int rc = 0;

	if (d->processes.n < 2 * GRAIN_PROCESSES)
		return;
	while (rc >= 0) {
		uint32_t n = holder_answered(&d->holder, known);

		if (n <= known)
			return;
		known = n;
		rc = memory_save_pages(d, count_whole(d, n), &e);
	}
	(void)!finding_note(d, &d->paged, rc, &e);
}

/*
 * Everything is looked at once more, while the threads answer. What they have of the batch, signals and
 * mappings, is read before that.
 */
static int look_again(struct dump *d, struct error *e)
{
	int rc;

	step_back(d);
	rc = discover_held(d, e);
	if (rc >= 0)
		rc = check_native(d, e);
	if (rc >= 0)
		rc = probe_read_ahead(d, e);
	if (rc >= 0)
		rc = read_filters(d, e);
	if (rc >= 0)
		rc = read_signals(d, e);
	set_seconds(d);
	shmem_forget(d);
	step_aside(d);
	if (rc >= 0)
		rc = ask_start(d, e);
	if (rc >= 0)
		rc = probe_tree(d, PROBE_ALL, e);
	if (rc >= 0)
		rc = shmem_check(d, e);
	if (rc >= 0)
		rc = identify_descriptions(d, e);
	if (rc >= 0)
		rc = check_time(d, "wait for answers", e);
	if (rc >= 0)
		save_answered(d);
	if (rc >= 0)
		rc = ask_finish(d, e);
	step_back(d);
	return rc;
}

static int save_pages(struct dump *d, struct error *e)
{
	return d->paged.is_there ? finding_take(&d->paged, e)
				 : memory_save_pages(d, d->processes.n, e);
}

/* One worker saves the pages, the others look at the threads meanwhile. */
static int save_part(struct dump *d, void *threads, size_t i, struct error *e)
{
	struct dump_thread *t;
	int rc;

	if (!i)
		return finding_note(d, &d->whole->paged, save_pages(d->whole, e), e);
	t = ((struct dump_thread **)threads)[i - 1];
	rc = records_prepare(d, t, e);
	if (rc >= 0 && t == speaker_of(t->process))
		rc = memory_read_auxv(t->process, e);
	return finding_note(d, &t->found, rc, e);
}

/* What has failed is told when it is its turn. */
static void save_ahead(struct dump *d)
{
	struct error ignored;
	size_t n;
	struct dump_thread **threads = gather_threads(d, &n);

	if (gather_helps(d, n, GRAIN_THREADS))
		(void)!gather_over(d, n + 1, GRAIN_THREADS, save_part, threads, &ignored);
}

static int save(struct dump *d, Manifest *m, struct error *e)
{
	int rc;

	save_ahead(d);
	rc = records_save(d, e);
	if (rc >= 0)
		rc = save_pages(d, e);
	if (rc >= 0)
		rc = shmem_save(d, e);
	for (size_t i = 0; i < d->processes.n && rc >= 0; i++)
		rc = memory_save(d, d->processes.v[i], e);
	if (rc >= 0)
		rc = manifest_fill(d, m, e);
	identify_close(d);
	return rc;
}

static int read_all(struct dump *d, Manifest *m, struct error *e)
{
	int rc = check_time(d, "discover", e);

	if (rc >= 0)
		rc = discover_tree(d, d->opt->pid, e);
	if (rc >= 0)
		rc = check_time(d, "probe", e);
	if (rc >= 0)
		rc = look(d, e);
	if (rc >= 0)
		rc = check_time(d, "freeze", e);
	if (rc >= 0)
		rc = freeze(d, m, e);
	if (rc >= 0)
		rc = check_time(d, "probe again and ask the threads", e);
	if (rc >= 0)
		rc = look_again(d, e);
	if (rc >= 0)
		rc = check_time(d, "save", e);
	return rc < 0 ? rc : save(d, m, e);
}

static void close_all(struct dump *d)
{
	same_free(d->same);
	d->same = NULL;
	equal_free(d->equal);
	d->equal = NULL;
	identify_close(d);
	discover_free(d);
	arena_free(&d->arena);
}

static int release(struct dump *d, struct error *e)
{
	int rc = holder_release(&d->holder, HOLDER_RUN, e);

	timeline_resumed(d->opt->times);
	return rc;
}

/* From here on the image is whole but for its name. */
static int publish(struct dump *d, Manifest *m, bool *published, struct error *e)
{
	const struct dump_options *o = d->opt;
	struct heirs heirs = { 0 };
	int rc = 0;

	if (o->leave_running)
		rc = release(d, e);
	timeline_mark(o->times, "write the records");
	if (rc >= 0)
		rc = image_finish(d->writer, m, e);
	for (size_t i = 1; rc >= 0 && i < m->n_files; i++)
		timeline_stored(o->times, m->files[i]->size);
	if (rc >= 0)
		rc = check_time(d, "publish", e);
	if (rc < 0)
		return rc;
	if (o->leave_running) {
		rc = image_publish(d->writer, e);
		*published = rc >= 0;
		return rc;
	}
	heirs_take(d, &heirs);
	rc = holder_start_publish(&d->holder, o->leave_stopped ? HOLDER_STOP : HOLDER_KILL, e);
	close_all(d);
	if (rc >= 0)
		rc = holder_await(&d->holder, e);
	timeline_resumed(o->times);
	if (d->holder.is_lost)
		rc = heirs_finish(&heirs, &d->holder, d->writer, e);
	*published = d->holder.page->published;
	heirs_free(&heirs);
	return rc;
}

/* --- the whole --------------------------------------------------------------------------------------- */

static int run(struct dump *d, struct error *e)
{
	Manifest m = MANIFEST__INIT;
	bool published = false;
	int rc;

	d->holder.socket = d->holder.ends = -1;
	rc = holder_blame(&d->holder, read_all(d, &m, e), e);
	if (rc >= 0)
		rc = publish(d, &m, &published, e);
	if (published && rc < 0)
		e->exit_status = STATUS_NOT_ENDED;
	else if (rc < 0) /* whatever came of it: that is why */
		(void)!ends_check(e, DUMP_ENDED);
	identify_close(d);
	holder_close(&d->holder);
	image_close(d->writer, published);
	return rc;
}

int dump_run(const struct dump_options *o, struct error *e)
{
	struct dump d = { .opt = o, .deadline = deadline_in(o->timeout) };
	int rc;

	mem_warm(0);
	fd_raise_limit();
	ends_block();
	rc = image_create(&d.writer, o->dir, o->force, o->sync, e);
	if (rc >= 0) {
		image_compress(d.writer, o->pack);
		rc = run(&d, e);
	}
	close_all(&d);
	timeline_mark(o->times, NULL);
	return rc;
}

int check_run(int pid, struct check_report *report, struct error *e)
{
	struct dump d = { .report = report };
	int rc;

	*report = (struct check_report){ 0 };
	mem_warm(0);
	fd_raise_limit();
	probe_read_own(&d);
	rc = discover_tree(&d, pid, e);
	if (rc >= 0)
		rc = probe_tree(&d, PROBE_ALL, e);
	if (rc >= 0)
		rc = shmem_check(&d, e);
	close_all(&d);
	return rc;
}

void check_free(struct check_report *report)
{
	vec_free(&report->objects);
	arena_free(&report->arena);
}
