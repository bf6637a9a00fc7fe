/* SPDX-License-Identifier: MIT */
#include "restore/sharing.h"

#include <string.h>
#include <sys/mman.h>

#include "proc/maps.h"
#include "restore/relations.h"
#include "restore/shmem.h"

#define MAX_RUNS (1u << 24) /* a reference is short, and what it leads to may be long */

/* --- the pages of each ------------------------------------------------------------------------- */

static void add_extent(const struct rprocess *p, const Extent *x, struct runs *own)
{
	struct run run = { .start = x->start, .end = x->start + x->length };

	if (x->sort == EXTENT__SORT__SAME) {
		if (p->parent)
			runs_clip(&p->parent->memory->sharing->own, run.start, run.end, own);
		return;
	}
	run.store = x->sort == EXTENT__SORT__DATA ? x->store : RUN_ZERO;
	run.place = x->sort == EXTENT__SORT__DATA ? x->offset : 0;
	runs_add(own, run);
}

static int link_one(struct rprocess *p, size_t *total, struct error *e)
{
	const Mm *mm = p->mm;
	struct runs *own = &p->sharing->own;

	for (size_t i = 0; i < mm->n_extents; i++) {
		add_extent(p, mm->extents[i], own);
		if (own->list.n > MAX_RUNS - *total)
			return fail(e, 0, "task %u: more pieces of shared pages than cr can hold",
				    p->rec->id);
	}
	*total += own->list.n;
	return 0;
}

int sharing_link(struct restore *r, struct error *e)
{
	size_t total = 0;
	int rc = 0;

	for (size_t i = 0; i < r->n_processes && rc == 0; i++) {
		r->processes[i].sharing = arena_alloc(&r->arena, sizeof(struct sharing));
		if (!is_member(&r->processes[i]))
			rc = link_one(&r->processes[i], &total, e);
	}
	return rc;
}

static void free_decided(struct sharing *s)
{
	runs_free(&s->wish);
	runs_free(&s->before);
	runs_free(&s->given);
	runs_free(&s->fill);
	vec_free(&s->drop.list);
	vec_free(&s->segments.list);
}

void sharing_free(struct restore *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct sharing *s = r->processes[i].sharing;

		if (!s)
			continue;
		runs_free(&s->own);
		free_decided(s);
	}
}

/* --- children ---------------------------------------------------------------------------------- */

/* Early ones, all others, and those that a sibling makes, which are as the parent is then and get nothing. */
enum turn {
	EARLY,
	ORDINARY,
	BORN_OF_SIBLING,
	TURNS
};

static enum turn turn_of(const struct rprocess *c)
{
	return c->relative->is_early ? EARLY : c->relative->born_of ? BORN_OF_SIBLING : ORDINARY;
}

/* Where the parent is a member nobody knows what its memory holds when it forks. */
static bool gets_nothing(const struct rprocess *c)
{
	return is_member(c) || is_member(c->parent) || turn_of(c) == BORN_OF_SIBLING;
}

struct rprocess *sharing_next(const struct rprocess *p, const struct rprocess *c)
{
	size_t i = c ? c->sibling + 1 : 0;

	for (enum turn turn = c ? turn_of(c) : EARLY; turn < TURNS; turn++, i = 0)
		for (; i < p->n_children; i++)
			if (turn_of(p->children[i]) == turn)
				return p->children[i];
	return NULL;
}

/* --- which mappings can be handed on ------------------------------------------------------------- */

static bool meets(uint64_t start, uint64_t end, uint64_t a, uint64_t b)
{
	return start < b && a < end;
}

/* What cr has there itself is moved or taken away by each process on its own. */
static bool is_of_host(const struct host *h, uint64_t start, uint64_t end)
{
	bool is = meets(start, end, h->vdso.start, h->vdso.end);

	for (size_t i = 0; i < h->n_vvar; i++)
		is = is || meets(start, end, h->vvar[i].start, h->vvar[i].end);
	for (size_t i = 0; i < h->n_own; i++)
		is = is || meets(start, end, h->own[i].start, h->own[i].end);
	return is;
}

/* A segment is attached as a whole, before anything else is mapped. */
static void find_segments(const struct restore *r, const Mm *mm, struct spans *out)
{
	for (size_t i = 0; i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];
		const SharedMemory *s = m->has_memory ? shmem_of(r, m) : NULL;
		uint64_t base = m->start - m->offset;

		if (s && s->sort == SHARED_MEMORY__SORT__SYSV &&
		    (!out->list.n || out->list.v[out->list.n - 1].start != base))
			*vec_add(&out->list) =
				(struct span){ base, base + ((s->size + 4095) & ~4095ull) };
	}
}

static bool is_free(const struct restore *r, const struct rprocess *p, uint64_t start, uint64_t end)
{
	vec_each(s, &p->sharing->segments.list)
		if (meets(start, end, s->start, s->end))
			return false;
	return !is_of_host(&r->host, start, end);
}

/* What is droppable is never there after a fork; huge pages are not dropped piece by piece. */
static bool is_private(const Mapping *m)
{
	return (m->sort == MAPPING__SORT__ANON || m->sort == MAPPING__SORT__FILE_PRIVATE) &&
	       !(m->flags & (VMF(dp) | VMF(ht)));
}

/* What is set when all have been forked. */
#define LATER                                                                                      \
	(VMF(rd) | VMF(wr) | VMF(ex) | VMF(dc) | VMF(wf) | VMF(dd) | VMF(hg) | VMF(mg) | VMF(sr) | \
	 VMF(rr) | VMF(lo) | VMF(lf) | VMF(sd) | VMF(mr) | VMF(mw) | VMF(me) | VMF(sl))

static bool is_alike(const Mm *a, const Mapping *m, const Mm *b, const Mapping *n)
{
	const FileIdentity *f, *g;

	if (m->sort != n->sort || (m->flags ^ n->flags) & ~LATER)
		return false;
	if (m->sort == MAPPING__SORT__ANON)
		return true;
	f = a->files[m->file];
	g = b->files[n->file];
	return m->offset - m->start == n->offset - n->start && f->inode == g->inode &&
	       f->dev == g->dev && !strcmp(f->path, g->path);
}

/* The first mapping that ends, as it is handed on, behind the address; mm->n_mappings: none. */
static size_t mapping_at(const struct rprocess *p, uint64_t address)
{
	size_t low = 0, high = p->mm->n_mappings;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->sharing->maps[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Whether the child's mapping can come from the parent's, which may have to be made larger for it. */
static bool leave(const struct restore *r, struct rprocess *p, struct rprocess *c, size_t k)
{
	struct legacy *to = &c->sharing->maps[k], *from;
	size_t i = mapping_at(p, to->start);
	uint64_t start, end;

	if (i == p->mm->n_mappings || p->sharing->maps[i].start >= to->end)
		return false;
	from = &p->sharing->maps[i];
	start = from->start < to->start ? from->start : to->start;
	end = from->end > to->end ? from->end : to->end;
	if (!is_private(p->mm->mappings[i]) ||
	    !is_alike(p->mm, p->mm->mappings[i], c->mm, c->mm->mappings[k]))
		return false;
	if ((i && p->sharing->maps[i - 1].end > start) ||
	    (i + 1 < p->mm->n_mappings && p->sharing->maps[i + 1].start < end))
		return false;
	if (!is_free(r, p, start, end) || !is_free(r, c, to->start, to->end))
		return false;
	from->start = start;
	from->end = end;
	from->is_left = true;
	to->above = (uint32_t)i + 1;
	return true;
}

/* Of what the child must have at its birth, what it can have. A run may go on in the next mapping. */
static void leave_all(const struct restore *r, struct rprocess *p, struct rprocess *c)
{
	struct runs out = { 0 };
	size_t k = SIZE_MAX;
	bool ok = false;

	vec_each(x, &c->sharing->wish.list) {
		if (gets_nothing(c))
			break;
		for (uint64_t start = x->start, end; start < x->end; start = end) {
			size_t at = mapping_at(c, start);

			end = c->sharing->maps[at].end < x->end ? c->sharing->maps[at].end : x->end;
			if (at != k)
				ok = leave(r, p, c, at);
			k = at;
			if (ok)
				runs_add_part(&out, x, start, end);
		}
	}
	runs_free(&c->sharing->wish);
	c->sharing->wish = out;
	c->sharing->is_heir = out.list.n;
}

/* --- from the leaves to the root ------------------------------------------------------------------ */

static void find_common(struct restore *r, struct runs *common)
{
	struct runs all = { 0 };

	for (size_t i = 0; i < r->n_processes; i++) {
		vec_each(x, &r->processes[i].sharing->own.list) {
			if (x->store == RUN_ZERO)
				continue;
			*vec_add(&all.list) = *x;
			all.list.v[all.list.n - 1].low = (uint32_t)i;
		}
	}
	runs_common(&all, common);
	runs_free(&all);
}

static bool is_outside(const struct restore *r, const struct rprocess *p, const struct run *x)
{
	return x->low < (size_t)(p - r->processes) || x->high >= p->end;
}

/* What of the list somebody has who does not descend from p. */
static void pick_outside(const struct restore *r, const struct rprocess *p, const struct runs *from,
			 struct runs *to)
{
	struct runs out = { 0 };

	vec_each(x, &from->list)
		if (is_outside(r, p, x))
			*vec_add(&out.list) = *x;
	runs_underlay(to, &out);
	runs_free(&out);
}

static void init_maps(struct restore *r, struct rprocess *p)
{
	struct sharing *s = p->sharing;

	s->maps = arena_alloc(&r->arena, (p->mm->n_mappings + 1) * sizeof(*s->maps));
	for (size_t i = 0; i < p->mm->n_mappings; i++)
		s->maps[i] = (struct legacy){ .start = p->mm->mappings[i]->start,
					      .end = p->mm->mappings[i]->end };
	if (r->n_shmems)
		find_segments(r, p->mm, &s->segments);
}

/* The children have theirs already. */
static void find_wishes(struct restore *r, struct rprocess *p, const struct runs *common)
{
	struct sharing *s = p->sharing;
	struct runs own = { 0 };

	for (struct rprocess *c = sharing_next(p, NULL); c; c = sharing_next(p, c)) {
		leave_all(r, p, c);
		if (p->parent)
			pick_outside(r, p, &c->sharing->wish, &s->wish);
	}
	if (!p->parent)
		return;
	runs_pick(&s->own, common, &own);
	pick_outside(r, p, &own, &s->wish);
	runs_free(&own);
}

/* --- from the root to the leaves ------------------------------------------------------------------ */

/* The protection with which each is handed on. */
static void set_protections(const struct rprocess *p)
{
	for (size_t i = 0; i < p->mm->n_mappings; i++) {
		struct legacy *l = &p->sharing->maps[i];

		l->prot = l->above ? p->parent->sharing->maps[l->above - 1].prot
				   : p->mm->mappings[i]->prot | PROT_WRITE;
	}
}

static void give(struct rprocess *c, const struct runs *state)
{
	for (size_t i = 0; i < c->mm->n_mappings; i++) {
		const struct legacy *l = &c->sharing->maps[i];

		if (l->above)
			runs_clip(state, l->start, l->end, &c->sharing->given);
	}
}

static void find_fills(struct rprocess *p)
{
	struct sharing *s = p->sharing;
	struct runs state = { 0 };
	bool laid = false;

	set_protections(p);
	runs_underlay(&state, &s->given);
	for (struct rprocess *c = sharing_next(p, NULL); c; c = sharing_next(p, c)) {
		struct sharing *t = c->sharing;

		laid = laid || t->is_heir;
		t->is_laid = laid;
		if (is_member(c))
			continue;
		runs_missing(&t->wish, &state, &t->before);
		runs_overlay(&state, &t->before);
		give(c, &state);
	}
	runs_missing(&s->own, &state, &s->fill);
	for (size_t i = 0; i < p->mm->n_mappings; i++)
		runs_surplus(&state, &s->own, p->mm->mappings[i]->start, p->mm->mappings[i]->end,
			     &s->drop);
	runs_free(&state);
	runs_free(&s->given);
	runs_free(&s->wish);
}

void sharing_decide(struct restore *r)
{
	struct runs common = { 0 };

	if (r->n_processes > 1)
		find_common(r, &common);
	for (size_t i = r->n_processes; i-- > 0;) {
		free_decided(r->processes[i].sharing);
		if (!is_member(&r->processes[i]))
			init_maps(r, &r->processes[i]);
		find_wishes(r, &r->processes[i], &common);
	}
	for (size_t i = 0; i < r->n_processes; i++)
		if (!is_member(&r->processes[i]))
			find_fills(&r->processes[i]);
	runs_free(&common);
}
