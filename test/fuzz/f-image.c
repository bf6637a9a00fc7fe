/* SPDX-License-Identifier: MIT */
/*
 * Records from outside: the first byte chooses between the manifest and objects, the rest is the
 * file without its checksum. Whatever it is, the reader gives an error or records, and what it
 * gives can be printed and written again to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/image.h"
#include "image/record.h"
#include "kind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct record_cursor c = { .file = "fuzz", .arena = &arena };
	struct buf again = { 0 };
	struct record r;
	struct error e = { 0 };

	if (size < 1)
		return 0;
	c.p = data + 1;
	c.size = size - 1;
	c.types = &record_manifest;
	c.n_types = 1;
	if (data[0] & 1)
		c.types = record_types(&c.n_types);
	while (record_next(&c, &r, &e) > 0) {
		json_decref(image_message_json(r.msg));
		if (record_put(&again, r.type, r.msg, &e) < 0)
			abort();
	}
	/* Fields in another order are read as well; all else has one form. */
	if (again.len != c.at)
		abort();
	buf_free(&again);
	arena_free(&arena);
	return 0;
}
