/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

/*
 * What may differ between the subject before its dump and after its restore. A key is
 * PID/WHAT or PID/task/TID/WHAT; * matches anything.
 */
static const struct exception {
	const char *key;
	const char *why;
} exceptions[] = {
	{ "*/status/State", "R and S come and go" },
	{ "*/status/VmPeak", "a high-water mark of the past" },
	{ "*/status/VmHWM", "a high-water mark of the past" },
	{ "*/status/VmRSS", "residency" },
	{ "*/status/Rss*", "residency" },
	{ "*/resident/*", "residency: see has_grown" },
	{ "*/status/HugetlbPages", "residency: pages that hold nothing but zeros" },
	{ "*/status/VmPTE", "page tables: follows residency" },
	{ "*/status/VmSwap", "residency" },
	{ "*/status/FDSize",
	  "the room of the descriptor table, which grows in steps and never shrinks" },
	{ "*/status/SigQ", "counts the signals queued by all processes of the user" },
	{ "*/status/*ctxt_switches", "a counter of the past" },
	{ "*/stat/03-state", "R and S come and go" },
	{ "*/stat/1[0-7]-*", "page faults and processor time: counters of the past" },
	{ "*/stat/22-starttime", "the restored process was born later" },
	{ "*/stat/24-rss", "residency" },
	{ "*/stat/35-wchan", "asleep or not: comes and goes with the state" },
	{ "*/stat/39-processor", "where it ran last" },
	{ "*/stat/4[23]-*", "time waited for I/O and guest time: counters of the past" },
	{ "*/fdinfo/*/it_value", "what is left of a timerfd's time, which goes on" },
	{ "*/fdinfo/*/eventfd-id", "a running number of the kernel, since 5.2" },
};

#define RESIDENT_MORE_KB 128

static bool is_exception(const char *key)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (fnmatch(exceptions[i].key, key, 0) == 0)
			return true;
	return false;
}

/*
 * What is there of memory that is no file's may be less than it was (zeros that nobody has written take none), but at
 * most a twentieth more, and the few pages that a program touches on its way.
 */
static bool has_grown(const char *key, const char *before, const char *after)
{
	unsigned long kb = strtoul(before, NULL, 10);

	return fnmatch("*/resident/*", key, 0) == 0 &&
	       strtoul(after, NULL, 10) > kb + kb / 20 + RESIDENT_MORE_KB;
}

static unsigned int tell(FILE *out, const char *key, const char *before, const char *after)
{
	if (is_exception(key) && !has_grown(key, before, after))
		return 0;
	fprintf(out, "%s: before: %s; after: %s\n", key, before, after);
	return 1;
}

unsigned int snapshot_compare(const struct snapshot *before, const struct snapshot *after,
			      FILE *out)
{
	size_t i = 0, k = 0;
	unsigned int n = 0;

	while (i < before->n || k < after->n) {
		const struct line *a = i < before->n ? &before->lines[i] : NULL;
		const struct line *b = k < after->n ? &after->lines[k] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);

		if (order < 0)
			n += tell(out, a->key, a->value, "(not there)");
		else if (order > 0)
			n += tell(out, b->key, "(not there)", b->value);
		else if (strcmp(a->value, b->value) != 0)
			n += tell(out, a->key, a->value, b->value);
		i += order <= 0;
		k += order >= 0;
	}
	return n;
}
