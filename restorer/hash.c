/* SPDX-License-Identifier: MIT */
/*
 * The checksum of page stores, XXH3 of 64 bits without a seed, over bytes that come in pieces of whole KiB. A KiB is
 * 16 stripes of 8 words; each stripe goes into 8 sums under another part of the secret, and behind each KiB
 * the sums are scrambled, but for the last one, whose last stripe has a part of the secret for itself.
 */
#include "rst.h"

#define KIB 1024u
#define STRIPE 64u
#define SECRET 192u

#define P32_1 0x9e3779b1ull
#define LAST 0x165667919e3779f9ull

static const uint64_t first[8] = {
	0xc2b2ae3d,         0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
	0x85ebca77c2b2ae63, 0x85ebca77,         0x27d4eb2f165667c5, P32_1,
};
static const uint64_t secret[SECRET / 8] = {
	0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072,
	0x78e5c0cc4ee679cb, 0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0,
	0xcb00c391bb52283c, 0xa32e531b8b65d088, 0x4ef90da297486471, 0xd8acdea946ef1938,
	0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a, 0x647378d9c97e9fc8,
	0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
	0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af,
};

/* Anywhere in memory. */
struct word {
	uint64_t v;
} __attribute__((packed, may_alias));

static const struct word *secret_at(unsigned int byte)
{
	return (const struct word *)(const void *)((const char *)secret + byte);
}

/* A word goes into its neighbour's sum as it is, and into its own as the product of its halves. */
#define LANE(sum, other, i)                               \
	do {                                              \
		uint64_t word = in[i].v;                  \
		uint64_t mixed = word ^ key[i].v;         \
		(other) += word;                          \
		(sum) += (uint32_t)mixed * (mixed >> 32); \
	} while (0)

/* Stripes under the secret from `key` on, which moves a word each time. Written out: this is where the time goes. */
static void add(uint64_t *sums, const struct word *in, const struct word *key, unsigned int stripes)
{
	uint64_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
	uint64_t e = sums[4], f = sums[5], g = sums[6], h = sums[7];

	for (; stripes; stripes--, in += 8, key++) {
		LANE(a, b, 0);
		LANE(b, a, 1);
		LANE(c, d, 2);
		LANE(d, c, 3);
		LANE(e, f, 4);
		LANE(f, e, 5);
		LANE(g, h, 6);
		LANE(h, g, 7);
	}
	sums[0] = a;
	sums[1] = b;
	sums[2] = c;
	sums[3] = d;
	sums[4] = e;
	sums[5] = f;
	sums[6] = g;
	sums[7] = h;
}

static void scramble(uint64_t *sums)
{
	const struct word *key = secret_at(SECRET - STRIPE);

	for (unsigned int i = 0; i < 8; i++)
		sums[i] = (sums[i] ^ sums[i] >> 47 ^ key[i].v) * P32_1;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t result(const uint64_t *sums, uint64_t length)
{
	const struct word *key = secret_at(11);
	uint64_t all = length * first[1];

	for (unsigned int i = 0; i < 8; i += 2)
		all += fold(sums[i] ^ key[i].v, sums[i + 1] ^ key[i + 1].v);
	all = (all ^ all >> 37) * LAST;
	return all ^ all >> 32;
}

int64_t rst_op_hash(const uint64_t *arg)
{
	uint64_t *sums = (void *)(uintptr_t)arg[0];
	const struct word *in = (const void *)(uintptr_t)arg[1];
	unsigned int left = (unsigned int)arg[2] / KIB, how = (unsigned int)arg[3];

	if (!left || arg[2] % KIB || arg[2] >> 32)
		return -EINVAL;
	if (how & CR_RST_HASH_FIRST)
		rst_copy_up(sums, first, sizeof(first));
	for (;; in += KIB / 8) {
		if (!--left && how & CR_RST_HASH_LAST)
			break;
		add(sums, in, secret_at(0), KIB / STRIPE);
		scramble(sums);
		if (!left)
			return 0;
	}
	add(sums, in, secret_at(0), KIB / STRIPE - 1);
	add(sums, in + (KIB - STRIPE) / 8, secret_at(SECRET - STRIPE - 7), 1);
	return (int64_t)result(sums, arg[4]);
}
