/* SPDX-License-Identifier: MIT */
#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

int store_create(struct store *s, int dir, unsigned int n, struct error *e)
{
	char name[STORE_NAME_ROOM];

	store_name(name, n);
	s->fd = create_file(dir, name, e);
	if (s->fd < 0)
		return s->fd;
	s->size = 0;
	s->hash = XXH3_createState();
	if (!s->hash)
		mem_exhausted();
	XXH3_64bits_reset(s->hash);
	return 0;
}

int store_append(struct store *s, const void *p, size_t n, struct error *e)
{
	int rc = fd_write_full(s->fd, p, n);

	if (rc < 0)
		return fail(e, -rc, "write pages");
	XXH3_64bits_update(s->hash, p, n);
	s->size += n;
	return 0;
}

int store_finish(struct store *s, bool sync, uint64_t *size, uint64_t *xxh3, struct error *e)
{
	*size = s->size;
	*xxh3 = XXH3_64bits_digest(s->hash);
	XXH3_freeState(s->hash);
	s->hash = NULL;
	return close_file(s->fd, "pages", sync, e);
}

void store_drop(struct store *s)
{
	if (!s->hash)
		return;
	XXH3_freeState(s->hash);
	s->hash = NULL;
	close(s->fd);
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

int store_hash(int fd, uint64_t size, uint64_t *xxh3, struct error *e)
{
	XXH3_state_t *hash = XXH3_createState();
	auto_free char *chunk = mem_realloc(NULL, CHUNK);
	int rc = 0;

	if (!hash)
		mem_exhausted();
	XXH3_64bits_reset(hash);
	for (uint64_t at = 0; rc == 0 && at < size;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		rc = fd_pread_full(fd, chunk, n, (off_t)at);
		if (rc == 0)
			XXH3_64bits_update(hash, chunk, n);
		at += n;
	}
	*xxh3 = XXH3_64bits_digest(hash);
	XXH3_freeState(hash);
	return rc < 0 ? fail(e, -rc, "read") : 0;
}

/* --- folders --------------------------------------------------------------------------------- */

static bool is_image_file(const char *name)
{
	char store[STORE_NAME_ROOM];

	if (strcmp(name, "manifest") == 0 || strcmp(name, "objects") == 0)
		return true;
	for (unsigned int i = 0; i < IMAGE_STORES; i++) {
		store_name(store, i);
		if (strcmp(name, store) == 0)
			return true;
	}
	return false;
}

static int check_entry(const char *name, bool *manifest, struct error *e)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (!is_image_file(name))
		return fail(e, ENOTEMPTY, "it holds %s, which no image has", name);
	if (strcmp(name, "manifest") == 0)
		*manifest = true;
	return 0;
}

int store_check_folder(int dir, bool whole, struct error *e)
{
	_Alignas(struct dirent64) char room[4096];
	bool manifest = false;
	ssize_t got;
	int rc = 0;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return fail(e, errno, "list it");
	while ((got = getdents64(dir, room, sizeof(room))) > 0) {
		for (ssize_t at = 0; at < got && rc == 0;) {
			const struct dirent64 *d = (const void *)(room + at);

			rc = check_entry(d->d_name, &manifest, e);
			at += d->d_reclen;
		}
		if (rc < 0)
			return rc;
	}
	if (got < 0)
		return fail(e, errno, "list it");
	if (whole && !manifest)
		return fail(e, 0, "it has no manifest, so it is not an image of cr");
	return 0;
}

static int remove_file(int dir, const char *name, struct error *e)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return fail(e, errno, "remove %s", name);
	return 0;
}

int store_remove_folder(int parent, const char *name, int dir, struct error *e)
{
	char store[STORE_NAME_ROOM];
	int rc = store_check_folder(dir, false, e);

	if (rc == 0) /* first, so that what is left of it is no image any more */
		rc = remove_file(dir, "manifest", e);
	if (rc == 0)
		rc = remove_file(dir, "objects", e);
	for (unsigned int i = 0; i < IMAGE_STORES && rc == 0; i++) {
		store_name(store, i);
		rc = remove_file(dir, store, e);
	}
	if (rc == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		rc = fail(e, errno, "remove %s", name);
	return rc;
}
