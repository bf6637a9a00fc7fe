/* SPDX-License-Identifier: MIT */
/*
 * A blob (hostile.h) becomes an image, and that goes all the way that a restore does without a call: it is
 * opened, checked, linked, planned for a made-up machine, explained, laid out. And what cr verify, cr show
 * and cr show --json do.
 */
#include <stdlib.h>

#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	return hostile_mutate(data, size, max, seed, LLVMFuzzerMutate);
}

static struct hostile_dir folder;

static void end(void)
{
	hostile_dir_remove(&folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e;

	if (!folder.path[0] && (hostile_dir_make(&folder) < 0 || atexit(end)))
		abort();
	hostile_dir_write(&folder, data, size);
	hostile_use(folder.path, HOSTILE_ALL, &e);
	return 0;
}
