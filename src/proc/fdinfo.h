/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/fdinfo/N: one tokenizer; each kind gets the lines it knows as key and value, and keeps
 * the knowledge of them to itself.
 */
#ifndef PROC_FDINFO_H
#define PROC_FDINFO_H

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct fdinfo {
	uint64_t pos;   /* as the kernel counts it: loff_t, may be negative for devices */
	uint32_t flags; /* open flags (octal in the file), O_CLOEXEC included */
	uint32_t mnt_id;
	uint64_t ino; /* since 5.14 */
	struct fdinfo_line {
		const char *key;   /* "eventfd-count", "tfd", "lock" ... */
		const char *value; /* the rest of the line, leading blanks skipped */
	} * lines; /* all others, in order, in the arena; a line without ':' is all key */
	size_t n_lines;
};

int fdinfo_read(int proc, int fd, struct arena *a, struct fdinfo *out, struct error *e) must_check;
int fdinfo_parse(const char *text, struct arena *a, struct fdinfo *out, struct error *e) must_check;

#endif
