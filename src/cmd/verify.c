/* SPDX-License-Identifier: MIT */
/* cr verify: reads a whole image, every checksum and every reference, and says what is wrong. */
#include <stdio.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "image/image.h"
#include "kind.h"
#include "restore/check.h"

static int verify(const char *dir, struct error *e)
{
	size_t n;
	const struct record_type *types = record_types(&n);
	struct image img = { 0 };
	int rc = image_open(&img, dir, types, n, true, e);

	if (rc < 0)
		return rc;
	inform("%s: records: %zu, page stores: %zu", dir, img.records.n, img.n_stores);
	rc = restore_check_pages(&img, dir, 0, e);
	if (rc >= 0)
		rc = within(e, restore_check(&img, e), "%s", dir);
	image_free(&img);
	return rc;
}

static int run(int argc, char **argv, const struct common *common, struct error *e)
{
	struct operands operands;
	int rc = options_parse(&command_verify, argc, argv, common, NULL, &operands, e);

	if (rc <= 0)
		return rc;
	rc = verify(operands.v[0], e);
	return rc < 0 ? rc : STATUS_DONE;
}

const struct command command_verify = {
	.name = "verify",
	.synopsis = "DIR",
	.summary = "check every checksum and every reference of an image",
	.status = NULL,
	.options = NULL,
	.n_options = 0,
	.run = run,
};
