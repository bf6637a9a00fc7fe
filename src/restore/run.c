/* SPDX-License-Identifier: MIT */
/*
 * Running the plans: the region that all share, the first clone, the commit barrier. Until the commit
 * every failure ends all that has been started.
 */
#include "restore/relations.h"
#include "restore/shmem.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/ends.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "proc/task.h"

/* cr's own beside those of slots and shared memory. */
#define MORE_FDS 64
#define LOOK_AGAIN_NS (20 * 1000 * 1000)
#define ZOMBIE_SECONDS 3.0
#define NOBODY_TURNS 200

static struct region_head *head(struct restore *r)
{
	return r->region;
}

static struct task_plan *start_plan(struct restore *r)
{
	return r->plans.v[r->plans.n - 1];
}

static int64_t result_of(struct restore *r, const struct task_plan *t, uint32_t op)
{
	const int64_t *results = (void *)((char *)r->region + plan_results_at(&t->plan, t->at));

	return __atomic_load_n(&results[op], __ATOMIC_ACQUIRE);
}

/* --- the region ---------------------------------------------------------------------------------- */

/* Shared anonymous memory: the tasks inherit it by their clones, nobody needs a descriptor for it. */
static int map_region(struct restore *r, struct error *e)
{
	void *want = (void *)(uintptr_t)r->hole.start;
	size_t code = (cr_rst_size() + 4095) & ~4095ul;
	void *p = mmap(want, r->region_size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return fail(e, errno, "mmap of %llu bytes for the restorer at %p",
			    (unsigned long long)r->region_size, want);
	r->region = p;
	(void)madvise(p, r->region_used, MADV_POPULATE_WRITE);
	memcpy((char *)p + CODE_AT, cr_rst_begin(), cr_rst_size());
	if (mprotect((char *)p + CODE_AT, code, PROT_READ | PROT_EXEC) < 0)
		return fail(e, errno, "mprotect of the restorer");
	return 0;
}

/* --- signals of cr --------------------------------------------------------------------------------- */

void restore_keep_blocked(struct restore *r, uint32_t signal)
{
	if (signal >= 1 && signal <= 64)
		r->blocked |= 1ull << (signal - 1);
}

#define UNBLOCKABLE (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1))

static bool is_mask_of_image(const struct restore *r, uint64_t mask)
{
	vec_each(rec, &r->img.records) {
		const ProtobufCFieldDescriptor *f;

		if (strcmp(rec->type->tag, "CTXT"))
			continue;
		f = protobuf_c_message_descriptor_get_field_by_name(rec->type->desc, "sigmask");
		/* as the kernel takes it */
		if ((*(uint64_t *)((char *)rec->msg + f->offset) & ~UNBLOCKABLE) == mask)
			return true;
	}
	return false;
}

/*
 * All signals are blocked but one, in cr and so in every task, until rt_sigreturn sets the program's
 * own mask; another mask in /proc/PID/task/TID/status then tells that a thread has left. The one is
 * ignored by default, and chosen so that no thread of the image has this very mask, and that none gets
 * the signal while it is being rebuilt. 0: there is no such.
 */
uint64_t restore_marker_mask(const struct restore *r)
{
	static const int odd[] = { SIGURG, SIGWINCH, SIGCONT, SIGCHLD };

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		uint64_t bit = 1ull << (odd[i] - 1), mask = ~(UNBLOCKABLE | bit);

		if (!(r->blocked & bit) && !is_mask_of_image(r, mask))
			return mask;
	}
	return 0;
}

static int block_signals(struct restore *r, struct error *e)
{
	uint64_t mask = r->marker;

	if (!mask)
		return fail(e, 0,
			    "SIGURG, SIGWINCH, SIGCONT and SIGCHLD are all pending somewhere, or "
			    "the one that is not blocked in a thread; one must be left for cr");
	/* Not libc's call, which leaves out the signals that libc uses itself. */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask)) < 0)
		return fail(e, errno, "rt_sigprocmask");
	return 0;
}

/* --- failures, in words ---------------------------------------------------------------------------- */

static void add_holder_of(uint32_t pid, struct buf *out)
{
	struct proc_stat st, parent;
	struct error ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);
	auto_fd proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || proc_stat_read(proc, &st, &ignored) < 0) {
		buf_printf(out, "number %u is taken: it lives on as a process group or session",
			   pid);
		return;
	}
	if (st.state != 'Z') {
		buf_printf(
			out,
			"number %u is taken by '%s' (parent %d); end that task, or restore later",
			pid, st.comm, st.ppid);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d", st.ppid);
	auto_fd above = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (above < 0 || proc_stat_read(above, &parent, &ignored) < 0)
		parent = (struct proc_stat){ .comm = "?" };
	buf_printf(
		out,
		"number %u is taken by '%s', which has ended, but its parent '%s' (pid %d) has not waited "
		"for it yet",
		pid, st.comm, parent.comm, st.ppid);
}

static void add_clone_error(const struct task_plan *t, uint32_t index, int64_t result,
			    struct buf *out)
{
	uint32_t tid = (uint32_t)t->plan.ops.v[index].op.arg[2];

	if (result == -EEXIST)
		add_holder_of(tid, out);
	else if (result == -EPERM)
		buf_printf(out,
			   "task %u: clone with a chosen number: needs CAP_CHECKPOINT_RESTORE or "
			   "CAP_SYS_ADMIN",
			   tid);
	else
		buf_printf(out, "task %u: clone with a chosen number: %s%s", tid,
			   strerror((int)-result),
			   result == -EINVAL ? " (is it above /proc/sys/kernel/pid_max?)" : "");
}

/* On the way a process has mappings of cr besides its own, some forty at most. */
static bool has_too_many_maps(const struct task_plan *t, struct error *e)
{
	auto_buf text = { 0 };
	const char *p;
	uint64_t most, n = t->process ? t->process->mm->n_mappings : 0;

	if (n < 1000 || fd_read_record(AT_FDCWD, "/proc/sys/vm/max_map_count", &text) < 0)
		return false;
	p = text.p;
	if (!str_take_u64(&p, 10, &most) || n + 64 < most)
		return false;
	(void)!fail(e, 0,
		    "task %u: has %llu mappings; with those that the restore needs besides "
		    "that is more than vm.max_map_count (%llu) allows: raise it (sysctl "
		    "vm.max_map_count=%llu)",
		    t->process->rec->id, (unsigned long long)n, (unsigned long long)most,
		    (unsigned long long)(n + 64));
	return true;
}

static int failed_op(struct restore *r, uint32_t plan, uint32_t index, int64_t result,
		     struct error *e)
{
	struct task_plan *t;
	const struct plan_op *o;
	auto_buf text = { 0 };

	if (plan >= r->plans.n || index >= r->plans.v[plan]->plan.ops.n)
		return fail(e, 0, "a task reported a failure that no plan has");
	t = r->plans.v[plan];
	o = &t->plan.ops.v[index];
	if (o->op.code == CR_RST_CLONE && o->op.arg[2]) {
		add_clone_error(t, index, result, &text);
		return fail(e, 0, "%s", text.p);
	}
	if (result == -ENOMEM && has_too_many_maps(t, e))
		return -EINVAL;
	r->is_unread = o->op.code == CR_RST_READ || o->op.code == CR_RST_READV ||
		       o->op.code == CR_RST_HASH;
	plan_title(t, &text);
	if (o->note)
		buf_printf(&text, ": %s", o->note);
	buf_printf(&text, ": ");
	plan_explain_op(&t->plan, index, &text);
	if (result >= 0 || result < -4095)
		return fail(e, 0, "%s: gave %#llx", text.p, (unsigned long long)result);
	return fail(e, (int)-result, "%s", text.p);
}

static int reported(struct restore *r, struct error *e)
{
	const struct cr_rst_report *rep = &head(r)->report;

	if (__atomic_load_n(&rep->state, __ATOMIC_ACQUIRE) != 2)
		return 0;
	return failed_op(r, rep->task, rep->index, rep->result, e);
}

/* A shell that has become cr by exec leaves it the children that it had; they are none of cr's. */
static int read_children(struct buf *b)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	return fd_read_file(AT_FDCWD, path, b);
}

static void note_others(struct restore *r)
{
	auto_buf b = { 0 };

	if (read_children(&b) >= 0)
		buf_printf(&r->others, " %s", b.p);
}

static bool is_other(const struct restore *r, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), " %d ", pid);
	return r->others.len && strstr(r->others.p, text);
}

/* The one that has made the root, and is done. */
static bool is_session_maker(const struct restore *r, const siginfo_t *si)
{
	return r->session_plan && si->si_pid == (pid_t)r->session_plan->tid &&
	       si->si_code == CLD_EXITED && si->si_status == 0;
}

/* The root or, by then, one of its orphans has died without a report. */
static int died(struct restore *r, struct error *e)
{
	siginfo_t si = { 0 };
	int rc;

	if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || !si.si_pid)
		return 0;
	if (is_other(r, si.si_pid) || is_session_maker(r, &si)) {
		waitpid(si.si_pid, NULL, __WALL);
		return 0;
	}
	rc = reported(r, e);
	if (rc < 0)
		return rc;
	/* The last operation that gave a result stands before the one it died in. */
	if (si.si_code == CLD_EXITED)
		return fail(e, 0, "task %d: exited with status %d in the middle of its plan",
			    si.si_pid, si.si_status);
	return fail(e, 0, "task %d: killed by SIG%s in the middle of its plan", si.si_pid,
		    sigabbrev_np(si.si_status) ? sigabbrev_np(si.si_status) : "?");
}

/* --- starting -------------------------------------------------------------------------------------- */

static void write_plans(struct restore *r)
{
	for (size_t i = 0; i < r->plans.n; i++) {
		struct task_plan *t = r->plans.v[i];

		plan_write(&t->plan, r->region, t->at, TASK_STACK,
			   offsetof(struct region_head, report));
	}
}

static bool has_task(uint32_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);
	return access(path, F_OK) == 0;
}

/* Whoever has the number has ended, but is not waited for. */
static bool has_zombie(uint32_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);
	auto_fd proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return proc_state(proc) == 'Z';
}

/*
 * Whether clone3 could have this number. F_SETOWN looks for the number alone and not for who has it, so that
 * it finds one that nobody has but that is not given back yet, or is that of a group or session.
 */
static bool is_free(int fd, uint32_t pid)
{
	return fcntl(fd, F_SETOWN, (pid_t)pid) < 0 && errno == ESRCH;
}

/*
 * The processes of a tree that a dump has ended go to init, which waits for them when it comes to it; until
 * then their numbers are taken, and those of their groups and sessions with them. The number of one that
 * has been waited for is free only a moment later. What somebody has and keeps is told by the clone.
 */
static void await_numbers(const struct restore *r)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct deadline d = deadline_in(ZOMBIE_SECONDS);
	auto_fd fd = eventfd(0, EFD_CLOEXEC);
	uint32_t nobodys = 0;
	bool any = false;

	/* All of them first: a number that nobody has may be that of the group of one of them. */
	for (size_t i = 0; i < r->relatives->n && fd >= 0; i++) {
		uint32_t id = r->relatives->v[i].id;

		while (!is_free(fd, id) && (any = true) && has_zombie(id) && !deadline_is_over(d))
			nanosleep(&pause, NULL);
	}
	for (size_t i = 0; any && i < r->relatives->n; i++) {
		uint32_t id = r->relatives->v[i].id;

		while (!is_free(fd, id) && !has_task(id) && nobodys++ < NOBODY_TURNS)
			nanosleep(&pause, NULL);
	}
}

/* What came of the clone in this plan, which another runs: waits for it. */
static int64_t await_clone(struct restore *r, const struct task_plan *t)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	int64_t result;

	while (!(result = result_of(r, t, t->clone_op)) && has_task(t->tid) && !has_zombie(t->tid))
		nanosleep(&pause, NULL);
	return result ? result : result_of(r, t, t->clone_op);
}

/*
 * Readers, and the threads of cr that check pages, live for a while, under numbers that the kernel chooses: behind the last one it has given, and that is what
 * it goes by, not the numbers that are wanted. In a young pid namespace they would get those that others still need.
 * False: this may not be written. Readers are worth that one may find a number taken, threads are not.
 */
static bool keep_off_numbers(const struct restore *r)
{
	const char *path = "/proc/sys/kernel/ns_last_pid";
	uint64_t last = 0, highest = 0;
	auto_buf text = { 0 };
	const char *p;

	for (size_t i = 0; i < r->n_processes; i++)
		for (size_t k = 0; k < r->processes[i].n_threads; k++)
			if (r->processes[i].threads[k].rec->id > highest)
				highest = r->processes[i].threads[k].rec->id;
	for (size_t i = 0; i < r->relatives->n; i++)
		if (r->relatives->v[i].id > highest)
			highest = r->relatives->v[i].id;
	if (fd_read_file(AT_FDCWD, path, &text) < 0)
		return false;
	p = text.p;
	if (!str_take_u64(&p, 10, &last))
		return false;
	if (last >= highest)
		return true;
	auto_fd fd = fd_open(AT_FDCWD, path, O_WRONLY);
	return fd >= 0 && dprintf(fd, "%" PRIu64, highest) > 0;
}

/*
 * The number of a process that has been waited for is free only a moment later: a number that is
 * taken and that nobody has is tried again for a while.
 */
static int clone_root(struct restore *r, struct error *e)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t (*run)(struct cr_rst_plan *);
	const struct task_plan *t = start_plan(r), *session = r->session_plan;
	char *code = (char *)r->region + CODE_AT;

	/* The copy in the region: the child goes on in the code that made it. */
	run = (void *)(code + ((const char *)cr_rst_run - (const char *)cr_rst_begin()));
	for (unsigned int turn = 0;; turn++) {
		const struct task_plan *last = t;
		int64_t result;

		/* A helper between its makers is bound to nobody: it would wait for ever when cr is killed. */
		head(r)->report = (struct cr_rst_report){ .watched = (uint32_t)r->host.pid };
		(void)run((void *)((char *)r->region + t->at));
		result = result_of(r, t, t->clone_op);
		if (result >= 0 && session) {
			last = session;
			result = await_clone(r, session);
		}
		if (result > 0) {
			debug(RESTORE, "root %lld is there", (long long)result);
			return 0;
		}
		if (result != -EEXIST || turn == 50 || has_task(r->processes[0].rec->id)) {
			int rc = result ? reported(r, e) : died(r, e);

			return rc < 0 ? rc
				      : failed_op(r, last->plan.task, last->clone_op, result, e);
		}
		run_abort(r);
		write_plans(r);
		nanosleep(&pause, NULL);
	}
}

int run_start(struct restore *r, struct error *e)
{
	int rc = 0;

	if ((readers_are_there(r) || r->checks_beside) && !keep_off_numbers(r))
		rc = restore_check_instead(r, e);
	if (rc >= 0)
		rc = map_region(r, e);
	if (rc < 0)
		return rc;
	write_plans(r);
	note_others(r);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return fail(e, errno, "PR_SET_CHILD_SUBREAPER");
	rc = block_signals(r, e);
	if (rc < 0)
		return rc;
	await_numbers(r);
	mem_hold_back(true);
	rc = clone_root(r, e);
	mem_hold_back(false);
	if (rc < 0)
		return rc;
	if (r->checks_beside) /* a table that threads share grows slowly */
		fd_make_room(r->slots.n + 2 * r->n_shmems + MORE_FDS);
	restore_check_begin(r);
	rc = shmem_make_all(r, e);
	if (rc >= 0)
		rc = slots_open(r, e);
	if (rc < 0)
		return rc;
	rc = terminal_leave(r, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->plans.n; i++)
		plan_set_slots(&r->plans.v[i]->plan, r->region, r->plans.v[i]->at,
			       slots_numbers(r));
	__atomic_store_n(&head(r)->opened, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &head(r)->opened, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return shmem_fill_all(r, e);
}

int run_wait_ready(struct restore *r, struct error *e)
{
	const struct timespec ts = { .tv_nsec = LOOK_AGAIN_NS };
	uint32_t *word = &head(r)->ready, want = restore_how_many(r);

	for (;;) {
		uint32_t now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		int rc = reported(r, e);

		if (rc < 0)
			return rc;
		if (restore_check_has_failed(r))
			return restore_check_end(r, e);
		if (now >= want) {
			/* By now the root is in its group. */
			if (r->session_plan)
				waitpid((pid_t)r->session_plan->tid, NULL, __WALL);
			return 0;
		}
		if (!syscall(SYS_futex, word, FUTEX_WAIT, now, &ts, NULL, 0) || errno != ETIMEDOUT)
			continue;
		rc = died(r, e);
		if (rc < 0)
			return rc;
		rc = ends_check(e, RESTORE_ENDED);
		if (rc < 0)
			return rc;
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "%u of %u tasks and helpers are ready", now,
				    want);
	}
}

/* What is written from outside, while the tasks wait. */
static int outside_thread(struct restore *r, const struct rthread *th, bool leader, struct error *e)
{
	auto_fd proc = -1;
	char path[48];

	for (size_t i = 0; i < n_kinds; i++) {
		const struct task_ops *ops = kinds[i]->task;
		const void *rec;
		int rc;

		if (!ops || !ops->outside || (ops->scope != SCOPE_THREAD && !leader))
			continue;
		rec = restore_record(r, kinds[i]->record.tag,
				     ops->scope == SCOPE_THREAD ? th->rec->id : th->rec->process);
		if (!rec)
			continue;
		snprintf(path, sizeof(path), "/proc/%u/task/%u", th->rec->process, th->rec->id);
		if (proc < 0)
			proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0)
			return fail(e, errno, "open %s", path);
		rc = ops->outside(r, rec, proc, e);
		if (rc < 0)
			return within(e, rc, "task %u: %s", th->rec->id, kinds[i]->name);
	}
	return 0;
}

int run_outside(struct restore *r, struct error *e)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		for (size_t k = 0; k < r->processes[i].n_threads; k++) {
			int rc = outside_thread(r, &r->processes[i].threads[k], k == 0, e);

			if (rc < 0)
				return rc;
		}
	}
	return slots_set_owners(r, e);
}

int run_commit(struct restore *r, struct error *e)
{
	int rc = ends_check(e, RESTORE_ENDED);

	if (rc < 0)
		return rc;
	__atomic_store_n(&head(r)->go, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &head(r)->go, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return 0;
}

/* --- failing --------------------------------------------------------------------------------------- */

/* Gives whether there was one. */
static bool end_children(const struct restore *r)
{
	auto_buf b = { 0 };
	const char *s;
	uint64_t pid;
	bool any = false;

	if (read_children(&b) < 0)
		return false;
	for (s = b.p; str_take_u64(&s, 10, &pid); s += *s == ' ') {
		if (is_other(r, (pid_t)pid))
			continue;
		kill((pid_t)pid, SIGKILL);
		any = waitpid((pid_t)pid, NULL, __WALL) == (pid_t)pid || any;
	}
	return any;
}

/* Whoever loses its parent becomes a child of cr, so this ends only when all are gone. */
void run_abort(struct restore *r)
{
	if (!r->region)
		return;
	while (end_children(r))
		continue;
}
