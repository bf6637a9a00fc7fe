/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

static int (*vdso_gettime)(clockid_t, struct timespec *);
static int (*vdso_getcpu)(unsigned int *, unsigned int *, void *);
static unsigned long address;
static struct timespec before;

static unsigned long mapped_at(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start = 0, found = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-", &start) == 1 && strstr(line, "[vdso]"))
			found = start;
	if (maps)
		fclose(maps);
	return found;
}

static const char *prepare(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);

	address = getauxval(AT_SYSINFO_EHDR);
	if (!vdso || !address)
		return skip("no vDSO");
	*(void **)&vdso_gettime = dlsym(vdso, "__vdso_clock_gettime");
	*(void **)&vdso_getcpu = dlsym(vdso, "__vdso_getcpu");
	need(vdso_gettime && vdso_getcpu);
	need(vdso_gettime(CLOCK_MONOTONIC, &before) == 0);
	return NULL;
}

static const char *verify(void)
{
	unsigned int cpu = ~0u, node = ~0u;
	struct timespec now, real;

	need(getauxval(AT_SYSINFO_EHDR) == address && mapped_at() == address);
	need(vdso_gettime(CLOCK_MONOTONIC, &now) == 0);
	need(now.tv_sec > before.tv_sec ||
	     (now.tv_sec == before.tv_sec && now.tv_nsec > before.tv_nsec));
	need(vdso_gettime(CLOCK_REALTIME, &real) == 0 && real.tv_sec > 1700000000);
	need(vdso_getcpu(&cpu, &node, NULL) == 0 && cpu < 65536);
	return NULL;
}

const struct subject subject = {
	.about = "the vDSO: works, and at its old address",
	.prepare = prepare,
	.verify = verify,
};
