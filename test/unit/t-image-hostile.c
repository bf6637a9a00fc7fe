/* SPDX-License-Identifier: MIT */
/*
 * Images that are damaged, cut off, or forged with checksums that are right: each is refused with a
 * sentence, and no bytes do harm.
 */
#include "image-room.h"
#include "image/blocks.h"
#include "image/store.h"
#include "image/hash.h"

/* --- damage ---------------------------------------------------------------------------------- */

static void read_all(const char *path, struct buf *b)
{
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, b), 0);
}

/* Each byte of the file turned into others: refused, or the same records. */
static void flip_bytes(const char *path, size_t step)
{
	auto_buf good = { 0 };
	size_t accepted = 0;

	read_all(path, &good);
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
	for (size_t i = 0; i < good.len; i += step) {
		for (unsigned int flip = 1; flip < 256; flip = flip * 2 + 1) {
			char c = (char)((unsigned char)good.p[i] ^ flip);
			struct image img;
			struct error e = { 0 };

			CU_ASSERT_EQUAL_FATAL(fd_pwrite_full(fd, &c, 1, (off_t)i), 0);
			accepted += open_image(&img, &e) == 0;
			image_free(&img);
		}
		CU_ASSERT_EQUAL_FATAL(fd_pwrite_full(fd, &good.p[i], 1, (off_t)i), 0);
	}
	CU_ASSERT_EQUAL(accepted, 0); /* every byte is under a checksum */
}

static void every_flipped_byte_is_seen(void)
{
	struct image img;
	struct error e = { 0 };

	make_image();
	flip_bytes("image/manifest", 1);
	flip_bytes("image/objects", 1);
	flip_bytes("image/pages-0", 61);
	flip_bytes("image/pages-2", 61);
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

static void every_truncation_is_seen(void)
{
	static const char *const names[] = { "image/manifest", "image/objects", "image/pages-0" };

	make_image();
	for (int f = 0; f < 3; f++) {
		auto_buf good = { 0 };
		size_t accepted = 0;

		read_all(names[f], &good);
		for (size_t n = 0; n < good.len; n += f == 2 ? 1000 : 1) {
			struct image img;
			struct error e = { 0 };

			CU_ASSERT_EQUAL_FATAL(truncate(names[f], 0), 0);
			write_all(names[f], good.p, n);
			accepted += open_image(&img, &e) == 0;
			image_free(&img);
		}
		write_all(names[f], good.p, good.len);
		buf_add(&good, "x", 1);
		write_all(names[f], good.p, good.len);
		expect_refusal("image");
		write_all(names[f], good.p, good.len - 1);
		CU_ASSERT_EQUAL(accepted, 0);
	}
}

static void damage_is_named(void)
{
	make_image();
	auto_fd objects = open("image/objects", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(objects, "x", 1, 20), 1);
	expect_refusal("image/objects: checksum differs: the image is damaged");
	make_image();
	auto_fd pages = open("image/pages-0", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(pages, "x", 1, 20), 1);
	expect_refusal("image/pages-0: block 0 at 0x0: checksum differs: the image is damaged");
	unlink("image/pages-0");
	expect_refusal("image/pages-0: No such file or directory");
	unlink("image/manifest");
	expect_refusal("image: no manifest: not an image of cr, or a dump that was not finished");
	write_all("image/manifest", "a stranger's file, not ours", 27);
	expect_refusal("image/manifest: not a manifest of cr");
	start_afresh();
	expect_refusal("image: No such file or directory");
	write_all("image", "", 0);
	expect_refusal("image: Not a directory");
}

static void pages_are_not_read_if_not_asked(void)
{
	struct image img;
	struct error e = { 0 };

	make_image();
	auto_fd pages = open("image/pages-0", O_WRONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(pwrite(pages, "x", 1, 20), 1);
	CU_ASSERT_EQUAL(image_open(&img, "image", types, N_TYPES, true, &e), 0);
	image_free(&img);
	CU_ASSERT_EQUAL(ftruncate(pages, 4096), 0);
	CU_ASSERT(image_open(&img, "image", types, N_TYPES, true, &e) < 0);
}

static void links_and_fifos_are_refused(void)
{
	make_image();
	CU_ASSERT_EQUAL(rename("image/objects", "elsewhere"), 0);
	CU_ASSERT_EQUAL(symlink("../elsewhere", "image/objects"), 0);
	expect_refusal("image/objects: a symbolic link, which no image has");
	unlink("image/objects");
	CU_ASSERT_EQUAL(mkfifo("image/objects", 0600), 0);
	expect_refusal("image/objects: not a regular file");
	unlink("image/manifest");
	CU_ASSERT_EQUAL(mkdir("image/manifest", 0700), 0);
	expect_refusal("image/manifest: not a regular file");
	unlink("elsewhere");
}

/* Large enough for the reader to check stores in threads of their own. */
static void damage_in_a_large_store_is_seen(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	auto_free char *pages = mem_alloc(9 << 20);

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(image_put_pages(w, i, pages, 9 << 20, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
	for (int i = 0; i < 2; i++) {
		auto_fd fd = open(i ? "image/pages-1" : "image/pages-0", O_WRONLY | O_CLOEXEC);

		CU_ASSERT_EQUAL(pwrite(fd, "x", 1, (9 << 20) - 1), 1);
		expect_refusal(i ? "image/pages-1: block 8 at 0x800000: checksum differs"
				 : "image/pages-0: block 8 at 0x800000: checksum differs");
		CU_ASSERT_EQUAL(pwrite(fd, "", 1, (9 << 20) - 1), 1);
	}
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

/* --- forged images: the checksums are right -------------------------------------------------- */

/* Writes an image of this manifest and these objects; files: NULL for the right list. */
static void forge(const struct buf *objects, Manifest *m, const char *const *names, size_t n_names)
{
	ManifestFile files[4], *list[4];
	auto_buf b = { 0 };
	struct error e = { 0 };
	uint64_t sum;

	for (size_t i = 0; i < n_names; i++) {
		files[i] = (ManifestFile)MANIFEST_FILE__INIT;
		files[i].name = (char *)names[i];
		files[i].size = strcmp(names[i], "objects") == 0 ? objects->len : 0;
		files[i].xxh3 = XXH3_64bits(objects->p, files[i].size);
		list[i] = &files[i];
	}
	m->n_files = n_names;
	m->files = list;
	start_afresh();
	CU_ASSERT_EQUAL_FATAL(mkdir("image", 0700), 0);
	write_all("image/objects", objects->p, objects->len);
	write_all("image/pages-0", "", 0);
	CU_ASSERT_EQUAL_FATAL(record_put(&b, &record_manifest, &m->base, &e), 0);
	sum = XXH3_64bits(b.p, b.len);
	buf_add(&b, &sum, 8);
	write_all("image/manifest", b.p, b.len);
}

static const char *const only_objects[] = { "objects" };

static void forge_objects(const struct buf *objects, const char *tag)
{
	Manifest m = manifest();
	char *tags[1] = { (char *)tag };

	m.format = 1;
	m.tags = tags;
	m.n_tags = 1;
	forge(objects, &m, only_objects, 1);
}

static void add_frame(struct buf *b, const char *tag, uint32_t version, const void *msg, size_t n)
{
	struct record_head head = { .version = version, .length = n };
	static const char zeros[8];

	memcpy(head.tag, tag, 4);
	buf_add(b, &head, sizeof(head));
	buf_add(b, msg, n);
	buf_add(b, zeros, -n & 7);
}

#define EVENTFD "\x08\x05\x10\x07\x18\x01" /* id 5, count 7, semaphore */

static void expect_record_refusal(const char *tag, uint32_t version, const void *msg, size_t n,
				  const char *want)
{
	auto_buf b = { 0 };

	add_frame(&b, tag, version, msg, n);
	forge_objects(&b, tag);
	expect_refusal(want);
}

static void a_forged_image_is_one(void)
{
	auto_buf b = { 0 };
	struct image img;
	struct error e = { 0 };

	add_frame(&b, "EVFD", 1, EVENTFD, 6);
	forge_objects(&b, "EVFD");
	CU_ASSERT_EQUAL(open_image(&img, &e), 0); /* or the refusals below would show nothing */
	CU_ASSERT_PTR_NOT_NULL(image_find(&img, "EVFD", 5));
	image_free(&img);
}

static void unknown_things_are_refused(void)
{
	static const char unknown_sub[] = "\x08\x05\x12\x08\x08\x03\x10\x01\x18\x00\x78\x01";
	auto_buf mm = { 0 };
	Mm m = MM__INIT;
	FileIdentity exe = FILE_IDENTITY__INIT;
	Mapping map = MAPPING__INIT, *maps[1] = { &map };
	struct image img;
	struct error e = { 0 };

	expect_record_refusal("NEWS", 1, EVENTFD, 6,
			      "byte 0: a record NEWS, which this cr does not know");
	expect_record_refusal("EVFD", 2, EVENTFD, 6, "a record EVFD of version 2; this cr knows 1");
	expect_record_refusal("EVFD", 1, EVENTFD "\x20\x01", 8,
			      "record EVFD 5: a field or value that this cr does not know");
	expect_record_refusal("FDTB", 1, unknown_sub, sizeof(unknown_sub) - 1,
			      "record FDTB 5: a field or value that this cr does not know");
	m.id = 5;
	m.exe = &exe;
	exe.path = "/";
	m.n_mappings = 1;
	m.mappings = maps;
	map.sort = (Mapping__Sort)99;
	CU_ASSERT_EQUAL_FATAL(record_put(&mm, &types[MMSP], &m.base, &e), 0);
	forge_objects(&mm, "MMSP");
	expect_refusal("record MMSP 5: a field or value that this cr does not know");
	mm.len = 0;
	map.sort = MAPPING__SORT__VVAR;
	CU_ASSERT_EQUAL_FATAL(record_put(&mm, &types[MMSP], &m.base, &e), 0);
	forge_objects(&mm, "MMSP");
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

static void messages_in_another_form_are_refused(void)
{
	const char *form = "record EVFD 5: not in the form that cr writes";
	const char *damaged = "a record EVFD that is damaged or lacks a field";

	expect_record_refusal("EVFD", 1, "\x08\x05\x10\x07", 4, damaged);
	expect_record_refusal("EVFD", 1, "", 0, damaged);
	expect_record_refusal("EVFD", 1, "\x08\x05\x10\x07\x18", 5, damaged);
	expect_record_refusal("EVFD", 1, EVENTFD "\x18\x01", 8, form); /* twice */
	expect_record_refusal("EVFD", 1, "\x08\x05\x10\x87\x00\x18\x01", 7,
			      form); /* 7 in two bytes */
}

static void framing_is_checked(void)
{
	struct record_head huge = { .tag = "EVFD", .version = 1, .length = UINT64_MAX };
	auto_buf b = { 0 };

	add_frame(&b, "EVFD", 1, EVENTFD, 6);
	b.p[b.len - 1] = 1;
	forge_objects(&b, "EVFD");
	expect_refusal("record EVFD 5: bytes behind its end");
	b.p[b.len - 1] = 0;
	add_frame(&b, "EVFD", 1, EVENTFD, 6);
	forge_objects(&b, "EVFD");
	expect_refusal("image/objects: two records EVFD 5");
	b.len = 24;
	buf_add(&b, "\0\0\0\0\0\0\0\0", 8);
	forge_objects(&b, "EVFD");
	expect_refusal("image/objects: cut off at byte 24");
	b.len = 24;
	buf_add(&b, &huge, sizeof(huge));
	forge_objects(&b, "EVFD");
	expect_refusal("image/objects: cut off in the record EVFD at byte 24");
	b.len = 24;
	huge.length = 9;
	buf_add(&b, &huge, sizeof(huge));
	buf_add(&b, EVENTFD "\0\0", 8);
	forge_objects(&b, "EVFD");
	expect_refusal("image/objects: cut off in the record EVFD at byte 24");
}

static void expect_manifest_refusal(Manifest *m, const char *const *names, size_t n,
				    const char *want)
{
	auto_buf b = { 0 };

	add_frame(&b, "EVFD", 1, EVENTFD, 6);
	forge(&b, m, names, n);
	expect_refusal(want);
}

/* What is said of blocks; each time another thing is wrong. */
static void expect_block_refusal(const ManifestFile *f, const char *want)
{
	struct error e = { 0 };

	CU_ASSERT(blocks_check_listed(f, IMAGE_FORMAT, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, want));
}

static void blocks_are_checked(void)
{
	uint64_t sums[3] = { 1, 2, 3 };
	uint32_t lengths[2] = { 100, 4096 };
	ManifestFile f = MANIFEST_FILE__INIT;
	struct error e = { 0 };

	f.size = (1 << 20) + 4096;
	f.has_block = true;
	f.block = 1 << 20;
	f.blocks = sums;
	f.n_blocks = 2;
	f.xxh3 = store_hash_blocks(sums, 2);
	CU_ASSERT_EQUAL(blocks_check_listed(&f, IMAGE_FORMAT, &e), 0);
	CU_ASSERT(blocks_check_listed(&f, IMAGE_FORMAT_FIRST, &e) < 0);
	f.block = 0;
	expect_block_refusal(&f, "no size");
	f.block = 1 << 30;
	expect_block_refusal(&f, "no size");
	f.block = 1 << 20;
	f.n_blocks = 3;
	expect_block_refusal(&f, "it has 3 blocks");
	f.n_blocks = 2;
	f.xxh3++;
	expect_block_refusal(&f, "checksums of its blocks");
	f.xxh3--;
	f.has_packing = true;
	f.packing = PACKING__ZSTD;
	expect_block_refusal(&f, "neither compressed nor");
	f.has_pages = true;
	f.pages = f.size;
	f.size = 4196;
	expect_block_refusal(&f, "2 blocks have 0 lengths");
	f.packed = lengths;
	f.n_packed = 2;
	CU_ASSERT_EQUAL(blocks_check_listed(&f, IMAGE_FORMAT, &e), 0);
	f.packing = PACKING__NONE;
	expect_block_refusal(&f, "compression 0 is unknown");
	f.packing = PACKING__LZ4;
	lengths[1] = 4097;
	expect_block_refusal(&f, "block 1 is 4097 bytes long");
	lengths[1] = 0;
	expect_block_refusal(&f, "block 1 is 0 bytes long");
	lengths[1] = 4095;
	expect_block_refusal(&f, "not as long as the file");
}

static void manifests_are_checked(void)
{
	static const char *const up[] = { "objects", "../objects" };
	static const char *const gap[] = { "objects", "pages-1" };
	static const char *const twice[] = { "objects", "pages-0", "pages-0" };
	static const char *const none[] = { "pages-0" };
	static const char *const bare[] = { "objects", "pages-0" };
	char *tags[2] = { "EVFD", "FDTB" };
	Manifest m = manifest();

	m.tags = tags;
	m.n_tags = 1;
	m.format = 3;
	expect_manifest_refusal(&m, only_objects, 1,
				"image: format 3 of another cr; this one knows 2");
	m.format = 2;
	expect_manifest_refusal(&m, bare, 2, "image/manifest: pages-0: its blocks have no size");
	m.format = 1;
	m.id = 4;
	expect_manifest_refusal(&m, only_objects, 1, "image/manifest: id 4");
	m.id = 0;
	expect_manifest_refusal(&m, up, 2, "image/manifest: lists a file ../objects in place 1");
	expect_manifest_refusal(&m, gap, 2, "lists a file pages-1 in place 1");
	expect_manifest_refusal(&m, twice, 3, "lists a file pages-0 in place 2");
	expect_manifest_refusal(&m, none, 1, "lists a file pages-0 in place 0");
	expect_manifest_refusal(&m, none, 0, "lists 0 files");
	m.n_tags = 2;
	expect_manifest_refusal(&m, only_objects, 1, "lists records FDTB, and there are none");
	m.n_tags = 0;
	expect_manifest_refusal(&m, only_objects, 1, "does not list the records EVFD");
}

/* Bytes of records changed with the checksum made right again: an error or records, no more. */
static void forged_bytes_do_no_harm(void)
{
	auto_buf good = { 0 }, b = { 0 };

	make_image();
	read_all("image/objects", &good);
	for (size_t i = 0; i < good.len; i++) {
		for (unsigned int flip = 1; flip < 256; flip = flip * 2 + 1) {
			struct record_cursor c = { .file = "objects",
						   .types = types,
						   .n_types = N_TYPES };
			struct arena a = { 0 };
			struct record r;
			struct error e = { 0 };
			int rc;

			b.len = 0;
			buf_add(&b, good.p, good.len);
			b.p[i] = (char)((unsigned char)b.p[i] ^ flip);
			c.p = (const uint8_t *)b.p;
			c.size = b.len;
			c.arena = &a;
			while ((rc = record_next(&c, &r, &e)) > 0)
				json_decref(image_message_json(r.msg));
			CU_ASSERT(rc == 0 || e.text[0]);
			arena_free(&a);
		}
	}
}

static CU_TestInfo damage_tests[] = {
	{ "every flipped byte is seen", every_flipped_byte_is_seen },
	{ "every truncation is seen", every_truncation_is_seen },
	{ "damage is named", damage_is_named },
	{ "damage in a large store is seen", damage_in_a_large_store_is_seen },
	{ "pages are not read if not asked", pages_are_not_read_if_not_asked },
	{ "links and fifos are refused", links_and_fifos_are_refused },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo forged_tests[] = {
	{ "a forged image is one", a_forged_image_is_one },
	{ "unknown tags, versions, fields and values", unknown_things_are_refused },
	{ "messages in another form", messages_in_another_form_are_refused },
	{ "framing", framing_is_checked },
	{ "manifest", manifests_are_checked },
	{ "blocks", blocks_are_checked },
	{ "forged bytes do no harm", forged_bytes_do_no_harm },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "damage", make_folder, remove_folder, NULL, NULL, damage_tests },
	{ "forged", make_folder, remove_folder, NULL, NULL, forged_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
