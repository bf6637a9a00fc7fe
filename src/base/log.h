/* SPDX-License-Identifier: MIT */
/*
 * What cr tells beside its one error: `inform` lines for --verbose, `debug` lines by room for
 * CR_DEBUG=dump,restore,... (or all). Off by default, to standard error or the file of --log, never
 * the only carrier of a fact. `warn` is always shown ("cr: warning: ...") .
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/error.h"

enum log_room {
	LOG_PROC = 1,
	LOG_IMAGE = 2,
	LOG_REMOTE = 4,
	LOG_DUMP = 8,
	LOG_RESTORE = 16,
	LOG_PLAN = 32
};

/* Reads CR_DEBUG from mask_text (may be NULL), opens path (NULL: standard error). */
int log_open(const char *mask_text, bool verbose, const char *path, struct error *e) must_check;
bool log_is_on(enum log_room room);
bool log_is_verbose(void);
void log_line(const char *head, const char *fmt, ...) format_printf(2, 3);
/* With the time since log_open: "cr: DUMP: 1.204 ms: ...". */
void log_timed(const char *room, const char *fmt, ...) format_printf(2, 3);

#define warn(...) log_line("warning: ", __VA_ARGS__)
#define inform(...)                                \
	do {                                       \
		if (log_is_verbose())              \
			log_line("", __VA_ARGS__); \
	} while (0)
#define debug(room, ...)                               \
	do {                                           \
		if (log_is_on(LOG_##room))             \
			log_timed(#room, __VA_ARGS__); \
	} while (0)

#endif
