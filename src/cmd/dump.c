/* SPDX-License-Identifier: MIT */
/* cr dump: saves a process and its descendants. */
#include <inttypes.h>

#include "base/log.h"
#include "base/work.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/timeline.h"
#include "dump/dump.h"

#define DEFAULT_DIR "image"

static const struct option_row rows[] = {
	OPTION_SET_ALONE(struct dump_options, leave_running, "leave-running", "leave-stopped",
			 "let the process go on as soon as all is read"),
	OPTION_SET(struct dump_options, leave_stopped, "leave-stopped",
		   "leave the process stopped, as by SIGSTOP"),
	OPTION_SET(struct dump_options, force, "force", "replace an image that is there already"),
	OPTION_CLEAR(struct dump_options, sync, "no-sync", "do not wait for the disk"),
	OPTION_TEXT(struct dump_options, compress, "compress", "WAY",
		    "compress pages: zstd or lz4, a level like zstd:9"),
	OPTION_SET(struct dump_options, dedup, "dedup", "store pages with equal contents once"),
	OPTION_NUMBER(struct dump_options, jobs, "jobs", "N",
		      "use N workers (else one for each processor)"),
	OPTION_SET(struct dump_options, timeline, "timeline", "print where the time has gone"),
	OPTION_SET(struct dump_options, json, "json", "print it as JSON"),
	OPTION_SECONDS(struct dump_options, timeout, "timeout",
		       "give up after SECONDS (else 10 for each wait)"),
};

static int check_options(struct dump_options *o, struct error *e)
{
	struct error why;

	if (o->jobs > WORK_MAX)
		return usage_error(&command_dump, e, "--jobs %" PRIu64 ": at most %u", o->jobs,
				   WORK_MAX);
	if (o->compress && pack_parse(o->compress, &o->pack, &why) < 0)
		return usage_error(&command_dump, e, "--compress: %s", why.text);
	return 0;
}

static int run(int argc, char **argv, const struct common *common, struct error *e)
{
	struct dump_options o = { .sync = true };
	struct timeline times = { 0 };
	struct operands operands;
	int rc = options_parse(&command_dump, argc, argv, common, &o, &operands, e);

	if (rc <= 0)
		return rc;
	rc = check_options(&o, e);
	if (rc >= 0)
		rc = operand_pid(&command_dump, operands.v[0], &o.pid, e);
	if (rc < 0)
		return rc;
	o.dir = operands.n > 1 ? operands.v[1] : DEFAULT_DIR;
	o.times = o.timeline || o.json ? &times : NULL;
	timeline_begin(o.times);
	rc = dump_run(&o, e);
	if (rc < 0)
		return rc;
	if (o.times)
		timeline_print(&times, o.json);
	inform("process %d is saved in %s", o.pid, o.dir);
	return STATUS_DONE;
}

const struct command command_dump = {
	.name = "dump",
	.synopsis = "PID [DIR]",
	.summary = "save a process and its descendants, and end them",
	.status = "3 saved, but the process did not end",
	.OPTIONS(rows),
	.run = run,
};
