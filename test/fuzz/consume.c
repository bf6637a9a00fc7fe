/* SPDX-License-Identifier: MIT */
#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cmd/show.h"
#include "kind.h"
#include "restore/check.h"
#include "restore/internal.h"

#define MAX_REGION (64u << 20)

/* An error has a sentence, and nothing else has a negative value. */
static int judged(int rc, const struct error *e)
{
	if (rc < 0 && !e->text[0])
		abort();
	return rc;
}

/* What is printed for people holds nothing that a terminal obeys. */
static void is_for_people(const struct buf *out)
{
	for (size_t i = 0; i < out->len; i++) {
		if ((unsigned char)out->p[i] < ' ' && out->p[i] != '\n')
			abort();
	}
}

/* --- a machine ----------------------------------------------------------------------------------- */

/*
 * The areas of the vDSO have the sizes that the image has, so that they do not matter. Whether it is that of
 * the image a byte of that tells, so that both ways are gone.
 */
static void add_vdso(struct restore *r)
{
	const Manifest *manifest = r->img.manifest;
	struct host *h = &r->host;
	uint64_t at = 0x7f1000000000;
	const Mm *mm = r->n_processes ? r->processes[0].mm : NULL;

	for (size_t i = 0; mm && i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];
		struct host_range range = { at, at + m->end - m->start };

		if (m->end - m->start > 1u << 20)
			continue;
		if (m->sort == MAPPING__SORT__VVAR && h->n_vvar < 4)
			h->vvar[h->n_vvar++] = range;
		else if (m->sort == MAPPING__SORT__VDSO)
			h->vdso = range;
		else
			continue;
		at = range.end;
	}
	if (manifest->has_vdso_build_id && manifest->vdso_build_id.len &&
	    manifest->vdso_build_id.len <= 32 && manifest->vdso_build_id.data[0] & 1) {
		h->vdso_build_id_size = (uint32_t)manifest->vdso_build_id.len;
		memcpy(h->vdso_build_id, manifest->vdso_build_id.data, h->vdso_build_id_size);
	}
}

static void make_host(struct restore *r)
{
	static struct cr_rst_range own[] = {
		{ 0x400000, 0x401000, 0, PROT_READ, MAP_PRIVATE },
		{ 0x401000, 0x470000, 0x1000, PROT_READ | PROT_EXEC, MAP_PRIVATE },
		{ 0x470000, 0x480000, 0x70000, PROT_READ | PROT_WRITE, MAP_PRIVATE },
	};
	static struct host_range mapped[] = {
		{ 0x400000, 0x480000 },
		{ 0x7f1000000000, 0x7f1000100000 },
	};
	struct host *h = &r->host;

	*h = (struct host){
		.pid = 2000000,
		.lowest = 65536,
		.highest = 0x7ffffffff000,
		.mapped = mapped,
		.n_mapped = 2,
		.own = own,
		.n_own = 3,
		.xsave_mask = ~0ull,
		.xsave_size = 1u << 16,
		.rseq_address = 0x7f1000001000,
		.rseq_size = 32,
		.ignored = 1,
		.cap_prm = ~0ull,
		.cap_eff = ~0ull,
		.cap_bnd = ~0ull,
		.umask = 022,
	};
	for (size_t i = 0; i < sizeof(h->limits) / sizeof(h->limits[0]); i++)
		h->limits[i] = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	add_vdso(r);
}

/* --- the pure part of a restore ------------------------------------------------------------------ */

static void lay_out(const struct restore *r)
{
	auto_free char *region = NULL;

	if (r->region_size > MAX_REGION)
		return;
	region = mem_alloc(r->region_size);
	for (size_t i = 0; i < r->plans.n; i++) {
		const struct task_plan *t = r->plans.v[i];

		if (t->at + plan_size(&t->plan, TASK_STACK) > r->region_size)
			abort();
		plan_write(&t->plan, region, t->at, TASK_STACK, 0);
	}
}

static int plan(const char *dir, struct error *e)
{
	const struct restore_options opt = { .dir = dir };
	struct restore r = { .opt = &opt, .self_pidfd = -1 };
	auto_buf out = { 0 };
	int rc = restore_read(&r, true, e);

	if (rc == 0) {
		make_host(&r);
		r.self_pidfd = tree_free_fd(&r, 3);
		rc = planner_run(&r, e);
	}
	if (rc == 0) {
		restore_explain(&r, &out);
		is_for_people(&out);
		lay_out(&r);
	}
	restore_end(&r);
	return judged(rc, e);
}

/* --- reading ------------------------------------------------------------------------------------- */

static int ignore(const char *text, size_t n, void *arg)
{
	*(size_t *)arg += n + (n ? (size_t)text[0] % 2 : 0);
	return 0;
}

static void json(const struct image *img)
{
	json_t *all = image_json(img);
	size_t n = 0;

	if (!all || json_dump_callback(all, ignore, &n, JSON_INDENT(2) | JSON_ENSURE_ASCII) < 0)
		abort();
	json_decref(all);
}

static int show(const struct image *img, struct error *e)
{
	auto_buf out = { 0 };
	int rc = judged(show_text(img, "DIR", &out, e), e);

	is_for_people(&out);
	return rc;
}

static int look(const char *dir, unsigned int uses, struct error *e)
{
	size_t n;
	const struct record_type *types = record_types(&n);
	struct image img;
	int rc = judged(image_open(&img, dir, types, n, !(uses & HOSTILE_VERIFY), e), e);

	if (rc < 0)
		return rc;
	if (uses & HOSTILE_JSON)
		json(&img);
	if (uses & HOSTILE_SHOW)
		rc = show(&img, e);
	if (uses & HOSTILE_VERIFY)
		rc = judged(restore_check(&img, e), e);
	image_free(&img);
	return rc;
}

int hostile_use(const char *dir, unsigned int uses, struct error *e)
{
	int rc = 0;

	*e = (struct error){ 0 };
	if (uses & (HOSTILE_VERIFY | HOSTILE_SHOW | HOSTILE_JSON))
		rc = look(dir, uses, e);
	if (rc == 0 && uses & HOSTILE_PLAN)
		rc = plan(dir, e);
	return rc;
}
