/* SPDX-License-Identifier: MIT */
/* The parsers of /proc: the first byte chooses one, the rest is the text. */
#include <stdint.h>
#include <string.h>

#include "proc/fdinfo.h"
#include "proc/maps.h"
#include "proc/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(uint8_t which, const char *text, struct arena *a)
{
	struct proc_status status;
	struct proc_stat stat;
	struct fdinfo info;
	struct maps maps = { 0 };
	struct error e = { 0 };
	uint64_t mask;
	int rc = 0;

	switch (which % 6) {
	case 0:
	case 1:
		rc = maps_parse(text, which % 6, a, &maps, &e);
		maps_find(&maps, 0x7fffffff);
		break;
	case 2:
		rc = proc_stat_parse(text, &stat, &e);
		break;
	case 3:
		rc = proc_status_parse(text, a, &status, &e);
		break;
	case 4:
		rc = fdinfo_parse(text, a, &info, &e);
		break;
	default:
		if (proc_sigblk_parse(text, &mask) < 0)
			mask = 0;
		break;
	}
	if (rc < 0 && !e.text[0])
		__builtin_trap();
	maps_free(&maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	char *text;

	if (size < 1)
		return 0;
	text = mem_alloc(size); /* of its own size, so that a sanitizer sees a read behind it */
	memcpy(text, data + 1, size - 1);
	parse(data[0], text, &a);
	mem_free_cleanup(&text);
	arena_free(&a);
	return 0;
}
