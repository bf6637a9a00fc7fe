/* SPDX-License-Identifier: MIT */
/* Round trip: what is written into an image is read from it again, and shown as JSON. */
#include <errno.h>
#include <pthread.h>

#include "image-room.h"

/* The whole as text: what two images must share to be the same. */
static char *image_text(const struct image *img)
{
	json_t *j = image_json(img);
	char *text = json_dumps(j, JSON_COMPACT);

	json_decref(j);
	return text;
}

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
	CU_ASSERT(img.manifest->format == IMAGE_FORMAT && img.manifest->realtime_ns == -5);
	CU_ASSERT(img.n_stores == 3 && img.store_sizes[0] == 8192 && img.store_sizes[1] == 0);
	CU_ASSERT_EQUAL(fd_pread_full(img.stores[2], page, 4096, 4096), 0);
	CU_ASSERT(page[0] == 'p' && page[4095] == 'p');
	image_free(&img);
	image_free(&img);
}

/* Blocks that get smaller, one that does not, and one that is shorter. */
#define PACKED_SIZE ((2u << 20) + 3 * 4096)
static void fill_pages(char *p)
{
	uint64_t x = 88172645463325252ull;

	for (size_t i = 0; i < PACKED_SIZE; i += 8) {
		uint64_t text = i * 31 % 1000;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, i < 1 << 20 ? &x : &text, 8);
	}
}

static void compressed_pages_come_back(void)
{
	static const char *const ways[] = { "zstd", "zstd:7", "lz4", "lz4:9" };
	auto_free char *pages = mem_alloc(PACKED_SIZE);
	auto_free char *again = mem_alloc(PACKED_SIZE);

	fill_pages(pages);
	for (size_t i = 0; i < 4; i++) {
		struct image_writer *w;
		Manifest m = manifest();
		struct error e = { 0 };
		struct image img;
		struct pack pack;
		struct stat st;

		start_afresh();
		CU_ASSERT_EQUAL_FATAL(pack_parse(ways[i], &pack, &e), 0);
		CU_ASSERT_EQUAL_FATAL(image_create(&w, "image", false, false, &e), 0);
		image_compress(w, pack);
		CU_ASSERT_EQUAL(image_put_pages(w, 0, pages, 12288, &e), 0);
		CU_ASSERT_EQUAL(image_next_place(w, 0), 12288);
		CU_ASSERT_EQUAL(image_put_pages(w, 0, pages + 12288, PACKED_SIZE - 12288, &e), 0);
		CU_ASSERT_EQUAL(image_finish(w, &m, &e), 0);
		CU_ASSERT_EQUAL(image_publish(w, &e), 0);
		image_close(w, false);
		CU_ASSERT_EQUAL_FATAL(open_image(&img, &e), 0);
		CU_ASSERT_EQUAL(img.store_sizes[0], PACKED_SIZE);
		CU_ASSERT_EQUAL(stat("image/pages-0", &st), 0);
		CU_ASSERT(st.st_size > 1 << 20 && st.st_size < 3 << 19);
		CU_ASSERT_EQUAL(fd_pread_full(img.stores[0], again, PACKED_SIZE, 0), 0);
		CU_ASSERT_EQUAL(memcmp(pages, again, PACKED_SIZE), 0);
		image_free(&img);
		auto_fd fd = open("image/pages-0", O_WRONLY | O_CLOEXEC);
		CU_ASSERT_EQUAL(pwrite(fd, "x", 1, st.st_size - 1), 1);
		CU_ASSERT(open_image(&img, &e) < 0);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(e.text, "image/pages-0: block 2 at 0x200000: checksum"));
	}
}

static void ways_of_compression(void)
{
	static const char *const wrong[] = { "",       "gzip",   "zstd:", "zstd:0", "zstd:99",
					     "lz4:13", "lz4:9x", "zst",   "zstd:-1" };
	struct error e = { 0 };
	struct pack pack;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT(pack_parse(wrong[i], &pack, &e) < 0);
	CU_ASSERT(pack_parse("lz4:12", &pack, &e) == 0 && pack.how == PACKING__LZ4 &&
		  pack.level == 12);
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
		strstr(text, "{\"manifest\":{\"id\":0,\"format\":2,\"tool\":\"cr test\""));
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
		memset(pages, (int)(t->store + i), sizeof(pages));
		if (image_next_place(t->w, t->store) != i * sizeof(pages))
			t->rc = -1;
		else
			t->rc = image_put_pages(t->w, t->store, pages, sizeof(pages), &e);
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

static CU_TestInfo round_tests[] = {
	{ "what is written is read", what_is_written_is_read },
	{ "an empty image is one", an_empty_image_is_one },
	{ "compressed pages come back", compressed_pages_come_back },
	{ "ways of compression", ways_of_compression },
	{ "folder 0700, files 0600", folder_0700_files_0600 },
	{ "JSON shows every field", json_shows_every_field },
	{ "page stores are written at once", stores_are_written_at_once },
	{ "a record is not written twice", writing_a_record_twice_is_refused },
	{ "an unfinished record is not written", an_unfinished_record_is_refused },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "round trip", make_folder, remove_folder, NULL, NULL, round_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
