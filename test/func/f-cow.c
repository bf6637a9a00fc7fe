/* SPDX-License-Identifier: MIT */
/*
 * A family of 24 that shares 64 MiB: each has written a little, on another day as it were. Each knows what
 * every page must hold; the first one also notes which of them have one frame, and what all take together.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 16384ul
#define FEW (PAGES / 100)
#define FILE_PAGES 64ul
#define HUGE (2ul << 20)
#define CHILDREN 20
#define FRAME ((1ull << 55) - 1)
#define PRESENT (1ull << 63)

static char *memory, *file_memory, *huge_memory;
static uint32_t version[PAGES]; /* 0: nothing is there but zeros; GONE: nothing at all */
#define GONE UINT32_MAX
static uint32_t shape[PAGES]; /* who has the same frame as whom */
static uint64_t distinct, pss;
static bool sees_frames;
static pid_t children[CHILDREN], *grandchildren; /* these in shared memory */
static int ready[2];

static uint64_t word_of(size_t page, uint32_t v, size_t k)
{
	return (page + 1) * 0x9e3779b97f4a7c15ull + (uint64_t)v * 1000003 + k;
}

static void write_page(char *at, size_t page, uint32_t v)
{
	uint64_t *word = (uint64_t *)(void *)at;

	for (size_t k = 0; k < PAGE / 8; k++)
		word[k] = word_of(page, v, k);
}

static bool is_page(const char *at, size_t page, uint32_t v)
{
	const uint64_t *word = (const uint64_t *)(const void *)at;

	for (size_t k = 0; k < PAGE / 8; k += 73)
		if (word[k] != (v ? word_of(page, v, k) : 0))
			return false;
	return true;
}

/* One in a hundred, others for each number. */
static void write_few(uint32_t number)
{
	for (size_t k = 0; k < FEW; k++) {
		size_t page = (k * 97 + number * 13) % PAGES;

		if (version[page] == GONE)
			continue;
		version[page] = number;
		write_page(memory + page * PAGE, page, number);
	}
}

static bool is_right(void)
{
	for (size_t i = 0; i < PAGES; i++)
		if (version[i] != GONE && !is_page(memory + i * PAGE, i, version[i]))
			return false;
	for (size_t i = 0; i < FILE_PAGES; i++)
		if (!is_page(file_memory + i * PAGE, i, i % 3 ? 7 : 8))
			return false;
	for (size_t i = 0; i < HUGE / PAGE; i++)
		if (i != 5 && !is_page(huge_memory + i * PAGE, i, 9))
			return false;
	return true;
}

/* --- the children ------------------------------------------------------------------------------ */

static void wait_and_judge(pid_t below)
{
	sigset_t set;
	int signal, status = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (sigwait(&set, &signal) != 0)
		continue;
	if (below && (kill(below, SIGUSR1) != 0 || waitpid(below, &status, 0) != below))
		_exit(2);
	if (status)
		_exit(3);
	_exit(is_right() ? 0 : 1);
}

static void say_ready(void)
{
	if (write(ready[1], "r", 1) != 1)
		_exit(4);
	close(ready[0]);
	close(ready[1]);
}

static void set(size_t first, size_t n, uint32_t v)
{
	for (size_t i = first; i < first + n; i++)
		version[i] = v;
}

/* What the first four do besides. */
static void be_special(int i)
{
	char *at = memory + (size_t)(i * 1000 + 100) * PAGE;
	size_t first = (size_t)(at - memory) / PAGE;

	if (i == 0) {
		madvise(at, 100 * PAGE, MADV_DONTNEED);
		set(first, 100, 0);
	} else if (i == 1) {
		mmap(at, 100 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		for (size_t k = first; k < first + 100; k++)
			write_page(memory + k * PAGE, k, 1234);
		set(first, 100, 1234);
	} else if (i == 2) {
		munmap(at, 100 * PAGE);
		set(first, 100, GONE);
	} else if (i == 3) {
		mprotect(at, 100 * PAGE, PROT_READ);
	}
	if (i % 2)
		write_page(huge_memory + 5 * PAGE, 5, 77);
}

static void child_main(int i)
{
	pid_t below = 0;

	write_few((uint32_t)(100 + i));
	be_special(i);
	if (i >= 4 && i < 7) {
		below = fork();
		if (below == 0) {
			write_few((uint32_t)(200 + i));
			say_ready();
			wait_and_judge(0);
		}
		grandchildren[i - 4] = below;
		/* The grandchild keeps what was there. */
		write_few((uint32_t)(300 + i));
	}
	say_ready();
	wait_and_judge(below);
}

/* --- looked at from outside -------------------------------------------------------------------- */

static pid_t number(size_t i)
{
	if (i == 0)
		return getpid();
	return i <= CHILDREN ? children[i - 1] : grandchildren[i - 1 - CHILDREN];
}
#define FAMILY (1 + CHILDREN + 3u)

static bool read_frames(pid_t pid, uint64_t *frames)
{
	char path[64];
	size_t done = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && done < PAGES) {
		ssize_t n = pread(fd, frames + done, (PAGES - done) * 8,
				  (off_t)(((uintptr_t)memory / PAGE + done) * 8));

		if (n <= 0)
			break;
		done += (size_t)n / 8;
	}
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < done; i++)
		frames[i] = frames[i] & PRESENT ? frames[i] & FRAME : 0;
	return done == PAGES;
}

static size_t first_changed;

/* For each page: everybody by the first one who has the same. Gives how many pages have another shape. */
static long look_at_frames(uint32_t *out, uint64_t *n_distinct)
{
	static uint64_t frames[FAMILY][PAGES];
	long changed = 0;
	bool any = false;

	for (size_t i = 0; i < FAMILY; i++)
		if (!read_frames(number(i), frames[i]))
			return -1;
	*n_distinct = 0;
	for (size_t k = 0; k < PAGES; k++) {
		uint32_t sum = 0;

		for (uint32_t i = 0; i < FAMILY; i++) {
			uint32_t first = 0;

			while (first < i && frames[first][k] != frames[i][k])
				first++;
			*n_distinct += first == i && frames[i][k];
			any = any || frames[i][k];
			sum = sum * 31 + (frames[i][k] ? first + 1 : 0);
		}
		if (out[k] != sum && !changed++)
			first_changed = k;
		out[k] = sum;
	}
	/* It is of no use to the next dump. */
	madvise((void *)frames, sizeof(frames), MADV_DONTNEED);
	sees_frames = any;
	return changed;
}

static uint64_t pss_of(pid_t pid)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static uint64_t pss_of_all(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < FAMILY; i++)
		sum += pss_of(number(i));
	return sum;
}

/* Each page stands once in the image. What else there is of 24 small programs is a few pages each. */
static const char *check_image(void)
{
	uint64_t most = distinct + FILE_PAGES + HUGE / PAGE + FAMILY * 60;
	struct stat st;

	if (stat(subject_path("image/pages-0"), &st) != 0 &&
	    stat(subject_path("image-0/pages-0"), &st) != 0)
		return NULL;
	if ((uint64_t)st.st_size > most * PAGE)
		return wrong("the image has %llu pages, there are %llu",
			     (unsigned long long)st.st_size / PAGE, (unsigned long long)most);
	return NULL;
}

/* --- the test ---------------------------------------------------------------------------------- */

static const char *map_all(void)
{
	char page[PAGE];
	int fd = open(subject_path("mapped"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	need(fd >= 0);
	for (size_t i = 0; i < FILE_PAGES; i++) {
		write_page(page, i, 7);
		need(write(fd, page, PAGE) == (ssize_t)PAGE);
	}
	file_memory = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	need(file_memory != MAP_FAILED && close(fd) == 0);
	for (size_t i = 0; i < FILE_PAGES; i += 3)
		write_page(file_memory + i * PAGE, i, 8);
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	grandchildren = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED && grandchildren != MAP_FAILED);
	/* Where huge pages are made unasked, one that is filled in by a restore has no holes any more. */
	madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < PAGES; i++)
		write_page(memory + i * PAGE, i, version[i] = 1);
	huge_memory =
		mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(huge_memory != MAP_FAILED);
	huge_memory += HUGE - (uintptr_t)huge_memory % HUGE;
	madvise(huge_memory, HUGE, MADV_HUGEPAGE);
	for (size_t i = 0; i < HUGE / PAGE; i++)
		write_page(huge_memory + i * PAGE, i, 9);
	/* The huge page stays; nobody makes another behind our back. */
	madvise(huge_memory, HUGE, MADV_NOHUGEPAGE);
	return NULL;
}

static const char *prepare(void)
{
	sigset_t set_usr1;
	char byte;

	sigemptyset(&set_usr1);
	sigaddset(&set_usr1, SIGUSR1);
	need(sigprocmask(SIG_BLOCK, &set_usr1, NULL) == 0 && pipe(ready) == 0);
	pass_on(map_all());
	for (int i = 0; i < CHILDREN; i++) {
		/* The younger ones get other pages than the older ones. */
		if (i == CHILDREN / 2)
			write_few(2);
		children[i] = fork();
		need(children[i] >= 0);
		if (children[i] == 0)
			child_main(i);
	}
	write_few(3);
	for (size_t i = 1; i < FAMILY; i++)
		need(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	need(look_at_frames(shape, &distinct) >= 0);
	pss = pss_of_all();
	need(pss > PAGES * PAGE / 1024);
	return NULL;
}

static const char *verify(void)
{
	static uint32_t now[PAGES];
	uint64_t n_distinct, total = pss_of_all();
	long changed;
	int status;

	memcpy(now, shape, sizeof(now));
	changed = look_at_frames(now, &n_distinct);
	if (sees_frames && changed)
		return wrong(
			"%ld pages, from %zu on, are shared otherwise: %llu frames now, %llu before",
			changed, first_changed, (unsigned long long)n_distinct,
			(unsigned long long)distinct);
	if (total > pss + pss * 3 / 100 || total < pss - pss * 3 / 100)
		return wrong("they take %llu KiB now, %llu before", (unsigned long long)total,
			     (unsigned long long)pss);
	if (sees_frames)
		pass_on(check_image());
	need(is_right());
	for (int i = 0; i < CHILDREN; i++) {
		need(kill(children[i], SIGUSR1) == 0);
		need(waitpid(children[i], &status, 0) == children[i]);
		if (status)
			return wrong("child %d: status %#x", i, (unsigned int)status);
	}
	return NULL;
}

const struct subject subject = {
	.about = "pages shared by parent, children and grandchildren: contents, frames, size",
	.prepare = prepare,
	.verify = verify,
};
