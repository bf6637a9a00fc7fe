/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "image/hash.h"
#include "image/image.h"
#include "image/record.h"
#include "image/store.h"

struct key {
	const struct record_type *type;
	uint32_t id;
};

struct image_writer {
	struct arena arena;
	const char *path, *name; /* of DIR: as given, and its last part */
	const char *partial_path, *partial;
	int parent, dir; /* dir: DIR.partial, locked as long as somebody has it open */
	bool force, sync, published, replaced;
	struct stat
		old; /* with force: what DIR was when it was looked at; st_ino 0: it was not there */
	struct buf objects;
	vec(struct key) keys;
	struct pack pack; /* of the stores */
	struct store stores[IMAGE_STORES];
};

/* --- the folder ------------------------------------------------------------------------------ */

static int set_names(struct image_writer *w, const char *dir, struct error *e)
{
	size_t n = strlen(dir);
	char *path;
	const char *slash;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	path = arena_strndup(&w->arena, dir, n);
	slash = strrchr(path, '/');
	w->path = path;
	w->name = slash ? slash + 1 : path;
	if (!*w->name || strcmp(w->name, ".") == 0 || strcmp(w->name, "..") == 0)
		return fail(e, 0, "'%s' is no name for a new folder", dir);
	w->partial_path = arena_printf(&w->arena, "%s.partial", w->path);
	slash = strrchr(w->partial_path, '/');
	w->partial = slash ? slash + 1 : w->partial_path;
	return 0;
}

static int open_parent(struct image_writer *w, struct error *e)
{
	size_t n = (size_t)(w->name - w->path);
	const char *parent = n > 0 ? arena_strndup(&w->arena, w->path, n) : ".";

	w->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->parent < 0 ? fail(e, errno, "%s: open the folder it is to lie in", w->path) : 0;
}

static int open_folder(struct image_writer *w, const char *name)
{
	return openat(w->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* 0: there is none, 1: there is one that may be replaced. */
static int check_old(struct image_writer *w, struct error *e)
{
	auto_fd old = open_folder(w, w->name);
	int rc;

	if (old < 0 && errno == ENOENT)
		return 0;
	if (old < 0 && (errno == ENOTDIR || errno == ELOOP))
		return fail(e, EEXIST, "%s (not a folder)", w->path);
	if (old < 0)
		return fail(e, errno, "%s", w->path);
	if (!w->force)
		return fail(e, EEXIST, "%s (--force replaces it)", w->path);
	rc = store_check_folder(old, true, e);
	if (rc >= 0 && fstat(old, &w->old))
		rc = fail(e, errno, "look at it");
	return rc < 0 ? within(e, rc, "%s is not replaced", w->path) : 1;
}

/* Whoever writes an image holds a lock on its folder, which goes with the last of its processes. */
static bool is_locked(int dir)
{
	return flock(dir, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int remove_leftover(struct image_writer *w, struct error *e)
{
	auto_fd left = open_folder(w, w->partial);
	int rc;

	if (left < 0)
		return fail(e, errno, "%s is in the way", w->partial_path);
	if (is_locked(left))
		return fail(e, EBUSY, "%s: another dump is writing it", w->partial_path);
	rc = store_remove_folder(w->parent, w->partial, left, e);
	return within(e, rc, "%s is in the way", w->partial_path);
}

static int make_folder(struct image_writer *w, struct error *e)
{
	int rc = mkdirat(w->parent, w->partial, 0700);

	if (rc < 0 && errno == EEXIST) {
		rc = remove_leftover(w, e);
		if (rc < 0)
			return rc;
		rc = mkdirat(w->parent, w->partial, 0700);
	}
	if (rc < 0)
		return fail(e, errno, "create %s", w->partial_path);
	w->dir = open_folder(w, w->partial);
	if (w->dir < 0) {
		rc = fail(e, errno, "open %s", w->partial_path);
		(void)unlinkat(w->parent, w->partial, AT_REMOVEDIR);
		return rc;
	}
	if (is_locked(w->dir)) /* somebody took it for a leftover in this very moment */
		return fail(e, EBUSY, "%s: another dump is writing it", w->partial_path);
	return 0;
}

int image_create(struct image_writer **out, const char *dir, bool force, bool sync, struct error *e)
{
	struct image_writer *w = mem_alloc(sizeof(*w));
	int rc;

	*w = (struct image_writer){ .parent = -1, .dir = -1, .force = force, .sync = sync };
	record_check_type(&record_manifest);
	rc = set_names(w, dir, e);
	if (rc == 0)
		rc = open_parent(w, e);
	if (rc == 0)
		rc = check_old(w, e);
	if (rc >= 0)
		rc = make_folder(w, e);
	if (rc < 0) {
		image_close(w, true);
		return rc;
	}
	*out = w;
	return 0;
}

void image_compress(struct image_writer *w, struct pack pack)
{
	w->pack = pack;
}

/* --- contents -------------------------------------------------------------------------------- */

int image_put(struct image_writer *w, const struct record_type *type, const ProtobufCMessage *msg,
	      struct error *e)
{
	struct key *key;
	int rc;

	if (w->keys.n == 0 || w->keys.v[w->keys.n - 1].type != type)
		record_check_type(type);
	rc = record_put(&w->objects, type, msg, e);
	if (rc < 0)
		return rc;
	if (w->objects.len > OBJECTS_MAX)
		return fail(e, EFBIG, "%s/objects", w->partial_path);
	key = vec_add(&w->keys);
	*key = (struct key){ type, record_id(msg) };
	return 0;
}

int image_put_pages(struct image_writer *w, unsigned int store, const void *p, size_t n,
		    struct error *e)
{
	struct store *s = &w->stores[store];
	int rc = 0;

	assert(store < IMAGE_STORES && n % 4096 == 0);
	if (!s->hash)
		rc = store_create(s, w->dir, store, w->pack, e);
	if (rc == 0)
		rc = store_append(s, p, n, e);
	return within(e, rc, "%s/pages-%u", w->partial_path, store);
}

uint64_t image_next_place(const struct image_writer *w, unsigned int store)
{
	assert(store < IMAGE_STORES);
	return w->stores[store].size;
}

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int order = strcmp(x->type->tag, y->type->tag);

	return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* The tags that occur, and no record twice: a reader would refuse the image. */
static int list_tags(struct image_writer *w, Manifest *m, struct error *e)
{
	size_t n = w->keys.n;
	struct key *keys = w->keys.v;

	if (n > 0)
		qsort(keys, n, sizeof(*keys), compare_keys);
	m->n_tags = 0;
	m->tags = arena_alloc(&w->arena, n * sizeof(*m->tags));
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && compare_keys(&keys[i - 1], &keys[i]) == 0)
			return fail(e, 0, "record %s %u is written twice", keys[i].type->tag,
				    keys[i].id);
		if (i == 0 || strcmp(keys[i - 1].type->tag, keys[i].type->tag) != 0)
			m->tags[m->n_tags++] = (char *)keys[i].type->tag;
	}
	return 0;
}

static ManifestFile *list_file(struct image_writer *w, Manifest *m, const char *name, uint64_t size)
{
	ManifestFile *f = arena_alloc(&w->arena, sizeof(*f));

	manifest_file__init(f);
	f->name = arena_strdup(&w->arena, name);
	f->size = size;
	m->files[m->n_files++] = f;
	return f;
}

static void list_blocks(struct image_writer *w, const struct store *s, ManifestFile *f)
{
	f->has_block = true;
	f->block = STORE_BLOCK;
	f->n_blocks = s->sums.n;
	f->blocks = arena_copy(&w->arena, s->sums.v, s->sums.n * sizeof(*s->sums.v));
	f->xxh3 = store_hash_blocks(f->blocks, f->n_blocks);
	if (!s->packer)
		return;
	f->has_packing = f->has_pages = true;
	f->packing = w->pack.how;
	f->pages = s->size;
	f->n_packed = s->lengths.n;
	f->packed = arena_copy(&w->arena, s->lengths.v, s->lengths.n * sizeof(*s->lengths.v));
}

/* The stores are numbered without gaps, so one that no thread had pages for is made empty. */
static int finish_stores(struct image_writer *w, Manifest *m, struct error *e)
{
	unsigned int n = IMAGE_STORES;

	while (n > 0 && !w->stores[n - 1].hash)
		n--;
	for (unsigned int i = 0; i < n; i++) {
		struct store *s = &w->stores[i];
		char name[STORE_NAME_ROOM];
		int rc = s->hash ? 0 : store_create(s, w->dir, i, w->pack, e);

		store_name(name, i);
		if (rc == 0)
			rc = store_finish(s, w->sync, e);
		if (rc < 0)
			return within(e, rc, "%s/%s", w->partial_path, name);
		list_blocks(w, s, list_file(w, m, name, s->written));
	}
	return 0;
}

static int write_file(struct image_writer *w, const char *name, const struct buf *b,
		      struct error *e)
{
	int rc = store_write_file(w->dir, name, b->p, b->len, w->sync, e);

	return within(e, rc, "%s", w->partial_path);
}

static int write_manifest(struct image_writer *w, const Manifest *m, struct error *e)
{
	auto_buf b = { 0 };
	uint64_t xxh3;
	int rc = record_put(&b, &record_manifest, &m->base, e);

	if (rc < 0)
		return rc;
	if (b.len + sizeof(xxh3) > MANIFEST_MAX)
		return fail(e, EFBIG, "%s/manifest", w->partial_path);
	xxh3 = htole64(XXH3_64bits(b.p, b.len));
	buf_add(&b, &xxh3, sizeof(xxh3));
	return write_file(w, "manifest", &b, e);
}

int image_finish(struct image_writer *w, Manifest *m, struct error *e)
{
	int rc = list_tags(w, m, e);

	if (rc < 0)
		return rc;
	m->id = 0;
	m->format = IMAGE_FORMAT;
	m->files = arena_alloc(&w->arena, (IMAGE_STORES + 1) * sizeof(*m->files));
	m->n_files = 0;
	buf_grow(&w->objects, 0);
	list_file(w, m, "objects", w->objects.len)->xxh3 =
		XXH3_64bits(w->objects.p, w->objects.len);
	rc = write_file(w, "objects", &w->objects, e);
	if (rc == 0)
		rc = finish_stores(w, m, e);
	if (rc == 0)
		rc = write_manifest(w, m, e);
	if (rc == 0 && w->sync && fsync(w->dir) < 0)
		rc = fail(e, errno, "sync %s", w->partial_path);
	return rc;
}

/* --- publishing ------------------------------------------------------------------------------ */

/* rename that never replaces anything; EEXIST. */
static int rename_new(int dir, const char *from, const char *to)
{
	int rc = sys_renameat2(dir, from, dir, to, RENAME_NOREPLACE);

	if (rc != -EINVAL && rc != -ENOSYS)
		return rc;
	/* A filesystem without RENAME_NOREPLACE. What comes into being between the two calls can
	 * only be lost if it is an empty folder. */
	if (faccessat(dir, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(dir, from, dir, to) < 0 ? -errno : 0;
}

static const char *name_aside(struct image_writer *w)
{
	return arena_printf(&w->arena, "%s.old", w->name);
}

static int rename_exchange(struct image_writer *w)
{
	int rc = sys_renameat2(w->parent, w->partial, w->parent, w->name, RENAME_EXCHANGE);
	const char *aside;

	if (rc != -EINVAL && rc != -ENOSYS)
		return rc;
	/* A filesystem without RENAME_EXCHANGE: for a moment there is no DIR, but whole images
	 * under both other names. */
	aside = name_aside(w);
	rc = rename_new(w->parent, w->name, aside);
	if (rc == 0)
		rc = rename_new(w->parent, w->partial, w->name);
	if (rc == 0)
		rc = rename_new(w->parent, aside, w->partial);
	return rc;
}

int image_name(struct image_writer *w, struct error *e)
{
	int rc = rename_new(w->parent, w->partial, w->name);

	if (rc == -EEXIST && w->force) {
		rc = check_old(w,
			       e); /* what lies there may be another thing than at the beginning */
		if (rc < 0)
			return rc;
		rc = rename_exchange(w);
		w->replaced = true;
	}
	if (rc < 0)
		return fail(e, -rc, "rename %s to %s", w->partial_path, w->path);
	w->published = true;
	return 0;
}

int image_sync_name(struct image_writer *w, struct error *e)
{
	if (!w->sync || fsync(w->parent) == 0)
		return 0;
	return fail(e, errno, "sync the folder of %s", w->path);
}

int image_unname(struct image_writer *w, int rc, struct error *e)
{
	int undone = w->replaced ? rename_exchange(w) : rename_new(w->parent, w->name, w->partial);

	w->published = undone < 0;
	return undone < 0 ? within(e, rc, "the image is there, though") : rc;
}

static bool is_at(const struct image_writer *w, const char *name, const struct stat *what)
{
	struct stat there;

	return what->st_ino && fstatat(w->parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       what->st_dev == there.st_dev && what->st_ino == there.st_ino;
}

/* Something may be called DIR.partial that is not ours: the other process may have published ours. */
static bool is_ours(const struct image_writer *w, const char *name)
{
	struct stat ours;

	return w->dir >= 0 && fstat(w->dir, &ours) == 0 && is_at(w, name, &ours);
}

/* Between the steps of rename_exchange the old image has a third name. */
bool image_has_name(struct image_writer *w)
{
	const char *aside = name_aside(w);

	w->published = is_ours(w, w->name);
	if (is_at(w, aside, &w->old))
		(void)rename_new(w->parent, aside, w->published ? w->partial : w->name);
	w->replaced = w->published && is_at(w, w->partial, &w->old);
	return w->published;
}

void image_remove_replaced(struct image_writer *w)
{
	struct error e = { 0 };
	int rc;

	if (!w->published || !w->replaced)
		return;
	auto_fd old = open_folder(w, w->partial);
	rc = old < 0 ? fail(&e, errno, "open it")
		     : store_remove_folder(w->parent, w->partial, old, &e);
	if (rc < 0) /* the new image is there; no reason to fail */
		warn("the replaced image is left as %s: %s", w->partial_path, e.text);
}

int image_publish(struct image_writer *w, struct error *e)
{
	int rc = image_name(w, e);

	if (rc < 0)
		return rc;
	rc = image_sync_name(w, e);
	if (rc < 0)
		return image_unname(w, rc, e);
	image_remove_replaced(w);
	return 0;
}

void image_close(struct image_writer *w, bool keep)
{
	struct error e = { 0 };

	if (!w)
		return;
	for (unsigned int i = 0; i < IMAGE_STORES; i++)
		store_drop(&w->stores[i]);
	if (!keep && !w->published && is_ours(w, w->partial) &&
	    store_remove_folder(w->parent, w->partial, w->dir, &e) < 0)
		warn("%s is left: %s", w->partial_path, e.text);
	fd_cleanup(&w->dir);
	fd_cleanup(&w->parent);
	buf_free(&w->objects);
	vec_free(&w->keys);
	arena_free(&w->arena);
	mem_free_cleanup(&w);
}
