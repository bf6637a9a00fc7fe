/* SPDX-License-Identifier: MIT */
/* What `cr show` prints of an image for people. */
#ifndef CMD_SHOW_H
#define CMD_SHOW_H

#include "base/error.h"
#include "base/mem.h"
#include "image/image.h"

/* dir: how the image is called in the text. 0, or -errno if the image is broken. */
int show_text(const struct image *img, const char *dir, struct buf *out,
	      struct error *e) must_check;

#endif
