/* SPDX-License-Identifier: MIT */
/* Act on myself, as much of it as a plan needs: mm fields and exe link. The rest is in maps.c and so on. */
#include <linux/prctl.h>

#include "rst.h"

static uint64_t length(const struct cr_rst_range *range)
{
	return range->end - range->start;
}

static int64_t set_map(const struct cr_rst_mm_map *map)
{
	return rst_call(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, (uintptr_t)map, sizeof(*map), 0, 0);
}

/* One step for everybody else: at no time is the range without its contents. */
static int64_t move_over(uint64_t from, const struct cr_rst_range *range)
{
	int64_t result = rst_call(__NR_mremap, from, length(range), length(range),
				  MREMAP_MAYMOVE | MREMAP_FIXED, range->start, 0);

	return result < 0 ? result : 0;
}

static int64_t copy_to(uint64_t copy, const struct cr_rst_range *range)
{
	int64_t result = 0;

	/* What may be executed only has to be read once. */
	if (!(range->prot & PROT_READ))
		result = rst_call3(__NR_mprotect, range->start, length(range),
				   range->prot | PROT_READ);
	if (result < 0)
		return result;
	rst_copy_up((void *)(uintptr_t)copy, (const void *)(uintptr_t)range->start, length(range));
	if (range->prot != (PROT_READ | PROT_WRITE))
		result = rst_call3(__NR_mprotect, copy, length(range), range->prot);
	if (result < 0)
		return result;
	return move_over(copy, range);
}

static int64_t map_somewhere(uint64_t len, uint32_t prot, uint32_t flags, int fd, uint64_t offset)
{
	return rst_call(__NR_mmap, 0, len, prot, flags, (uint64_t)(int64_t)fd, offset);
}

static int64_t replace_by_copy(const struct cr_rst_range *range)
{
	uint32_t prot = range->prot == PROT_NONE ? PROT_NONE : PROT_READ | PROT_WRITE;
	int64_t copy = map_somewhere(length(range), prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t result;

	if (copy < 0)
		return copy;
	if (prot == PROT_NONE)
		result = move_over((uint64_t)copy, range);
	else
		result = copy_to((uint64_t)copy, range);
	if (result < 0)
		rst_munmap((uint64_t)copy, length(range));
	return result;
}

/*
 * A read-only mapping can hold pages that differ from the file: what the dynamic linker relocated
 * before it took the write permission away. Such a one is copied as a writable one is.
 */
static int64_t replace_by_mount(const struct cr_rst_range *range, int fd)
{
	if (!(range->prot & PROT_READ) || range->prot & PROT_WRITE)
		return replace_by_copy(range);

	int64_t again = map_somewhere(length(range), range->prot, range->flags, fd, range->offset);
	int64_t result;

	if (again < 0)
		return again;
	if (memcmp((const void *)(uintptr_t)again, (const void *)(uintptr_t)range->start,
		   length(range)) == 0)
		result = move_over((uint64_t)again, range);
	else
		result = -ESTALE;
	if (result < 0)
		rst_munmap((uint64_t)again, length(range));
	return result == -ESTALE ? replace_by_copy(range) : result;
}

int64_t cr_rst_replace(uint32_t way, const struct cr_rst_range *own, size_t n, int mount_fd)
{
	int64_t result = way == CR_RST_WAY_MOUNT || way == CR_RST_WAY_COPY ? 0 : -EINVAL;

	for (size_t i = 0; i < n && result == 0; i++)
		result = way == CR_RST_WAY_MOUNT ? replace_by_mount(&own[i], mount_fd)
						 : replace_by_copy(&own[i]);
	return result;
}

int64_t cr_rst_set_mm(const struct cr_rst_mm_map *map, const struct cr_rst_range *own, size_t n,
		      uint32_t ways, int mount_fd)
{
	int64_t failure = -EBUSY;

	if (!ways)
		ways = CR_RST_WAY_PLAIN | CR_RST_WAY_MOUNT | CR_RST_WAY_COPY;
	if (!n)
		ways &= CR_RST_WAY_PLAIN;
	if (mount_fd < 0)
		ways &= ~CR_RST_WAY_MOUNT;

	for (uint32_t way = CR_RST_WAY_PLAIN; way <= CR_RST_WAY_COPY; way <<= 1) {
		if (!(ways & way))
			continue;

		int64_t result =
			way == CR_RST_WAY_PLAIN ? 0 : cr_rst_replace(way, own, n, mount_fd);

		if (result == 0) {
			result = set_map(map);
			if (result == 0)
				return way;
			if (result != -EBUSY)
				return result;
		}
		failure = result;
	}
	return failure;
}
