/* SPDX-License-Identifier: MIT */
#include "hostile.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "files.pb-c.h"
#include "image/hash.h"
#include "image/record.h"
#include "image/store.h"
#include "kind.h"
#include "process.pb-c.h"

#define MAX_STORE (1u << 20)

static void must(bool good)
{
	if (!good)
		abort();
}

/* --- taking apart and putting together ----------------------------------------------------------- */

static bool split(const uint8_t *blob, size_t n, struct record_cursor *manifest,
		  struct record_cursor *objects)
{
	uint32_t length;

	if (n < sizeof(length))
		return false;
	memcpy(&length, blob, sizeof(length));
	length = le32toh(length);
	if (length > n - sizeof(length))
		return false;
	*manifest = (struct record_cursor){ .p = blob + sizeof(length), .size = length };
	*objects = (struct record_cursor){ .p = manifest->p + length,
					   .size = n - sizeof(length) - length };
	return true;
}

static Manifest *parse_manifest(struct record_cursor *c, struct arena *a)
{
	struct error e;
	struct record r;

	c->file = "manifest";
	c->types = &record_manifest;
	c->n_types = 1;
	c->arena = a;
	return record_next(c, &r, &e) > 0 ? (Manifest *)r.msg : NULL;
}

bool hostile_parse(struct hostile *h, const uint8_t *blob, size_t n)
{
	struct record_cursor manifest, objects;
	struct error e;
	struct record r;
	int rc = -1;

	*h = (struct hostile){ 0 };
	if (!split(blob, n, &manifest, &objects))
		return false;
	h->manifest = parse_manifest(&manifest, &h->arena);
	objects.file = "objects";
	objects.types = record_types(&objects.n_types);
	objects.arena = &h->arena;
	while (h->manifest && (rc = record_next(&objects, &r, &e)) > 0)
		*vec_add(&h->records) = (struct hostile_record){ .type = r.type, .msg = r.msg };
	if (rc == 0)
		return true;
	hostile_free(h);
	return false;
}

void hostile_free(struct hostile *h)
{
	vec_free(&h->records);
	arena_free(&h->arena);
	*h = (struct hostile){ 0 };
}

/* Not record_put, which refuses what lacks a field. */
static void put(struct buf *out, const struct hostile_record *r)
{
	struct record_head head = { .version = htole32(r->type->version) };
	size_t n = r->raw ? r->n_raw : protobuf_c_message_get_packed_size(r->msg);
	size_t room = (n + 7) & ~(size_t)7;
	uint8_t *p;

	memcpy(head.tag, r->type->tag, sizeof(head.tag));
	head.length = htole64(n);
	buf_add(out, &head, sizeof(head));
	p = buf_grow(out, room);
	memset(p, 0, room);
	if (!r->raw)
		protobuf_c_message_pack(r->msg, p);
	else if (n)
		memcpy(p, r->raw, n);
}

void hostile_pack(const struct hostile *h, struct buf *blob)
{
	struct hostile_record manifest = { .type = &record_manifest, .msg = &h->manifest->base };
	uint32_t length = 0;
	size_t at = blob->len;

	buf_add(blob, &length, sizeof(length));
	put(blob, &manifest);
	length = htole32((uint32_t)(blob->len - at - sizeof(length)));
	memcpy(blob->p + at, &length, sizeof(length));
	vec_each(r, &h->records)
		put(blob, r);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void hostile_fix_tags(struct hostile *h)
{
	Manifest *m = h->manifest;
	size_t n = 0;

	m->tags = arena_alloc(&h->arena, (h->records.n + 1) * sizeof(*m->tags));
	m->n_tags = 0;
	vec_each(r, &h->records)
		m->tags[n++] = arena_strdup(&h->arena, r->type->tag);
	if (n)
		qsort(m->tags, n, sizeof(*m->tags), by_text);
	for (size_t i = 0; i < n; i++) {
		if (!m->n_tags || strcmp(m->tags[m->n_tags - 1], m->tags[i]))
			m->tags[m->n_tags++] = m->tags[i];
	}
}

/* --- kinds that the image has not ---------------------------------------------------------------- */

static const struct hostile_record *find(const struct hostile *h, const char *tag)
{
	vec_each(r, &h->records) {
		if (!strcmp(r->type->tag, tag))
			return r;
	}
	return NULL;
}

static ProtobufCMessage *new_message(struct hostile *h, const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = arena_alloc(&h->arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	for (unsigned int i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		void *at = (char *)m + f->offset;

		if (f->label != PROTOBUF_C_LABEL_REQUIRED)
			continue;
		if (f->type == PROTOBUF_C_TYPE_STRING)
			*(char **)at = arena_strdup(&h->arena, "/dev/null");
		else if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			*(ProtobufCMessage **)at = new_message(h, f->descriptor);
	}
	return m;
}

static void *add(struct hostile *h, const struct record_type *type, uint32_t id)
{
	ProtobufCMessage *m = new_message(h, type->desc);

	memcpy((char *)m + type->desc->fields[0].offset, &id, sizeof(id));
	*vec_add(&h->records) = (struct hostile_record){ .type = type, .msg = m };
	return m;
}

static void add_descriptor(struct hostile *h, FdTable *t, uint32_t id)
{
	size_t n = t->n_fds;
	Descriptor **fds = arena_alloc(&h->arena, (n + 1) * sizeof(*fds));

	if (n)
		memcpy(fds, t->fds, n * sizeof(*fds));
	fds[n] = (Descriptor *)new_message(h, &descriptor__descriptor);
	fds[n]->fd = n ? fds[n - 1]->fd + 1 : 0;
	fds[n]->description = id;
	t->fds = fds;
	t->n_fds = n + 1;
}

uint32_t hostile_add_description(struct hostile *h, const struct kind *k, uint32_t id)
{
	Description *d = add(h, &record_description, id);

	d->kind = arena_strdup(&h->arena, k->record.tag);
	add(h, &k->record, id);
	return id;
}

static void add_description(struct hostile *h, const struct kind *k, uint32_t id)
{
	/* before the list of records moves */
	const struct hostile_record *r = find(h, record_fdtable.tag);
	FdTable *table = r ? (FdTable *)r->msg : NULL;

	hostile_add_description(h, k, id);
	if (table)
		add_descriptor(h, table, id);
}

bool hostile_add_kind(struct hostile *h, const struct kind *k)
{
	const struct hostile_record *thread = find(h, record_thread.tag);

	if (find(h, k->record.tag) || !thread)
		return false;
	if (k->fd)
		add_description(h, k, 1000000 + (uint32_t)h->records.n);
	else
		add(h, &k->record, kind_record_id((const Thread *)thread->msg, k->task->scope));
	hostile_fix_tags(h);
	return true;
}

/* --- folders ------------------------------------------------------------------------------------- */

int hostile_read(const char *dir, struct buf *blob, struct error *e)
{
	auto_fd fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_buf manifest = { 0 };
	auto_buf objects = { 0 };
	uint32_t length;

	if (fd < 0 || fd_read_file(fd, "manifest", &manifest) < 0 ||
	    fd_read_file(fd, "objects", &objects) < 0 || manifest.len < 8)
		return fail(e, 0, "%s: not an image", dir);
	length = htole32((uint32_t)manifest.len - 8);
	buf_add(blob, &length, sizeof(length));
	buf_add(blob, manifest.p, manifest.len - 8);
	buf_add(blob, objects.p, objects.len);
	return 0;
}

void hostile_write_file(int dir, const char *name, const void *p, size_t n)
{
	auto_fd fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && fd_write_full(fd, p, n) >= 0);
}

/* As many zeros as it is said to have, if that is a size at all. */
static void write_store(int dir, unsigned int n, ManifestFile *f)
{
	static char zeros[MAX_STORE];
	char name[STORE_NAME_ROOM];
	auto_fd fd = -1;

	if (f->size > MAX_STORE)
		return;
	store_name(name, n);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && ftruncate(fd, (off_t)f->size) == 0);
	if (!f->has_block) {
		f->xxh3 = XXH3_64bits(zeros, f->size);
		return;
	}
	for (size_t i = 0, at = 0; i < f->n_blocks && at < f->size; i++, at += f->block) {
		size_t left = f->size - at;

		f->blocks[i] = XXH3_64bits(zeros, left < f->block ? left : f->block);
	}
	f->xxh3 = store_hash_blocks(f->blocks, f->n_blocks);
}

static void write_manifest(int dir, const uint8_t *p, size_t n)
{
	uint64_t xxh3 = htole64(XXH3_64bits(p, n));
	auto_buf b = { 0 };

	buf_add(&b, p, n);
	buf_add(&b, &xxh3, sizeof(xxh3));
	hostile_write_file(dir, "manifest", b.p, b.len);
}

static void write_image(int dir, const uint8_t *blob, size_t n, bool stores)
{
	struct record_cursor manifest, objects;
	struct arena a = { 0 };
	auto_buf again = { 0 };
	Manifest *m;

	if (!split(blob, n, &manifest, &objects)) {
		write_manifest(dir, blob, n);
		return;
	}
	hostile_write_file(dir, "objects", objects.p, objects.size);
	m = parse_manifest(&manifest, &a);
	if (m && manifest.at == manifest.size) {
		for (size_t i = 0; i < m->n_files && i <= IMAGE_STORES; i++) {
			if (i > 0 && stores)
				write_store(dir, (unsigned int)i - 1, m->files[i]);
			if (i > 0)
				continue;
			m->files[0]->size = objects.size;
			m->files[0]->xxh3 = XXH3_64bits(objects.p, objects.size);
		}
		put(&again, &(struct hostile_record){ .type = &record_manifest, .msg = &m->base });
		write_manifest(dir, (const uint8_t *)again.p, again.len);
	} else {
		write_manifest(dir, manifest.p, manifest.size);
	}
	arena_free(&a);
}

void hostile_write(int dir, const uint8_t *blob, size_t n)
{
	write_image(dir, blob, n, false);
}

void hostile_dir_write(const struct hostile_dir *d, const uint8_t *blob, size_t n)
{
	write_image(d->dir, blob, n, true);
}

int hostile_dir_make(struct hostile_dir *d)
{
	snprintf(d->path, sizeof(d->path), "/dev/shm/cr-hostile-XXXXXX");
	if (!mkdtemp(d->path)) {
		snprintf(d->path, sizeof(d->path), "/tmp/cr-hostile-XXXXXX");
		if (!mkdtemp(d->path))
			return -1;
	}
	d->dir = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return d->dir < 0 ? -1 : 0;
}

void hostile_dir_remove(struct hostile_dir *d)
{
	char name[STORE_NAME_ROOM];

	unlinkat(d->dir, "manifest", 0);
	unlinkat(d->dir, "objects", 0);
	for (unsigned int i = 0; i < IMAGE_STORES; i++) {
		store_name(name, i);
		unlinkat(d->dir, name, 0);
	}
	close(d->dir);
	rmdir(d->path);
}
