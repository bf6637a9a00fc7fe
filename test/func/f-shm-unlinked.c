/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "subject.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (5 * 4096 + 100)

static char name[64], link_before[128];
static int fd, reader;
static char *shared, *private;
static sem_t *sem;
static struct peer peer;

static bool prepare_peer(void)
{
	return true;
}

static const char *read_link(char out[128])
{
	char path[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, out, 127);
	need(n > 0);
	out[n] = '\0';
	return NULL;
}

/* As multiprocessing of Python does: a name for a moment, for who is to have it. */
static const char *prepare(void)
{
	char path[80];

	snprintf(name, sizeof(name), "/cr-test.%d", (int)getpid());
	/* Not shm_open: that it opens with O_NOFOLLOW is seen, and cannot be had again. */
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	need(fd >= 0 && ftruncate(fd, SIZE) == 0);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	need(reader >= 0 && shm_unlink(name) == 0);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
	need(shared != MAP_FAILED && private != MAP_FAILED);
	need(pwrite(fd, "end", 3, SIZE - 3) == 3 && lseek(reader, 77, SEEK_SET) == 77);
	strcpy(shared + 4096, "shared");
	strcpy(private + 3 * 4096, "own");
	snprintf(name, sizeof(name), "/cr-test-sem.%d", (int)getpid());
	sem = sem_open(name, O_CREAT | O_EXCL, 0600, 3);
	need(sem != SEM_FAILED && sem_unlink(name) == 0);
	need(peer_start(&peer, prepare_peer));
	return read_link(link_before);
}

static const char *verify(void)
{
	char link[128], text[4];
	struct stat st, st2;
	int value;

	pass_on(read_link(link));
	need(!strcmp(link, link_before));
	need(fstat(fd, &st) == 0 && fstat(reader, &st2) == 0 && st.st_ino == st2.st_ino);
	need(st.st_nlink == 0 && st.st_size == SIZE && (st.st_mode & 07777) == 0640);
	need(pread(reader, text, 3, SIZE - 3) == 3 && !memcmp(text, "end", 3));
	need(lseek(reader, 0, SEEK_CUR) == 77 && write(reader, "x", 1) < 0);
	need(!strcmp(shared + 4096, "shared") && !strcmp(private + 4096, "shared"));
	need(!strcmp(private + 3 * 4096, "own") && !shared[3 * 4096]);
	need(sem_getvalue(sem, &value) == 0 && value == 3 && sem_wait(sem) == 0);
	/* Still the same memory in both. */
	need(peer_write(&peer, shared + 8192, 'p') && shared[8192] == 'p');
	shared[8193] = 'q';
	need(peer_read(&peer, shared + 8193) == 'q');
	need(pread(reader, text, 2, 8192) == 2 && !memcmp(text, "pq", 2));
	need(peer_end(&peer));
	return NULL;
}

const struct subject subject = {
	.about =
		"deleted files of /dev/shm: shm_unlink, sem_unlink; two processes, two descriptions",
	.prepare = prepare,
	.verify = verify,
};
