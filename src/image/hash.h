/* SPDX-License-Identifier: MIT */
/* XXH3_64bits, compiled in: the program does not load a library for it at every start. */
#ifndef IMAGE_HASH_H
#define IMAGE_HASH_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#endif
