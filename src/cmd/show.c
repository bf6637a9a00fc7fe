/* SPDX-License-Identifier: MIT */
/* cr show: prints an image for people, or all of it as JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/escape.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/show.h"
#include "cmd/summary.h"
#include "files.pb-c.h"
#include "image/image.h"
#include "kind.h"
#include "mm.pb-c.h"
#include "process.pb-c.h"
#include "shmem.pb-c.h"
#include "restore/check.h"
#include "restore/order.h"

struct show_options {
	bool json;
};

static void add_text(struct buf *out, const char *s)
{
	escape_add(out, s, strlen(s));
}

/* Blanks up to the column, counted from the last line's begin; one at least. */
static void add_column(struct buf *out, size_t line, size_t column)
{
	do {
		buf_add(out, " ", 1);
	} while (out->len - line < column);
}

static void end_line(struct buf *out)
{
	while (out->p[out->len - 1] == ' ')
		out->len--;
	buf_add(out, "\n", 1);
}

/* --- where and when -------------------------------------------------------------------------- */

static void show_made(struct buf *out, const Manifest *m)
{
	time_t seconds = (time_t)(m->realtime_ns / 1000000000);
	char text[64] = "at an unknown time";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	buf_printf(out, "made     %s by ", text);
	add_text(out, m->tool);
	buf_printf(out, " on ");
	add_text(out, m->host);
}

static void show_sizes(struct buf *out, const struct image *img)
{
	uint64_t pages = 0, all = 0;

	for (size_t i = 0; i < img->n_stores; i++)
		pages += img->store_sizes[i];
	for (size_t i = 0; i < img->manifest->n_files; i++)
		all += img->manifest->files[i]->size;
	buf_printf(out, "\nsize     ");
	summary_size(out, all);
	buf_printf(out, ": pages ");
	summary_size(out, pages);
	if (img->n_stores && img->manifest->files[1]->has_packing)
		buf_printf(out, " (%s)", pack_name(img->manifest->files[1]->packing));
	if (restore_filled(img) > pages) {
		buf_printf(out, ", which stand for ");
		summary_size(out, restore_filled(img));
	}
	buf_printf(out, ", %zu records\n", img->records.n);
}

static void show_header(struct buf *out, const struct image *img, const char *dir)
{
	const Manifest *m = img->manifest;

	buf_printf(out, "image    ");
	add_text(out, dir);
	buf_printf(out, ", format %" PRIu32 "\n", m->format);
	show_made(out, m);
	buf_printf(out, "\nkernel   ");
	add_text(out, m->kernel);
	buf_printf(out, " ");
	add_text(out, m->arch);
	buf_printf(out, "\ncpu      ");
	add_text(out, m->cpu);
	buf_printf(out, ", xsave mask 0x%" PRIx64 " in %" PRIu32 " bytes", m->xsave_mask,
		   m->xsave_size);
	show_sizes(out, img);
}

/* --- the tree -------------------------------------------------------------------------------- */

static void add_name(struct buf *out, const struct image *img, uint32_t tid)
{
	const struct record *r = image_find(img, kind_comm.record.tag, tid);

	if (r)
		summary_field(out, r->msg, "name");
}

static void add_id(struct buf *out, const struct image *img, const char *what, uint32_t id)
{
	buf_printf(out, "%s %" PRIu32 "%s", what, id,
		   image_find(img, record_process.tag, id) || image_find(img, record_zombie.tag, id)
			   ? ""
			   : " (not in the image)");
}

static void show_zombies(struct buf *out, const struct image *img)
{
	vec_each(r, &img->records) {
		const Zombie *z = (const Zombie *)r->msg;
		size_t line = out->len;

		if (strcmp(r->type->tag, record_zombie.tag))
			continue;
		buf_printf(out, "  %" PRIu32 " ", z->id);
		escape_add(out, (const char *)z->name.data, z->name.len);
		add_column(out, line, 30);
		buf_printf(out, "zombie of %" PRIu32 ", ", z->parent);
		if (z->has_exit_status)
			buf_printf(out, "exit status %" PRIu32 ", ", z->exit_status);
		else
			buf_printf(out, "signal %" PRIu32 ", ", z->death_signal);
		add_id(out, img, "group", z->group);
		buf_printf(out, ", ");
		add_id(out, img, "session", z->session);
		buf_printf(out, "\n");
	}
}

static void show_tree(struct buf *out, const struct image *img, const struct order *order)
{
	buf_printf(out, "\ntree\n");
	vec_each(o, &order->list) {
		const Process *p = o->process;
		size_t line = out->len;

		buf_printf(out, "  %*s%" PRIu32 " ", (int)(o->depth < 40 ? o->depth : 40) * 2, "",
			   p->id);
		add_name(out, img, p->id);
		add_column(out, line, 30);
		buf_printf(out, "%zu thread%s, ", p->n_threads, p->n_threads == 1 ? "" : "s");
		add_id(out, img, "group", p->group);
		buf_printf(out, ", ");
		add_id(out, img, "session", p->session);
		buf_printf(out, "\n");
	}
	show_zombies(out, img);
}

/* --- descriptors ----------------------------------------------------------------------------- */

static const struct {
	uint32_t bit;
	const char *name;
} flag_names[] = {
	{ O_PATH, "path" },     { O_APPEND, "append" },        { O_NONBLOCK, "nonblock" },
	{ O_DIRECT, "direct" }, { O_SYNC & ~O_DSYNC, "sync" }, { O_DSYNC, "dsync" },
	{ O_ASYNC, "async" },   { O_NOATIME, "noatime" },      { O_DIRECTORY, "directory" },
};

static void add_flags(struct buf *out, uint32_t flags, bool cloexec)
{
	static const char *const access[] = { "r", "w", "rw", "none" };

	buf_printf(out, "%s", access[flags & O_ACCMODE]);
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++) {
		if (flags & flag_names[i].bit)
			buf_printf(out, ",%s", flag_names[i].name);
	}
	if (cloexec)
		buf_printf(out, ",cloexec");
}

static void show_fd(struct buf *out, const struct image *img, const Descriptor *d)
{
	const Description *desc =
		(const Description *)image_find(img, record_description.tag, d->description)->msg;
	const struct record *r = image_find(img, desc->kind, desc->id);
	size_t line = out->len;

	buf_printf(out, "  %5" PRIu32 "  #%" PRIu32, d->fd, desc->id);
	add_column(out, line, 15);
	buf_printf(out, "%s", kind_by_tag(desc->kind)->name);
	add_column(out, line, 26);
	add_flags(out, desc->flags, d->cloexec);
	add_column(out, line, 38);
	summary_add(out, r->msg);
	buf_printf(out, "\n");
}

/* Of a process, or of a thread that has some of its own: by the first that has them. */
static void show_fds(struct buf *out, const struct image *img, const Thread *has)
{
	const FdTable *t = (const FdTable *)image_find(img, record_fdtable.tag, has->files)->msg;

	if (has->files != has->id) {
		buf_printf(out, "  descriptors: those of %" PRIu32 "\n", has->files);
		return;
	}
	if (has->id == has->process)
		buf_printf(out, "  descriptors: %zu\n", t->n_fds);
	else
		buf_printf(out, "  descriptors of thread %" PRIu32 ": %zu\n", has->id, t->n_fds);
	if (t->n_fds)
		buf_printf(out, "     fd  file   kind       flags       what\n");
	for (size_t i = 0; i < t->n_fds; i++)
		show_fd(out, img, t->fds[i]);
}

/* --- memory ---------------------------------------------------------------------------------- */

static const char *sort_name(Mapping__Sort sort)
{
	switch (sort) {
	case MAPPING__SORT__ANON:
		return "anon";
	case MAPPING__SORT__FILE_PRIVATE:
		return "file";
	case MAPPING__SORT__FILE_SHARED:
		return "shared";
	case MAPPING__SORT__SHMEM_SHARED:
	case MAPPING__SORT__SHMEM_PRIVATE:
		return "shmem";
	case MAPPING__SORT__VDSO:
	case MAPPING__SORT__VVAR:
	default:
		return "kernel";
	}
}

static void add_mapping_name(struct buf *out, const Mm *mm, const Mapping *m)
{
	if (m->has_file)
		add_text(out, mm->files[m->file]->path);
	if (m->has_memory)
		buf_printf(out, "SHRM %" PRIu32, m->memory);
	if ((m->has_file || m->has_memory) && m->offset)
		buf_printf(out, " +0x%" PRIx64, m->offset);
	if (m->name) {
		buf_printf(out, "[anon:");
		add_text(out, m->name);
		buf_printf(out, "]");
	}
	if (m->sort == MAPPING__SORT__VDSO)
		buf_printf(out, "[vdso]");
	if (m->sort == MAPPING__SORT__VVAR)
		buf_printf(out, "[vvar]");
	if (m->sort == MAPPING__SORT__ANON && m->start < mm->brk && m->end > mm->start_brk)
		buf_printf(out, "[heap]");
	if (m->sort == MAPPING__SORT__ANON && m->start <= mm->start_stack &&
	    m->end > mm->start_stack)
		buf_printf(out, "[stack]");
}

/* Bytes that the image holds of the mapping; *at moves on with the mappings. */
static uint64_t stored_in(const Mm *mm, const Mapping *m, size_t *at)
{
	uint64_t sum = 0;

	for (; *at < mm->n_extents && mm->extents[*at]->start < m->end; ++*at) {
		if (mm->extents[*at]->sort == EXTENT__SORT__DATA)
			sum += mm->extents[*at]->length;
	}
	return sum;
}

static void show_mapping(struct buf *out, const Mm *mm, const Mapping *m, size_t *at)
{
	size_t line = out->len;

	buf_printf(out, "  %012" PRIx64 "-%012" PRIx64 " %c%c%c%c %9" PRIu64 " %9" PRIu64 " %s",
		   m->start, m->end, m->prot & PROT_READ ? 'r' : '-',
		   m->prot & PROT_WRITE ? 'w' : '-', m->prot & PROT_EXEC ? 'x' : '-',
		   m->sort == MAPPING__SORT__FILE_SHARED || m->sort == MAPPING__SORT__SHMEM_SHARED
			   ? 's'
			   : 'p',
		   (m->end - m->start) / CHECK_PAGE, stored_in(mm, m, at) / CHECK_PAGE,
		   sort_name(m->sort));
	add_column(out, line, 61);
	add_mapping_name(out, mm, m);
	end_line(out);
}

static void show_memory(struct buf *out, const Mm *mm)
{
	uint64_t mapped = 0, stored = 0, same = 0;
	size_t at = 0;

	for (size_t i = 0; i < mm->n_mappings; i++)
		mapped += mm->mappings[i]->end - mm->mappings[i]->start;
	for (size_t i = 0; i < mm->n_extents; i++) {
		const Extent *x = mm->extents[i];

		stored += x->sort == EXTENT__SORT__DATA ? x->length : 0;
		same += x->sort == EXTENT__SORT__SAME ? x->length : 0;
	}
	buf_printf(out, "  memory: %zu mappings, ", mm->n_mappings);
	summary_size(out, mapped);
	buf_printf(out, ", of which the image holds ");
	summary_size(out, stored);
	if (same) {
		buf_printf(out, "; it shares with its parent ");
		summary_size(out, same);
	}
	buf_printf(out, "\n  %-25s mode     pages    stored sort   what\n", "addresses");
	for (size_t i = 0; i < mm->n_mappings; i++)
		show_mapping(out, mm, mm->mappings[i], &at);
}

/* --- processes ------------------------------------------------------------------------------- */

/* A line for each record that a thread has of a kind; the name stands elsewhere. */
static void show_kinds(struct buf *out, const struct image *img, const Thread *t, bool leader)
{
	for (size_t i = 0; i < n_kinds; i++) {
		const struct task_ops *ops = kinds[i]->task;
		const struct record *r;

		if (!ops || kinds[i] == &kind_comm ||
		    (!leader && ops->scope != SCOPE_THREAD &&
		     (ops->scope != SCOPE_FS || t->fs != t->id)))
			continue;
		r = image_find(img, kinds[i]->record.tag, kind_record_id(t, ops->scope));
		if (!r)
			continue;
		buf_printf(out, "  %s%-12s ", leader ? "" : "       ", kinds[i]->name);
		summary_add(out, r->msg);
		end_line(out);
	}
}

static const Thread *thread_of(const struct image *img, uint32_t tid)
{
	return (const Thread *)image_find(img, record_thread.tag, tid)->msg;
}

static void show_threads(struct buf *out, const struct image *img, const Process *p)
{
	buf_printf(out, "  threads: %zu\n", p->n_threads);
	for (size_t i = 0; i < p->n_threads; i++) {
		buf_printf(out, "  %7" PRIu32 "  ", p->threads[i]);
		add_name(out, img, p->threads[i]);
		end_line(out);
		if (i > 0 && log_is_verbose())
			show_kinds(out, img, thread_of(img, p->threads[i]), false);
	}
}

static void show_process(struct buf *out, const struct image *img, const Process *p)
{
	const Thread *leader = thread_of(img, p->id);
	const Mm *mm = (const Mm *)image_find(img, record_mm.tag, leader->mm)->msg;

	buf_printf(out, "\nprocess %" PRIu32 " ", p->id);
	add_name(out, img, p->id);
	buf_printf(out, "\n  %-12s ", "exe");
	add_text(out, mm->exe->path);
	buf_printf(out, "\n");
	show_kinds(out, img, leader, true);
	show_threads(out, img, p);
	show_fds(out, img, leader);
	for (size_t i = 1; i < p->n_threads; i++)
		if (thread_of(img, p->threads[i])->files != leader->files)
			show_fds(out, img, thread_of(img, p->threads[i]));
	if (p->parent && thread_of(img, p->parent)->mm == leader->mm)
		buf_printf(out, "  memory: that of its parent %" PRIu32 "\n", p->parent);
	else
		show_memory(out, mm);
}

/* --- the command ----------------------------------------------------------------------------- */

/* A broken image is told of before it is looked into: from here on every reference leads somewhere. */
int show_text(const struct image *img, const char *dir, struct buf *out, struct error *e)
{
	struct order order;
	int rc = within(e, restore_check(img, e), "%s", dir);

	if (rc < 0)
		return rc;
	order_read(img, &order);
	show_header(out, img, dir);
	show_tree(out, img, &order);
	vec_each(o, &order.list)
		show_process(out, img, o->process);
	order_free(&order);
	return STATUS_DONE;
}

static int show_people(const struct image *img, const char *dir, struct error *e)
{
	auto_buf out = { 0 };
	int rc = show_text(img, dir, &out, e);

	if (rc >= 0)
		fwrite(out.p, 1, out.len, stdout);
	return rc;
}

static int show_json(const struct image *img, const char *dir, struct error *e)
{
	json_t *all = image_json(img);
	int rc = all ? json_dumpf(all, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) : -1;

	json_decref(all);
	if (rc < 0)
		return fail(e, ferror(stdout) ? errno : 0, "%s: cannot be written as JSON", dir);
	putchar('\n');
	return STATUS_DONE;
}

static int show(const char *dir, const struct show_options *o, struct error *e)
{
	size_t n;
	const struct record_type *types = record_types(&n);
	struct image img = { 0 };
	int rc = image_open(&img, dir, types, n, true, e);

	if (rc < 0)
		return rc;
	rc = o->json ? show_json(&img, dir, e) : show_people(&img, dir, e);
	image_free(&img);
	return rc;
}

static const struct option_row rows[] = {
	OPTION_SET(struct show_options, json, "json", "everything, as JSON"),
};

static int run(int argc, char **argv, const struct common *common, struct error *e)
{
	struct show_options o = { 0 };
	struct operands operands;
	int rc = options_parse(&command_show, argc, argv, common, &o, &operands, e);

	return rc <= 0 ? rc : show(operands.v[0], &o, e);
}

const struct command command_show = {
	.name = "show",
	.synopsis = "DIR",
	.summary = "show an image: tree, descriptors, memory",
	.status = NULL,
	.OPTIONS(rows),
	.run = run,
};
