/* SPDX-License-Identifier: MIT */
#include "cmd/timeline.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define PAGE 4096u

static uint64_t length(const struct timeline *t, size_t i)
{
	uint64_t to = i + 1 < t->n ? t->phases[i + 1].from : t->to;

	return to - t->phases[i].from;
}

static uint64_t whole(const struct timeline *t)
{
	return t->n ? t->to - t->phases[0].from : 0;
}

static uint64_t pause_of(const struct timeline *t)
{
	return t->resumed_at > t->stopped_at ? t->resumed_at - t->stopped_at : 0;
}

static void print_json(const struct timeline *t)
{
	json_t *phases = json_array(), *all = json_object();

	for (size_t i = 0; i < t->n; i++) {
		json_t *p = json_object();

		json_object_set_new(p, "phase", json_string(t->phases[i].name));
		json_object_set_new(p, "ns", json_integer((json_int_t)length(t, i)));
		json_array_append_new(phases, p);
	}
	json_object_set_new(all, "phases", phases);
	json_object_set_new(all, "ns", json_integer((json_int_t)whole(t)));
	if (t->stopped_at)
		json_object_set_new(all, "pause_ns", json_integer((json_int_t)pause_of(t)));
	json_object_set_new(all, "pages", json_integer((json_int_t)(t->bytes_read / PAGE)));
	json_object_set_new(all, "bytes_read", json_integer((json_int_t)t->bytes_read));
	if (t->stopped_at)
		json_object_set_new(all, "bytes_equal",
				    json_integer((json_int_t)t->bytes_left_out));
	json_object_set_new(all, "bytes_stored", json_integer((json_int_t)t->bytes_stored));
	json_dumpf(all, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	printf("\n");
	json_decref(all);
}

static void print_line(const char *what, uint64_t ns)
{
	printf("%-36s %10.3f ms\n", what, (double)ns / 1e6);
}

static void print_text(const struct timeline *t)
{
	for (size_t i = 0; i < t->n; i++)
		print_line(t->phases[i].name, length(t, i));
	print_line("all", whole(t));
	if (t->stopped_at)
		print_line("the tree was stopped for", pause_of(t));
	printf("pages: %" PRIu64 ", %" PRIu64 " bytes", t->bytes_read / PAGE, t->bytes_read);
	if (t->bytes_left_out)
		printf("; left out, equal to others: %" PRIu64 " bytes", t->bytes_left_out);
	printf("; page stores: %" PRIu64 " bytes\n", t->bytes_stored);
}

void timeline_print(const struct timeline *t, bool json)
{
	if (json)
		print_json(t);
	else
		print_text(t);
	fflush(stdout);
}
