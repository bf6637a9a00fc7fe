/* SPDX-License-Identifier: MIT */
#include "cmd/options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static const struct option_row common_rows[] = {
	OPTION_SET(struct common, verbose, "verbose", "tell what is done"),
	OPTION_TEXT(struct common, log, "log", "FILE",
		    "append messages to FILE, not to standard error"),
	OPTION_SET(struct common, help, "help", "show this help"),
};
#define N_COMMON (sizeof(common_rows) / sizeof(common_rows[0]))

int usage_error(const struct command *c, struct error *e, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rc = fail(e, 0, "%s; try cr%s%s --help", text, c ? " " : "", c ? c->name : "");
	e->exit_status = STATUS_USAGE;
	return rc;
}

/* --- values ---------------------------------------------------------------------------------- */

static int set_seconds(const struct command *c, const struct option_row *row, double *out,
		       const char *value, struct error *e)
{
	if (!str_to_seconds(value, out))
		return usage_error(c, e, "--%s takes a positive number of seconds, not '%s'",
				   row->name, value);
	return 0;
}

static int set_number(const struct command *c, const struct option_row *row, uint64_t *out,
		      const char *value, struct error *e)
{
	bool hex = str_starts(value, "0x");

	if (!str_to_u64(hex ? value + 2 : value, hex ? 16 : 10, out))
		return usage_error(c, e, "--%s takes a number, not '%s'", row->name, value);
	return 0;
}

static int set_text(const struct command *c, const struct option_row *row, const char **out,
		    const char *value, struct error *e)
{
	if (!*value)
		return usage_error(c, e, "--%s is given an empty %s", row->name, row->argument);
	*out = value;
	return 0;
}

static int set_option(const struct command *c, const struct option_row *row, void *base,
		      const char *value, struct error *e)
{
	void *field = (char *)base + row->at;

	switch (row->sort) {
	case OPT_SET:
		*(bool *)field = true;
		return 0;
	case OPT_CLEAR:
		*(bool *)field = false;
		return 0;
	case OPT_TEXT:
		return set_text(c, row, field, value, e);
	case OPT_SECONDS:
		return set_seconds(c, row, field, value, e);
	case OPT_NUMBER:
		return set_number(c, row, field, value, e);
	}
	return 0;
}

/* --- getopt ---------------------------------------------------------------------------------- */

/* One command line being read: the rows of the command, then those of all commands. */
struct reader {
	const struct command *c;
	const struct option_row **rows;
	void **bases;
	bool *seen;
	struct option *longs;
	size_t n;
};

static void reader_add(struct reader *r, const struct option_row *row, void *base)
{
	r->rows[r->n] = row;
	r->bases[r->n] = base;
	r->longs[r->n] = (struct option){
		.name = row->name,
		.has_arg = row->argument ? required_argument : no_argument,
		.flag = NULL,
		.val = 0,
	};
	r->n++;
}

static void reader_open(struct reader *r, const struct command *c, void *options, void *common)
{
	size_t n = (c ? c->n_options : 0) + N_COMMON + 1;

	*r = (struct reader){ .c = c };
	r->rows = mem_alloc(n * sizeof(*r->rows));
	r->bases = mem_alloc(n * sizeof(*r->bases));
	r->seen = mem_alloc(n * sizeof(*r->seen));
	r->longs = mem_alloc((n + 1) * sizeof(*r->longs));
	for (size_t i = 0; c && i < c->n_options; i++)
		reader_add(r, &c->options[i], options);
	for (size_t i = 0; i < N_COMMON; i++)
		reader_add(r, &common_rows[i], common);
}

static void reader_cleanup(struct reader *r)
{
	free(r->rows);
	free(r->bases);
	free(r->seen);
	free(r->longs);
}

static const char *excluded(const struct reader *r, size_t i)
{
	for (size_t k = 0; k < r->n; k++) {
		const char *a = r->rows[i]->excludes, *b = r->rows[k]->excludes;

		if (r->seen[k] &&
		    ((a && !strcmp(a, r->rows[k]->name)) || (b && !strcmp(b, r->rows[i]->name))))
			return r->rows[k]->name;
	}
	return NULL;
}

static int reader_bad(const struct reader *r, int code, char **argv, struct error *e)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		return usage_error(r->c, e, "%s needs a value", word);
	if (optopt && !str_starts(word, "--"))
		return usage_error(r->c, e, "unknown option -%c", optopt);
	if (optopt || strchr(word, '='))
		return usage_error(r->c, e, "%s is unknown or takes no value", word);
	return usage_error(r->c, e, "unknown option %s", word);
}

/* Gives the index of the first operand. */
static int reader_run(struct reader *r, int argc, char **argv, const char *letters, struct error *e)
{
	int at = 0, code, rc;

	optind = 0; /* glibc: starts all over, also after another argv */
	opterr = 0;
	while ((code = getopt_long(argc, argv, letters, r->longs, &at)) != -1) {
		const char *other;

		if (code != 0)
			return reader_bad(r, code, argv, e);
		other = excluded(r, (size_t)at);
		if (other)
			return usage_error(r->c, e, "--%s and --%s exclude each other",
					   r->rows[at]->name, other);
		r->seen[at] = true;
		rc = set_option(r->c, r->rows[at], r->bases[at], optarg, e);
		if (rc < 0)
			return rc;
	}
	return optind;
}

int options_parse_common(int argc, char **argv, struct common *common, bool *version,
			 struct error *e)
{
	static const struct option_row version_row = { "version", OPT_SET, 0, NULL, NULL, NULL };
	__attribute__((cleanup(reader_cleanup))) struct reader r;

	reader_open(&r, NULL, NULL, common);
	reader_add(&r, &version_row, version);
	return reader_run(&r, argc, argv, "+:", e);
}

/* How many words the synopsis names; those in brackets may be left out. */
static void count_operands(const char *synopsis, int *least, int *most)
{
	*least = *most = 0;
	while (*synopsis) {
		*least += *synopsis != '[';
		*most += 1;
		synopsis += strcspn(synopsis, " ");
		synopsis += strspn(synopsis, " ");
	}
}

static int check_operands(const struct command *c, const struct operands *o, struct error *e)
{
	int least, most;

	count_operands(c->synopsis, &least, &most);
	if (o->n > most)
		return usage_error(c, e, "'%s' is one operand too many", o->v[most]);
	if (o->n < least) {
		const char *word = c->synopsis;

		for (int i = 0; i < o->n; i++)
			word += strcspn(word, " ") + 1;
		return usage_error(c, e, "%.*s is missing", (int)strcspn(word, " "), word);
	}
	for (int i = 0; i < o->n; i++) {
		if (!*o->v[i])
			return usage_error(c, e, "operand %d is empty", i + 1);
	}
	return 0;
}

int options_parse(const struct command *c, int argc, char **argv, const struct common *common,
		  void *options, struct operands *operands, struct error *e)
{
	__attribute__((cleanup(reader_cleanup))) struct reader r;
	struct common mine = *common;
	int first, rc;

	reader_open(&r, c, options, &mine);
	first = reader_run(&r, argc, argv, ":", e);
	if (first < 0)
		return first;
	if (mine.help) {
		options_help(c, stdout);
		return 0;
	}
	*operands = (struct operands){ .v = argv + first, .n = argc - first };
	rc = check_operands(c, operands, e);
	if (rc < 0)
		return rc;
	rc = log_open(getenv("CR_DEBUG"), mine.verbose, mine.log, e);
	return rc < 0 ? rc : 1;
}

int operand_pid(const struct command *c, const char *text, int *pid, struct error *e)
{
	if (!str_to_pid(text, pid))
		return usage_error(c, e, "'%s' is not a process id", text);
	return 0;
}

/* --- help ------------------------------------------------------------------------------------ */

static void help_rows(FILE *out, const struct option_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char head[40];

		if (!rows[i].help)
			continue;
		snprintf(head, sizeof(head), "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
			 rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %-20s %s\n", head, rows[i].help);
	}
}

void options_help_common(FILE *out)
{
	help_rows(out, common_rows, N_COMMON);
}

void options_help(const struct command *c, FILE *out)
{
	fprintf(out, "usage: cr %s [OPTION]... %s\n%c%s.\n\n", c->name, c->synopsis,
		toupper((unsigned char)*c->summary), c->summary + 1);
	if (c->n_options)
		help_rows(out, c->options, c->n_options);
	options_help_common(out);
	fprintf(out, "\nExit status: 0 done, 1 refused or failed, 2 wrong usage%s%s.\n",
		c->status ? ";\n" : "", c->status ? c->status : "");
	fprintf(out, "See cr-%s(1).\n", c->name);
}
