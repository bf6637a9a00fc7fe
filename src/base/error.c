/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_utf8_tail(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/*
 * Makes text (of `wanted` bytes, had there been space) fit into room bytes: whole characters and
 * "..." at the end. Room is at least 4. Gives the length.
 */
static size_t cut(char *text, size_t wanted, size_t room)
{
	size_t n = room - 4;

	if (wanted < room)
		return wanted;
	while (n > 0 && is_utf8_tail(text[n]))
		n--;
	memcpy(text + n, "...", 4);
	return n + 3;
}

/* A name of a file may hold anything; one error stays one line, and a terminal is left in peace. */
static void tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int fail(struct error *e, int code, const char *fmt, ...)
{
	char text[sizeof(e->text)], name[128], tail[160] = "";
	va_list ap;
	size_t n;
	int wanted;

	va_start(ap, fmt);
	wanted = vsnprintf(text, sizeof(text), fmt, ap); /* the arguments may lie in e->text */
	va_end(ap);
	if (code != 0)
		snprintf(tail, sizeof(tail), ": %s", strerror_r(code, name, sizeof(name)));
	n = cut(text, wanted < 0 ? 0 : (size_t)wanted, sizeof(text) - strlen(tail));
	memcpy(text + n, tail, strlen(tail) + 1);
	tame(text);
	memcpy(e->text, text, sizeof(text));
	e->code = code != 0 ? code : EINVAL;
	e->exit_status = 0;
	return -e->code;
}

int within(struct error *e, int rc, const char *fmt, ...)
{
	char text[sizeof(e->text)];
	va_list ap;
	size_t n, tail;
	int wanted;

	if (rc >= 0)
		return rc;
	va_start(ap, fmt);
	wanted = vsnprintf(text, sizeof(text) / 2, fmt, ap);
	va_end(ap);
	n = cut(text, wanted < 0 ? 0 : (size_t)wanted, sizeof(text) / 2);
	tail = strnlen(e->text, sizeof(e->text) - 1);
	memcpy(text + n, ": ", 2);
	n += 2;
	if (tail < sizeof(text) - n) {
		memcpy(text + n, e->text, tail);
		text[n + tail] = '\0';
	} else {
		memcpy(text + n, e->text, sizeof(text) - n);
		cut(text, n + tail, sizeof(text));
	}
	tame(text);
	memcpy(e->text, text, sizeof(text));
	return rc;
}
