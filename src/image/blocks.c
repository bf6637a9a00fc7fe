/* SPDX-License-Identifier: MIT */
/* The blocks of page stores that are read: checked, and unpacked where they are compressed. */
#include "image/blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/work.h"
#include "image/store.h"

#define BLOCK_MOST (4u << 20)
#define PAGE 4096u
/* What is worth a worker: of checksums alone, and with unpacking. */
#define GRAIN_BYTES ((uint64_t)8 << 20)
#define GRAIN_PACKED ((uint64_t)2 << 20)

typedef unsigned long long ull;

/* --- what the manifest says -------------------------------------------------------------------- */

uint64_t blocks_pages(const ManifestFile *f)
{
	return f->has_pages ? f->pages : f->size;
}

static bool is_bare(const ManifestFile *f)
{
	return !f->has_block && !f->n_blocks && !f->has_packing && !f->has_pages && !f->n_packed;
}

static uint64_t length_of(const ManifestFile *f, size_t k)
{
	uint64_t left = blocks_pages(f) - (uint64_t)k * f->block;

	return left < f->block ? left : f->block;
}

static int check_packed(const ManifestFile *f, struct error *e)
{
	uint64_t total = 0;

	if (f->packing != PACKING__ZSTD && f->packing != PACKING__LZ4)
		return fail(e, 0, "its compression %d is unknown", (int)f->packing);
	if (f->n_packed != f->n_blocks)
		return fail(e, 0, "%zu blocks have %zu lengths", f->n_blocks, f->n_packed);
	for (size_t k = 0; k < f->n_packed; k++) {
		if (!f->packed[k] || f->packed[k] > length_of(f, k))
			return fail(e, 0, "block %zu is %u bytes long", k, f->packed[k]);
		total += f->packed[k];
	}
	return total == f->size ? 0 : fail(e, 0, "its blocks are not as long as the file");
}

int blocks_check_listed(const ManifestFile *f, unsigned int format, struct error *e)
{
	uint64_t pages = blocks_pages(f);

	if (format == IMAGE_FORMAT_FIRST)
		return is_bare(f) ? 0 : fail(e, 0, "it has blocks, which format 1 does not know");
	if (!f->has_block || f->block < PAGE || f->block > BLOCK_MOST || f->block % PAGE)
		return fail(e, 0, "its blocks have no size, or one that is not known");
	if (f->n_blocks != pages / f->block + (pages % f->block != 0))
		return fail(e, 0, "it has %zu blocks, which does not fit its size", f->n_blocks);
	if (f->xxh3 != store_hash_blocks(f->blocks, f->n_blocks))
		return fail(e, 0, "the checksums of its blocks are damaged");
	if (f->has_packing != f->has_pages || (!f->has_packing && f->n_packed))
		return fail(e, 0, "it is neither compressed nor not compressed");
	return f->has_packing ? check_packed(f, e) : 0;
}

/* --- reading them ------------------------------------------------------------------------------ */

struct opened {
	const ManifestFile *file;
	int fd, memory;  /* the file, and where its pages are put; -1: nowhere */
	size_t first, n; /* number of its first block among all, and how many it has */
	uint64_t *at;    /* compressed: where each begins in the file */
};
struct image_check {
	struct image *img;
	const char *dir;
	struct opened *stores;
	size_t n_stores;
	struct work work;  /* of all blocks, or of those in the list */
	struct team *team; /* that does it; NULL: nobody yet */
	size_t *list;
	int (*may_go_on)(void *arg, struct error *e); /* NULL: nobody is asked */
	void *arg;
	char *buffers[WORK_MAX];
	size_t failed; /* the lowest number of a block that is not right */
};

static const struct opened *store_of(const struct image_check *c, size_t i)
{
	const struct opened *s = c->stores;

	while (i >= s->first + s->n)
		s++;
	return s;
}

static struct image_place place_of(const struct image_check *c, size_t i)
{
	const struct opened *s = store_of(c, i);
	size_t k = i - s->first;

	if (!s->file->has_block)
		return (struct image_place){ (uint32_t)(s - c->stores), 0, s->file->size };
	return (struct image_place){ (uint32_t)(s - c->stores), (uint64_t)k * s->file->block,
				     length_of(s->file, k) };
}

static int damaged(struct error *e, const char *what)
{
	return fail(e, 0, "%s: the image is damaged", what);
}

static int check_raw(const struct opened *s, const struct image_place *p, size_t k, struct error *e)
{
	uint64_t want = s->file->has_block ? s->file->blocks[k] : s->file->xxh3, xxh3;
	int rc = store_hash(s->fd, p->offset, p->length, &xxh3, e);

	return rc < 0 || xxh3 == want ? rc : damaged(e, "checksum differs");
}

/* Both halves of the buffer are as large as a block. */
static int unpack_one(const struct opened *s, const struct image_place *p, size_t k, char *buffer,
		      struct error *e)
{
	const ManifestFile *f = s->file;
	char *pages = buffer + f->block;
	size_t n = f->packed[k];
	int rc = fd_pread_full(s->fd, buffer, n, (off_t)s->at[k]);

	if (rc < 0)
		return fail(e, -rc, "read");
	if (store_hash_bytes(buffer, n) != f->blocks[k])
		return damaged(e, "checksum differs");
	if (n == p->length)
		pages = buffer;
	else if (!pack_undo(f->packing, buffer, n, pages, p->length))
		return damaged(e, "it cannot be unpacked");
	rc = fd_pwrite_full(s->memory, pages, p->length, (off_t)p->offset);
	return rc < 0 ? fail(e, -rc, "put its pages into memory") : 0;
}

static void note_failure(struct image_check *c, size_t i)
{
	size_t lowest = __atomic_load_n(&c->failed, __ATOMIC_RELAXED);

	while (i < lowest && !__atomic_compare_exchange_n(&c->failed, &lowest, i, false,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

static int check_block(void *arg, unsigned int worker, size_t n, struct error *e)
{
	struct image_check *c = arg;
	size_t i = c->list ? c->list[n] : n;
	const struct opened *s = store_of(c, i);
	struct image_place p = place_of(c, i);
	size_t k = i - s->first;
	int rc = c->may_go_on ? c->may_go_on(c->arg, e) : 0;

	if (rc < 0)
		return rc;
	if (s->at && !c->buffers[worker])
		c->buffers[worker] = mem_realloc(NULL, (size_t)2 * BLOCK_MOST);
	rc = s->at ? unpack_one(s, &p, k, c->buffers[worker], e) : check_raw(s, &p, k, e);
	if (rc < 0)
		note_failure(c, i);
	return within(e, rc, "%s/%s: block %zu at 0x%llx", c->dir, s->file->name, k, (ull)p.offset);
}

/* Without MFD_NOEXEC_SEAL a kernel from 6.3 on complains in its log, an older one knows no such flag. */
static int make_memory(uint64_t size, struct error *e)
{
	auto_fd fd = memfd_create("cr-pages", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("cr-pages", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return fail(e, errno, "make room for %llu bytes of pages", (ull)size);
	return take_fd(&fd);
}

static int open_store(struct image_check *c, struct opened *s, struct error *e)
{
	const ManifestFile *f = s->file;
	uint64_t at = 0;

	s->n = f->has_block ? f->n_blocks : 1;
	s->memory = -1;
	if (!f->has_packing)
		return 0;
	s->at = arena_alloc(&c->img->arena, (f->n_blocks + 1) * sizeof(*s->at));
	for (size_t k = 0; k < f->n_blocks; at += f->packed[k++])
		s->at[k] = at;
	s->memory = make_memory(f->pages, e);
	return within(e, s->memory, "%s/%s", c->dir, f->name);
}

/* Blocks that one worker more must have. */
static size_t grain(const struct image *img, size_t blocks)
{
	uint64_t bytes = 0;
	bool packed = false;

	for (size_t i = 0; i < img->n_stores; i++) {
		bytes += img->store_sizes[i];
		packed = packed || img->manifest->files[i + 1]->has_packing;
	}
	bytes = blocks ? bytes / blocks + 1 : 1;
	return (packed ? GRAIN_PACKED : GRAIN_BYTES) / bytes + 1;
}

static int begin(struct image_check *c, struct image *img, const char *dir, struct error *e)
{
	int rc = 0;

	*c = (struct image_check){ .img = img, .dir = dir, .failed = SIZE_MAX };
	c->work = (struct work){ .each = check_block, .arg = c };
	c->stores = arena_alloc(&img->arena, (img->n_stores + 1) * sizeof(*c->stores));
	for (size_t i = 0; i < img->n_stores && rc >= 0; i++) {
		struct opened *s = &c->stores[c->n_stores++];

		s->file = img->manifest->files[i + 1];
		s->fd = img->stores[i];
		s->first = c->work.n;
		rc = open_store(c, s, e);
		c->work.n += s->n;
	}
	c->work.grain = grain(img, c->work.n);
	return rc;
}

/* Of what has been unpacked the pages take the place of the file. */
static int end(struct image_check *c, struct image_place *at, int rc)
{
	*at = (struct image_place){ 0 };
	for (unsigned int i = 0; i < WORK_MAX; i++)
		free(c->buffers[i]);
	if (rc < 0 && c->failed != SIZE_MAX)
		*at = place_of(c, c->failed);
	for (size_t i = 0; i < c->n_stores; i++) {
		struct opened *s = &c->stores[i];

		if (s->memory < 0)
			continue;
		close(s->fd);
		c->img->stores[i] = s->memory;
	}
	return rc;
}

static unsigned int wide(unsigned int width)
{
	return width ? width : work_width();
}

int image_check_pages(struct image *img, const char *dir, unsigned int width,
		      struct image_place *at, struct error *e)
{
	struct image_check c;
	int rc = begin(&c, img, dir, e);

	if (rc >= 0)
		rc = work_over(&c.work, c.work.n < 2 * c.work.grain ? 1 : wide(width), e);
	return end(&c, at, rc);
}

/* --- beside other things ----------------------------------------------------------------------- */

size_t image_blocks(const struct image *img, uint32_t store)
{
	const ManifestFile *f = img->manifest->files[store + 1];

	return f->has_block ? f->n_blocks : 1;
}

uint64_t image_block(const struct image *img, uint32_t store, uint64_t *xxh3, uint64_t at)
{
	const ManifestFile *f = img->manifest->files[store + 1];

	if (!f->has_block || f->has_packing || at >= img->store_sizes[store])
		return 0;
	*xxh3 = f->blocks[at / f->block];
	return f->block;
}

bool image_check_can_wait(const struct image *img, unsigned int width)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < img->n_stores; i++) {
		bytes += img->store_sizes[i];
		if (img->manifest->files[i + 1]->has_packing ||
		    !img->manifest->files[i + 1]->has_block)
			return false;
	}
	return wide(width) > 1 && bytes >= 2 * GRAIN_BYTES;
}

struct image_check *image_check_begin(struct image *img, const char *dir, unsigned int width,
				      const bool *done,
				      int (*may_go_on)(void *arg, struct error *e), void *arg)
{
	struct image_check *c = arena_alloc(&img->arena, sizeof(*c));
	size_t n, most;
	struct error none;

	(void)!begin(c, img, dir, &none); /* only what is compressed can fail here */
	c->may_go_on = may_go_on;
	c->arg = arg;
	n = c->work.n;
	c->list = arena_alloc(&img->arena, (n + 1) * sizeof(*c->list));
	c->work.n = 0;
	for (size_t i = 0; i < n; i++)
		if (!done[i])
			c->list[c->work.n++] = i;
	most = c->work.n / c->work.grain;
	c->team = work_begin(&c->work, most < wide(width) ? (unsigned int)most : wide(width));
	return c;
}

bool image_check_has_failed(const struct image_check *c)
{
	return work_has_failed(c->team);
}

int image_check_end(struct image_check *c, bool give_up, struct image_place *at, struct error *e)
{
	return end(c, at, work_end(c->team, give_up, e));
}
