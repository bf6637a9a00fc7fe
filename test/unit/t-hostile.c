/* SPDX-License-Identifier: MIT */
/*
 * Images that no cr has written are refused with a sentence, or taken: whatever is done with them, nothing
 * crashes or hangs (an alarm would end the test). Every byte of a small image is changed, every field of
 * every record gets odd values by descriptor, so a new kind is covered without a line here.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "files.pb-c.h"
#include "hostile.h"
#include "image/record.h"
#include "kind.h"
#include "mm.pb-c.h"
#include "process.pb-c.h"
#include "tap.h"

/* Of processor time, for all that is done with one image; much more than it takes, under sanitizers too. */
#define LONGEST_SECONDS 5
#define LONGEST_OF_MANY 30

static struct hostile_dir folder;
/* The golden image, with a record of each kind that may be all zero. */
static struct buf base;
static char doing[256];
static double longest = LONGEST_SECONDS;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int use(unsigned int uses, struct error *e)
{
	double start = now();
	int rc;

	rc = hostile_use(folder.path, uses, e);
	if (now() - start > longest) {
		printf("# %s: took %.1f seconds\n", doing, now() - start);
		CU_FAIL("too slow");
	}
	return rc;
}

/* abort() in the middle: says with what. */
static void on_abort(int sig)
{
	ssize_t n = write(1, "# in: ", 6);

	n = write(1, doing, strlen(doing));
	n = write(1, "\n", 1);
	(void)n;
	(void)sig;
}

/* --- bytes --------------------------------------------------------------------------------------- */

/* With the checksums as they are, whatever was changed is found. */
static void changed_bytes_are_found(void)
{
	static const char *const names[] = { "manifest", "objects" };
	struct error e;

	hostile_dir_write(&folder, (const uint8_t *)base.p, base.len);
	CU_ASSERT_EQUAL(use(HOSTILE_VERIFY, &e), 0);
	for (size_t f = 0; f < 2; f++) {
		auto_buf file = { 0 };
		size_t taken = 0;

		CU_ASSERT_EQUAL_FATAL(fd_read_file(folder.dir, names[f], &file), 0);
		for (size_t i = 0; i < file.len; i++) {
			auto_fd fd = openat(folder.dir, names[f], O_WRONLY | O_CLOEXEC);
			char other = (char)(file.p[i] ^ 0x41);

			CU_ASSERT_EQUAL(pwrite(fd, &other, 1, (off_t)i), 1);
			taken += use(HOSTILE_VERIFY, &e) == 0;
			CU_ASSERT_EQUAL(pwrite(fd, file.p + i, 1, (off_t)i), 1);
		}
		CU_ASSERT_EQUAL(taken, 0);
	}
	CU_ASSERT_EQUAL(use(HOSTILE_VERIFY, &e), 0);
}

static void cut_files_are_found(void)
{
	static const char *const names[] = { "manifest", "objects" };
	struct error e;

	for (size_t f = 0; f < 2; f++) {
		auto_buf file = { 0 };
		size_t taken = 0;

		hostile_dir_write(&folder, (const uint8_t *)base.p, base.len);
		CU_ASSERT_EQUAL_FATAL(fd_read_file(folder.dir, names[f], &file), 0);
		for (size_t n = file.len; n-- > 0;) {
			auto_fd fd = openat(folder.dir, names[f], O_WRONLY | O_CLOEXEC);

			CU_ASSERT_EQUAL(ftruncate(fd, (off_t)n), 0);
			taken += use(HOSTILE_VERIFY, &e) == 0;
		}
		CU_ASSERT_EQUAL(taken, 0);
	}
}

/* The same with checksums that are right, so that the readers behind them see it. */
static void repaired_bytes_are_judged(void)
{
	static const uint8_t flips[] = { 0x01, 0x80 };
	size_t taken = 0;

	for (size_t i = 0; i < base.len; i++) {
		for (size_t k = 0; k < sizeof(flips); k++) {
			struct error e;

			base.p[i] ^= (char)flips[k];
			snprintf(doing, sizeof(doing), "byte %zu ^ %#x", i, flips[k]);
			hostile_dir_write(&folder, (const uint8_t *)base.p, base.len);
			taken += use(HOSTILE_ALL, &e) == 0;
			base.p[i] ^= (char)flips[k];
		}
	}
	CU_ASSERT(taken > 0);
	CU_ASSERT(taken < base.len * sizeof(flips));
}

static void cut_blobs_are_judged(void)
{
	size_t taken = 0;

	snprintf(doing, sizeof(doing), "a blob that is cut off");
	for (size_t n = base.len; n-- > 0;) {
		struct error e;

		hostile_dir_write(&folder, (const uint8_t *)base.p, n);
		taken += use(HOSTILE_ALL, &e) == 0;
	}
	CU_ASSERT_EQUAL(taken, 0);
}

/* --- fields -------------------------------------------------------------------------------------- */

struct run {
	struct hostile h;
	const char *tag;
	struct arena scratch;
	size_t n, taken;
};

static void judge(struct run *r)
{
	auto_buf blob = { 0 };
	struct error e;

	hostile_pack(&r->h, &blob);
	hostile_dir_write(&folder, (const uint8_t *)blob.p, blob.len);
	r->taken += use(HOSTILE_ALL, &e) == 0;
	r->n++;
}

static void each_value(void *arg, const struct hostile_place *p)
{
	struct run *r = arg;
	size_t size = p->msg->descriptor->sizeof_message;
	auto_free void *before = mem_alloc(size);

	memcpy(before, p->msg, size);
	for (unsigned int i = 0; hostile_set(&r->scratch, p, i); i++) {
		snprintf(doing, sizeof(doing), "%s: %s.%s, value %u", r->tag,
			 p->msg->descriptor->name, p->field->name, i);
		judge(r);
		memcpy(p->msg, before, size);
		arena_free(&r->scratch);
	}
	memcpy(p->msg, before, size);
	arena_free(&r->scratch);
}

static void start(struct run *r)
{
	*r = (struct run){ 0 };
	CU_ASSERT_FATAL(hostile_parse(&r->h, (const uint8_t *)base.p, base.len));
}

static void end(struct run *r)
{
	CU_ASSERT(r->n > 100);
	CU_ASSERT(r->taken < r->n);
	hostile_free(&r->h);
	arena_free(&r->scratch);
}

/* The first two records of each type, and the manifest. */
static bool is_tried(const struct run *r, const struct hostile_record *rec)
{
	size_t before = 0;

	for (const struct hostile_record *q = r->h.records.v; q < rec; q++)
		before += q->type == rec->type;
	return before < 2;
}

static void odd_values_are_judged(void)
{
	struct run r;

	start(&r);
	r.tag = "MANI";
	hostile_each_place(&r.h.manifest->base, &r, each_value);
	vec_each(rec, &r.h.records) {
		r.tag = rec->type->tag;
		if (is_tried(&r, rec))
			hostile_each_place(rec->msg, &r, each_value);
	}
	printf("# %zu images, %zu taken\n", r.n, r.taken);
	end(&r);
}

static bool is_of(const struct record_type *a, const struct record_type *b)
{
	return !strcmp(a->tag, b->tag);
}

static void *take_room(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

static void leave_room(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

/* A copy of the record with another id, behind all the others. */
static void *copy_record(struct run *r, size_t i, uint32_t id)
{
	const struct hostile_record *from = &r->h.records.v[i];
	const struct record_type *type = from->type;
	size_t n = protobuf_c_message_get_packed_size(from->msg);
	uint8_t *bytes = arena_alloc(&r->h.arena, n + 1);
	ProtobufCAllocator room = { take_room, leave_room, &r->h.arena };
	ProtobufCMessage *msg;

	protobuf_c_message_pack(from->msg, bytes);
	msg = protobuf_c_message_unpack(type->desc, &room, n, bytes);
	CU_ASSERT_PTR_NOT_NULL_FATAL(msg);
	memcpy((char *)msg + type->desc->fields[0].offset, &id, sizeof(id));
	*vec_add(&r->h.records) = (struct hostile_record){ .type = type, .msg = msg };
	return msg;
}

static void make_same(Mm *mm, uint32_t above)
{
	for (size_t i = 0; i < mm->n_extents; i++) {
		mm->extents[i]->sort = EXTENT__SORT__SAME;
		mm->extents[i]->has_store = mm->extents[i]->has_offset = false;
		mm->extents[i]->has_mm = true;
		mm->extents[i]->mm = above;
	}
}

/* The process gets a child that is like it, and has its pages from it. Gives the child's memory. */
static Mm *add_child(struct run *r)
{
	uint32_t root = r->h.manifest->root, child = root + 1;
	size_t n = r->h.records.n;
	Mm *mm = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct record_type *type = r->h.records.v[i].type;
		const ProtobufCMessage *from = r->h.records.v[i].msg;
		void *msg;

		if (*(const uint32_t *)((const char *)from + type->desc->fields[0].offset) != root)
			continue;
		msg = copy_record(r, i, child);
		if (is_of(type, &record_process)) {
			((Process *)msg)->parent = root;
			((Process *)msg)->n_threads = 1;
			((Process *)msg)->threads[0] = child;
		} else if (is_of(type, &record_thread)) {
			Thread *t = msg;

			t->process = t->mm = t->files = t->fs = t->sighand = child;
		} else if (is_of(type, &record_mm)) {
			mm = msg;
			make_same(mm, root);
		}
	}
	return mm;
}

static void pages_of_a_parent_are_judged(void)
{
	struct run r;
	Mm *mm, *above = NULL;
	size_t n;

	start(&r);
	r.tag = "MMSP";
	n = r.h.records.n;
	mm = add_child(&r);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mm);
	snprintf(doing, sizeof(doing), "a child with its parent's pages");
	judge(&r);
	CU_ASSERT_EQUAL(r.taken, 1);
	hostile_each_place(&mm->base, &r, each_value);
	/* and what it refers to */
	for (size_t i = 0; i < n; i++)
		if (is_of(r.h.records.v[i].type, &record_mm))
			above = (Mm *)r.h.records.v[i].msg;
	CU_ASSERT_PTR_NOT_NULL_FATAL(above);
	if (!above)
		return;
	hostile_each_place(&above->base, &r, each_value);
	/* both at each other */
	make_same(above, mm->id);
	n = r.taken;
	judge(&r);
	CU_ASSERT_EQUAL(r.taken, n);
	printf("# %zu images, %zu taken\n", r.n, r.taken);
	end(&r);
}

/* What is refused as it stands hides the others, so each is tried alone. */
static void other_kinds_are_judged(void)
{
	for (size_t i = 0; i < n_kinds; i++) {
		struct run r;

		start(&r);
		r.tag = kinds[i]->record.tag;
		if (hostile_add_kind(&r.h, kinds[i])) {
			const struct hostile_record *last = &r.h.records.v[r.h.records.n - 1];

			hostile_each_place(last->msg, &r, each_value);
			printf("# %s: %zu images, %zu taken\n", r.tag, r.n, r.taken);
		}
		hostile_free(&r.h);
		arena_free(&r.scratch);
	}
}

/* A required field that is missing, one that is there twice, unknown ones: none is ever taken. */
static void damaged_records_are_refused(void)
{
	struct run r;

	start(&r);
	for (size_t i = 0; i < r.h.records.n; i++) {
		struct hostile_record before = r.h.records.v[i];

		for (unsigned int n = 0; hostile_damage(&r.scratch, &r.h.records.v[i], n); n++) {
			size_t taken = r.taken;

			snprintf(doing, sizeof(doing), "%s, damage %u", before.type->tag, n);
			judge(&r);
			/* What may be left out, or stands at the end anyway, may be taken. */
			if (n < 6 && r.taken > taken)
				CU_FAIL("unknown field taken");
			r.h.records.v[i] = before;
		}
		r.h.records.v[i] = before;
		arena_free(&r.scratch);
	}
	end(&r);
}

static void records_twice_or_missing(void)
{
	struct run r;

	start(&r);
	snprintf(doing, sizeof(doing), "a record twice, or missing");
	for (size_t i = 0; i < r.h.records.n; i++) {
		size_t n = r.h.records.n;
		struct hostile_record one = r.h.records.v[i], last = r.h.records.v[n - 1];
		size_t taken = r.taken;

		*vec_add(&r.h.records) = one;
		judge(&r);
		CU_ASSERT_EQUAL(r.taken, taken);
		r.h.records.n = n - 1;
		if (i < n - 1)
			r.h.records.v[i] = last;
		hostile_fix_tags(&r.h);
		judge(&r);
		r.h.records.n = n;
		r.h.records.v[i] = one;
		r.h.records.v[n - 1] = last;
		hostile_fix_tags(&r.h);
	}
	hostile_free(&r.h);
	arena_free(&r.scratch);
}

/* --- much of it ---------------------------------------------------------------------------------- */

#define MANY 200000u

/* Work grows with the size of the image, not with its square: that would take over 40 seconds. */
static void many_descriptors(void)
{
	struct run r;
	FdTable *table = NULL;
	Descriptor *one;

	start(&r);
	vec_each(rec, &r.h.records) {
		if (!strcmp(rec->type->tag, record_fdtable.tag))
			table = (FdTable *)rec->msg;
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	table->fds = arena_alloc(&r.h.arena, MANY * sizeof(*table->fds));
	table->n_fds = MANY;
	for (uint32_t i = 0; i < MANY; i++) {
		table->fds[i] = one = arena_alloc(&r.h.arena, sizeof(*one));
		descriptor__init(one);
		one->fd = i;
		one->description = hostile_add_description(&r.h, &kind_eventfd, 2000000 + i);
	}
	for (size_t i = r.h.records.n - 2 * MANY; i-- > 0;) {
		struct hostile_record *rec = &r.h.records.v[i];
		const struct kind *k = kind_by_tag(rec->type->tag);

		if (!strcmp(rec->type->tag, record_description.tag) || (k && k->fd))
			*rec = r.h.records.v[--r.h.records.n];
	}
	hostile_fix_tags(&r.h);
	snprintf(doing, sizeof(doing), "%u descriptors", MANY);
	longest = LONGEST_OF_MANY;
	judge(&r);
	longest = LONGEST_SECONDS;
	CU_ASSERT_EQUAL(r.taken, 1);
	hostile_free(&r.h);
	arena_free(&r.scratch);
}

/* --- at random ----------------------------------------------------------------------------------- */

/* Several changes at once; the same each time. */
static void random_changes_are_judged(void)
{
	size_t size = base.len * 2 + 65536, taken = 0;
	auto_free uint8_t *blob = mem_alloc(size);

	for (unsigned int seed = 1; seed <= 2000; seed++) {
		struct error e;
		size_t n;

		snprintf(doing, sizeof(doing), "seed %u", seed);
		memcpy(blob, base.p, base.len);
		n = hostile_mutate(blob, base.len, size, seed, NULL);
		hostile_dir_write(&folder, blob, n);
		taken += use(HOSTILE_ALL, &e) == 0;
	}
	CU_ASSERT(taken > 0 && taken < 2000);
}

/* --- all ----------------------------------------------------------------------------------------- */

static void add_kind(const struct kind *k)
{
	auto_buf with = { 0 };
	struct hostile h;
	struct error e;

	if (hostile_parse(&h, (const uint8_t *)base.p, base.len) && hostile_add_kind(&h, k)) {
		hostile_pack(&h, &with);
		hostile_dir_write(&folder, (const uint8_t *)with.p, with.len);
		if (use(HOSTILE_ALL, &e) == 0) {
			buf_free(&base);
			buf_add(&base, with.p, with.len);
		} else {
			printf("# %s: %s\n", k->name, e.text);
		}
	}
	hostile_free(&h);
}

static int set_up(void)
{
	const char *dir = getenv("srcdir");
	struct error e = { 0 };
	struct hostile h;
	auto_buf golden = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/test/data/golden", dir ? dir : ".");
	if (hostile_read(path, &golden, &e) < 0 ||
	    !hostile_parse(&h, (const uint8_t *)golden.p, golden.len))
		return 1;
	hostile_free(&h);
	buf_add(&base, golden.p, golden.len);
	signal(SIGABRT, on_abort);
	if (hostile_dir_make(&folder) < 0)
		return 1;
	hostile_dir_write(&folder, (const uint8_t *)base.p, base.len);
	if (use(HOSTILE_ALL, &e) < 0) {
		printf("# the golden image: %s\n", e.text);
		return 1;
	}
	for (size_t i = 0; i < n_kinds; i++)
		add_kind(kinds[i]);
	return 0;
}

static int tear_down(void)
{
	hostile_dir_remove(&folder);
	buf_free(&base);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a changed byte is found by checksums", changed_bytes_are_found },
		{ "a file that was cut off is found", cut_files_are_found },
		{ "changed bytes with right checksums", repaired_bytes_are_judged },
		{ "cut off with right checksums", cut_blobs_are_judged },
		{ "every field at its extremes", odd_values_are_judged },
		{ "pages of a parent at their extremes", pages_of_a_parent_are_judged },
		{ "kinds that may not be all zero", other_kinds_are_judged },
		{ "fields missing, twice, unknown", damaged_records_are_refused },
		{ "records twice or missing", records_twice_or_missing },
		{ "many descriptors", many_descriptors },
		{ "several changes at random", random_changes_are_judged },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "hostile", set_up, tear_down, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
