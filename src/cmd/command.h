/* SPDX-License-Identifier: MIT */
/*
 * Commands: one file each in cmd/, which exports one const descriptor `command_NAME`; cr.c holds the
 * table of them. A command fills an options struct of its own on its stack (options.h) and calls an
 * engine with it; nothing below cmd/ sees argv. Commands print results to standard output, and never
 * an error: they return it.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Exit statuses of the program; error.exit_status holds one of them where it is not the usual 1. */
enum exit_status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1, /* refused or failed, the subject untouched */
	STATUS_USAGE = 2,
	STATUS_NOT_ENDED = 3, /* the image is published, but the subject could not be ended */
};

/* What all commands take; given before the command's name or after it. */
struct common {
	bool verbose;
	const char *log;
	bool help;
};

struct option_row;

struct command {
	const char *name;
	const char *synopsis; /* operands: "PID [DIR]"; those in brackets may be left out */
	const char *summary;  /* "show an image ...", no full stop */
	const char *status;   /* what else the exit status can mean, for the help; or NULL */
	const struct option_row *options; /* its own; NULL if there are none */
	size_t n_options;
	/* argv[0] is the command's name. The exit status to leave with (or EXIT_BY_SIGNAL), or -errno. */
	int (*run)(int argc, char **argv, const struct common *common, struct error *e);
};

extern const struct command command_dump, command_restore, command_show, command_check,
	command_verify;

#endif
