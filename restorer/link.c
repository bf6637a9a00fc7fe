/* SPDX-License-Identifier: MIT */
/* Act on myself: the exe link, by whatever way the kernel allows, and what each of them gave. */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/prctl.h>

#include "rst.h"

/* The path "/proc/self/fd/N". */
#define FD_PATH_SIZE 32
static void fd_path(char *path, uint64_t fd)
{
	char digits[20];
	unsigned int n = 0;

	memcpy(path, "/proc/self/fd/", 14);
	path += 14;
	do
		digits[n++] = (char)('0' + fd % 10);
	while (fd /= 10);
	while (n)
		*path++ = digits[--n];
	*path = 0;
}

int64_t cr_rst_open_again(const char *path)
{
	char again[FD_PATH_SIZE];
	int64_t tree = rst_call3(__NR_open_tree, (uint64_t)AT_FDCWD, (uintptr_t)path,
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int64_t fd;

	if (tree < 0)
		return tree;
	fd_path(again, (uint64_t)tree);
	fd = rst_call3(__NR_openat, (uint64_t)AT_FDCWD, (uintptr_t)again, O_RDONLY | O_CLOEXEC);
	rst_call3(__NR_close, (uint64_t)tree, 0, 0);
	return fd;
}

static int64_t set_map(const struct cr_rst_mm_map *map)
{
	return rst_call(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, (uintptr_t)map, sizeof(*map), 0, 0);
}

/*
 * Two calls that need different rights, and the first is not in every kernel; neither changes
 * anything when it fails. The first one's word counts unless the second knows better.
 */
static int64_t set_exe(const struct cr_rst_mm_map *map, struct cr_rst_told *told)
{
	int64_t first = set_map(map);

	told->by = CR_RST_BY_MAP;
	if (first != -EPERM && first != -EINVAL)
		return first;
	told->exe_file = rst_call(__NR_prctl, PR_SET_MM, PR_SET_MM_EXE_FILE, map->exe_fd, 0, 0, 0);
	if (told->exe_file == -EPERM || told->exe_file == -EINVAL)
		return first;
	told->by = CR_RST_BY_EXE_FILE;
	return told->exe_file;
}

static int64_t by_way(uint32_t way, const struct cr_rst_mm_map *map, const struct cr_rst_range *own,
		      size_t n, int mount_fd, struct cr_rst_told *told)
{
	int64_t result = way == CR_RST_WAY_PLAIN ? 0 : cr_rst_replace(way, own, n, mount_fd);

	return result < 0 ? result : set_exe(map, told);
}

int64_t cr_rst_set_exe(int exe_fd, const struct cr_rst_range *own, size_t n, uint32_t ways,
		       int mount_fd, struct cr_rst_told *told)
{
	struct cr_rst_mm_map map;
	int64_t result = cr_rst_layout(&map, NULL, 0);
	int64_t *given[] = { &told->plain, &told->mount, &told->copy };

	told->way = told->by = 0;
	told->plain = told->mount = told->copy = told->exe_file = CR_RST_NOT_TRIED;
	/* What stands for no executable would be success. */
	if (exe_fd < 0)
		result = -EBADF;
	if (result < 0)
		return result;
	map.exe_fd = (uint32_t)exe_fd;
	if (!ways)
		ways = CR_RST_WAY_PLAIN | CR_RST_WAY_MOUNT | CR_RST_WAY_COPY;
	if (!n)
		ways &= CR_RST_WAY_PLAIN;
	if (mount_fd < 0)
		ways &= ~CR_RST_WAY_MOUNT;

	result = -EBUSY;
	for (uint32_t way = CR_RST_WAY_PLAIN, i = 0; way <= CR_RST_WAY_COPY; way <<= 1, i++) {
		if (!(ways & way))
			continue;
		result = *given[i] = by_way(way, &map, own, n, mount_fd, told);
		if (result == 0) {
			told->way = way;
			return way;
		}
		/* Neither a right nor a file is had by replacing what is mapped. */
		if (way == CR_RST_WAY_PLAIN && result != -EBUSY)
			break;
	}
	told->by = 0;
	return result;
}
