/* SPDX-License-Identifier: MIT */
/*
 * Huge pages (MAP_HUGETLB, MFD_HUGETLB): private with holes and read only, shared without a name, of memory
 * files, privately mapped of such a file; and a child that has them too.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (2ul << 20)
#define PAGE 4096ul
#define NEEDED 40 /* those of a child that is restored are its own */
#define FOLDER "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static char *private, *fixed, *sparse, *shared, *file, *copy;
static int fd = -1, sealed = -1;
static long before = -1; /* huge pages of the machine; -1: left alone */
static int question[2], answer[2];
static pid_t child;

/* --- the machine's ---------------------------------------------------------------------------------- */

static long get(const char *name)
{
	FILE *f = fopen(name, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static bool set(long n)
{
	FILE *f = fopen(FOLDER "nr_hugepages", "we");
	bool ok = f && fprintf(f, "%ld\n", n) > 0;

	return f && fclose(f) == 0 && ok;
}

static long unused(void)
{
	return get(FOLDER "free_hugepages") - get(FOLDER "resv_hugepages");
}

/* By the judge, who is there first and last; then there are enough for the subject. */
__attribute__((constructor)) static void reserve(void)
{
	if (unused() >= NEEDED)
		return;
	before = get(FOLDER "nr_hugepages");
	if (before >= 0 && !set(before + NEEDED))
		before = -1;
}

__attribute__((destructor)) static void give_back(void)
{
	if (before >= 0)
		set(before);
}

/* --- contents --------------------------------------------------------------------------------------- */

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

static bool is_empty(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static char *map(size_t n, int flags, int of)
{
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags, of, 0);

	return p == MAP_FAILED ? NULL : p;
}

static const char *look(char of_child)
{
	need(is_filled(private, HUGE, 1) && is_empty(private + HUGE, HUGE));
	need(is_empty(private + 2 * HUGE, 5 * PAGE));
	need(is_filled(private + 2 * HUGE + 5 * PAGE, 3 * PAGE, 2));
	need(is_empty(private + 2 * HUGE + 8 * PAGE, HUGE - 8 * PAGE - 1));
	need(private[3 * HUGE - 1] == of_child);
	need(is_filled(fixed, HUGE, 3) && is_filled(sparse + HUGE, PAGE, 4));
	need(is_filled(shared + HUGE, HUGE, 5) && shared[0] == shared[1]);
	need(is_filled(file, HUGE, 6) && is_empty(file + HUGE, PAGE));
	/* What was written in the copy is there, and the rest of that page is as the file was then. */
	need(copy[PAGE] == 'c' && is_filled(copy, PAGE, 6) &&
	     is_filled(copy + 2 * PAGE, PAGE, 6) == is_filled(file + 2 * PAGE, PAGE, 6));
	return NULL;
}

static void in_child(void)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	private[3 * HUGE - 1] = 'c';
	while (read(question[0], &c, 1) == 1) {
		shared[0]++;
		shared[1]++;
		c = look('c') == NULL;
		if (write(answer[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static const char *ask(void)
{
	char c = 0, seen = shared[0];

	need(write(question[1], "?", 1) == 1 && read(answer[0], &c, 1) == 1 && c == 1);
	need(shared[0] == (char)(seen + 1));
	return look('p');
}

static const char *make_shared(void)
{
	shared = map(2 * HUGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);
	sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);
	need(shared && fd >= 0 && sealed >= 0);
	need(ftruncate(fd, 2 * HUGE) == 0 && ftruncate(sealed, HUGE) == 0);
	file = map(2 * HUGE, MAP_SHARED, fd);
	copy = map(HUGE, MAP_PRIVATE, fd);
	need(file && copy);
	fill(shared + HUGE, HUGE, 5);
	fill(file, HUGE, 6);
	copy[PAGE] = 'c';
	need(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return NULL;
}

static const char *prepare(void)
{
	if (unused() < NEEDED)
		return skip("no %d free huge pages of 2 MiB here", NEEDED);
	private = map(4 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	fixed = map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	sparse = map(64 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1);
	need(private && fixed && sparse);
	fill(private, HUGE, 1);
	fill(private + 2 * HUGE + 5 * PAGE, 3 * PAGE, 2);
	private[3 * HUGE - 1] = 'p';
	fill(fixed, HUGE, 3);
	need(mprotect(fixed, HUGE, PROT_READ) == 0);
	need(madvise(fixed, HUGE, MADV_DONTDUMP) == 0);
	fill(sparse + HUGE, PAGE, 4);
	pass_on(make_shared());
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0)
		in_child();
	need(child > 0);
	return ask();
}

static const char *verify(void)
{
	struct stat st;
	char c;

	pass_on(ask());
	need(fstat(fd, &st) == 0 && st.st_size == 2 * HUGE && st.st_blksize == HUGE);
	need(read(fd, &c, 1) == 1 && c == file[0]);
	need(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
	need(ftruncate(sealed, 2 * HUGE) < 0 && errno == EPERM);
	file[2 * HUGE - 1] = 'w';
	need(pread(fd, &c, 1, 2 * HUGE - 1) == 1 && c == 'w');
	need(munmap(private + PAGE, PAGE) < 0 && munmap(private + HUGE, HUGE) == 0);
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "huge pages: private, shared, of memory files",
	.prepare = prepare,
	.verify = verify,
};
