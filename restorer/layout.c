/* SPDX-License-Identifier: MIT */
/* Act on myself: the auxiliary vector and the fields of the address space, read and set. */
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>

#include "rst.h"

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

/* Up to `size` bytes of a small file, or all of it. */
static int64_t read_file(const char *path, void *to, size_t size)
{
	int64_t fd =
		rst_call3(__NR_openat, (uint64_t)AT_FDCWD, (uintptr_t)path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	int64_t n = 0;

	if (fd < 0)
		return fd;
	while (done < size) {
		n = rst_call3(__NR_read, (uint64_t)fd, (uintptr_t)to + done, size - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	rst_call3(__NR_close, (uint64_t)fd, 0, 0);
	return n < 0 ? n : (int64_t)done;
}

/* --- the auxiliary vector --------------------------------------------------------------------- */

int64_t cr_rst_auxv(uint64_t *auxv, size_t size)
{
	int64_t n = rst_call(__NR_prctl, PR_GET_AUXV, (uintptr_t)auxv, size, 0, 0, 0);

	if (n == -EINVAL)
		n = read_file("/proc/self/auxv", auxv, size);
	if (n < 0)
		return n;

	size_t have = ((uint64_t)n < size ? (size_t)n : size) / sizeof(*auxv);

	for (size_t i = 0; i + 1 < have; i += 2)
		if (auxv[i] == AT_NULL)
			return (int64_t)((i + 2) * sizeof(*auxv));
	return -ERANGE;
}

static uint64_t *entry(uint64_t *auxv, uint64_t type)
{
	for (; *auxv != AT_NULL; auxv += 2)
		if (*auxv == type)
			return auxv + 1;
	return NULL;
}

int64_t cr_rst_auxv_get(const uint64_t *auxv, uint64_t type, uint64_t *value)
{
	const uint64_t *found = entry((uint64_t *)(uintptr_t)auxv, type);

	if (!found)
		return -ENOENT;
	*value = *found;
	return 0;
}

int64_t cr_rst_auxv_set(uint64_t *auxv, uint64_t type, uint64_t value)
{
	uint64_t *found = entry(auxv, type);

	if (!found)
		return -ENOENT;
	*found = value;
	return 0;
}

/* --- the fields ------------------------------------------------------------------------------- */

/* Their numbers in /proc/PID/stat, as proc(5) counts. */
enum {
	STATE = 3,
	START_CODE = 26,
	END_CODE = 27,
	START_STACK = 28,
	START_DATA = 45,
	END_DATA = 46,
	START_BRK = 47,
	ARG_START = 48,
	ARG_END = 49,
	ENV_START = 50,
	ENV_END = 51,
	N_STAT
};

/* The name of the program, in brackets, may hold anything: the last one counts. */
static int parse_stat(const char *text, size_t n, uint64_t *field)
{
	size_t at = n;
	unsigned int now = STATE;

	while (at && text[at - 1] != ')')
		at--;
	for (at++; at < n && now < N_STAT; at++)
		if (text[at] == ' ')
			now++;
		else if (text[at] >= '0' && text[at] <= '9')
			field[now] = field[now] * 10 + (uint64_t)(text[at] - '0');
	return now == N_STAT ? 0 : -ENODATA;
}

int64_t cr_rst_layout(struct cr_rst_mm_map *map, uint64_t *auxv, size_t auxv_size)
{
	uint64_t f[N_STAT];
	char text[1024];
	int64_t n = read_file("/proc/self/stat", text, sizeof(text));
	int64_t aux = auxv ? cr_rst_auxv(auxv, auxv_size) : 0;

	memset(f, 0, sizeof(f));
	if (n >= 0)
		n = parse_stat(text, (size_t)n, f);
	if (n < 0 || aux < 0)
		return n < 0 ? n : aux;
	map->start_code = f[START_CODE];
	map->end_code = f[END_CODE];
	map->start_data = f[START_DATA];
	map->end_data = f[END_DATA];
	map->start_brk = f[START_BRK];
	map->brk = (uint64_t)rst_call3(__NR_brk, 0, 0, 0);
	map->start_stack = f[START_STACK];
	map->arg_start = f[ARG_START];
	map->arg_end = f[ARG_END];
	map->env_start = f[ENV_START];
	map->env_end = f[ENV_END];
	map->auxv = aux ? (uintptr_t)auxv : 0;
	map->auxv_size = (uint32_t)aux;
	map->exe_fd = (uint32_t)-1;
	return 0;
}

static void merge(struct cr_rst_mm_map *now, const struct cr_rst_mm_map *map, uint32_t which)
{
	if (which & CR_RST_FIELD_CODE) {
		now->start_code = map->start_code;
		now->end_code = map->end_code;
	}
	if (which & CR_RST_FIELD_DATA) {
		now->start_data = map->start_data;
		now->end_data = map->end_data;
	}
	if (which & CR_RST_FIELD_BRK) {
		now->start_brk = map->start_brk;
		now->brk = map->brk;
	}
	if (which & CR_RST_FIELD_STACK)
		now->start_stack = map->start_stack;
	if (which & CR_RST_FIELD_ARGS) {
		now->arg_start = map->arg_start;
		now->arg_end = map->arg_end;
	}
	if (which & CR_RST_FIELD_ENV) {
		now->env_start = map->env_start;
		now->env_end = map->env_end;
	}
	if (which & CR_RST_FIELD_AUXV) {
		now->auxv = map->auxv;
		now->auxv_size = map->auxv_size;
	}
}

int64_t cr_rst_set_fields(const struct cr_rst_mm_map *map, uint32_t which)
{
	struct cr_rst_mm_map now;
	int64_t result;

	if (!which || which & ~CR_RST_FIELD_ALL)
		return -EINVAL;
	result = cr_rst_layout(&now, NULL, 0);
	if (result < 0)
		return result;
	merge(&now, map, which);
	return rst_call(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, (uintptr_t)&now, sizeof(now), 0, 0);
}
