/* SPDX-License-Identifier: MIT */
/*
 * Much memory is read by several: readers, processes that the leader clones with its memory, waits for, and
 * that leave nothing behind. Each has a plan of its own, with an n-th of what there is to read. Pure.
 *
 * A page fault for every 4 KiB is what costs. So a whole block of 2 MiB of private anonymous memory is read
 * into a huge page of the reader's own, its scratch, which is then moved to its place (UFFDIO_MOVE): that
 * makes a huge page there without the advice that would be seen in smaps. A block counts as whole if all its
 * pages are in the image, or if it was one huge page. All other pages are read where they belong.
 */
#include "restore/plan_memory.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/compat.h"
#include "prctls.pb-c.h"

#define BLOCK READERS_BLOCK
/* Less than this, together, is not worth a reader more. */
#define READER_BYTES (4ull << 20)

static uint64_t block_up(uint64_t n)
{
	return (n + BLOCK - 1) & ~(BLOCK - 1);
}

static uint64_t bytes_of(const struct runs *runs)
{
	uint64_t bytes = 0;

	vec_each(x, &runs->list)
		bytes += x->end - x->start;
	return bytes;
}

bool readers_are_worth(const struct runs *runs)
{
	return bytes_of(runs) >= READERS_LEAST;
}

static uint32_t how_many_have_much(const struct restore *r)
{
	uint32_t n = 0;

	for (size_t i = 0; i < r->n_processes; i++)
		n += readers_are_worth(&r->processes[i].sharing->own);
	return n;
}

bool readers_are_there(const struct restore *r)
{
	return how_many_have_much(r) > 0 && readers_width(r) > 1;
}

/* Of one process; all together there are as many as there are to be. */
uint32_t readers_width(const struct restore *r)
{
	uint32_t n = r->opt->jobs ? (uint32_t)r->opt->jobs : r->host.workers;
	uint32_t much = how_many_have_much(r);

	n /= much ? much : 1;
	return n < 1 ? 1 : n;
}

/* --- which blocks are moved ---------------------------------------------------------------------- */

/* Neither from the parent nor left to a child: what they share would be no more. */
static bool is_own(const struct memory *mem, size_t i)
{
	const struct legacy *l = &mem->t->process->sharing->maps[i];

	return !l->above && !(l->is_left && mem->is_laid);
}

/* PR_SET_THP_DISABLE. */
static bool has_no_huge_pages(const struct memory *mem)
{
	const Prctls *m = restore_record(mem->r, "PRCT", mem->t->process->threads[0].rec->id);

	for (size_t i = 0; m && i < m->n_values; i++)
		if (!strcmp(m->values[i]->name, "thp_disable"))
			return m->values[i]->value != 0;
	return false;
}

/* Only into memory that nothing has been written to, and whose protection is that of the scratch. */
static bool can_move(const struct memory *mem, size_t i)
{
	const Mapping *m = mem->mm->mappings[i];

	if (m->sort != MAPPING__SORT__ANON || m->has_page_size ||
	    (m->prot | PROT_WRITE) != (PROT_READ | PROT_WRITE))
		return false;
	return !has(m, VMF_nh) && !has(m, VMF_dp) && !has(m, VMF_gd) && is_own(mem, i);
}

bool readers_may_collapse(const struct memory *mem, uint64_t at)
{
	if (has_no_huge_pages(mem))
		return false;
	for (size_t i = 0; i < mem->mm->n_mappings; i++)
		if (at >= mem->mm->mappings[i]->start && at < mem->mm->mappings[i]->end)
			return is_own(mem, i);
	return false;
}

static bool was_huge(const Mm *mm, uint64_t at)
{
	size_t low = 0, high = mm->n_huge;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mm->huge[mid]->start + mm->huge[mid]->length <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < mm->n_huge && mm->huge[low]->start <= at;
}

/* Adds the blocks of [start, end) that are to be moved, one behind the other as one span. */
static void add_blocks(const struct memory *mem, const struct runs *runs, uint64_t start,
		       uint64_t end, struct spans *out)
{
	uint64_t at = block_up(start);

	for (size_t k = runs_at(runs, at); k < runs->list.n && at + BLOCK <= end;) {
		const struct run *x = &runs->list.v[k];
		struct span *last = out->list.n ? &out->list.v[out->list.n - 1] : NULL;

		if (x->start > at)
			at = x->start & ~(BLOCK - 1);
		/* Zeros are not read: they cost the same wherever they are. */
		if (x->store == RUN_ZERO && x->start <= at && x->end >= at + BLOCK) {
			at = x->end & ~(BLOCK - 1);
			k += x->end == at;
			continue;
		}
		if (at + BLOCK > end)
			break;
		if (runs_cover(runs, at, at + BLOCK) || was_huge(mem->mm, at)) {
			if (last && last->end == at)
				last->end += BLOCK;
			else
				*vec_add(&out->list) = (struct span){ at, at + BLOCK };
		}
		at += BLOCK;
		while (k < runs->list.n && runs->list.v[k].end <= at)
			k++;
	}
}

/*
 * A descriptor of this number belongs to the process alone: the image's tables do not have it, nor has the leader,
 * who keeps what it has fetched for its mappings under the lowest numbers.
 */
static int move_fd(const struct memory *mem)
{
	const struct restore *r = mem->r;
	size_t fetched = 2 * (mem->mm->n_files + r->n_shmems) + r->img.n_stores;

	return tree_free_fd(r, r->self_pidfd + 8 + (int)fetched);
}

/*
 * Not where others run in the same memory, whose forks would make the scratch shared, or have the same table
 * of descriptors.
 */
static bool may_move(const struct memory *mem)
{
	const struct restore *r = mem->r;
	const struct rprocess *p = mem->t->process;

	return !has_no_huge_pages(mem) && r->host.can_move && !r->opt->in_place && !p->n_members &&
	       p->threads[0].table[TABLE_FILES]->n_processes <= 1 &&
	       !p->relative->born_with[TABLE_FILES] &&
	       (uint64_t)move_fd(mem) < r->host.limits[RLIMIT_NOFILE].rlim_cur;
}

void readers_find_blocks(struct memory *mem, const struct runs *runs, struct runs *moved,
			 struct runs *rest)
{
	struct spans spans = { 0 };
	uint64_t at = 0;

	for (size_t i = 0; i < mem->mm->n_mappings && may_move(mem); i++) {
		const Mapping *m = mem->mm->mappings[i];

		if (can_move(mem, i))
			add_blocks(mem, runs, m->start, m->end, &spans);
	}
	vec_each(s, &spans.list) {
		runs_clip(runs, at, s->start, rest);
		runs_clip(runs, s->start, s->end, moved);
		at = s->end;
	}
	runs_clip(runs, at, UINT64_MAX, rest);
	vec_free(&spans.list);
}

/* --- the readers ----------------------------------------------------------------------------------- */

struct reader readers_leader(struct memory *mem)
{
	return (struct reader){ mem, &mem->t->plan, mem->fetch_of_store, mem->r->scratch };
}

struct readers {
	struct reader v[WORK_MAX];
	struct task_plan *t[WORK_MAX]; /* NULL: the leader itself */
	uint32_t n;
};

static void begin(struct memory *mem, uint64_t bytes, struct readers *rs)
{
	struct restore *r = mem->r;
	uint64_t most = bytes / READER_BYTES;

	*rs = (struct readers){ .n = readers_width(r) };
	if (rs->n > most)
		rs->n = most ? (uint32_t)most : 1;
	rs->v[0] = readers_leader(mem);
	for (uint32_t i = 0; i < rs->n && rs->n > 1; i++) {
		struct task_plan *t = planner_new_reader(r, mem->t->process);

		rs->t[i] = t;
		rs->v[i] = (struct reader){ mem, &t->plan,
					    arena_alloc(&r->arena,
							(r->img.n_stores + 1) * sizeof(uint32_t)),
					    r->scratch + i * BLOCK };
		plan_note(&t->plan, "contents");
	}
}

/* They are clones of the leader's that no exit signal tells of; each must have come to its end. */
static void end(struct memory *mem, const struct readers *rs)
{
	struct plan *p = &mem->t->plan;
	uint32_t clones[WORK_MAX];
	uint64_t status;

	if (rs->n < 2)
		return;
	plan_note(p, "a reader of its memory");
	status = plan_data(p, NULL, 4 * WORK_MAX);
	for (uint32_t i = 0; i < rs->n; i++)
		clones[i] = planner_emit_clone(p, CLONE_VM, rs->t[i]);
	for (uint32_t i = 0; i < rs->n; i++) {
		struct arg at = arg_data(status + 4 * (uint64_t)i);

		plan_op(p, CR_RST_CALL, SYS_wait4,
			PLAN_ARGS(arg_result(clones[i]), at, arg_num(__WALL), arg_num(0)),
			CR_RST_WANT_OK, 0);
		/* adds nothing, and gives what is there */
		plan_op(p, CR_RST_POST, 0, PLAN_ARGS(at, arg_num(0), arg_num(1)), CR_RST_WANT_EXACT,
			0);
	}
}

/* What reader i of n has of so many things: as much as each other, and one behind the other in the image. */
static size_t share_of(size_t things, uint32_t i, uint32_t n)
{
	return things * i / n;
}

/* What is read at once: v, in the order of the image. */
struct part {
	struct run *v;
	size_t n;
	uint64_t to; /* whole blocks: where it is moved */
};
struct parts {
	vec(struct part) list;
};

static void begin_hashing(struct hashing *h, struct reader *rd, const struct part *v, size_t n)
{
	struct runs all = { 0 };

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < v[i].n; k++)
			if (v[i].v[k].store != RUN_ZERO)
				*vec_add(&all.list) = v[i].v[k];
	hashing_begin(h, rd,
		      all.list.n ? arena_copy(&rd->mem->r->arena, all.list.v,
					      all.list.n * sizeof(*all.list.v))
				 : NULL,
		      all.list.n);
	runs_free(&all);
}

/* --- pages where they belong ----------------------------------------------------------------------- */

static void read_parts(struct reader *rd, const struct part *v, size_t n)
{
	struct hashing h;

	begin_hashing(&h, rd, v, n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < v[i].n; k++)
			contents_populate(rd->plan, v[i].v[k].start, v[i].v[k].end);
		contents_read(rd, v[i].v, v[i].n);
		hashing_go_on(&h, v[i].v, v[i].n);
	}
}

static void add_part(struct memory *mem, struct runs *pieces, struct parts *parts)
{
	size_t n = pieces->list.n;

	if (n)
		*vec_add(&parts->list) = (struct part){
			.v = arena_copy(&mem->r->arena, pieces->list.v,
					n * sizeof(*pieces->list.v)),
			.n = n,
		};
	pieces->list.n = 0;
}

/* In pieces of at most a block, which are gathered to parts of about one. */
static void cut_parts(struct memory *mem, const struct runs *runs, struct parts *parts)
{
	const struct run *v = contents_by_place(mem, runs);
	struct runs pieces = { 0 };
	uint64_t part = 0;

	for (size_t i = 0; i < runs->list.n; i++) {
		for (uint64_t at = v[i].start; at < v[i].end;) {
			uint64_t stop = at + BLOCK - part < v[i].end ? at + BLOCK - part : v[i].end;

			if (v[i].store == RUN_ZERO)
				stop = v[i].end;
			*vec_add(&pieces.list) = (struct run){
				.start = at,
				.end = stop,
				.store = v[i].store,
				.place = v[i].store == RUN_ZERO ? 0 : v[i].place + at - v[i].start,
			};
			part += stop - at;
			at = stop;
			if (part < BLOCK)
				continue;
			add_part(mem, &pieces, parts);
			part = 0;
		}
	}
	add_part(mem, &pieces, parts);
	runs_free(&pieces);
}

bool readers_plan_rest(struct memory *mem, const struct runs *runs)
{
	uint64_t bytes = bytes_of(runs);
	struct parts parts = { 0 };
	struct readers rs;

	if (readers_width(mem->r) < 2 || bytes < READERS_LEAST)
		return false;
	begin(mem, bytes, &rs);
	cut_parts(mem, runs, &parts);
	for (uint32_t i = 0; i < rs.n; i++) {
		size_t first = share_of(parts.list.n, i, rs.n);

		read_parts(&rs.v[i], parts.list.v + first,
			   share_of(parts.list.n, i + 1, rs.n) - first);
	}
	end(mem, &rs);
	vec_free(&parts.list);
	return true;
}

/* --- blocks that are moved --------------------------------------------------------------------------- */

/* Whole mappings, so that none is split. */
static void plan_register(struct memory *mem, uint32_t fd, const struct runs *runs)
{
	struct plan *p = &mem->t->plan;

	for (size_t i = 0; i < mem->mm->n_mappings; i++) {
		const Mapping *m = mem->mm->mappings[i];
		struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
		size_t k = runs_at(runs, m->start);

		if (k == runs->list.n || runs->list.v[k].start >= m->end)
			continue;
		reg.range.start = m->start;
		reg.range.len = m->end - m->start;
		plan_call_is(p, 0, SYS_ioctl, arg_num(fd), arg_num(UFFDIO_REGISTER),
			     arg_data(plan_data(p, &reg, sizeof(reg))));
	}
}

/* The number is one that readers know as well. */
static uint32_t plan_watch(struct memory *mem, const struct runs *runs)
{
	const struct uffdio_api api = { .api = UFFD_API, .features = UFFD_HAS_MOVE };
	struct plan *p = &mem->t->plan;
	uint32_t op, fd = (uint32_t)move_fd(mem);

	plan_note(p, "whole blocks of its memory");
	op = plan_call(p, SYS_userfaultfd, arg_num(O_CLOEXEC | UFFD_USER_MODE_ONLY));
	plan_call_is(p, fd, SYS_dup3, arg_result(op), arg_num(fd), arg_num(O_CLOEXEC));
	plan_call_is(p, 0, SYS_close, arg_result(op));
	plan_call_is(p, 0, SYS_ioctl, arg_num(fd), arg_num(UFFDIO_API),
		     arg_data(plan_data(p, &api, sizeof(api))));
	plan_register(mem, fd, runs);
	return fd;
}

static void plan_scratch(const struct reader *rd, bool is_begin)
{
	struct arg at = arg_num(rd->scratch), size = arg_num(BLOCK);

	if (!is_begin) {
		plan_call_is(rd->plan, 0, SYS_munmap, at, size);
		return;
	}
	plan_call_is(rd->plan, rd->scratch, SYS_mmap, at, size, arg_num(PROT_READ | PROT_WRITE),
		     arg_num(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), arg_num(~0ull),
		     arg_num(0));
	/* Where the kernel has no huge pages, small ones are moved. */
	plan_call_any(rd->plan, SYS_madvise, at, size, arg_num(MADV_HUGEPAGE));
}

/* The runs of one block, as they lie in the scratch. */
static void cut_block(struct memory *mem, const struct reader *rd, const struct runs *runs,
		      uint64_t block, struct part *out)
{
	struct runs part = { 0 };

	runs_clip(runs, block, block + BLOCK, &part);
	vec_each(x, &part.list) {
		x->start += rd->scratch - block;
		x->end += rd->scratch - block;
	}
	*out = (struct part){ contents_by_place(mem, &part), part.list.n, block };
	runs_free(&part);
}

static void move_blocks(struct reader *rd, uint32_t fd, const struct part *v, size_t n)
{
	struct hashing h;

	begin_hashing(&h, rd, v, n);
	plan_scratch(rd, true);
	for (size_t i = 0; i < n; i++) {
		contents_read(rd, v[i].v, v[i].n);
		hashing_go_on(&h, v[i].v, v[i].n);
		plan_op(rd->plan, CR_RST_MOVE, 0,
			PLAN_ARGS(arg_num(fd), arg_num(v[i].to), arg_num(rd->scratch),
				  arg_num(BLOCK)),
			CR_RST_WANT_EXACT, 0);
	}
	plan_scratch(rd, false);
}

void readers_plan_blocks(struct memory *mem, const struct runs *runs)
{
	uint32_t fd = plan_watch(mem, runs);
	struct parts parts = { 0 };
	uint64_t at = 0;
	struct readers rs;

	vec_each(x, &runs->list) {
		if (x->start > at)
			at = x->start & ~(BLOCK - 1);
		for (; at < x->end; at += BLOCK)
			vec_add(&parts.list)->to = at;
	}
	begin(mem, bytes_of(runs), &rs);
	for (uint32_t i = 0; i < rs.n; i++) {
		size_t first = share_of(parts.list.n, i, rs.n);
		size_t next = share_of(parts.list.n, i + 1, rs.n);

		for (size_t k = first; k < next; k++)
			cut_block(mem, &rs.v[i], runs, parts.list.v[k].to, &parts.list.v[k]);
		move_blocks(&rs.v[i], fd, parts.list.v + first, next - first);
	}
	vec_free(&parts.list);
	end(mem, &rs);
	/* It watches nothing any more then. */
	plan_note(&mem->t->plan, "contents");
	plan_call_is(&mem->t->plan, 0, SYS_close, arg_num(fd));
}
