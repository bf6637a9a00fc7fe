/* SPDX-License-Identifier: MIT */
/*
 * Pages with equal contents, everywhere: within a mapping, in two mappings, in huge pages, in shared memory, in a
 * private mapping of a file, in another process; and among them pages that differ from others in one bit. Each
 * place knows what it must hold. What it takes in the image is looked at from outside: dedup.sh.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"

#define PAGE 4096ul
#define BLOCK (2ul << 20)
#define COMMON 64u /* contents that most pages have */
#define ODD 257u   /* every so many pages one that differs in one bit from a common one */

enum verdict {
	UNKNOWN,
	RIGHT,
	OTHER
};

static struct part {
	const char *what;
	size_t size;
	int flags, advice;
	unsigned int first; /* contents of its first page */
	char *at;
} parts[] = {
	{ "memory", 16 << 20, MAP_PRIVATE, MADV_NOHUGEPAGE, 0, NULL },
	{ "the same, elsewhere", 16 << 20, MAP_PRIVATE, MADV_NOHUGEPAGE, 0, NULL },
	{ "the same from another page on", 8 << 20, MAP_PRIVATE, MADV_NOHUGEPAGE, 5, NULL },
	{ "huge pages", 4 * BLOCK, MAP_PRIVATE, MADV_HUGEPAGE, 0, NULL },
	{ "shared memory", 8 << 20, MAP_SHARED, -1, 3, NULL },
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))
#define FILE_PAGES 256ul
static char *file_memory;
static struct {
	int go, verdict;
} * told;
static pid_t child;

/* All processes have the same odd pages. */
static void fill_page(uint64_t *page, size_t number)
{
	uint64_t x = number % COMMON + 1;

	for (size_t i = 0; i < PAGE / 8; i++)
		page[i] = (x = x * 6364136223846793005ull + 1442695040888963407ull);
	if (number % ODD == ODD - 1)
		page[number % (PAGE / 8)] ^= 1ull << number % 64;
}

static bool is_page(const char *at, size_t number)
{
	uint64_t page[PAGE / 8];

	fill_page(page, number);
	return !memcmp(at, page, PAGE);
}

/* A page of zeros now and then. */
static bool is_hole(size_t number)
{
	return number % 100 == 99;
}

static void fill(char *at, size_t size, unsigned int first)
{
	for (size_t i = 0; i < size / PAGE; i++)
		if (!is_hole(i))
			fill_page((uint64_t *)(void *)(at + i * PAGE), i + first);
}

static bool is_right(const char *at, size_t size, unsigned int first)
{
	static const char zeros[PAGE];

	for (size_t i = 0; i < size / PAGE; i++) {
		const char *page = at + i * PAGE;

		if (is_hole(i) ? memcmp(page, zeros, PAGE) : !is_page(page, i + first))
			return false;
	}
	return true;
}

static const char *make(struct part *p)
{
	char *all = mmap(NULL, p->size + BLOCK, PROT_READ | PROT_WRITE, p->flags | MAP_ANONYMOUS,
			 -1, 0);

	need(all != MAP_FAILED);
	p->at = (char *)(((uintptr_t)all + BLOCK - 1) & ~(BLOCK - 1));
	if (p->advice >= 0)
		(void)madvise(p->at, p->size, p->advice);
	fill(p->at, p->size, p->first);
	return NULL;
}

static const char *make_file(void)
{
	int fd = open(subject_path("file"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	need(fd >= 0 && ftruncate(fd, FILE_PAGES * PAGE) == 0);
	need(pwrite(fd, "of the file", 11, 0) == 11);
	file_memory = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	need(file_memory != MAP_FAILED);
	close(fd);
	for (size_t i = 1; i < FILE_PAGES; i += 2)
		fill_page((uint64_t *)(void *)(file_memory + i * PAGE), i);
	return NULL;
}

/* Its pages were never those of its parent. */
static void live(void)
{
	struct timespec t = { 0, 1000000 };
	char *at = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		_exit(1);
	fill(at, 8 << 20, 0);
	__atomic_store_n(&told->verdict, RIGHT, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&told->go, __ATOMIC_SEQ_CST))
		nanosleep(&t, NULL);
	__atomic_store_n(&told->verdict, is_right(at, 8 << 20, 0) ? RIGHT : OTHER,
			 __ATOMIC_SEQ_CST);
	_exit(0);
}

static const char *prepare(void)
{
	struct timespec t = { 0, 1000000 };

	told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(told != MAP_FAILED);
	child = fork();
	need(child >= 0);
	if (!child)
		live();
	for (size_t i = 0; i < N_PARTS; i++)
		pass_on(make(&parts[i]));
	pass_on(make_file());
	while (__atomic_load_n(&told->verdict, __ATOMIC_SEQ_CST) == UNKNOWN)
		nanosleep(&t, NULL);
	return NULL;
}

static const char *verify(void)
{
	int status;

	for (size_t i = 0; i < N_PARTS; i++)
		if (!is_right(parts[i].at, parts[i].size, parts[i].first))
			return wrong("%s has other contents", parts[i].what);
	for (size_t i = 0; i < FILE_PAGES; i++)
		if (i % 2 && !is_page(file_memory + i * PAGE, i))
			return wrong("page %zu of the file has other contents", i);
	need(!memcmp(file_memory, "of the file", 12));
	/* What is written in one place is seen in no other. */
	memset(parts[0].at, 'x', parts[0].size);
	for (size_t i = 1; i < N_PARTS; i++)
		if (!is_right(parts[i].at, parts[i].size, parts[i].first))
			return wrong("%s has what was written elsewhere", parts[i].what);
	__atomic_store_n(&told->go, 1, __ATOMIC_SEQ_CST);
	need(waitpid(child, &status, 0) == child && status == 0);
	if (__atomic_load_n(&told->verdict, __ATOMIC_SEQ_CST) != RIGHT)
		return wrong("the child's memory has other contents");
	return NULL;
}

const struct subject subject = {
	.about = "pages with equal contents",
	.prepare = prepare,
	.verify = verify,
};
