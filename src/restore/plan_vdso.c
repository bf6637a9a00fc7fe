/* SPDX-License-Identifier: MIT */
/*
 * The vDSO. Every process has that of cr, which is moved to where its own was. If it is that of another
 * kernel, programs hold addresses in it all the same: then the image's stands at its place, as memory of the
 * process, with a jump at the begin of each function, and this kernel's behind the region, where it stays.
 * Where its data were nothing can be read.
 * Pure.
 */
#include "restore/internal.h"

#include <string.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "base/compat.h"

#define MAX_AREAS 5u
#define MAX_VDSO (1u << 20)

static bool overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

static void emit_move(struct plan *p, uint64_t from, uint64_t size, uint64_t to)
{
	plan_call_is(p, to, SYS_mremap, arg_num(from), arg_num(size), arg_num(size),
		     arg_num(MREMAP_MAYMOVE | MREMAP_FIXED), arg_num(to));
}

struct vdso_move {
	struct host_range from[MAX_AREAS];
	uint64_t to[MAX_AREAS];
	size_t n;
};

static bool is_area(const Mapping *m)
{
	return m->sort == MAPPING__SORT__VDSO || m->sort == MAPPING__SORT__VVAR;
}

/* Pairs the areas of the image with those of cr, if these have the same sizes in the same order. */
static bool pair_areas(const struct host *h, const Mm *mm, struct vdso_move *v)
{
	size_t n_vvar = 0;

	*v = (struct vdso_move){ 0 };
	for (size_t i = 0; i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];
		struct host_range from = h->vdso;

		if (!is_area(m))
			continue;
		if (m->sort == MAPPING__SORT__VVAR) {
			from = n_vvar < h->n_vvar ? h->vvar[n_vvar] : (struct host_range){ 0, 0 };
			n_vvar++;
		}
		if (v->n == MAX_AREAS || from.end - from.start != m->end - m->start)
			return false;
		v->from[v->n] = from;
		v->to[v->n++] = m->start;
	}
	return true;
}

/* --- which one it is ------------------------------------------------------------------------------ */

static bool is_same_kernel(const Manifest *m, const struct host *h)
{
	if (!m->has_vdso_build_id)
		return true;
	if (m->vdso_build_id.len)
		return m->vdso_build_id.len == h->vdso_build_id_size &&
		       !memcmp(m->vdso_build_id.data, h->vdso_build_id, h->vdso_build_id_size);
	return m->has_vdso && m->vdso.len == h->vdso.end - h->vdso.start && h->vdso_image &&
	       !memcmp(m->vdso.data, h->vdso_image, m->vdso.len);
}

static const Mapping *find_vdso(const Mm *mm)
{
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (mm->mappings[i]->sort == MAPPING__SORT__VDSO)
			return mm->mappings[i];
	}
	return NULL;
}

static bool is_other(const struct restore *r, const Mm *mm)
{
	struct vdso_move v;

	return find_vdso(mm) &&
	       (!is_same_kernel(r->img.manifest, &r->host) || !pair_areas(&r->host, mm, &v));
}

int restore_check_ip(struct restore *r, uint32_t mm_id, uint64_t ip, struct error *e)
{
	const Manifest *m = r->img.manifest;
	const Mm *mm = restore_record(r, record_mm.tag, mm_id);
	const Mapping *old = mm ? find_vdso(mm) : NULL;

	if (!old || ip < old->start || ip >= old->end || !is_other(r, mm) ||
	    arch_vdso_is_begin(m->vdso.data, m->vdso.len, ip - old->start))
		return 0;
	return fail(
		e, 0,
		"it was stopped inside the vDSO (%#llx), and this kernel's is another than that of "
		"the image (%s); restore it there, and dump it once more to take it here",
		(unsigned long long)ip, m->kernel);
}

/* --- the same ------------------------------------------------------------------------------------- */

static void move_all(struct plan *p, const struct vdso_move *v)
{
	for (size_t i = 0; i < v->n; i++) {
		if (v->from[i].start != v->to[i])
			emit_move(p, v->from[i].start, v->from[i].end - v->from[i].start, v->to[i]);
	}
}

static bool is_in_place(const struct vdso_move *v)
{
	for (size_t i = 0; i < v->n; i++) {
		if (v->from[i].start != v->to[i])
			return false;
	}
	return true;
}

static bool move_is_direct(const struct vdso_move *v)
{
	for (size_t i = 0; i < v->n; i++) {
		for (size_t k = 0; k < v->n; k++) {
			uint64_t size = v->from[i].end - v->from[i].start;

			if (overlaps(v->to[i], v->to[i] + size, v->from[k].start, v->from[k].end))
				return false;
		}
	}
	return true;
}

/* Every area is moved, by way of the hole if they would meet. */
static void plan_same(struct plan *p, struct vdso_move *v, uint64_t spare)
{
	if (is_in_place(v))
		return;
	if (!move_is_direct(v)) {
		for (size_t i = 0; i < v->n; i++) {
			uint64_t size = v->from[i].end - v->from[i].start;

			emit_move(p, v->from[i].start, size, spare);
			v->from[i] = (struct host_range){ spare, spare + size };
			spare += size;
		}
	}
	move_all(p, v);
}

/* --- another -------------------------------------------------------------------------------------- */

struct host_range vdso_span(const struct host *h)
{
	struct host_range span = h->vdso;

	for (size_t i = 0; i < h->n_vvar; i++) {
		if (h->vvar[i].start < span.start)
			span.start = h->vvar[i].start;
		if (h->vvar[i].end > span.end)
			span.end = h->vvar[i].end;
	}
	return span;
}

/* To stay: the code finds the data by their distance. */
static void move_out(struct plan *p, const struct host *h, uint64_t to)
{
	uint64_t by = to - vdso_span(h).start;

	for (size_t i = 0; i < h->n_vvar; i++)
		emit_move(p, h->vvar[i].start, h->vvar[i].end - h->vvar[i].start,
			  h->vvar[i].start + by);
	emit_move(p, h->vdso.start, h->vdso.end - h->vdso.start, h->vdso.start + by);
}

static int redirect(struct restore *r, const Mapping *old, void *text, uint64_t to, struct error *e)
{
	const Manifest *m = r->img.manifest;
	const struct host *h = &r->host;
	uint64_t at = to + h->vdso.start - vdso_span(h).start;
	int rc;

	if (!m->has_vdso)
		return fail(
			e, 0,
			"this kernel's vDSO is not that of the image (%s), which does not hold its own: "
			"restore it on the kernel it was made on",
			m->kernel);
	if (m->vdso.len != old->end - old->start)
		return fail(
			e, 0,
			"it has only a part of its vDSO, and this kernel's is another than that of the "
			"image (%s): restore it on the kernel it was made on",
			m->kernel);
	memcpy(text, m->vdso.data, m->vdso.len);
	rc = arch_vdso_redirect(text, m->vdso.len, h->vdso_image,
				h->vdso_image ? h->vdso.end - h->vdso.start : 0, at,
				r->vdso_missing, e);
	return within(e, rc, "the vDSO of the image, which is not that of this kernel");
}

static void emit_map(struct plan *p, const struct host *h, const Mapping *m, uint32_t prot)
{
	uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS, fixed = MAP_FIXED_NOREPLACE;

	/* Only cr's executable may be replaced. */
	for (size_t i = 0; i < h->n_own; i++) {
		if (overlaps(m->start, m->end, h->own[i].start, h->own[i].end))
			fixed = MAP_FIXED;
	}
	plan_call_is(p, m->start, SYS_mmap, arg_num(m->start), arg_num(m->end - m->start),
		     arg_num(prot), arg_num(flags | fixed), arg_num(~0ull), arg_num(0));
}

/* Where programs look for functions is their own vDSO, of which each leads into this kernel's. */
static int plan_other(struct restore *r, struct task_plan *t, const Mapping *old, struct error *e)
{
	const struct host *h = &r->host;
	const Mm *mm = t->process->mm;
	uint64_t size = old->end - old->start;
	uint64_t to = r->hole.start + r->region_size;
	void *text = arena_alloc(&r->arena, size < MAX_VDSO ? size : 1);
	struct plan *p = &t->plan;
	int rc = size < MAX_VDSO ? redirect(r, old, text, to, e)
				 : fail(e, 0, "a vDSO of %llu bytes", (unsigned long long)size);

	if (rc < 0)
		return rc;
	if (h->vdso.end)
		move_out(p, h, to);
	plan_note(p, "vDSO of the image, leads into this kernel's");
	emit_map(p, h, old, PROT_READ | PROT_WRITE);
	plan_op(p, CR_RST_COPY, 0,
		PLAN_ARGS(arg_num(old->start), arg_data(plan_data(p, text, size)), arg_num(size)),
		CR_RST_WANT_OK, 0);
	plan_call_is(p, 0, SYS_mprotect, arg_num(old->start), arg_num(size), arg_num(old->prot));
	/* A signal handler may return into the old code: then it ends here, and finds no other data. */
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (mm->mappings[i]->sort == MAPPING__SORT__VVAR)
			emit_map(p, h, mm->mappings[i], PROT_NONE);
	}
	return 0;
}

/* --- all ------------------------------------------------------------------------------------------- */

static void plan_none(struct plan *p, const struct host *h)
{
	for (size_t i = 0; i < h->n_vvar; i++)
		plan_call_is(p, 0, SYS_munmap, arg_num(h->vvar[i].start),
			     arg_num(h->vvar[i].end - h->vvar[i].start));
	if (h->vdso.end)
		plan_call_is(p, 0, SYS_munmap, arg_num(h->vdso.start),
			     arg_num(h->vdso.end - h->vdso.start));
}

int plan_vdso(struct restore *r, struct task_plan *t, struct error *e)
{
	const Mm *mm = t->process->mm;
	const Mapping *old = find_vdso(mm);
	struct vdso_move v;
	int rc;

	plan_note(&t->plan, "vDSO");
	if (!old) {
		plan_none(&t->plan, &r->host);
		return 0;
	}
	if (is_other(r, mm)) {
		rc = plan_other(r, t, old, e);
		return within(e, rc, "task %u", t->tid);
	}
	if (pair_areas(&r->host, mm, &v))
		plan_same(&t->plan, &v, r->hole.start + r->region_size);
	return 0;
}
