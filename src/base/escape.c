/* SPDX-License-Identifier: MIT */
#include "base/escape.h"

#include <stdint.h>

/* Bytes of the UTF-8 sequence that begins here, its code point in *point; 0: there is none. */
static size_t utf8_take(const unsigned char *s, size_t n, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *s < 0x80   ? 1
		     : *s < 0xc2 ? 0
		     : *s < 0xe0 ? 2
		     : *s < 0xf0 ? 3
		     : *s < 0xf5 ? 4
				 : 0;

	if (!len || len > n)
		return 0;
	*point = len == 1 ? *s : *s & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[i] & 0x3f);
	}
	if (*point < least[len] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000))
		return 0;
	return len;
}

static bool is_plain(uint32_t c)
{
	return c >= 0x20 && c != 0x7f && c != '\\' && !(c >= 0x80 && c < 0xa0) &&
	       !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0x200e &&
	       c != 0x200f && c != 0x061c;
}

static size_t plain_take(const char *text, size_t n)
{
	uint32_t point = 0;
	size_t len = utf8_take((const unsigned char *)text, n, &point);

	return len && is_plain(point) ? len : 0;
}

void escape_add(struct buf *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = plain_take(text + i, n - i);

		if (len)
			buf_add(out, text + i, len);
		else if (text[i] == '\\')
			buf_add(out, "\\\\", 2);
		else
			buf_printf(out, "\\%03o", (unsigned int)(unsigned char)text[i]);
		i += len ? len : 1;
	}
}

bool escape_is_plain(const char *text, size_t n)
{
	size_t len;

	for (size_t i = 0; i < n; i += len) {
		len = plain_take(text + i, n - i);
		if (!len)
			return false;
	}
	return true;
}
