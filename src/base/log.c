/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* The one piece of mutable state in src/base: where lines go is a property of the whole program. */
static struct {
	unsigned int mask;
	bool verbose;
	bool to_file;
	int fd;
	uint64_t start; /* of the program, for the times of debug lines */
} out;

static const struct {
	const char *name;
	unsigned int bits;
} rooms[] = {
	{ "all", ~0u },
	{ "dump", LOG_DUMP },
	{ "image", LOG_IMAGE },
	{ "plan", LOG_PLAN },
	{ "proc", LOG_PROC },
	{ "remote", LOG_REMOTE },
	{ "restore", LOG_RESTORE },
};

static unsigned int find_room(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		if (strlen(rooms[i].name) == n && memcmp(rooms[i].name, name, n) == 0)
			return rooms[i].bits;
	return 0;
}

static int parse_mask(const char *text, unsigned int *mask, struct error *e)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		unsigned int bits = find_room(text, n);

		if (n > 0 && bits == 0)
			return fail(
				e, 0,
				"CR_DEBUG: unknown room %.*s (there are dump, image, plan, proc, "
				"remote, restore, all)",
				(int)n, text);
		*mask |= bits;
		text += n + (text[n] == ',');
	}
	return 0;
}

int log_open(const char *mask_text, bool verbose, const char *path, struct error *e)
{
	unsigned int mask = 0;
	int rc = mask_text ? parse_mask(mask_text, &mask, e) : 0;

	if (rc < 0)
		return rc;
	if (path) {
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);

		if (fd < 0)
			return fail(e, errno, "open the log %s", path);
		if (out.to_file)
			close(out.fd);
		out.fd = fd;
		out.to_file = true;
	}
	out.mask = mask;
	out.verbose = verbose;
	out.start = mask ? clock_now() : 0;
	return 0;
}

bool log_is_on(enum log_room room)
{
	return (out.mask & room) != 0;
}

bool log_is_verbose(void)
{
	return out.verbose;
}

/* A log that cannot be written is no reason to give up: nothing is told by it alone. */
static void put(int fd, const char *text, size_t n)
{
	ssize_t rc = write(fd, text, n);

	(void)rc;
}

static void vput(const char *head, const char *fmt, va_list ap)
{
	int kept = errno;
	char line[2048];
	size_t n = (size_t)snprintf(line, 64, "cr: %s", head);

	n = n < 63 ? n : 63;
	vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
	n = strlen(line);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n] = '\n'; /* one write: lines of several processes do not mix */
	put(out.to_file ? out.fd : STDERR_FILENO, line, n + 1);
	if (out.to_file && strcmp(head, "warning: ") == 0)
		put(STDERR_FILENO, line, n + 1);
	errno = kept;
}

void log_line(const char *head, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vput(head, fmt, ap);
	va_end(ap);
}

void log_timed(const char *room, const char *fmt, ...)
{
	double ms = (double)(clock_now() - out.start) / 1e6;
	char head[48];
	va_list ap;

	snprintf(head, sizeof(head), "%s: %.3f ms: ", room, ms);
	va_start(ap, fmt);
	vput(head, fmt, ap);
	va_end(ap);
}
