/* SPDX-License-Identifier: MIT */
/* The argument area moved elsewhere, as programs do that set their own title. */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char title[] = "a title\0with two words";
static const char variables[] = "MOVED=yes\0MORE=1";
static unsigned long fields_before[53];

/* Field n of /proc/self/stat, counted from 1. */
static const char *read_fields(unsigned long fields[53])
{
	FILE *f = fopen("/proc/self/stat", "re");
	char text[2048], *at;

	need(f && fgets(text, sizeof(text), f));
	fclose(f);
	at = strrchr(text, ')') + 4;
	for (int i = 4; i < 53; i++)
		fields[i] = strtoul(at, &at, 10);
	return NULL;
}

static const char *expect_file(const char *path, const char *text, size_t size)
{
	char found[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found));

	close(fd);
	if (n != (ssize_t)size || memcmp(found, text, size) != 0)
		return wrong("%s is not what it was", path);
	return NULL;
}

static const char *check(void)
{
	pass_on(expect_file("/proc/self/cmdline", title, sizeof(title)));
	return expect_file("/proc/self/environ", variables, sizeof(variables));
}

static const char *prepare(void)
{
	struct prctl_mm_map map = { .exe_fd = (uint32_t)-1 };
	unsigned long f[53];
	char *area = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(area != MAP_FAILED);
	memcpy(area, title, sizeof(title));
	memcpy(area + 1024, variables, sizeof(variables));
	pass_on(read_fields(f));
	map.start_code = f[26];
	map.end_code = f[27];
	map.start_stack = f[28];
	map.start_data = f[45];
	map.end_data = f[46];
	map.start_brk = f[47];
	map.brk = (uint64_t)sbrk(0);
	map.arg_start = (uint64_t)area;
	map.arg_end = map.arg_start + sizeof(title);
	map.env_start = (uint64_t)area + 1024;
	map.env_end = map.env_start + sizeof(variables);
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) < 0)
		return errno == EINVAL ? skip("no PR_SET_MM_MAP") : wrong_errno("PR_SET_MM_MAP");
	pass_on(read_fields(fields_before));
	return check();
}

static const char *verify(void)
{
	static const int compared[] = { 26, 27, 28, 45, 46, 47, 48, 49, 50, 51 };
	unsigned long now[53];

	pass_on(read_fields(now));
	for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++)
		if (now[compared[i]] != fields_before[compared[i]])
			return wrong("field %d of stat is %#lx, was %#lx", compared[i],
				     now[compared[i]], fields_before[compared[i]]);
	return check();
}

const struct subject subject = {
	.about =
		"fields of the address space: code, data, heap, stack, moved arguments and environment",
	.prepare = prepare,
	.verify = verify,
};
