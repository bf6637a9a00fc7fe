/* SPDX-License-Identifier: MIT */
/* What the manifest says of a page store's blocks; image_check_pages reads them. */
#ifndef IMAGE_BLOCKS_H
#define IMAGE_BLOCKS_H

#include "image/image.h"

/* Refuses what cannot be true of a page store. */
int blocks_check_listed(const ManifestFile *f, unsigned int format, struct error *e) must_check;
/* Bytes of its pages. */
uint64_t blocks_pages(const ManifestFile *f);

#endif
