/* SPDX-License-Identifier: MIT */
/*
 * Options of commands. One row per option makes the array for getopt_long, the help text and what
 * the completion is checked against; it says where in the command's options struct the value goes.
 *
 *	struct dump_options { bool leave_running; bool sync; double timeout; ... };
 *
 *	static const struct option_row rows[] = {
 *		OPTION_SET(struct dump_options, leave_running, "leave-running", "let it run on"),
 *		OPTION_CLEAR(struct dump_options, sync, "no-sync", "do not wait for the disk"),
 *		OPTION_SECONDS(struct dump_options, timeout, "timeout", "give up after SECONDS"),
 *	};
 *
 *	static int run(int argc, char **argv, const struct common *common, struct error *e)
 *	{
 *		struct dump_options o = { .sync = true };
 *		struct operands operands;
 *		int rc = options_parse(&command_dump, argc, argv, common, &o, &operands, e);
 *
 *		if (rc <= 0)
 *			return rc;
 *		...
 *	}
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cmd/command.h"

enum option_sort {
	OPT_SET,     /* bool becomes true */
	OPT_CLEAR,   /* bool becomes false */
	OPT_TEXT,    /* const char * */
	OPT_SECONDS, /* double, > 0 */
	OPT_NUMBER,  /* uint64_t, decimal or 0x... */
};
struct option_row {
	const char *name; /* without the dashes */
	enum option_sort sort;
	size_t at;            /* offset into the options struct */
	const char *argument; /* name of the value in the help; NULL: takes none */
	const char *help;     /* a line or less; NULL: not shown (for tests) */
	const char *excludes; /* name of an option that cannot stand beside it; or NULL */
};

/* clang-format off */
#define OPTION_SET(type, field, name, help) { name, OPT_SET, offsetof(type, field), NULL, help, NULL }
#define OPTION_CLEAR(type, field, name, help) \
	{ name, OPT_CLEAR, offsetof(type, field), NULL, help, NULL }
/* Cannot stand beside the option named `excludes`; one of the two rows is enough. */
#define OPTION_SET_ALONE(type, field, name, excludes, help) \
	{ name, OPT_SET, offsetof(type, field), NULL, help, excludes }
#define OPTION_TEXT(type, field, name, argument, help) \
	{ name, OPT_TEXT, offsetof(type, field), argument, help, NULL }
#define OPTION_SECONDS(type, field, name, help) \
	{ name, OPT_SECONDS, offsetof(type, field), "SECONDS", help, NULL }
#define OPTION_NUMBER(type, field, name, argument, help) \
	{ name, OPT_NUMBER, offsetof(type, field), argument, help, NULL }
/* clang-format on */

/* In the descriptor of a command: .OPTIONS(rows) */
#define OPTIONS(rows) options = (rows), .n_options = sizeof(rows) / sizeof((rows)[0])

struct operands {
	char **v;
	int n;
};

/*
 * Reads argv of a command into the struct that its rows point into and opens the log. 1: go on;
 * 0: done (the help was printed); < 0: a usage error, with its exit status set.
 */
int options_parse(const struct command *c, int argc, char **argv, const struct common *common,
		  void *options, struct operands *operands, struct error *e) must_check;
/* What stands before the command's name in the program's own argv. Gives the index of the first
 * word that is not an option. *version: --version was there. */
int options_parse_common(int argc, char **argv, struct common *common, bool *version,
			 struct error *e) must_check;

/* An error of the one who typed the command: exit status 2, and where to read. c: NULL for `cr` itself. */
int usage_error(const struct command *c, struct error *e, const char *fmt, ...) must_check
	format_printf(3, 4);
/* A process id, with a clear sentence if it is none. */
int operand_pid(const struct command *c, const char *text, int *pid, struct error *e) must_check;

void options_help(const struct command *c, FILE *out);
/* Only the options that all commands have. */
void options_help_common(FILE *out);

#endif
