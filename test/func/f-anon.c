/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define EACH (16 * PAGE)
#define SPARSE (256ul << 20)
#define STEP (4ul << 20)
#define TERA (1ul << 40)

/* Every protection; between two of them is a page that is not mapped. */
static char *areas[8];
static char *sparse, *zeros, *reserved, *arena;

static void fill(char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t value = (seed << 32 | i) * 0x9e3779b97f4a7c15ul;

		memcpy(p + i, &value, 8);
	}
}

static bool is_filled(const char *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t value = (seed << 32 | i) * 0x9e3779b97f4a7c15ul;

		if (memcmp(p + i, &value, 8) != 0)
			return false;
	}
	return true;
}

static const char *prepare(void)
{
	char *base = mmap(NULL, 8 * (EACH + PAGE), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char sum = 0;

	need(base != MAP_FAILED);
	for (int prot = 0; prot < 8; prot++) {
		char *p = areas[prot] = base + (size_t)prot * (EACH + PAGE);

		need(mprotect(p, EACH, PROT_READ | PROT_WRITE) == 0);
		fill(p, EACH / 2, (uint64_t)prot + 1);
		need(mprotect(p, EACH, prot) == 0);
		need(munmap(p + EACH, PAGE) == 0);
	}
	sparse = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(sparse != MAP_FAILED);
	need(madvise(sparse, SPARSE, MADV_NOHUGEPAGE) == 0 || true);
	for (size_t i = 0; i < SPARSE / STEP; i++)
		fill(sparse + i * STEP + (i % 7) * PAGE, PAGE, 100 + i);
	zeros = mmap(NULL, EACH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(zeros != MAP_FAILED);
	for (size_t i = 0; i < EACH; i += PAGE)
		sum = (char)(sum + zeros[i]);
	reserved = mmap(NULL, 64ul << 30, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(reserved != MAP_FAILED);
	fill(reserved + (40ul << 30), PAGE, 77);
	/* As garbage collectors and sandboxes do: terabytes of addresses, of which little is used. */
	arena = mmap(NULL, 8 * TERA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(arena != MAP_FAILED);
	for (size_t i = 1; i < 8; i++) {
		need(mprotect(arena + i * TERA, 4 * PAGE, PROT_READ | PROT_WRITE) == 0);
		fill(arena + i * TERA + PAGE, PAGE, 200 + i);
	}
	return NULL;
}

static const char *check_area(int prot)
{
	char *p = areas[prot];
	unsigned char vec;

	need(mincore(p + EACH, PAGE, &vec) < 0); /* the hole is still one */
	need(mprotect(p, EACH, PROT_READ | PROT_WRITE) == 0);
	if (!is_filled(p, EACH / 2, (uint64_t)prot + 1))
		return wrong("contents of the area with protection %d", prot);
	for (size_t i = EACH / 2; i < EACH; i++)
		need(p[i] == 0);
	p[EACH - 1] = 1;
	return NULL;
}

static const char *verify(void)
{
	for (int prot = 0; prot < 8; prot++)
		pass_on(check_area(prot));
	for (size_t i = 0; i < SPARSE / STEP; i++) {
		need(is_filled(sparse + i * STEP + (i % 7) * PAGE, PAGE, 100 + i));
		need(sparse[i * STEP + 8 * PAGE] == 0);
	}
	for (size_t i = 0; i < EACH; i++)
		need(zeros[i] == 0);
	memset(zeros, 1, EACH);
	for (size_t i = 1; i < 8; i++) {
		need(is_filled(arena + i * TERA + PAGE, PAGE, 200 + i));
		need(arena[i * TERA] == 0 && arena[i * TERA + 4 * PAGE - 1] == 0);
	}
	need(mprotect(arena + TERA / 2, PAGE, PROT_READ | PROT_WRITE) == 0);
	need(arena[TERA / 2] == 0);
	need(is_filled(reserved + (40ul << 30), PAGE, 77) && reserved[1ul << 30] == 0);
	return NULL;
}

const struct subject subject = {
	.about = "private anonymous memory: every protection, holes, zero pages, sparse",
	.prepare = prepare,
	.verify = verify,
};
