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

static uint64_t calls(const struct timeline *t, size_t i)
{
	uint64_t to = i + 1 < t->n ? t->phases[i + 1].calls : t->calls;

	return to - t->phases[i].calls;
}

static uint64_t all_calls(const struct timeline *t)
{
	return t->n ? t->calls - t->phases[0].calls : 0;
}

static uint64_t whole(const struct timeline *t)
{
	return t->n ? t->to - t->phases[0].from : 0;
}

static uint64_t pause_of(const struct timeline *t)
{
	return t->resumed_at > t->stopped_at ? t->resumed_at - t->stopped_at : 0;
}

static void add_number(json_t *to, const char *name, uint64_t n)
{
	json_object_set_new(to, name, json_integer((json_int_t)n));
}

static void print_json(const struct timeline *t)
{
	json_t *phases = json_array(), *all = json_object();

	for (size_t i = 0; i < t->n; i++) {
		json_t *p = json_object();

		json_object_set_new(p, "phase", json_string(t->phases[i].name));
		add_number(p, "ns", length(t, i));
		if (t->has_calls)
			add_number(p, "calls", calls(t, i));
		add_number(p, "pages", t->phases[i].bytes / PAGE);
		add_number(p, "bytes_read", t->phases[i].bytes);
		json_array_append_new(phases, p);
	}
	json_object_set_new(all, "phases", phases);
	add_number(all, "ns", whole(t));
	if (t->stopped_at)
		add_number(all, "pause_ns", pause_of(t));
	if (t->has_calls)
		add_number(all, "calls", all_calls(t));
	add_number(all, "pages", t->bytes_read / PAGE);
	add_number(all, "bytes_read", t->bytes_read);
	if (t->stopped_at)
		add_number(all, "bytes_equal", t->bytes_left_out);
	add_number(all, "bytes_stored", t->bytes_stored);
	json_dumpf(all, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	printf("\n");
	json_decref(all);
}

static void print_line(const char *what, uint64_t ns)
{
	printf("%-36s %10.3f ms", what, (double)ns / 1e6);
}

static void print_details(const struct timeline *t, uint64_t n_calls, uint64_t bytes)
{
	if (t->has_calls)
		printf(" %8" PRIu64 " calls", n_calls);
	if (bytes)
		printf(" %8" PRIu64 " pages", bytes / PAGE);
	printf("\n");
}

static void print_text(const struct timeline *t)
{
	for (size_t i = 0; i < t->n; i++) {
		print_line(t->phases[i].name, length(t, i));
		print_details(t, calls(t, i), t->phases[i].bytes);
	}
	print_line("all", whole(t));
	print_details(t, all_calls(t), 0);
	if (t->stopped_at) {
		print_line("the tree was stopped for", pause_of(t));
		printf("\n");
	}
	printf("pages: %" PRIu64 ", %" PRIu64 " bytes", t->bytes_read / PAGE, t->bytes_read);
	if (t->bytes_left_out)
		printf("; left out, equal to others: %" PRIu64 " bytes", t->bytes_left_out);
	printf("; page stores: %" PRIu64 " bytes\n", t->bytes_stored);
	if (!t->has_calls)
		printf("system calls: not counted (needs CAP_PERFMON, and tracefs at /sys/kernel/tracing)\n");
}

void timeline_print(const struct timeline *t, bool json)
{
	if (json)
		print_json(t);
	else
		print_text(t);
	fflush(stdout);
}
