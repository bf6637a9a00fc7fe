/* SPDX-License-Identifier: MIT */
/* cr check: what of a process can be saved and what not; looks at it only from outside. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "dump/dump.h"

struct check_options {
	bool json;
};

static const struct option_row rows[] = {
	OPTION_SET(struct check_options, json, "json", "print everything as JSON"),
};

static void print_object(const struct check_object *c)
{
	auto_buf line = { 0 };

	buf_printf(&line, "%-7s %d", c->refusal ? "refused" : "ok", c->tid ? c->tid : c->pid);
	buf_printf(&line, " %s", c->sort);
	if (strcmp(c->sort, c->what)) {
		buf_printf(&line, " ");
		escape_add(&line, c->what, strlen(c->what));
	}
	if (c->refusal) {
		buf_printf(&line, ": ");
		escape_add(&line, c->refusal, strlen(c->refusal));
	}
	buf_add(&line, "\n", 1);
	fwrite(line.p, 1, line.len, stdout);
}

static void print_text(int pid, const struct check_report *r)
{
	vec_each(c, &r->objects)
		print_object(c);
	if (r->n_refused)
		printf("process %d cannot be saved: %zu of %zu objects refused\n", pid,
		       r->n_refused, r->objects.n);
	else
		printf("process %d can be saved: %zu objects\n", pid, r->objects.n);
}

/* Names of files and tasks can be any bytes; JSON is UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);
	auto_buf escaped = { 0 };

	if (j)
		return j;
	escape_add(&escaped, s, strlen(s));
	return json_stringn(escaped.p, escaped.len);
}

static json_t *object_json(const struct check_object *c)
{
	json_t *j = json_object();

	json_object_set_new(j, "pid", json_integer(c->pid));
	if (c->tid)
		json_object_set_new(j, "tid", json_integer(c->tid));
	json_object_set_new(j, "sort", text(c->sort));
	json_object_set_new(j, "what", text(c->what));
	json_object_set_new(j, "ok", json_boolean(!c->refusal));
	if (c->refusal)
		json_object_set_new(j, "refusal", text(c->refusal));
	return j;
}

static void print_json(int pid, const struct check_report *r)
{
	json_t *j = json_object(), *list = json_array();

	vec_each(c, &r->objects)
		json_array_append_new(list, object_json(c));
	json_object_set_new(j, "pid", json_integer(pid));
	json_object_set_new(j, "ok", json_boolean(!r->n_refused));
	json_object_set_new(j, "objects", list);
	json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(j);
}

static int run(int argc, char **argv, const struct common *common, struct error *e)
{
	struct check_options o = { 0 };
	struct check_report report;
	struct operands operands;
	int pid, rc = options_parse(&command_check, argc, argv, common, &o, &operands, e);

	if (rc <= 0)
		return rc;
	rc = operand_pid(&command_check, operands.v[0], &pid, e);
	if (rc < 0)
		return rc;
	rc = check_run(pid, &report, e);
	if (rc >= 0) {
		(o.json ? print_json : print_text)(pid, &report);
		rc = report.n_refused ? STATUS_FAILED : STATUS_DONE;
	}
	check_free(&report);
	return rc;
}

const struct command command_check = {
	.name = "check",
	.synopsis = "PID",
	.summary = "say of each object of a process whether it can be saved",
	.status = "1 too where something cannot be saved",
	.OPTIONS(rows),
	.run = run,
};
