/* SPDX-License-Identifier: MIT */
/* The golden image, read and written anew: the same bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "kind.h"
#include "restore/check.h"
#include "tap.h"

static char folder[] = "/tmp/cr-golden-XXXXXX";

static void read_pair(const char *name, struct buf *a, struct buf *b)
{
	const char *dir = getenv("srcdir");
	char path[512];

	snprintf(path, sizeof(path), "%s/test/data/golden/%s", dir ? dir : ".", name);
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, a), 0);
	snprintf(path, sizeof(path), "%s/image/%s", folder, name);
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, b), 0);
}

static int copy(struct image *img, const char *to, struct error *e)
{
	struct image_writer *w;
	int rc = image_create(&w, to, false, false, e);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < img->n_stores && rc >= 0; i++) {
		char *pages = mem_alloc(img->store_sizes[i]);

		rc = fd_pread_full(img->stores[i], pages, img->store_sizes[i], 0);
		if (rc >= 0)
			rc = image_put_pages(w, (unsigned int)i, pages, img->store_sizes[i], e);
		free(pages);
	}
	vec_each(r, &img->records) {
		if (rc >= 0)
			rc = image_put(w, r->type, r->msg, e);
	}
	/* The manifest's lists are made anew. */
	img->manifest->n_files = 0;
	img->manifest->n_tags = 0;
	if (rc >= 0)
		rc = image_finish(w, img->manifest, e);
	if (rc >= 0)
		rc = image_publish(w, e);
	image_close(w, false);
	return rc;
}

static void the_same_bytes(void)
{
	static const char *const names[] = { "manifest", "objects", "pages-0" };
	const char *dir = getenv("srcdir");
	struct error e = { 0 };
	struct image img;
	char path[512];
	size_t n;
	const struct record_type *types = record_types(&n);

	snprintf(path, sizeof(path), "%s/test/data/golden", dir ? dir : ".");
	CU_ASSERT_EQUAL_FATAL(image_open(&img, path, types, n, false, &e), 0);
	CU_ASSERT_EQUAL(restore_check(&img, &e), 0);
	snprintf(path, sizeof(path), "%s/image", folder);
	CU_ASSERT_EQUAL_FATAL(copy(&img, path, &e), 0);
	image_free(&img);
	for (size_t i = 0; i < 3; i++) {
		auto_buf a = { 0 };
		auto_buf b = { 0 };

		read_pair(names[i], &a, &b);
		CU_ASSERT(a.len == b.len && !memcmp(a.p, b.p, a.len));
	}
}

static int set_up(void)
{
	return mkdtemp(folder) ? 0 : 1;
}

static int tear_down(void)
{
	static const char *const names[] = { "image/manifest", "image/objects", "image/pages-0" };
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/image", folder);
	rmdir(path);
	return rmdir(folder);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the golden image is written the same", the_same_bytes },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "golden", set_up, tear_down, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
