/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "eventfd.pb-c.h"
#include "files.pb-c.h"
#include "image/hash.h"
#include "image/image.h"
#include "image/record.h"
#include "mm.pb-c.h"
#include "tap.h"

static const struct record_type types[] = {
	{ "EVFD", 1, &event_fd__descriptor },
	{ "FDTB", 1, &fd_table__descriptor },
	{ "MMSP", 1, &mm__descriptor },
};
enum {
	EVFD,
	FDTB,
	MMSP,
	N_TYPES
};

static char folder[32];

static int make_folder(void)
{
	strcpy(folder, "/tmp/t-image.XXXXXX");
	umask(022);
	return !mkdtemp(folder) || chdir(folder) < 0;
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		char inner[600];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (unlink(inner) < 0)
			remove_tree(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static int remove_folder(void)
{
	int rc = chdir("/");

	remove_tree(folder);
	return rc;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* --- a small image --------------------------------------------------------------------------- */

static Manifest manifest(void)
{
	Manifest m = MANIFEST__INIT;

	m.tool = "cr test";
	m.arch = "x86_64";
	m.kernel = "6.1";
	m.kernel_version = "#1";
	m.host = "host";
	m.boot_id = "boot";
	m.realtime_ns = -5;
	m.xsave_mask = 0xe7;
	m.xsave_size = 2432;
	m.cpu = "cpu";
	m.root = 10;
	return m;
}

static int put_eventfd(struct image_writer *w, uint32_t id, uint64_t count, struct error *e)
{
	EventFd m = EVENT_FD__INIT;

	m.id = id;
	m.count = count;
	m.semaphore = true;
	return image_put(w, &types[EVFD], &m.base, e);
}

static int put_table(struct image_writer *w, uint32_t id, struct error *e)
{
	FdTable m = FD_TABLE__INIT;
	Descriptor fds[2] = { DESCRIPTOR__INIT, DESCRIPTOR__INIT }, *list[2] = { &fds[0], &fds[1] };

	m.id = id;
	m.n_fds = 2;
	m.fds = list;
	fds[0].fd = 3;
	fds[1].fd = 70000;
	fds[1].cloexec = true;
	return image_put(w, &types[FDTB], &m.base, e);
}

static int put_mm(struct image_writer *w, uint32_t id, struct error *e)
{
	Mm m = MM__INIT;
	FileIdentity exe = FILE_IDENTITY__INIT;
	Mapping map = MAPPING__INIT, *maps[1] = { &map };
	static uint8_t auxv[5] = { 0, 1, 0xfe, 0, 0x10 };

	m.id = id;
	m.start_code = 0xffffffff00000000;
	m.auxv.data = auxv;
	m.auxv.len = sizeof(auxv);
	m.exe = &exe;
	exe.path = "/bin/\xe4\xc3\xa4\n";
	exe.size = UINT64_MAX;
	exe.mtime_ns = INT64_MIN;
	m.n_mappings = 1;
	m.mappings = maps;
	map.sort = MAPPING__SORT__FILE_SHARED;
	map.has_file = true;
	return image_put(w, &types[MMSP], &m.base, e);
}

static int put_all(struct image_writer *w, struct error *e)
{
	static char pages[2 * 4096];
	uint64_t offset;
	int rc = put_eventfd(w, 9, 7, e);

	if (rc == 0)
		rc = put_table(w, 9, e);
	if (rc == 0)
		rc = put_eventfd(w, 2, UINT64_MAX, e);
	if (rc == 0)
		rc = put_mm(w, 1, e);
	memset(pages, 'p', sizeof(pages));
	if (rc == 0)
		rc = image_put_pages(w, 0, pages, sizeof(pages), &offset, e);
	if (rc == 0)
		rc = offset == 0 ? image_put_pages(w, 2, pages, 4096, &offset, e) : -1;
	if (rc == 0)
		rc = offset == 0 ? image_put_pages(w, 2, pages, 4096, &offset, e) : -1;
	return rc == 0 && offset != 4096 ? -1 : rc;
}

static int write_image(const char *dir, bool force, bool sync, struct error *e)
{
	struct image_writer *w = NULL;
	Manifest m = manifest();
	int rc = image_create(&w, dir, force, sync, e);

	if (rc == 0)
		rc = put_all(w, e);
	if (rc == 0)
		rc = image_finish(w, &m, e);
	if (rc == 0)
		rc = image_publish(w, e);
	image_close(w, false);
	return rc;
}

static void start_afresh(void)
{
	remove_tree("image");
	remove_tree("image.partial");
	unlink("image");
	unlink("image.partial");
}

static void make_image(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(write_image("image", false, false, &e), 0);
}

static int open_image(struct image *img, struct error *e)
{
	return image_open(img, "image", types, N_TYPES, false, e);
}

/* Opens, expects a refusal that says this. */
static void expect_refusal(const char *want)
{
	struct image img;
	struct error e = { 0 };
	int rc = open_image(&img, &e);

	CU_ASSERT(rc < 0);
	if (!strstr(e.text, want))
		printf("# want: %s\n# have: %s\n", want, rc < 0 ? e.text : "success");
	CU_ASSERT(strstr(e.text, want) != NULL);
	image_free(&img);
}

/* The whole as text: what two images must share to be the same. */
static char *image_text(const struct image *img)
{
	json_t *j = image_json(img);
	char *text = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	return text;
}

/* --- round trip ------------------------------------------------------------------------------ */

static void what_is_written_is_read(void)
{
	struct image img;
	struct error e = { 0 };
	const struct record *r;
	char page[4096];

	make_image();
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	CU_ASSERT_EQUAL(img.records.n, 4);
	CU_ASSERT(img.records.v[0].id == 9 && img.records.v[0].type == &types[EVFD]);
	CU_ASSERT(img.records.v[2].id == 2);
	r = image_find(&img, "EVFD", 2);
	CU_ASSERT_PTR_EQUAL_FATAL(r, &img.records.v[2]);
	CU_ASSERT(((const EventFd *)r->msg)->count == UINT64_MAX);
	r = image_find(&img, "FDTB", 9);
	CU_ASSERT_FATAL(r != NULL);
	CU_ASSERT(((const FdTable *)r->msg)->fds[1]->fd == 70000);
	CU_ASSERT_PTR_NULL(image_find(&img, "EVFD", 3));
	CU_ASSERT_PTR_NULL(image_find(&img, "EVFC", 9));
	CU_ASSERT_PTR_NULL(image_find(&img, "ZZZZ", 9));
	CU_ASSERT(img.manifest->n_tags == 3 && strcmp(img.manifest->tags[2], "MMSP") == 0);
	CU_ASSERT(img.manifest->format == 1 && img.manifest->realtime_ns == -5);
	CU_ASSERT(img.n_stores == 3 && img.store_sizes[0] == 8192 && img.store_sizes[1] == 0);
	CU_ASSERT_EQUAL(fd_pread_full(img.stores[2], page, 4096, 4096), 0);
	CU_ASSERT(page[0] == 'p' && page[4095] == 'p');
	image_free(&img);
	image_free(&img);
}

static void an_empty_image_is_one(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	CU_ASSERT(img.records.n == 0 && img.n_stores == 0 && !image_find(&img, "EVFD", 1));
	image_free(&img);
}

static void folder_0700_files_0600(void)
{
	static const char *const names[] = { "image/manifest", "image/objects", "image/pages-0" };
	struct stat st;

	make_image();
	CU_ASSERT_EQUAL(stat("image", &st), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFDIR | 0700);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(stat(names[i], &st), 0);
		CU_ASSERT_EQUAL(st.st_mode, S_IFREG | 0600);
	}
}

static void json_shows_every_field(void)
{
	struct image img;
	struct error e = { 0 };
	char *text;

	make_image();
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	text = image_text(&img);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "{\"manifest\":{\"id\":0,\"format\":1,\"tool\":\"cr test\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"realtime_ns\":-5"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"xsave_mask\":\"0xe7\""));
	CU_ASSERT_PTR_NULL(strstr(text, "vdso"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text,
		       "{\"tag\":\"EVFD\",\"version\":1,\"id\":9,\"count\":7,\"semaphore\":true}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"count\":\"18446744073709551615\""));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text,
		       "\"fds\":[{\"fd\":3,\"description\":0,\"cloexec\":false},{\"fd\":70000,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"start_code\":\"0xffffffff00000000\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"auxv\":\"0001fe0010\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"path\":\"/bin/\\\\xe4\xc3\xa4\\n\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"mtime_ns\":-9223372036854775808"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"sort\":\"FILE_SHARED\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"file\":0"));
	CU_ASSERT_PTR_NULL(strstr(text, "\"name\":null"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"extents\":[]"));
	free(text);
	image_free(&img);
}

struct thread {
	struct image_writer *w;
	unsigned int store;
	int rc;
};

static void *put_many(void *arg)
{
	struct thread *t = arg;
	struct error e = { 0 };
	char pages[8192];

	for (uint64_t i = 0; i < 50 && t->rc == 0; i++) {
		uint64_t offset = 0;

		memset(pages, (int)(t->store + i), sizeof(pages));
		t->rc = image_put_pages(t->w, t->store, pages, sizeof(pages), &offset, &e);
		if (offset != i * sizeof(pages))
			t->rc = -1;
	}
	return NULL;
}

static void stores_are_written_at_once(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	pthread_t threads[IMAGE_STORES];
	struct thread args[IMAGE_STORES];
	char page;

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	for (unsigned int i = 0; i < IMAGE_STORES; i++) {
		args[i] = (struct thread){ w, i, 0 };
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, put_many, &args[i]), 0);
	}
	for (unsigned int i = 0; i < IMAGE_STORES; i++) {
		pthread_join(threads[i], NULL);
		CU_ASSERT_EQUAL(args[i].rc, 0);
	}
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	CU_ASSERT_EQUAL_FATAL(img.n_stores, IMAGE_STORES);
	CU_ASSERT_EQUAL(fd_pread_full(img.stores[15], &page, 1, 49 * 8192 + 100), 0);
	CU_ASSERT_EQUAL(page, 15 + 49);
	image_free(&img);
}

/* Large enough for the reader to check stores in threads of their own. */
static void damage_in_a_large_store_is_seen(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	auto_free char *pages = mem_alloc(9 << 20);
	uint64_t offset;

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(image_put_pages(w, i, pages, 9 << 20, &offset, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
	for (int i = 0; i < 2; i++) {
		auto_fd fd = open(i ? "image/pages-1" : "image/pages-0", O_WRONLY | O_CLOEXEC);

		CU_ASSERT_EQUAL(pwrite(fd, "x", 1, (9 << 20) - 1), 1);
		expect_refusal(i ? "image/pages-1: checksum differs"
				 : "image/pages-0: checksum differs");
		CU_ASSERT_EQUAL(pwrite(fd, "", 1, (9 << 20) - 1), 1);
	}
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

static void writing_a_record_twice_is_refused(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(put_eventfd(w, 5, 1, &e), 0);
	CU_ASSERT_EQUAL(put_table(w, 5, &e), 0);
	CU_ASSERT_EQUAL(put_eventfd(w, 5, 2, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "record EVFD 5 is written twice");
	image_close(w, false);
	CU_ASSERT(!is_there("image.partial"));
}

static void an_unfinished_record_is_refused(void)
{
	struct image_writer *w;
	FileIdentity exe = FILE_IDENTITY__INIT;
	Mm m = MM__INIT;
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(image_put(w, &types[MMSP], &m.base, &e), -EINVAL); /* no exe */
	m.exe = &exe;
	exe.path = NULL;
	CU_ASSERT_EQUAL(image_put(w, &types[MMSP], &m.base, &e), -EINVAL);
	image_close(w, false);
}

/* --- damage ---------------------------------------------------------------------------------- */

static void read_all(const char *path, struct buf *b)
{
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, b), 0);
}

static void write_all(const char *path, const void *p, size_t n)
{
	auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL_FATAL(fd_write_full(fd, p, n), 0);
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
	expect_refusal("image/pages-0: checksum differs: the image is damaged");
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

static void manifests_are_checked(void)
{
	static const char *const up[] = { "objects", "../objects" };
	static const char *const gap[] = { "objects", "pages-1" };
	static const char *const twice[] = { "objects", "pages-0", "pages-0" };
	static const char *const none[] = { "pages-0" };
	char *tags[2] = { "EVFD", "FDTB" };
	Manifest m = manifest();

	m.tags = tags;
	m.n_tags = 1;
	m.format = 2;
	expect_manifest_refusal(&m, only_objects, 1,
				"image: format 2 of another cr; this one knows 1");
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

/* --- partial, publish, force ----------------------------------------------------------------- */

static void nothing_is_there_before_publish(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT(is_there("image.partial") && !is_there("image"));
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT(is_there("image.partial/manifest") && !is_there("image"));
	image_close(w, false);
	CU_ASSERT(!is_there("image.partial") && !is_there("image"));
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	image_close(w, true);
	CU_ASSERT(is_there("image.partial"));
	image_close(NULL, false);
}

static void an_existing_image_is_refused(void)
{
	struct error e = { 0 };

	make_image();
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), -EEXIST);
	CU_ASSERT_STRING_EQUAL(e.text, "image (--force replaces it): File exists");
	CU_ASSERT(!is_there("image.partial"));
	start_afresh();
	write_all("image", "", 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EEXIST);
	CU_ASSERT_STRING_EQUAL(e.text, "image (not a folder): File exists");
	unlink("image");
	CU_ASSERT_EQUAL(symlink("/tmp", "image"), 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EEXIST);
	unlink("image");
}

static ino_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static void force_replaces_at_the_end(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	ino_t old;

	make_image();
	old = inode("image");
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", true, false, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(inode("image"), old);
	CU_ASSERT_EQUAL(image_publish(w, &e), 0);
	image_close(w, false);
	CU_ASSERT(inode("image") != old && !is_there("image.partial"));
	CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
	CU_ASSERT_EQUAL(img.records.n, 0);
	image_free(&img);
	start_afresh();
	CU_ASSERT_EQUAL(write_image("image", true, true, &e), 0); /* nothing there to replace */
}

static void force_spares_strangers(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image", 0700), 0);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -EINVAL);
	CU_ASSERT_STRING_EQUAL(
		e.text, "image is not replaced: it has no manifest, so it is not an image of cr");
	make_image();
	write_all("image/thesis.tex", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", true, false, &e), -ENOTEMPTY);
	CU_ASSERT(strstr(e.text, "it holds thesis.tex, which no image has") != NULL);
	CU_ASSERT(is_there("image/thesis.tex") && is_there("image/manifest"));
	/* and also when it comes while the dump runs */
	make_image();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", true, false, &e), 0);
	write_all("image/pages-16", "x", 1);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), -ENOTEMPTY);
	image_close(w, false);
	CU_ASSERT(is_there("image/pages-16") && is_there("image/manifest") &&
		  !is_there("image.partial"));
}

static void a_leftover_is_replaced(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0);
	write_all("image.partial/objects", "x", 1);
	write_all("image.partial/pages-15", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), 0);
	CU_ASSERT(!is_there("image/pages-15") && !is_there("image.partial"));
}

static void a_strangers_partial_is_spared(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0);
	write_all("image.partial/objects", "x", 1);
	write_all("image.partial/notes", "x", 1);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), -ENOTEMPTY);
	CU_ASSERT(str_starts(e.text,
			     "image.partial is in the way: it holds notes, which no image has"));
	CU_ASSERT(is_there("image.partial/notes") && is_there("image.partial/objects"));
	start_afresh();
	write_all("image.partial", "x", 1);
	CU_ASSERT(write_image("image", false, false, &e) < 0);
	CU_ASSERT(is_there("image.partial"));
}

static void two_dumps_do_not_meet(void)
{
	struct image_writer *w, *second = NULL;
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_create(&second, "image", false, false, &e), -EBUSY);
	CU_ASSERT(str_starts(e.text, "image.partial: another dump is writing it"));
	CU_ASSERT(is_there("image.partial/pages-0"));
	image_close(w, false);
	CU_ASSERT_EQUAL(write_image("image", false, false, &e), 0);
}

static void another_process_publishes(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct image img;
	struct error e = { 0 };
	int status = -1;
	pid_t pid;

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, true, &e), 0);
	pid = fork();
	if (pid == 0) {
		int go = 0;

		for (int i = 0; i < 10000 && !go; i++) {
			go = access("image.partial/manifest", F_OK) == 0;
			usleep(1000);
		}
		_exit(image_publish(w, &e) != 0);
	}
	CU_ASSERT_EQUAL(put_all(w, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CU_ASSERT_EQUAL(mkdir("image.partial", 0700), 0); /* of the next dump */
	image_close(w, false);
	CU_ASSERT(is_there("image.partial"));
	CU_ASSERT_EQUAL(open_image(&img, &e), 0);
	image_free(&img);
}

static void publish_replaces_nothing_unasked(void)
{
	struct image_writer *w;
	Manifest m = manifest();
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
	CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
	CU_ASSERT_EQUAL(mkdir("image", 0700), 0);
	CU_ASSERT_EQUAL(image_publish(w, &e), -EEXIST);
	image_close(w, false);
	CU_ASSERT(is_there("image") && !is_there("image/manifest") && !is_there("image.partial"));
}

static void names_of_folders(void)
{
	char absolute[64];
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL(write_image("image///", false, true, &e), 0);
	CU_ASSERT(is_there("image/manifest"));
	start_afresh();
	snprintf(absolute, sizeof(absolute), "%s/image/", folder);
	CU_ASSERT_EQUAL(write_image(absolute, false, false, &e), 0);
	CU_ASSERT(is_there("image/manifest"));
	CU_ASSERT_EQUAL(write_image("image/inner", false, false, &e), 0);
	CU_ASSERT(is_there("image/inner/manifest"));
	CU_ASSERT_EQUAL(write_image("nowhere/image", false, false, &e), -ENOENT);
	CU_ASSERT_STRING_EQUAL(
		e.text,
		"nowhere/image: open the folder it is to lie in: No such file or directory");
	CU_ASSERT_EQUAL(write_image("/", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image(".", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image("image/..", false, false, &e), -EINVAL);
	CU_ASSERT_EQUAL(write_image("", false, false, &e), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "'' is no name for a new folder");
}

static CU_TestInfo round_tests[] = {
	{ "what is written is read", what_is_written_is_read },
	{ "an empty image is one", an_empty_image_is_one },
	{ "folder 0700, files 0600", folder_0700_files_0600 },
	{ "JSON shows every field", json_shows_every_field },
	{ "page stores are written at once", stores_are_written_at_once },
	{ "a record is not written twice", writing_a_record_twice_is_refused },
	{ "an unfinished record is not written", an_unfinished_record_is_refused },
	CU_TEST_INFO_NULL,
};
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
	{ "forged bytes do no harm", forged_bytes_do_no_harm },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo folder_tests[] = {
	{ "nothing is there before it is published", nothing_is_there_before_publish },
	{ "an existing image is refused", an_existing_image_is_refused },
	{ "force replaces, at the end", force_replaces_at_the_end },
	{ "force spares strangers", force_spares_strangers },
	{ "a leftover is replaced", a_leftover_is_replaced },
	{ "a stranger's DIR.partial is spared", a_strangers_partial_is_spared },
	{ "two dumps do not meet", two_dumps_do_not_meet },
	{ "another process publishes", another_process_publishes },
	{ "publish replaces nothing unasked", publish_replaces_nothing_unasked },
	{ "names of folders", names_of_folders },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "round trip", make_folder, remove_folder, NULL, NULL, round_tests },
	{ "damage", make_folder, remove_folder, NULL, NULL, damage_tests },
	{ "forged", make_folder, remove_folder, NULL, NULL, forged_tests },
	{ "folder", make_folder, remove_folder, NULL, NULL, folder_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
