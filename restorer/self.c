/* SPDX-License-Identifier: MIT */
/* Act on myself: own mappings, mm fields and exe link, mapping lists of ranges. */
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

static int64_t replace(uint32_t way, const struct cr_rst_range *own, size_t n, int mount_fd)
{
	int64_t result = 0;

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

		int64_t result = way == CR_RST_WAY_PLAIN ? 0 : replace(way, own, n, mount_fd);

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

/* --- /proc/self/maps -------------------------------------------------------------------------- */

/* The numbers of a line, in its order. */
enum {
	START,
	END,
	PROT,
	OFFSET,
	MAJOR,
	MINOR,
	INODE,
	NAME,
	N_FIELDS
};

struct line {
	uint64_t field[N_FIELDS]; /* NAME: whether there is one */
	uint32_t flags;
	unsigned int now;
};

struct search {
	uint64_t major, minor, inode;
	uint64_t own_end; /* where the last line ended, if it was one of ours */
	struct cr_rst_range *ranges;
	size_t room, found;
};

static void line_end(struct search *s, const struct line *line)
{
	const uint64_t *f = line->field;
	int is_file = f[INODE] == s->inode && f[MAJOR] == s->major && f[MINOR] == s->minor;
	int is_bss = !f[INODE] && !f[NAME] && s->own_end && f[START] == s->own_end;

	s->own_end = is_file ? f[END] : 0;
	if (!is_file && !is_bss)
		return;
	if (s->found < s->room) {
		struct cr_rst_range *range = &s->ranges[s->found];

		range->start = f[START];
		range->end = f[END];
		range->offset = f[OFFSET];
		range->prot = (uint32_t)f[PROT];
		range->flags = line->flags;
	}
	s->found++;
}

static void line_permission(struct line *line, unsigned char c)
{
	if (c == 'r')
		line->field[PROT] |= PROT_READ;
	else if (c == 'w')
		line->field[PROT] |= PROT_WRITE;
	else if (c == 'x')
		line->field[PROT] |= PROT_EXEC;
	else if (c == 'p' || c == 's')
		line->flags = c == 'p' ? MAP_PRIVATE : MAP_SHARED;
}

static void line_add(struct line *line, unsigned char c)
{
	uint64_t *field = &line->field[line->now];

	if (line->now == NAME)
		*field |= c != ' ';
	else if (c == ' ' || c == '-' || c == ':')
		/* four signs of permissions may hold a '-' */
		line->now += c != '-' || line->now == START;
	else if (line->now == PROT)
		line_permission(line, c);
	else if (line->now == INODE)
		*field = *field * 10 + c - '0';
	else
		*field = *field * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Read by position, so that it does not matter what was read from the descriptor before. */
int64_t cr_rst_own_ranges(int maps_fd, uint64_t exe_dev, uint64_t exe_ino,
			  struct cr_rst_range *ranges, size_t room)
{
	struct search search = {
		.major = ((exe_dev >> 8) & 0xfff) | ((exe_dev >> 32) & ~0xfffull),
		.minor = (exe_dev & 0xff) | ((exe_dev >> 12) & 0xffffff00),
		.inode = exe_ino,
		.ranges = ranges,
		.room = room,
	};
	struct line line;
	unsigned char text[512];
	uint64_t done = 0;

	memset(&line, 0, sizeof(line));
	for (;;) {
		int64_t n = rst_call(__NR_pread64, (uint64_t)(int64_t)maps_fd, (uintptr_t)text,
				     sizeof(text), done, 0, 0);

		if (n <= 0)
			return n ? n : (int64_t)search.found;
		for (int64_t i = 0; i < n; i++) {
			if (text[i] != '\n') {
				line_add(&line, text[i]);
				continue;
			}
			line_end(&search, &line);
			memset(&line, 0, sizeof(line));
		}
		done += (uint64_t)n;
	}
}

int64_t cr_rst_map(int fd, const struct cr_rst_range *ranges, size_t n)
{
	uint32_t flags = MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_ANONYMOUS : 0);
	int64_t result = 0;
	size_t i;

	for (i = 0; i < n && result == 0; i++) {
		const struct cr_rst_range *range = &ranges[i];

		result = rst_call(__NR_mmap, range->start, length(range), range->prot,
				  flags | range->flags, (uint64_t)(int64_t)fd, range->offset);
		if (result >= 0)
			result = 0;
	}
	if (result == 0)
		return 0;
	for (i--; i-- > 0;)
		rst_munmap(ranges[i].start, length(&ranges[i]));
	return result;
}
