/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "subject.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul
#define SIZE (16 * PAGE + 100) /* the end is within a page */

static int fd, reader, appender, sealed, future, unsealable;
static char *shared, *private, *readable, *closed, *unwritable, *written, *shut;
static struct peer peer;

static int again(int of, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", of);
	return open(path, flags | O_CLOEXEC);
}

static void *map(size_t n, int prot, int flags, int of, off_t at)
{
	void *p = mmap(NULL, n, prot, flags, of, at);

	return p == MAP_FAILED ? NULL : p;
}

static bool prepare_peer(void)
{
	return true;
}

/* A file, three descriptions of it, and mappings of all sorts. */
static const char *prepare_file(void)
{
	fd = memfd_create("a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	need(fd >= 0 && ftruncate(fd, SIZE) == 0 && fchmod(fd, 0640) == 0);
	reader = again(fd, O_RDONLY);
	appender = again(fd, O_WRONLY | O_APPEND);
	need(reader >= 0 && appender >= 0 && dup2(reader, 99) == 99);
	need(pwrite(fd, "unmapped", 8, 12 * PAGE) == 8 && pwrite(fd, "end", 3, SIZE - 3) == 3);
	need(lseek(fd, 5, SEEK_SET) == 5 && lseek(reader, 12 * PAGE, SEEK_SET) >= 0);
	shared = map(8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
	readable = map(2 * PAGE, PROT_READ, MAP_SHARED, reader, PAGE);
	need(shared && private && readable);
	strcpy(shared + 2 * PAGE, "shared");
	strcpy(shared + 4 * PAGE, "under");
	strcpy(private + 2 * PAGE, "own");
	return NULL;
}

/* Others that differ in their seals, and one that nobody has open any more. */
static const char *prepare_seals(void)
{
	int gone = memfd_create("", MFD_CLOEXEC);

	need(gone >= 0 && ftruncate(gone, PAGE) == 0);
	closed = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
	need(closed && close(gone) == 0);
	strcpy(closed, "closed");
	sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
	need(sealed >= 0 && ftruncate(sealed, 2 * PAGE) == 0 && write(sealed, "seal", 4) == 4);
	need(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
	/* Before Linux 6.7 no shared mapping of such a file was possible. */
	unwritable = map(PAGE, PROT_READ, MAP_SHARED, sealed, 0);
	if (!unwritable)
		unwritable = map(PAGE, PROT_READ, MAP_PRIVATE, sealed, 0);
	need(unwritable);
	future = memfd_create("future", MFD_ALLOW_SEALING);
	need(future >= 0 && ftruncate(future, PAGE) == 0);
	written = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0);
	need(written && fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW) == 0);
	shut = map(PAGE, PROT_READ, MAP_SHARED, future, 0);
	need(shut);
	strcpy(written, "future");
	unsealable = memfd_create("unsealable", 0);
	need(unsealable >= 0);
	return NULL;
}

static const char *prepare(void)
{
	pass_on(prepare_file());
	pass_on(prepare_seals());
	need(peer_start(&peer, prepare_peer));
	return NULL;
}

static const char *verify_file(void)
{
	char text[9] = "";
	struct stat st;

	need(fstat(fd, &st) == 0 && st.st_size == (off_t)SIZE && (st.st_mode & 07777) == 0640);
	need(lseek(fd, 0, SEEK_CUR) == 5 && lseek(99, 0, SEEK_CUR) == 12 * PAGE);
	need(read(reader, text, 8) == 8 && strcmp(text, "unmapped") == 0);
	need(lseek(99, 0, SEEK_CUR) == 12 * PAGE + 8);
	need(pread(fd, text, 3, SIZE - 3) == 3 && memcmp(text, "end", 3) == 0);
	need(strcmp(shared + 2 * PAGE, "shared") == 0 && strcmp(private, "shared") == 0);
	need(strcmp(private + 2 * PAGE, "own") == 0 && strcmp(shared + 4 * PAGE, "under") == 0);
	need(write(appender, "!", 1) == 1 && fstat(fd, &st) == 0 && st.st_size == SIZE + 1);
	need(fcntl(fd, F_GET_SEALS) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL) == 0);
	need(mprotect(readable, PAGE, PROT_READ | PROT_WRITE) < 0);
	return NULL;
}

static const char *verify_shared(void)
{
	shared[PAGE] = 'p';
	need(readable[0] == 'p' && peer_read(&peer, shared + PAGE) == 'p');
	need(peer_write(&peer, shared + 2 * PAGE, 'S') && private[0] == 'S');
	need(pwrite(fd, "w", 1, 7 * PAGE) == 1 && shared[7 * PAGE] == 'w');
	need(peer_write(&peer, closed, 'C') && strcmp(closed, "Closed") == 0);
	need(peer_write(&peer, written, 'F') && strcmp(written, "Future") == 0);
	/* Private in each of them. */
	need(peer_write(&peer, private + 2 * PAGE, 'x') && private[2 * PAGE] == 'o');
	return NULL;
}

static const char *verify_seals(void)
{
	need(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL));
	need(memcmp(unwritable, "seal", 4) == 0 && pwrite(sealed, "x", 1, 0) < 0);
	need(ftruncate(sealed, PAGE) < 0 && ftruncate(sealed, 3 * PAGE) == 0);
	need(fcntl(future, F_GET_SEALS) == (F_SEAL_FUTURE_WRITE | F_SEAL_GROW));
	need(!map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0));
	need(mprotect(shut, PAGE, PROT_READ | PROT_WRITE) < 0 && shut[1] == 'u');
	need(fcntl(unsealable, F_GET_SEALS) == F_SEAL_SEAL);
	return NULL;
}

static const char *verify(void)
{
	pass_on(verify_file());
	pass_on(verify_shared());
	pass_on(verify_seals());
	need(peer_end(&peer));
	return NULL;
}

const struct subject subject = {
	.about = "memory files: size, seals, descriptions, mappings of all sorts",
	.prepare = prepare,
	.verify = verify,
};
