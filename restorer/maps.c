/* SPDX-License-Identifier: MIT */
/* Act on myself: what /proc/self/maps says, in buffers of the caller's; mapping lists of ranges. */
#include "rst.h"

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
	uint64_t field[N_FIELDS]; /* NAME: the length */
	uint32_t flags;
	unsigned int now;
	char name[sizeof(((struct cr_rst_mapping *)0)->name)];
};

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

static void line_name(struct line *line, unsigned char c)
{
	uint64_t at = line->field[NAME];

	if (c == ' ' && !at)
		return;
	if (at < sizeof(line->name))
		line->name[at] = (char)c;
	line->field[NAME]++;
}

static void line_add(struct line *line, unsigned char c)
{
	uint64_t *field = &line->field[line->now];

	if (line->now == NAME)
		line_name(line, c);
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

/* As stat(2) gives it. */
static uint64_t device(const struct line *line)
{
	uint64_t major = line->field[MAJOR], minor = line->field[MINOR];

	return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12 |
	       (major & ~0xfffull) << 32;
}

/* Read by position, so that it does not matter what was read from the descriptor before. */
static int64_t each_line(int maps_fd, void (*take)(void *, const struct line *), void *arg)
{
	struct line line;
	unsigned char text[512];
	uint64_t done = 0;

	memset(&line, 0, sizeof(line));
	for (;;) {
		int64_t n = rst_call(__NR_pread64, (uint64_t)(int64_t)maps_fd, (uintptr_t)text,
				     sizeof(text), done, 0, 0);

		if (n <= 0)
			return n;
		for (int64_t i = 0; i < n; i++) {
			if (text[i] != '\n') {
				line_add(&line, text[i]);
				continue;
			}
			take(arg, &line);
			memset(&line, 0, sizeof(line));
		}
		done += (uint64_t)n;
	}
}

/* --- all mappings ----------------------------------------------------------------------------- */

struct list {
	struct cr_rst_mapping *mappings;
	size_t room, found;
};

static void take_mapping(void *arg, const struct line *line)
{
	struct list *list = arg;

	if (list->found < list->room) {
		struct cr_rst_mapping *m = &list->mappings[list->found];

		m->start = line->field[START];
		m->end = line->field[END];
		m->offset = line->field[OFFSET];
		m->dev = device(line);
		m->ino = line->field[INODE];
		m->prot = (uint32_t)line->field[PROT];
		m->flags = line->flags;
		memcpy(m->name, line->name, sizeof(m->name));
	}
	list->found++;
}

int64_t cr_rst_mappings(int maps_fd, struct cr_rst_mapping *mappings, size_t room)
{
	struct list list = { .mappings = mappings, .room = room };
	int64_t result = each_line(maps_fd, take_mapping, &list);

	return result < 0 ? result : (int64_t)list.found;
}

/* --- the mapping at an address ---------------------------------------------------------------- */

struct one {
	struct cr_rst_mapping *mapping;
	uint64_t address;
	int found;
};

static void take_one(void *arg, const struct line *line)
{
	struct one *one = arg;

	if (one->address < line->field[START] || one->address >= line->field[END])
		return;

	struct list list = { .mappings = one->mapping, .room = 1 };

	take_mapping(&list, line);
	one->found = 1;
}

int64_t cr_rst_mapping_at(int maps_fd, uint64_t address, struct cr_rst_mapping *mapping)
{
	struct one one = { .mapping = mapping, .address = address };
	int64_t result = each_line(maps_fd, take_one, &one);

	if (result < 0)
		return result;
	return one.found ? 0 : -ENOENT;
}

/* --- those of one file ------------------------------------------------------------------------ */

struct search {
	uint64_t dev, ino;
	uint64_t own_end; /* where the last line ended, if it was one of ours */
	struct cr_rst_range *ranges;
	size_t room, found;
	int no_bss;
};

static void take_own(void *arg, const struct line *line)
{
	struct search *s = arg;
	const uint64_t *f = line->field;
	int is_file = f[INODE] == s->ino && device(line) == s->dev;
	int is_bss = !f[INODE] && !f[NAME] && s->own_end && f[START] == s->own_end;

	s->own_end = is_file && !s->no_bss ? f[END] : 0;
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

static int64_t search(int maps_fd, struct search *s)
{
	int64_t result = each_line(maps_fd, take_own, s);

	return result < 0 ? result : (int64_t)s->found;
}

int64_t cr_rst_own_ranges(int maps_fd, uint64_t exe_dev, uint64_t exe_ino,
			  struct cr_rst_range *ranges, size_t room)
{
	struct search s = { .dev = exe_dev, .ino = exe_ino, .ranges = ranges, .room = room };

	return search(maps_fd, &s);
}

int64_t cr_rst_file_ranges(int maps_fd, uint64_t address, struct cr_rst_range *ranges, size_t room)
{
	struct cr_rst_mapping at;
	int64_t result = cr_rst_mapping_at(maps_fd, address, &at);

	if (result < 0)
		return result;
	if (!at.ino)
		return -ENOENT;

	struct search s = {
		.dev = at.dev, .ino = at.ino, .ranges = ranges, .room = room, .no_bss = 1
	};

	return search(maps_fd, &s);
}

/* --- lists of ranges -------------------------------------------------------------------------- */

static uint64_t length(const struct cr_rst_range *range)
{
	return range->end - range->start;
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
