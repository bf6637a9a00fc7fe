/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark saves and restores: something that sleeps.
 *
 *   sleeper [N]                  a process of N threads; 0: a program that does nothing
 *   sleeper tree N               N processes: a root, 9 children, and theirs
 *   sleeper inherited N FILES    N processes, which have FILES descriptions from their parent
 *   sleeper files FILES          one with as many different files, in the working folder
 *   sleeper memory MIB [huge]    one with so much memory, in small pages or in huge ones
 *   sleeper sparse MIB           ... in stretches of 64 KiB, 64 MiB apart
 *   sleeper vmas N               one with N mappings of a page
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHILDREN 9

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int start_threads(long n)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 1; i < n; i++)
		if (pthread_create(&thread, &attr, sleep_on, NULL) != 0)
			return -1;
	return 0;
}

static int open_files(long n)
{
	struct rlimit limit;
	char name[32];

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file-%ld", i);
		if (open(name, O_RDWR | O_CREAT, 0600) < 0)
			return -1;
	}
	return 0;
}

/* Each tells by a byte that it is there; `below` of them are made by each child. */
static int start_processes(long children, long below)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		return -1;
	for (long i = 0; i < children; i++) {
		if (fork())
			continue;
		for (long k = 0; k < below && fork(); k++)
			continue;
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		close(ready[0]);
		close(ready[1]);
		sleep_on(NULL);
	}
	close(ready[1]);
	for (long i = 0; i < children * (below + 1); i++)
		if (read(ready[0], &byte, 1) != 1)
			return -1;
	close(ready[0]);
	return 0;
}

#define MIB (1ul << 20)
#define BLOCK (2 * MIB)
#define STRETCH (64ul << 10)
#define APART (64 * MIB)

static char *reserve(size_t size)
{
	char *p = mmap(NULL, size + BLOCK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p + (BLOCK - (size_t)p % BLOCK) % BLOCK;
}

static int fill_memory(size_t size, int huge)
{
	char *p = reserve(size);

	if (!p || (huge && madvise(p, size, MADV_HUGEPAGE)))
		return -1;
	memset(p, 'x', size);
	return 0;
}

static int fill_sparse(size_t size)
{
	char *p = reserve(size / STRETCH * APART);

	for (size_t i = 0; p && i < size / STRETCH; i++)
		memset(p + i * APART, 'x', STRETCH);
	return p ? 0 : -1;
}

/* Every second one cannot be written, so that none become one. */
static int make_mappings(size_t n)
{
	char *p = reserve(n * 4096);

	if (!p)
		return -1;
	memset(p, 'x', n * 4096);
	for (size_t i = 0; i < n; i += 2)
		if (mprotect(p + i * 4096, 4096, PROT_READ))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "1";
	long n = argc > 2 ? atol(argv[2]) : atol(what);
	int rc;

	if (!strcmp(what, "0"))
		return 0;
	if (!strcmp(what, "tree"))
		rc = start_processes(CHILDREN, (n - 1) / CHILDREN - 1);
	else if (!strcmp(what, "memory"))
		rc = fill_memory((size_t)n * MIB, argc > 3);
	else if (!strcmp(what, "sparse"))
		rc = fill_sparse((size_t)n * MIB);
	else if (!strcmp(what, "vmas"))
		rc = make_mappings((size_t)n);
	else if (!strcmp(what, "files"))
		rc = open_files(n);
	else if (!strcmp(what, "inherited"))
		rc = open_files(argc > 3 ? atol(argv[3]) : 0) || start_processes(n - 1, 0);
	else
		rc = start_threads(n);
	if (rc || write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	sleep_on(NULL);
}
