/* SPDX-License-Identifier: MIT */
#include "restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ends.h"
#include "base/fd.h"
#include "base/log.h"
#include "restore/check.h"
#include "restore/internal.h"
#include "restore/pidfile.h"
#include "restore/sharing.h"
#include "restore/shmem.h"

/* What a restore of a small process uses. */
#define RESTORE_HEAP ((size_t)320 * 1024)
/* How long a restore may take: this, and the time that so many bytes, or threads, a second need. */
#define TIME_SECONDS 10.0
#define TIME_BYTES (64.0 * (1 << 20))
#define TIME_TASKS 50.0

/* --- is this the machine for it? ------------------------------------------------------------------- */

/* Seconds from what the clock showed at the dump to what it shows now. */
static double jump(clockid_t clock, int64_t then)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return ((double)t.tv_sec * 1e9 + (double)t.tv_nsec - (double)then) / 1e9;
}

static int check_machine(struct restore *r, struct error *e)
{
	const Manifest *m = r->img.manifest;
	struct utsname u;
	auto_buf boot = { 0 };
	int rc;

	uname(&u);
	if (strcmp(m->arch, u.machine))
		return fail(e, 0, "the image was made on %s, this machine is %s", m->arch,
			    u.machine);
	rc = cpu_check(r, e);
	if (rc < 0)
		return rc;
	if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot) == 0 && boot.len &&
	    strncmp(boot.p, m->boot_id, strlen(m->boot_id)))
		warn("the image was made in another boot: for the program CLOCK_MONOTONIC jumps by %+.3f s and "
		     "CLOCK_BOOTTIME by %+.3f s; absolute times of these that it has kept come too late or too "
		     "early by as much",
		     jump(CLOCK_MONOTONIC, m->monotonic_ns), jump(CLOCK_BOOTTIME, m->boottime_ns));
	return 0;
}

static int link_kinds(struct restore *r, struct error *e)
{
	vec_each(rec, &r->img.records) {
		const struct kind *k = kind_by_tag(rec->type->tag);
		int rc;

		if (!k || !k->fd || !k->fd->link)
			continue;
		rc = k->fd->link(r, rec->msg, e);
		if (rc < 0)
			return within(e, rc, "%s %u", k->name, rec->id);
	}
	return 0;
}

int restore_read(struct restore *r, bool skip_pages, struct error *e)
{
	size_t n_types;
	const struct record_type *types = record_types(&n_types);
	int rc;

	timeline_mark(r->opt->times, "read the records");
	rc = image_open(&r->img, r->opt->dir, types, n_types, true, e);
	if (rc >= 0 && !skip_pages)
		rc = restore_check_before(r, e);
	timeline_mark(r->opt->times, "check, link and plan");
	if (rc < 0)
		return rc;
	debug(RESTORE, "read");
	rc = restore_check(&r->img, e);
	if (rc == 0)
		rc = tree_build(r, e);
	if (rc == 0)
		shmem_link(r);
	if (rc == 0)
		late_link(r);
	if (rc == 0)
		rc = link_kinds(r, e);
	debug(RESTORE, "checked and linked");
	return within(e, rc, "%s", r->opt->dir);
}

/* Pure but for struct host: everything up to the plans. */
static int prepare(struct restore *r, struct error *e)
{
	int rc = restore_read(r, false, e);

	if (rc < 0)
		return rc;
	rc = host_fill(r, e);
	if (rc < 0)
		return rc;
	debug(RESTORE, "host is known");
	hugepages_count(r);
	hugepages_read(&r->host);
	if (!r->opt->explain)
		rc = hugepages_check(r, e);
	if (rc < 0)
		return rc;
	rc = check_machine(r, e);
	if (rc < 0)
		return rc;
	rc = terminal_find(r, e);
	if (rc < 0)
		return rc;
	rc = terminal_decide(r, e);
	if (rc < 0)
		return rc;
	rc = planner_run(r, e);
	if (rc >= 0 && r->vdso_missing[0])
		warn("the vDSO of the image has a function that this kernel's lacks, and it will answer ENOSYS: %s",
		     r->vdso_missing);
	return rc;
}

void restore_explain(const struct restore *r, struct buf *out)
{
	for (size_t i = 0; i < r->plans.n; i++) {
		plan_title(r->plans.v[i], out);
		buf_printf(out, ":\n");
		plan_explain(&r->plans.v[i]->plan, out);
	}
	buf_printf(out, "slots, which cr opens while the root's memory is cleared:\n");
	for (size_t i = 0; i < r->slots.n; i++)
		slot_print(r, (uint32_t)i, out);
}

static void note_bytes(const struct restore *r)
{
	for (size_t i = 0; i < r->img.n_stores; i++) {
		timeline_read(r->opt->times, r->img.store_sizes[i]);
		timeline_stored(r->opt->times, r->img.manifest->files[i + 1]->size);
	}
}

/* From the first clone to the commit: all or nothing. */
static int bring_up(struct restore *r, struct pidfile *f, struct error *e)
{
	int rc;

	timeline_mark(r->opt->times, "make the tree");
	ends_block();
	rc = pidfile_open(f, r->opt->pidfile, r->processes[0].rec->id, e);
	if (rc >= 0)
		rc = run_start(r, e);
	if (rc < 0)
		return rc;
	debug(RESTORE, "all descriptors are open");
	timeline_mark(r->opt->times, "wait until all tasks are ready");
	rc = run_wait_ready(r, e);
	if (rc < 0)
		return rc;
	debug(RESTORE, "all tasks are ready");
	note_bytes(r);
	if (r->check)
		timeline_mark(r->opt->times, "wait for the check of the pages");
	rc = restore_check_end(r, e);
	if (rc < 0)
		return rc;
	timeline_mark(r->opt->times, "finish and commit");
	rc = shmem_finish(r, e);
	if (rc < 0)
		return rc;
	rc = run_outside(r, e);
	if (rc < 0)
		return rc;
	rc = stop_prepare(r, e);
	if (rc < 0)
		return rc;
	rc = slots_start(r, e);
	if (rc < 0)
		return rc;
	rc = terminal_give_first(r, e);
	if (rc < 0)
		return rc;
	return run_commit(r, e);
}

/* Where the user has set no time: what the slowest of disks and a machine with much else to do would need. */
static void set_time(struct restore *r)
{
	if (r->opt->timeout > 0)
		return;
	r->deadline = deadline_in(TIME_SECONDS + (double)restore_filled(&r->img) / TIME_BYTES +
				  (double)restore_how_many(r) / TIME_TASKS);
}

static int restore_all(struct restore *r, int *status, struct error *e)
{
	struct pidfile pidfile;
	int rc = prepare(r, e);

	if (rc < 0)
		return rc;
	if (r->opt->explain) {
		auto_buf out = { 0 };

		restore_explain(r, &out);
		fwrite(out.p, 1, out.len, stdout);
		return 0;
	}
	debug(RESTORE, "%zu plans", r->plans.n);
	set_time(r);
	rc = bring_up(r, &pidfile, e);
	if (rc < 0)
		restore_check_drop(r, e);
	slots_close(r);
	shmem_close(r, rc < 0);
	if (rc < 0) {
		(void)!ends_check(e, RESTORE_ENDED); /* whatever came of it: that is why */
		run_abort(r);
		terminal_take_back(r);
		pidfile_close(&pidfile);
		return rc;
	}
	debug(RESTORE, "committed");
	timeline_mark(r->opt->times, "let the tasks go");
	/* What is left takes microseconds, however long the rest took. */
	r->deadline = deadline_in(10);
	/* The tree is what it was, and is left alone whatever happens now. */
	if (stop_all(r, e) < 0)
		warn("%s; something of cr stays in its memory", e->text);
	else if (release_all(r, e) < 0)
		warn("%s", e->text);
	timeline_mark(r->opt->times, NULL);
	pidfile_publish(&pidfile);
	inform("restored: %zu processes, root %u", r->n_processes, r->processes[0].rec->id);
	terminal_tell_size(r);
	if (!r->opt->detach)
		return job_wait(r, status, e);
	release_part(r);
	return 0;
}

void restore_end(struct restore *r)
{
	for (size_t i = 0; i < r->plans.n; i++)
		plan_free(&r->plans.v[i]->plan);
	sharing_free(r);
	vec_free(&r->plans);
	vec_free(&r->slots);
	vec_free(&r->shared);
	vec_free(&r->notes);
	vec_free(&r->made_late);
	buf_free(&r->others);
	image_free(&r->img);
	arena_free(&r->arena);
}

int restore_run(const struct restore_options *o, int *status, struct error *e)
{
	struct restore r = { .opt = o, .self_pidfd = -1, .terminal.fd = -1 };
	int rc;

	*status = 0;
	/* Where the caller ignores it, children are reaped by the kernel and nobody learns how they ended. */
	signal(SIGCHLD, SIG_DFL);
	mem_warm(RESTORE_HEAP);
	/* Before struct host learns the limits, which the tasks inherit. */
	fd_raise_limit();
	r.deadline = deadline_in(o->timeout);
	rc = restore_all(&r, status, e);
	restore_end(&r);
	if (r.self_pidfd >= 0)
		close(r.self_pidfd);
	if (r.terminal.fd >= 0)
		close(r.terminal.fd);
	return rc;
}
