/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/work.h"
#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/timeline.h"
#include "restore/restore.h"

static const struct option_row rows[] = {
	OPTION_SET(struct restore_options, detach, "detach", "return when the tree runs"),
	OPTION_TEXT(struct restore_options, pidfile, "pidfile", "FILE",
		    "write the root's pid to FILE"),
	OPTION_SET(struct restore_options, explain, "explain", "print the plan, run nothing"),
	OPTION_SET(struct restore_options, any_cpu, "any-cpu",
		   "even on a processor that lacks what the image's had"),
	OPTION_NUMBER(struct restore_options, jobs, "jobs", "N",
		      "use N workers (else one for each processor)"),
	OPTION_SET(struct restore_options, timeline, "timeline", "print where the time has gone"),
	OPTION_SET(struct restore_options, json, "json", "print it as JSON"),
	OPTION_SECONDS(struct restore_options, timeout, "timeout",
		       "give up after SECONDS (default: grows with the image)"),
	OPTION_TEXT(struct restore_options, exe_way, "exe-way", "WAY", NULL),
	OPTION_SET(struct restore_options, in_place, "in-place", NULL),
};

static int run(int argc, char **argv, const struct common *common, struct error *e)
{
	struct restore_options o = { 0 };
	struct timeline times = { 0 };
	struct operands operands;
	int status, rc = options_parse(&command_restore, argc, argv, common, &o, &operands, e);

	if (rc <= 0)
		return rc;
	if (o.jobs > WORK_MAX)
		return usage_error(&command_restore, e, "--jobs %" PRIu64 ": at most %u", o.jobs,
				   WORK_MAX);
	o.dir = operands.v[0];
	o.times = o.timeline || o.json ? &times : NULL;
	timeline_begin(o.times);
	rc = restore_run(&o, &status, e);
	if (rc < 0)
		return rc;
	if (o.times)
		timeline_print(&times, o.json);
	return WIFSIGNALED(status) ? EXIT_BY_SIGNAL(WTERMSIG(status)) : WEXITSTATUS(status);
}

const struct command command_restore = {
	.name = "restore",
	.synopsis = "DIR",
	.summary = "bring the process tree of an image back to life",
	.status = "without --detach: that of the restored root task",
	.OPTIONS(rows),
	.run = run,
};
