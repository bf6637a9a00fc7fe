/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/blocks.h"
#include "image/hash.h"
#include "image/image.h"
#include "image/record.h"
#include "image/store.h"

static int open_file(const struct image *img, const char *path, const char *name, uint64_t *size,
		     struct error *e)
{
	struct stat st;
	/* O_NONBLOCK: a fifo must not hold us up before we see what it is */
	auto_fd fd =
		openat(img->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 && errno == ELOOP)
		return fail(e, 0, "%s/%s: a symbolic link, which no image has", path, name);
	if (fd < 0)
		return fail(e, errno, "%s/%s", path, name);
	if (fstat(fd, &st) < 0)
		return fail(e, errno, "%s/%s: stat", path, name);
	if (!S_ISREG(st.st_mode))
		return fail(e, 0, "%s/%s: not a regular file", path, name);
	*size = (uint64_t)st.st_size;
	return take_fd(&fd);
}

static int read_file(const char *path, const char *name, int fd, uint64_t size, struct buf *b,
		     struct error *e)
{
	int rc = fd_pread_full(fd, buf_grow(b, size), size, 0);

	return rc < 0 ? fail(e, -rc, "%s/%s: read", path, name) : 0;
}

/* --- manifest -------------------------------------------------------------------------------- */

static int unpack_manifest(struct image *img, const char *file, const struct buf *b,
			   struct error *e)
{
	struct record_cursor c = {
		.p = (const uint8_t *)b->p,
		.size = b->len - sizeof(uint64_t),
		.file = file,
		.types = &record_manifest,
		.n_types = 1,
		.arena = &img->arena,
	};
	struct record r;
	int rc = record_next(&c, &r, e);

	if (rc < 0)
		return rc;
	if (rc == 0 || c.at != c.size)
		return fail(e, 0, "%s: not one record", file);
	img->manifest = (Manifest *)r.msg;
	return 0;
}

static int read_manifest(struct image *img, const char *dir, struct error *e)
{
	const char *file = arena_printf(&img->arena, "%s/manifest", dir);
	auto_buf b = { 0 };
	uint64_t size, xxh3;
	int rc;

	auto_fd fd = open_file(img, dir, "manifest", &size, e);
	if (fd == -ENOENT)
		return fail(e, 0,
			    "%s: no manifest: not an image of cr, or a dump that was not finished",
			    dir);
	if (fd < 0)
		return fd;
	if (size < sizeof(struct record_head) + sizeof(xxh3) || size > MANIFEST_MAX)
		return fail(e, 0, "%s: %llu bytes: not a manifest of cr", file,
			    (unsigned long long)size);
	rc = read_file(dir, "manifest", fd, size, &b, e);
	if (rc < 0)
		return rc;
	if (memcmp(b.p, record_manifest.tag, 4) != 0)
		return fail(e, 0, "%s: not a manifest of cr", file);
	memcpy(&xxh3, b.p + size - sizeof(xxh3), sizeof(xxh3));
	if (XXH3_64bits(b.p, size - sizeof(xxh3)) != le64toh(xxh3))
		return fail(e, 0, "%s: checksum differs: the image is damaged", file);
	return unpack_manifest(img, file, &b, e);
}

/* `objects` first, then the stores in order. */
static int check_manifest(const struct image *img, const char *dir, struct error *e)
{
	const Manifest *m = img->manifest;
	char name[STORE_NAME_ROOM];
	int rc;

	if (m->format < IMAGE_FORMAT_FIRST || m->format > IMAGE_FORMAT)
		return fail(e, 0, "%s: format %u of another cr; this one knows %u", dir, m->format,
			    IMAGE_FORMAT);
	if (m->id != 0)
		return fail(e, 0, "%s/manifest: id %u", dir, m->id);
	if (m->n_files < 1 || m->n_files > IMAGE_STORES + 1)
		return fail(e, 0, "%s/manifest: lists %zu files", dir, m->n_files);
	for (size_t i = 0; i < m->n_files; i++) {
		if (i > 0)
			store_name(name, (unsigned int)i - 1);
		if (strcmp(m->files[i]->name, i > 0 ? name : "objects") != 0)
			return fail(e, 0, "%s/manifest: lists a file %s in place %zu", dir,
				    m->files[i]->name, i);
		rc = i > 0 ? blocks_check_listed(m->files[i], m->format, e) : 0;
		if (rc < 0)
			return within(e, rc, "%s/manifest: %s", dir, name);
	}
	return 0;
}

static int open_listed(const struct image *img, const char *dir, const ManifestFile *f,
		       struct error *e)
{
	uint64_t size;
	auto_fd fd = open_file(img, dir, f->name, &size, e);

	if (fd < 0)
		return fd;
	if (size != f->size)
		return fail(e, 0, "%s/%s: %llu bytes, not %llu: the image is damaged", dir, f->name,
			    (unsigned long long)size, (unsigned long long)f->size);
	return take_fd(&fd);
}

/* --- page stores ----------------------------------------------------------------------------- */

static int open_stores(struct image *img, const char *dir, struct error *e)
{
	size_t n = img->manifest->n_files - 1;

	img->stores = arena_alloc(&img->arena, n * sizeof(*img->stores));
	img->store_sizes = arena_alloc(&img->arena, n * sizeof(*img->store_sizes));
	for (size_t i = 0; i < n; i++) {
		int fd = open_listed(img, dir, img->manifest->files[i + 1], e);

		if (fd < 0)
			return fd;
		img->stores[img->n_stores] = fd;
		img->store_sizes[img->n_stores++] = blocks_pages(img->manifest->files[i + 1]);
	}
	return 0;
}

/* --- records --------------------------------------------------------------------------------- */

static int compare_records(const struct record *a, const char *tag, uint32_t id)
{
	int order = strcmp(a->type->tag, tag);

	return order ? order : (a->id > id) - (a->id < id);
}

static int compare_index(const void *a, const void *b)
{
	const struct record *const *x = a, *const *y = b;

	return compare_records(*x, (*y)->type->tag, (*y)->id);
}

static int make_index(struct image *img, const char *dir, struct error *e)
{
	const Manifest *m = img->manifest;
	size_t n = img->records.n, tags = 0;

	img->index = arena_alloc(&img->arena, n * sizeof(*img->index));
	for (size_t i = 0; i < n; i++)
		img->index[i] = &img->records.v[i];
	if (n > 0)
		qsort(img->index, n, sizeof(*img->index), compare_index);
	for (size_t i = 0; i < n; i++) {
		const struct record *r = img->index[i];

		if (i > 0 && compare_index(&img->index[i - 1], &img->index[i]) == 0)
			return fail(e, 0, "%s/objects: two records %s %u", dir, r->type->tag,
				    r->id);
		if (i > 0 && r->type == img->index[i - 1]->type)
			continue;
		if (tags >= m->n_tags || strcmp(m->tags[tags], r->type->tag) != 0)
			return fail(e, 0, "%s/manifest: does not list the records %s", dir,
				    r->type->tag);
		tags++;
	}
	if (tags != m->n_tags)
		return fail(e, 0, "%s/manifest: lists records %s, and there are none", dir,
			    m->tags[tags]);
	return 0;
}

static int unpack_objects(struct image *img, const char *dir, const struct buf *b,
			  const struct record_type *types, size_t n_types, struct error *e)
{
	struct record_cursor c = {
		.p = (const uint8_t *)b->p,
		.size = b->len,
		.file = arena_printf(&img->arena, "%s/objects", dir),
		.types = types,
		.n_types = n_types,
		.arena = &img->arena,
	};
	struct record r;
	int rc;

	while ((rc = record_next(&c, &r, e)) > 0)
		*vec_add(&img->records) = r;
	return rc;
}

static int read_objects(struct image *img, const char *dir, const struct record_type *types,
			size_t n_types, struct error *e)
{
	const ManifestFile *f = img->manifest->files[0];
	auto_buf b = { 0 };
	int rc;

	auto_fd fd = open_listed(img, dir, f, e);
	if (fd < 0)
		return fd;
	if (f->size > OBJECTS_MAX)
		return fail(e, EFBIG, "%s/objects", dir);
	rc = read_file(dir, "objects", fd, f->size, &b, e);
	if (rc < 0)
		return rc;
	if (XXH3_64bits(b.p, b.len) != f->xxh3)
		return fail(e, 0, "%s/objects: checksum differs: the image is damaged", dir);
	rc = unpack_objects(img, dir, &b, types, n_types, e);
	return rc < 0 ? rc : make_index(img, dir, e);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int open_image(struct image *img, const char *dir, const struct record_type *types,
		      size_t n_types, bool skip_pages, struct error *e)
{
	struct image_place ignored;
	int rc;

	img->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (img->dir < 0)
		return fail(e, errno, "%s", dir);
	rc = read_manifest(img, dir, e);
	if (rc == 0)
		rc = check_manifest(img, dir, e);
	if (rc == 0)
		rc = read_objects(img, dir, types, n_types, e);
	if (rc == 0)
		rc = open_stores(img, dir, e);
	if (rc == 0 && !skip_pages)
		rc = image_check_pages(img, dir, 0, &ignored, e);
	return rc;
}

int image_open(struct image *img, const char *dir, const struct record_type *types, size_t n_types,
	       bool skip_pages, struct error *e)
{
	int rc;

	*img = (struct image){ .dir = -1 };
	record_check_type(&record_manifest);
	for (size_t i = 0; i < n_types; i++)
		record_check_type(&types[i]);
	rc = open_image(img, dir, types, n_types, skip_pages, e);
	if (rc < 0)
		image_free(img);
	return rc;
}

void image_free(struct image *img)
{
	for (size_t i = 0; i < img->n_stores; i++)
		close(img->stores[i]);
	if (img->dir > 0) /* 0: never opened */
		close(img->dir);
	vec_free(&img->records);
	arena_free(&img->arena);
	*img = (struct image){ .dir = -1 };
}

const struct record *image_find(const struct image *img, const char *tag, uint32_t id)
{
	size_t low = 0, high = img->records.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_records(img->index[middle], tag, id);

		if (order == 0)
			return img->index[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
