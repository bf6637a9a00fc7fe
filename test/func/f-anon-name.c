/* SPDX-License-Identifier: MIT */
/* Names of anonymous memory, private and shared, which maps shows and the judge compares. */
#include "subject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define PAGE 4096ul
#define SIZE (4 * PAGE)

static char *first, *second, *shared;
static bool shared_can; /* have a name (6.2) */

static int name(char *p, const char *text)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, SIZE, text);
}

static char *map(int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool is_named(const char *p, const char *want)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool is = false;

	while (f && fgets(line, sizeof(line), f)) {
		char *end = NULL;

		if (strtoul(line, &end, 16) == (unsigned long)p)
			is = strstr(line, want) != NULL;
	}
	if (f)
		fclose(f);
	return is;
}

static const char *look(void)
{
	need(is_named(first, "[anon:the first]") && is_named(second, "[anon:x/y (deleted) z]"));
	need(!shared_can || is_named(shared, "[anon_shmem:of all]"));
	need(first[0] == 1 && second[PAGE] == 2 && shared[SIZE - 1] == 3);
	return NULL;
}

static const char *prepare(void)
{
	need((first = map(MAP_PRIVATE)) && (second = map(MAP_PRIVATE)));
	need((shared = map(MAP_SHARED)) != NULL);
	first[0] = 1;
	second[PAGE] = 2;
	shared[SIZE - 1] = 3;
	if (name(first, "the first") < 0 && errno == EINVAL)
		return lacks("this kernel has no names of anonymous memory");
	need(name(second, "x/y (deleted) z") == 0);
	shared_can = name(shared, "of all") == 0;
	return look();
}

static const char *verify(void)
{
	pass_on(look());
	/* It can be taken away again. */
	need(name(first, NULL) == 0 && !is_named(first, "the first"));
	return NULL;
}

const struct subject subject = {
	.about = "names of anonymous memory",
	.prepare = prepare,
	.verify = verify,
};
