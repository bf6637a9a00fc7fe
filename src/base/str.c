/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include <limits.h>
#include <string.h>

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return UINT_MAX;
}

bool str_take_u64(const char **s, unsigned int base, uint64_t *out)
{
	const char *p = *s;
	uint64_t sum = 0;

	for (; digit(*p) < base; p++)
		if (__builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)digit(*p), &sum))
			return false;
	if (p == *s)
		return false;
	*s = p;
	*out = sum;
	return true;
}

bool str_to_u64(const char *s, unsigned int base, uint64_t *out)
{
	uint64_t n;

	if (!str_take_u64(&s, base, &n) || *s)
		return false;
	*out = n;
	return true;
}

bool str_to_pid(const char *s, int *out)
{
	uint64_t n;

	if (!str_to_u64(s, 10, &n) || n < 1 || n > INT_MAX)
		return false;
	*out = (int)n;
	return true;
}

bool str_to_seconds(const char *s, double *out)
{
	double sum = 0, unit = 1;
	uint64_t whole;

	if (!str_take_u64(&s, 10, &whole) || whole >= 1000000000)
		return false;
	if (*s == '.') {
		if (digit(*++s) > 9)
			return false;
		for (; digit(*s) < 10; s++) {
			unit /= 10;
			sum += unit * digit(*s);
		}
	}
	sum += (double)whole;
	if (*s || !(sum > 0))
		return false;
	*out = sum;
	return true;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}
