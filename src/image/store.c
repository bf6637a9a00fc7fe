/* SPDX-License-Identifier: MIT */
#include "image/store.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/hash.h"
#include "image/image.h"

#define CHUNK ((size_t)64 * 1024) /* small: what is read once is hashed from the cache */

void store_name(char name[STORE_NAME_ROOM], unsigned int n)
{
	snprintf(name, STORE_NAME_ROOM, "pages-%u", n);
}

static int create_file(int dir, const char *name, struct error *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? fail(e, errno, "create %s", name) : fd;
}

/* Takes the descriptor in any case. Some filesystems tell only at close that there was no space. */
static int close_file(int fd, const char *name, bool sync, struct error *e)
{
	int rc = sync && fsync(fd) < 0 ? errno : 0;

	if (close(fd) < 0 && rc == 0 && errno != EINTR)
		rc = errno;
	return rc ? fail(e, rc, "write %s", name) : 0;
}

int store_create(struct store *s, int dir, unsigned int n, struct pack pack, struct error *e)
{
	char name[STORE_NAME_ROOM];

	store_name(name, n);
	s->fd = create_file(dir, name, e);
	if (s->fd < 0)
		return s->fd;
	s->hash = XXH3_createState();
	if (!s->hash)
		mem_exhausted();
	XXH3_64bits_reset(s->hash);
	if (pack.how == PACKING__NONE)
		return 0;
	s->packer = packer_new(pack);
	s->block = mem_realloc(NULL, STORE_BLOCK);
	s->packed = mem_realloc(NULL, STORE_BLOCK);
	return 0;
}

static int write_pages(struct store *s, const void *p, size_t n, struct error *e)
{
	int rc = fd_write_full(s->fd, p, n);

	s->written += n;
	return rc < 0 ? fail(e, -rc, "write pages") : 0;
}

static size_t begun(const struct store *s)
{
	return (size_t)(s->size % STORE_BLOCK);
}

/* The block that has grown up to n bytes is whole. */
static int end_block(struct store *s, size_t n, struct error *e)
{
	size_t packed = s->packer ? packer_run(s->packer, s->block, n, s->packed) : 0;
	const char *p = packed ? s->packed : s->block;
	int rc = 0;

	if (s->packer) {
		packed = packed ? packed : n;
		XXH3_64bits_update(s->hash, p, packed);
		*vec_add(&s->lengths) = (uint32_t)packed;
		rc = write_pages(s, p, packed, e);
	}
	*vec_add(&s->sums) = XXH3_64bits_digest(s->hash);
	XXH3_64bits_reset(s->hash);
	return rc;
}

static int add_part(struct store *s, const char *p, size_t n, struct error *e)
{
	if (s->packer)
		memcpy(s->block + begun(s), p, n);
	else
		XXH3_64bits_update(s->hash, p, n);
	s->size += n;
	return begun(s) ? 0 : end_block(s, STORE_BLOCK, e);
}

int store_append(struct store *s, const void *p, size_t n, struct error *e)
{
	int rc = s->packer ? 0 : write_pages(s, p, n, e);

	for (size_t at = 0; at < n && rc == 0;) {
		size_t room = STORE_BLOCK - begun(s), part = n - at < room ? n - at : room;

		rc = add_part(s, (const char *)p + at, part, e);
		at += part;
	}
	return rc;
}

static void close_hash(struct store *s)
{
	XXH3_freeState(s->hash);
	s->hash = NULL;
}

int store_finish(struct store *s, bool sync, struct error *e)
{
	int rc = begun(s) ? end_block(s, begun(s), e) : 0;

	if (rc < 0)
		return rc;
	close_hash(s);
	return close_file(s->fd, "pages", sync, e);
}

void store_drop(struct store *s)
{
	if (s->hash)
		close(s->fd);
	close_hash(s);
	packer_free(s->packer);
	free(s->block);
	free(s->packed);
	vec_free(&s->sums);
	vec_free(&s->lengths);
	*s = (struct store){ .fd = -1 };
}

int store_write_file(int dir, const char *name, const void *p, size_t n, bool sync, struct error *e)
{
	int rc, fd = create_file(dir, name, e);

	if (fd < 0)
		return fd;
	rc = fd_write_full(fd, p, n);
	if (rc < 0) {
		close(fd);
		return fail(e, -rc, "write %s", name);
	}
	return close_file(fd, name, sync, e);
}

int store_hash(int fd, uint64_t at, uint64_t size, uint64_t *xxh3, struct error *e)
{
	XXH3_state_t *hash = XXH3_createState();
	auto_free char *chunk = mem_realloc(NULL, CHUNK);
	int rc = 0;

	if (!hash)
		mem_exhausted();
	XXH3_64bits_reset(hash);
	for (uint64_t end = at + size; rc == 0 && at < end;) {
		size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		rc = fd_pread_full(fd, chunk, n, (off_t)at);
		if (rc == 0)
			XXH3_64bits_update(hash, chunk, n);
		at += n;
	}
	*xxh3 = XXH3_64bits_digest(hash);
	XXH3_freeState(hash);
	return rc < 0 ? fail(e, -rc, "read") : 0;
}

uint64_t store_hash_bytes(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

uint64_t store_hash_blocks(const uint64_t *sums, size_t n)
{
	XXH3_state_t *hash = XXH3_createState();
	uint64_t result;

	if (!hash)
		mem_exhausted();
	XXH3_64bits_reset(hash);
	for (size_t i = 0; i < n; i++) {
		uint64_t sum = htole64(sums[i]);

		XXH3_64bits_update(hash, &sum, sizeof(sum));
	}
	result = XXH3_64bits_digest(hash);
	XXH3_freeState(hash);
	return result;
}

/* --- folders --------------------------------------------------------------------------------- */

/* What an image can hold: the manifest, the objects and the stores. */
#define N_FILES (2 + IMAGE_STORES)
_Static_assert(N_FILES <= 32, "a bit for each");

static const char *file_name(char room[STORE_NAME_ROOM], unsigned int n)
{
	if (n < 2)
		return n ? "objects" : "manifest";
	store_name(room, n - 2);
	return room;
}

/* Notes in *found, bit by bit, which file of an image it is. */
static int check_entry(const char *name, uint32_t *found, struct error *e)
{
	char room[STORE_NAME_ROOM];

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	for (unsigned int i = 0; i < N_FILES; i++) {
		if (strcmp(name, file_name(room, i)) == 0) {
			*found |= 1u << i;
			return 0;
		}
	}
	return fail(e, ENOTEMPTY, "it holds %s, which no image has", name);
}

static int list_folder(int dir, uint32_t *found, struct error *e)
{
	_Alignas(struct dirent64) char room[4096];
	ssize_t got;
	int rc = 0;

	*found = 0;
	if (lseek(dir, 0, SEEK_SET) < 0)
		return fail(e, errno, "list it");
	while ((got = getdents64(dir, room, sizeof(room))) > 0) {
		for (ssize_t at = 0; at < got && rc == 0;) {
			const struct dirent64 *d = (const void *)(room + at);

			rc = check_entry(d->d_name, found, e);
			at += d->d_reclen;
		}
		if (rc < 0)
			return rc;
	}
	return got < 0 ? fail(e, errno, "list it") : 0;
}

int store_check_folder(int dir, bool whole, struct error *e)
{
	uint32_t found;
	int rc = list_folder(dir, &found, e);

	if (rc == 0 && whole && !(found & 1))
		return fail(e, 0, "it has no manifest, so it is not an image of cr");
	return rc;
}

int store_remove_folder(int parent, const char *name, int dir, struct error *e)
{
	char room[STORE_NAME_ROOM];
	uint32_t found;
	int rc = list_folder(dir, &found, e);

	/* The manifest first, so that what is left of it is no image any more. */
	for (unsigned int i = 0; i < N_FILES && rc == 0; i++) {
		if (!(found & 1u << i))
			continue;
		if (unlinkat(dir, file_name(room, i), 0) < 0 && errno != ENOENT)
			rc = fail(e, errno, "remove %s", file_name(room, i));
	}
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		rc = fail(e, errno, "remove %s", name);
	return rc;
}
