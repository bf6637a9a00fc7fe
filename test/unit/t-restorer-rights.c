/* SPDX-License-Identifier: MIT */
/*
 * Which right each way to the exe link asks for, on the kernel that runs: a table, a line for each, and whether
 * it is what cr-restorer(3) says. Runs in the kernels of `make check-kernels` too, where a root has all rights
 * and one kernel has no restriction.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cr-restorer.h"

#define MAX 64
#define BIT(cap) (1ull << (cap))
#define ALL (~0ull)

static const struct right {
	const char *name;
	uint64_t caps;
} rights[] = {
	{ "all rights", ALL },
	{ "CAP_CHECKPOINT_RESTORE", BIT(CAP_CHECKPOINT_RESTORE) },
	{ "CAP_SYS_ADMIN", BIT(CAP_SYS_ADMIN) },
	{ "CAP_SYS_RESOURCE", BIT(CAP_SYS_RESOURCE) },
	{ "no right", 0 },
};

static const struct way {
	const char *name;
	uint32_t way;
} ways[] = {
	{ "plainly", CR_RST_WAY_PLAIN },
	{ "by a detached mount", CR_RST_WAY_MOUNT },
	{ "by copies", CR_RST_WAY_COPY },
};

#define N_RIGHTS (sizeof(rights) / sizeof(rights[0]))
#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

/* What a process that tried it has left in memory that its parent sees. */
struct outcome {
	int64_t result;
	struct cr_rst_told told;
	bool has_right, has_mount, has_link;
};

/* Gives up all other rights; false: it has not had these. */
static bool keep_only(uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint64_t now, kept;

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	now = data[0].effective | (uint64_t)data[1].effective << 32;
	kept = now & caps;
	for (int i = 0; i < 2; i++) {
		data[i].effective = data[i].permitted = (uint32_t)(kept >> (32 * i));
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) == 0 && (caps == ALL ? now != 0 : kept == caps);
}

/* In a process of its own. */
static void try(const struct right *right, const struct way *way, const char *file,
		struct outcome *o)
{
	struct cr_rst_range range[MAX];
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), mount = -1;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	int64_t n = cr_rst_file_ranges(maps, getauxval(AT_ENTRY), range, MAX);
	char link[PATH_MAX] = "";

	if (n <= 0 || n > MAX || fd < 0)
		_exit(1);
	o->has_right = keep_only(right->caps);
	if (!o->has_right)
		_exit(0);
	if (way->way == CR_RST_WAY_MOUNT)
		mount = (int)cr_rst_open_again("/proc/self/exe");
	o->has_mount = mount >= 0;
	o->result = cr_rst_set_exe(fd, range, (size_t)n, way->way, mount, &o->told);
	o->has_link = readlink("/proc/self/exe", link, sizeof(link) - 1) > 0 && !strcmp(link, file);
	_exit(0);
}

static void run(const struct right *right, const struct way *way, const char *file,
		struct outcome *o)
{
	int status = 0;
	pid_t pid;

	memset(o, 0, sizeof(*o));
	pid = fork();
	if (pid == 0)
		try(right, way, file, o);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		printf("Bail out! a process that tries a way ended with %d\n", status);
		exit(99);
	}
}

/* What cr-restorer(3) says of it; -1: nothing, since the way was not there. */
static int64_t expected(const struct right *right, const struct way *way, bool restricted,
			const struct outcome *o, uint32_t *by)
{
	bool map = right->caps & (BIT(CAP_CHECKPOINT_RESTORE) | BIT(CAP_SYS_ADMIN));

	*by = map ? CR_RST_BY_MAP : CR_RST_BY_EXE_FILE;
	if (!right->caps)
		return -EPERM;
	if (way->way == CR_RST_WAY_PLAIN)
		return restricted ? -EBUSY : (int64_t)CR_RST_WAY_PLAIN;
	if (way->way == CR_RST_WAY_MOUNT && !o->has_mount)
		return right->caps & BIT(CAP_SYS_ADMIN) ? (int64_t)CR_RST_WAY_MOUNT : -EBUSY;
	return way->way;
}

static const char *word(const struct outcome *o)
{
	static char text[64];

	if (o->result > 0)
		return o->told.by == CR_RST_BY_MAP ? "PR_SET_MM_MAP" : "PR_SET_MM_EXE_FILE";
	snprintf(text, sizeof(text), "%s", strerror((int)-o->result));
	return text;
}

/* Without all of it, or with what only the right of another sort gives. */
static bool is_right(const struct right *right, const struct way *way, bool restricted,
		     const struct outcome *o)
{
	uint32_t by;
	int64_t want = expected(right, way, restricted, o, &by);

	/* No descriptor of a mount: there is no way left that was allowed. */
	if (way->way == CR_RST_WAY_MOUNT && !o->has_mount && want < 0)
		return o->result < 0 && !o->has_link;
	if (o->result != want)
		return false;
	return want > 0 ? o->has_link && o->told.by == by && o->told.way == way->way
			: !o->has_link && !o->told.by;
}

int main(void)
{
	struct outcome *o =
		mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char file[PATH_MAX];
	struct utsname kernel;
	bool restricted;
	int n = 0, failed = 0;

	uname(&kernel);
	if (o == MAP_FAILED || (!realpath("/usr/bin/env", file) && !realpath("/bin/sh", file))) {
		printf("1..0 # SKIP no other executable\n");
		return 77;
	}
	run(&rights[0], &ways[0], file, o);
	restricted = o->result == -EBUSY;
	printf("# exe link: Linux %s, %s\n", kernel.release,
	       restricted ? "an executable stays as long as it is mapped" : "no restriction");
	for (size_t i = 0; i < N_RIGHTS; i++)
		for (size_t k = 0; k < N_WAYS; k++) {
			const char *skip = "";

			fflush(stdout);
			run(&rights[i], &ways[k], file, o);
			if (!o->has_right)
				skip = " # SKIP it is not there";
			else
				printf("# exe link: %s, %s: %s\n", ways[k].name, rights[i].name,
				       word(o));
			bool good = !o->has_right || is_right(&rights[i], &ways[k], restricted, o);

			failed += !good;
			printf("%s %d - exe link, %s, with %s%s\n", good ? "ok" : "not ok", ++n,
			       ways[k].name, rights[i].name, skip);
		}
	printf("1..%d\n", n);
	return failed != 0;
}
