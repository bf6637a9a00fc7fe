/* SPDX-License-Identifier: MIT */
#include "dump/fingerprint.h"

#include <errno.h>
#include <sys/random.h>

#define WORDS (FINGERPRINT_PAGE / 8)

typedef fingerprint_wide wide;

int fingerprint_draw(struct fingerprint_key *k, struct error *e)
{
	char *p = (char *)k;

	for (size_t done = 0; done < sizeof(*k);) {
		ssize_t n = getrandom(p + done, sizeof(*k) - done, 0);

		if (n < 0 && errno != EINTR)
			return fail(e, errno, "draw a random key (getrandom)");
		done += n < 0 ? 0 : (size_t)n;
	}
	return 0;
}

static uint64_t upper(wide x)
{
	return (uint64_t)(x >> 64);
}

/* Only the upper half of the sum is as good as random. */
static uint64_t fold(const wide f[5], const wide sums[2])
{
	wide all = f[4];

	for (int i = 0; i < 2; i++) {
		all += f[2 * i] * (uint64_t)sums[i];
		all += f[2 * i + 1] * upper(sums[i]);
	}
	return upper(all);
}

struct fingerprint fingerprint_of(const struct fingerprint_key *k, const void *page)
{
	const uint64_t *m = page, *w = k->words;
	wide sums[2] = { 0, 0 };

	for (size_t i = 0; i < WORDS; i += 2) {
		sums[0] += (wide)(m[i] + w[i]) * (m[i + 1] + w[i + 1]);
		sums[1] += (wide)(m[i] + w[i + 2]) * (m[i + 1] + w[i + 3]);
	}
	return (struct fingerprint){ { fold(k->factors[0], sums), fold(k->factors[1], sums) } };
}
