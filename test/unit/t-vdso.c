/* SPDX-License-Identifier: MIT */
/*
 * The vDSO of another kernel: a copy of this one's stands for it. Its functions lead into the real one or
 * become system calls, and whatever else is in its bytes is taken or refused.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tap.h"

static uint8_t *real;
static size_t real_size;

static void find_real(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];

	real = (uint8_t *)getauxval(AT_SYSINFO_EHDR);
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == (unsigned long)real)
			real_size = end - start;
	}
	if (maps)
		fclose(maps);
}

static uint8_t *copy(void)
{
	uint8_t *p =
		mmap(NULL, real_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	memcpy(p, real, real_size);
	return p;
}

static void replace(uint8_t *p, const char *a, const char *b)
{
	size_t n = strlen(a) + 1;

	for (size_t i = 0; i + n <= real_size; i++) {
		if (!memcmp(p + i, a, n))
			memcpy(p + i, b, n);
	}
}

/* --- the functions work ------------------------------------------------------------------------------ */

static void *function(uint8_t *at, const char *name)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	uint8_t *f = vdso ? dlsym(vdso, name) : NULL;

	return f ? at + (f - real) : NULL;
}

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void clock_goes(int (*gettime)(clockid_t, struct timespec *), clockid_t clock)
{
	struct timespec before, t = { 0 }, after;

	CU_ASSERT_EQUAL(syscall(SYS_clock_gettime, clock, &before), 0);
	CU_ASSERT_EQUAL(gettime(clock, &t), 0);
	CU_ASSERT_EQUAL(syscall(SYS_clock_gettime, clock, &after), 0);
	/* the counters of two processors may differ by a hair */
	CU_ASSERT(nanoseconds(&before) <= nanoseconds(&t) + 1000);
	CU_ASSERT(nanoseconds(&t) <= nanoseconds(&after) + 1000);
}

/* What a vDSO does, through the pointers that a program would have into the copy. */
static void all_work(uint8_t *at)
{
	int (*gettime)(clockid_t, struct timespec *) = function(at, "__vdso_clock_gettime");
	int (*gettimeofday)(struct timeval *, void *) = function(at, "__vdso_gettimeofday");
	time_t (*gettime_s)(time_t *) = function(at, "__vdso_time");
	int (*getres)(clockid_t, struct timespec *) = function(at, "__vdso_clock_getres");
	int (*getcpu)(unsigned int *, unsigned int *, void *) = function(at, "__vdso_getcpu");
	struct timespec res = { 0 }, want = { 0 };
	struct timeval tv = { 0 };
	time_t t = 0, now = time(NULL);
	unsigned int cpu = ~0u, node = ~0u;

	CU_ASSERT_FATAL(gettime && gettimeofday && gettime_s && getres && getcpu);
	clock_goes(gettime, CLOCK_MONOTONIC);
	clock_goes(gettime, CLOCK_REALTIME);
	clock_goes(gettime, CLOCK_THREAD_CPUTIME_ID);
	CU_ASSERT_EQUAL(gettime(12345, &res), -EINVAL);
	CU_ASSERT_EQUAL(gettimeofday(&tv, NULL), 0);
	CU_ASSERT(tv.tv_sec >= now && tv.tv_sec <= now + 60);
	CU_ASSERT_EQUAL(gettime_s(&t), t);
	CU_ASSERT(t >= now && t <= now + 60);
	CU_ASSERT_EQUAL(getres(CLOCK_MONOTONIC, &res), 0);
	clock_getres(CLOCK_MONOTONIC, &want);
	CU_ASSERT_EQUAL(nanoseconds(&res), nanoseconds(&want));
	CU_ASSERT_EQUAL(getcpu(&cpu, &node, NULL), 0);
	CU_ASSERT(cpu < 65536 && node < 65536);
}

static void getrandom_works(uint8_t *at, bool has_state)
{
	ssize_t (*f)(void *, size_t, unsigned int, void *, size_t) =
		function(at, "__vdso_getrandom");
	uint8_t bytes[16] = { 0 }, zeros[16] = { 0 };
	/* A state that would go over the end of a page is refused, before anything else is looked at. */
	_Alignas(256) uint32_t params[64] = { 0 };

	if (!f)
		return; /* since 6.11 */
	/* a state of another size: the system call is made */
	CU_ASSERT_EQUAL(f(bytes, sizeof(bytes), 0, params, 3), sizeof(bytes));
	CU_ASSERT(memcmp(bytes, zeros, sizeof(bytes)) != 0);
	CU_ASSERT_EQUAL(f(NULL, 0, 0, params, ~0ul), has_state ? 0 : -EINVAL);
	CU_ASSERT_EQUAL(params[0] != 0, has_state);
}

static int redirect(uint8_t *p, const void *now, size_t now_size, char missing[64], struct error *e)
{
	int rc = arch_vdso_redirect(p, real_size, now, now_size, (uint64_t)(uintptr_t)real, missing,
				    e);

	if (rc < 0)
		printf("# %s\n", e->text);
	CU_ASSERT_EQUAL(mprotect(p, real_size, PROT_READ | PROT_EXEC), 0);
	return rc;
}

static void functions_lead_into_the_real_one(void)
{
	uint8_t *p = copy();
	struct error e = { 0 };
	char missing[64];

	CU_ASSERT_EQUAL_FATAL(redirect(p, real, real_size, missing, &e), 0);
	CU_ASSERT_EQUAL(*missing, 0);
	CU_ASSERT(memcmp(p, real, real_size) != 0);
	all_work(p);
	getrandom_works(p, true);
	munmap(p, real_size);
}

/* The bytes at an address are data and those of the copy: without them it would crash. */
static void functions_become_calls(void)
{
	uint8_t *p = copy();
	struct error e = { 0 };
	char missing[64];

	CU_ASSERT_EQUAL_FATAL(redirect(p, NULL, 0, missing, &e), 0);
	CU_ASSERT_EQUAL(*missing, 0);
	all_work(p);
	getrandom_works(p, false);
	munmap(p, real_size);
}

/* A copy of a copy, as after two restores on other kernels. */
static void a_chain_works(void)
{
	uint8_t *p = copy(), *q = copy();
	struct error e = { 0 };
	char missing[64];

	CU_ASSERT_EQUAL_FATAL(redirect(p, real, real_size, missing, &e), 0);
	CU_ASSERT_EQUAL_FATAL(arch_vdso_redirect(q, real_size, p, real_size, (uint64_t)(uintptr_t)p,
						 missing, &e),
			      0);
	CU_ASSERT_EQUAL(mprotect(q, real_size, PROT_READ | PROT_EXEC), 0);
	all_work(q);
	munmap(p, real_size);
	munmap(q, real_size);
}

static void one_that_is_unknown_answers_enosys(void)
{
	uint8_t *p = copy();
	struct error e = { 0 };
	char missing[64];
	long (*f)(void *) = function(p, "__vdso_time");

	replace(p, "__vdso_time", "__vdso_tomb");
	replace(p, "time", "tomb");
	CU_ASSERT_EQUAL_FATAL(redirect(p, real, real_size, missing, &e), 0);
	CU_ASSERT_STRING_EQUAL(missing, "tomb");
	CU_ASSERT_EQUAL(f(NULL), -ENOSYS);
	munmap(p, real_size);
}

/* Any name that a function has is enough: one of its symbols has another, a letter shorter. */
static void an_alias_is_enough(void)
{
	uint64_t at = (uint64_t)((uint8_t *)function(real, "__vdso_time") - real);
	uint8_t *p = copy();
	struct error e = { 0 };
	char missing[64];
	size_t i = 0;

	while (i < 0x700 && memcmp(p + i, &at, 8))
		i += 8;
	CU_ASSERT_FATAL(i < 0x700);
	p[i - offsetof(Elf64_Sym, st_value)]++; /* st_name */
	CU_ASSERT_EQUAL_FATAL(redirect(p, real, real_size, missing, &e), 0);
	CU_ASSERT_EQUAL(*missing, 0);
	all_work(p);
	munmap(p, real_size);
}

static void begins_are_known(void)
{
	uint8_t *f = function(real, "__vdso_getcpu");

	CU_ASSERT(arch_vdso_is_begin(real, real_size, (uint64_t)(f - real)));
	CU_ASSERT(!arch_vdso_is_begin(real, real_size, (uint64_t)(f - real) + 1));
	CU_ASSERT(!arch_vdso_is_begin(real, real_size, 0));
	CU_ASSERT(!arch_vdso_is_begin(NULL, 0, 0));
}

/* --- and nothing else ----------------------------------------------------------------------------------- */

/* In a copy with nothing behind it: one byte too far is a crash. */
static void take(const uint8_t *image, size_t size, unsigned int *n_good)
{
	static uint8_t *room;
	struct error e = { 0 };
	char missing[64];
	uint8_t *p, id[32];
	int rc;

	if (!room) {
		room = mmap(NULL, real_size + 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (room == MAP_FAILED || munmap(room + real_size, 4096))
			exit(1);
	}
	p = room + real_size - size;
	memcpy(p, image, size);
	arch_elf_build_id(p, size, id);
	arch_vdso_is_begin(p, size, 0x1000);
	rc = arch_vdso_redirect(p, size, real, real_size, 0x7fff00000000, missing, &e);
	if (rc < 0 && !e.text[0])
		CU_FAIL("refused without a word");
	*n_good += rc == 0;
}

static void cut_images(void)
{
	unsigned int good = 0;

	for (size_t size = 0; size < real_size; size++)
		take(real, size, &good);
	/* what is cut off at the end is code that nobody runs, so some are taken */
	CU_ASSERT(good < real_size / 2);
}

/* The tables lie before the code. Every byte in turn has its bits turned, and every word is an extreme. */
static void changed_images(void)
{
	static const uint64_t extremes[] = { 0,          1,          ~0ull, 1ull << 63,
					     0x7fffffff, 0xfffffff0, 4096,  8191 };
	uint8_t *p = malloc(real_size);
	unsigned int good = 0;

	for (size_t i = 0; i < 0x700 && i + 8 <= real_size; i++) {
		for (size_t k = 0; k < sizeof(extremes) / sizeof(extremes[0]) + 2; k++) {
			memcpy(p, real, real_size);
			if (k < 2)
				p[i] ^= k ? 0xff : 1;
			else if (i % 4 == 0)
				memcpy(p + i, &extremes[k - 2], i % 8 ? 4 : 8);
			take(p, real_size, &good);
		}
	}
	CU_ASSERT(good > 0);
	free(p);
}

/* Two functions that begin too near to each other leave no room for a jump. */
static void no_room_is_refused(void)
{
	uint8_t *p = copy();
	struct error e = { 0 };
	char missing[64];
	uint64_t at = (uint64_t)((uint8_t *)function(real, "__vdso_time") - real);
	uint64_t near = (uint64_t)((uint8_t *)function(real, "__vdso_getcpu") - real) + 5;
	bool found = false;

	for (size_t i = 0; i + 8 <= 0x700; i += 8) {
		if (!memcmp(p + i, &at, 8)) {
			memcpy(p + i, &near, 8);
			found = true;
		}
	}
	CU_ASSERT(found);
	CU_ASSERT(arch_vdso_redirect(p, real_size, real, real_size, 0x10000, missing, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "getcpu has 5 bytes"));
	CU_ASSERT(arch_vdso_redirect(real + real_size, 0, real, real_size, 0, missing, &e) < 0);
	munmap(p, real_size);
}

int main(void)
{
	CU_TestInfo works[] = {
		{ "functions lead into this kernel's", functions_lead_into_the_real_one },
		{ "without one they become system calls", functions_become_calls },
		{ "one leads into another that leads on", a_chain_works },
		{ "a function that nothing stands for answers ENOSYS",
		  one_that_is_unknown_answers_enosys },
		{ "one name of several is enough", an_alias_is_enough },
		{ "the begin of a function is known", begins_are_known },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo hostile[] = {
		{ "images that are cut", cut_images },
		{ "images that are changed", changed_images },
		{ "functions without room", no_room_is_refused },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "vdso", NULL, NULL, NULL, NULL, works },
		{ "hostile", NULL, NULL, NULL, NULL, hostile },
		CU_SUITE_INFO_NULL,
	};

	find_real();
	if (!real || !real_size) {
		printf("1..0 # SKIP no vDSO\n");
		return 77;
	}
	return tap_run(suites);
}
