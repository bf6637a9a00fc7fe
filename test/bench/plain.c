/* SPDX-License-Identifier: MIT */
/*
 * What a machine can do at best: the bytes of a dump or a restore, moved by plain calls and by nothing else.
 *
 *   plain warm MIB                      takes so much memory, touches it, gives it back
 *   plain write DIR MIB THREADS HOW     from memory to one new file of each thread, DIR/plain-N
 *   plain read DIR MIB THREADS HOW      from those files into memory
 *
 * HOW, for write: small or huge, the pages that the memory has. For read: populated (small pages that are there),
 * small or huge (fresh ones). Tells the milliseconds that it took, without making the memory. Where the host
 * of a virtual machine takes back what is free, the first touch of memory costs more than all else: hence warm.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (2ul << 20)
#define PIECE (1ul << 20)
#define MOST 64

struct part {
	pthread_t thread;
	char path[4096];
	char *at;
	size_t size;
	int writes, failed;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *run(void *arg)
{
	struct part *p = arg;
	int fd = open(p->path, p->writes ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY, 0600);

	p->failed = fd < 0;
	for (size_t i = 0; i < p->size && !p->failed; i += PIECE) {
		ssize_t n = p->writes ? pwrite(fd, p->at + i, PIECE, (off_t)i)
				      : pread(fd, p->at + i, PIECE, (off_t)i);

		p->failed = n != (ssize_t)PIECE;
	}
	close(fd);
	return NULL;
}

static char *memory(size_t size, const char *how, int is_there)
{
	char *p = mmap(NULL, size + BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		return NULL;
	p += (BLOCK - (size_t)p % BLOCK) % BLOCK;
	(void)madvise(p, size, strcmp(how, "huge") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	if (is_there || !strcmp(how, "populated"))
		memset(p, 'x', size);
	return p;
}

int main(int argc, char **argv)
{
	static struct part part[MOST];
	size_t size = argc > 3 ? (size_t)atol(argv[3]) << 20 : 0;
	int n = argc > 4 ? atoi(argv[4]) : 0, writes = argc > 5 && !strcmp(argv[1], "write");
	double begin;
	char *p;

	if (argc == 3 && !strcmp(argv[1], "warm"))
		return !memory((size_t)atol(argv[2]) << 20, "huge", 1);
	if (argc != 6 || n < 1 || n > MOST)
		return 2;
	p = memory(size, argv[5], writes);
	if (!p)
		return 1;
	begin = now();
	for (int i = 0; i < n; i++) {
		part[i].writes = writes;
		part[i].size = size / (size_t)n / BLOCK * BLOCK;
		part[i].at = p + part[i].size * (size_t)i;
		snprintf(part[i].path, sizeof(part[i].path), "%s/plain-%d", argv[2], i);
		if (pthread_create(&part[i].thread, NULL, run, &part[i]) != 0)
			return 1;
	}
	for (int i = 0; i < n; i++)
		pthread_join(part[i].thread, NULL);
	for (int i = 0; i < n; i++)
		if (part[i].failed)
			return 1;
	return printf("%.3f\n", now() - begin) < 0;
}
