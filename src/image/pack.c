/* SPDX-License-Identifier: MIT */
#include "image/pack.h"

#include <limits.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/str.h"

#define LZ4_LEVEL_MAX LZ4HC_CLEVEL_MAX
#define LZ4_LEVEL_SLOW 3 /* from here on by its slower half */

struct packer {
	struct pack pack;
	ZSTD_CCtx *zstd;
};

static const struct {
	const char *name;
	Packing how;
} names[] = { { "zstd", PACKING__ZSTD }, { "lz4", PACKING__LZ4 } };

const char *pack_name(Packing how)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].how == how)
			return names[i].name;
	return "none";
}

static int level_most(Packing how)
{
	return how == PACKING__ZSTD ? ZSTD_maxCLevel() : LZ4_LEVEL_MAX;
}

int pack_parse(const char *text, struct pack *out, struct error *e)
{
	size_t n = strcspn(text, ":");
	const char *s = text + n;
	uint64_t level = 0;

	*out = (struct pack){ .how = PACKING__NONE };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i].name) == n && !memcmp(text, names[i].name, n))
			out->how = names[i].how;
	if (out->how == PACKING__NONE)
		return fail(e, 0, "'%s' is no compression: zstd or lz4, and a level like zstd:9",
			    text);
	if (!*s++)
		return 0;
	if (!str_take_u64(&s, 10, &level) || *s || !level || level > (uint64_t)level_most(out->how))
		return fail(e, 0, "'%s': levels of %s are 1 to %d", text, pack_name(out->how),
			    level_most(out->how));
	out->level = (int)level;
	return 0;
}

struct packer *packer_new(struct pack pack)
{
	struct packer *p = mem_alloc(sizeof(*p));

	p->pack = pack;
	if (pack.how != PACKING__ZSTD)
		return p;
	p->zstd = ZSTD_createCCtx();
	if (!p->zstd)
		mem_exhausted();
	return p;
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->zstd);
	free(p);
}

static size_t run_zstd(struct packer *p, const void *from, size_t n, void *to)
{
	int level = p->pack.level ? p->pack.level : ZSTD_CLEVEL_DEFAULT;
	size_t got = ZSTD_compressCCtx(p->zstd, to, n - 1, from, n, level);

	return ZSTD_isError(got) ? 0 : got;
}

static size_t run_lz4(const struct packer *p, const void *from, size_t n, void *to)
{
	int got;

	if (p->pack.level < LZ4_LEVEL_SLOW)
		got = LZ4_compress_default(from, to, (int)n, (int)n - 1);
	else
		got = LZ4_compress_HC(from, to, (int)n, (int)n - 1, p->pack.level);
	return got < 0 ? 0 : (size_t)got;
}

size_t packer_run(struct packer *p, const void *from, size_t n, void *to)
{
	return p->pack.how == PACKING__ZSTD ? run_zstd(p, from, n, to) : run_lz4(p, from, n, to);
}

bool pack_undo(Packing how, const void *from, size_t n, void *to, size_t size)
{
	if (n > INT_MAX || size > INT_MAX)
		return false;
	if (how == PACKING__ZSTD)
		return ZSTD_decompress(to, size, from, n) == size;
	return how == PACKING__LZ4 && LZ4_decompress_safe(from, to, (int)n, (int)size) == (int)size;
}
