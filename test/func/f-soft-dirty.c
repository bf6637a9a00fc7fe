/* SPDX-License-Identifier: MIT */
/*
 * Soft-dirty pages (CONFIG_MEM_SOFT_DIRTY), by which a program tracks its own writes: what was written since it
 * has begun to look is told as written after a dump and a restore too. More may be, as for any new mapping, but
 * never less; and it can begin anew.
 */
#include "subject.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 16
#define SOFT_DIRTY (1ull << 55)

static char *memory[2];

static bool begin_to_look(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, "4", 1) == 1;

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool is_written(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	bool ok =
		fd >= 0 && pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * 8)) == 8;

	if (fd >= 0)
		close(fd);
	return ok && entry & SOFT_DIRTY;
}

static const char *prepare(void)
{
	for (int i = 0; i < 2; i++) {
		memory[i] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				 MAP_ANONYMOUS | (i ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		need(memory[i] != MAP_FAILED);
		for (int k = 0; k < PAGES; k++)
			memory[i][k * PAGE] = 1;
	}
	if (!begin_to_look())
		return lacks("this kernel has no soft-dirty pages");
	for (int i = 0; i < 2; i++)
		for (int k = 1; k < PAGES; k += 2)
			memory[i][k * PAGE] = 2;
	if (!is_written(memory[0] + PAGE))
		return lacks("this kernel has no soft-dirty pages");
	need(!is_written(memory[0]) && !is_written(memory[1]) && is_written(memory[1] + PAGE));
	return NULL;
}

static const char *verify(void)
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < PAGES; k++) {
			need(memory[i][k * PAGE] == 1 + k % 2);
			need(k % 2 == 0 || is_written(memory[i] + k * PAGE));
		}
	need(begin_to_look());
	memory[0][2 * PAGE] = memory[1][2 * PAGE] = 3;
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < PAGES; k++)
			need(is_written(memory[i] + k * PAGE) == (k == 2));
	return NULL;
}

const struct subject subject = {
	.about = "what was written since soft-dirty pages were cleared",
	.prepare = prepare,
	.verify = verify,
};
