/* SPDX-License-Identifier: MIT */
/* Filters of system calls: what is refused, what is shared, and in which way they are installed again. */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/cbpf.h"
#include "files.pb-c.h"
#include "kind-room.h"
#include "seccomp.pb-c.h"
#include "supervisor.pb-c.h"
#include "tap.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Answers `verdict` to one call and lets all others pass. */
#define ONE(nr, verdict)                                                         \
	{                                                                        \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),                           \
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1), \
			BPF_STMT(BPF_RET | BPF_K, verdict),                      \
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),            \
	}
static const struct sock_filter some[] = ONE(1000, SECCOMP_RET_ERRNO | 1);
static const struct sock_filter other[] = ONE(1001, SECCOMP_RET_ERRNO | 1);
static const struct sock_filter no_return[] = ONE(SYS_rt_sigreturn, SECCOMP_RET_TRAP);
static const struct sock_filter no_exit[] = ONE(SYS_exit, SECCOMP_RET_ERRNO | 1);
static const struct sock_filter no_seccomp[] = ONE(SYS_seccomp, SECCOMP_RET_ERRNO | 1);
static const struct sock_filter no_prctl[] = ONE(SYS_prctl, SECCOMP_RET_ERRNO | 1);
static const struct sock_filter asks[] = ONE(1000, SECCOMP_RET_USER_NOTIF);
static const struct sock_filter asks_for_close[] = ONE(SYS_close, SECCOMP_RET_USER_NOTIF);
static const struct sock_filter computes[] = { BPF_STMT(BPF_RET | BPF_A, 0) };

/* --- dump --------------------------------------------------------------------------------------- */

static struct held_filter held(const struct held_filter *below, const struct sock_filter *code,
			       size_t n)
{
	return (struct held_filter){ .below = below,
				     .depth = below ? below->depth + 1 : 1,
				     .n = (uint32_t)n,
				     .code = code };
}

static int dump_one(struct dump *d, uint32_t tid, const struct held_filter *newest, bool alone,
		    Seccomp *m, struct error *e)
{
	struct proc_status status = { .seccomp = newest ? 2 : 1, .no_new_privs = alone };
	struct held_thread thread = { .filter = newest };
	struct task_view v = {
		.pid = 7, .tid = (int)tid, .id = tid, .status = &status, .held = &thread
	};

	seccomp__init(m);
	m->id = tid;
	return room_kind("seccomp")->task->dump(d, &v, m, e);
}

static const char *why_not(const struct held_filter *newest, bool alone)
{
	static struct error e;
	struct dump d = { 0 };
	Seccomp m;
	int rc = dump_one(&d, 7, newest, alone, &m, &e);

	room_dump_free(&d);
	return rc < 0 ? e.text : "";
}
#define WHY_NOT(want, alone, newest) CU_ASSERT_PTR_NOT_NULL(strstr(why_not(newest, alone), want))

static void what_cannot_come_back_is_refused(void)
{
	struct held_filter a = held(NULL, some, 4), b, c;

	CU_ASSERT_STRING_EQUAL(why_not(&a, true), "");
	CU_ASSERT_STRING_EQUAL(why_not(&a, false), "");
	b = held(&a, asks, 4);
	WHY_NOT("asks a listener", true, &b);
	b = held(&a, computes, 1);
	WHY_NOT("computes its verdict", true, &b);
	b = held(&a, no_return, 4);
	WHY_NOT("forbids rt_sigreturn", true, &b);
	b = held(&a, no_exit, 4);
	CU_ASSERT_STRING_EQUAL(why_not(&b, true), "");
	WHY_NOT("forbids exit", false, &b);
	a = held(NULL, no_seccomp, 4);
	b = held(&a, some, 4);
	CU_ASSERT_STRING_EQUAL(why_not(&b, true), "");
	b.flags = SECCOMP_FILTER_FLAG_LOG;
	WHY_NOT("filter 2 of 2 could not be installed again", true, &b);
	b = held(&a, no_prctl, 4);
	CU_ASSERT_STRING_EQUAL(why_not(&b, true), "");
	c = held(&b, some, 4);
	WHY_NOT("filter 3 of 3 could not be installed again", true, &c);
}

static void equal_filters_are_kept_once(void)
{
	struct held_filter a = held(NULL, some, 4), b = held(&a, other, 4),
			   c = held(&a, no_exit, 4);
	struct error e = { 0 };
	struct dump d = { 0 };
	Seccomp m;

	CU_ASSERT_EQUAL_FATAL(dump_one(&d, 7, &b, true, &m, &e), 1);
	CU_ASSERT(m.mode == 2 && m.alone && !m.like && !m.like_count && m.n_filters == 2);
	CU_ASSERT(m.filters[1]->program.len == sizeof(other) &&
		  m.filters[1]->program.data == (const uint8_t *)other);
	CU_ASSERT_EQUAL_FATAL(dump_one(&d, 8, &b, true, &m, &e), 1);
	CU_ASSERT(m.like == 7 && m.like_count == 2 && m.n_filters == 0);
	CU_ASSERT_EQUAL_FATAL(dump_one(&d, 9, &c, true, &m, &e), 1);
	CU_ASSERT(m.like == 7 && m.like_count == 1 && m.n_filters == 1);
	CU_ASSERT_EQUAL_FATAL(dump_one(&d, 10, NULL, true, &m, &e), 1);
	CU_ASSERT(m.mode == 1 && !m.n_filters);
	/* Not all alike, and this one could not add what it has more. */
	CU_ASSERT(dump_one(&d, 11, &c, false, &m, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "not those of its leader"));
	room_dump_free(&d);
}

/* --- a filter that asks a listener ------------------------------------------------------------------ */

static void add_listener(struct dump *d, uint32_t id)
{
	*vec_add(&d->views) =
		(struct fd_view){ .link = "anon_inode:seccomp notify", .id = id, .dup = -1 };
}

static void one_listener_is_that_of_the_filter_that_asks(void)
{
	struct held_filter a = held(NULL, some, 4), b = held(&a, asks, 4), c = held(&b, some, 4);
	struct error e = { 0 };
	struct dump d = { 0 };
	Seccomp m;

	add_listener(&d, 5);
	CU_ASSERT_EQUAL_FATAL(dump_one(&d, 7, &c, true, &m, &e), 1);
	CU_ASSERT(m.n_filters == 3 && !m.filters[0]->has_listener && m.filters[1]->listener == 5 &&
		  !m.filters[2]->has_listener);
	/* Another that asks. */
	a = held(NULL, asks_for_close, 4);
	CU_ASSERT(dump_one(&d, 7, &a, true, &m, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "cannot be saved for several"));
	room_dump_free(&d);
	d = (struct dump){ 0 };
	add_listener(&d, 5);
	CU_ASSERT(dump_one(&d, 7, &a, true, &m, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "forbids close"));
	add_listener(&d, 6);
	CU_ASSERT(dump_one(&d, 7, &c, true, &m, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "nobody tells which"));
	room_dump_free(&d);
}

static int dump_supervisor(struct dump *d, int tid, uint32_t seccomp, Supervisor *m,
			   struct error *e)
{
	struct proc_status status = { .seccomp = seccomp };
	struct held_thread thread = { 0 };
	struct task_view v = {
		.pid = 7, .tid = tid, .id = (uint32_t)tid, .status = &status, .held = &thread
	};

	supervisor__init(m);
	return room_kind("supervisor")->task->dump(d, &v, m, e);
}

static void who_has_a_listener_waits_for_it(void)
{
	struct held_filter a = held(NULL, asks, 4);
	const struct held_thread asking = { .filter = &a };
	struct error e = { 0 };
	struct dump d = { 0 };
	Supervisor m;

	CU_ASSERT_EQUAL(dump_supervisor(&d, 7, 0, &m, &e), 0);
	add_listener(&d, 5);
	CU_ASSERT_EQUAL(dump_supervisor(&d, 7, 0, &m, &e), 1);
	CU_ASSERT_EQUAL(m.listener, 5);
	CU_ASSERT_EQUAL(dump_supervisor(&d, 8, 0, &m, &e), 0);
	/* Beside one who is to make it. */
	d.held = &asking;
	CU_ASSERT_EQUAL(dump_supervisor(&d, 8, 0, &m, &e), 1);
	CU_ASSERT_EQUAL(m.listener, 5);
	CU_ASSERT(dump_supervisor(&d, 7, 2, &m, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "under seccomp itself"));
	room_dump_free(&d);
}

/* What it says in a child that may be under seccomp itself. */
static const char *probe_in_child(bool under_seccomp, struct error *shared)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct proc_status status = { .seccomp = 2 };
		const struct task_view v = { .status = &status };
		struct sock_fprog prog = { 4, (struct sock_filter *)(uintptr_t)some };

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (under_seccomp && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(1);
		*shared = (struct error){ 0 };
		(void)!room_kind("seccomp")->task->probe(&v, shared);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return shared->text;
}

static void a_tracer_under_seccomp_is_told(void)
{
	struct error *e =
		mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (geteuid() == 0) {
		CU_ASSERT_STRING_EQUAL(probe_in_child(false, e), "");
		CU_ASSERT_PTR_NOT_NULL(strstr(probe_in_child(true, e), "not under seccomp itself"));
	} else {
		CU_ASSERT_PTR_NOT_NULL(strstr(probe_in_child(false, e), "needs CAP_SYS_ADMIN"));
	}
	munmap(e, sizeof(*e));
}

/* --- restore ------------------------------------------------------------------------------------ */

#define MAX_THREADS 3
struct tree {
	struct restore r;
	Process process;
	Thread threads[MAX_THREADS];
	uint32_t tids[MAX_THREADS];
	Seccomp of[MAX_THREADS];
	SeccompFilter filters[2 * MAX_THREADS], *list[2 * MAX_THREADS];
};

static void put(struct restore *r, const char *tag, uint32_t id, const void *msg)
{
	*vec_add(&r->records) = (struct room_record){ tag, id, msg };
}

/* Threads 7, 8, 9; each may install filters, and has none yet. */
static void plant(struct tree *t, size_t n)
{
	memset(t, 0, sizeof(*t));
	process__init(&t->process);
	t->process.threads = t->tids;
	t->process.n_threads = n;
	put(&t->r, "PROC", 7, &t->process);
	for (size_t i = 0; i < n; i++) {
		t->tids[i] = (uint32_t)(7 + i);
		thread__init(&t->threads[i]);
		t->threads[i].process = 7;
		put(&t->r, "THRD", t->tids[i], &t->threads[i]);
		seccomp__init(&t->of[i]);
		t->of[i].mode = 2;
		t->of[i].alone = true;
		put(&t->r, "SECC", t->tids[i], &t->of[i]);
	}
	for (size_t i = 0; i < LENGTH(t->list); i++) {
		seccomp_filter__init(&t->filters[i]);
		t->filters[i].program.data = (uint8_t *)(uintptr_t)some;
		t->filters[i].program.len = sizeof(some);
		t->list[i] = &t->filters[i];
	}
	for (size_t i = 0; i < n; i++)
		t->of[i].filters = &t->list[2 * i];
}

/* The plan, which is given up, or the error. */
static const char *told(struct tree *t, struct plan *p, int rc, const struct error *e)
{
	auto_buf text = { 0 };

	if (rc < 0)
		buf_printf(&text, "%s", e->text);
	else
		plan_explain(p, &text);
	buf_add(&text, "", 1);
	plan_free(p);
	return arena_strdup(&t->r.arena, text.p);
}

/* The plan of thread i, or the error; keeper: of the thread that is there for the others. */
static const char *plan_of(struct tree *t, size_t i, bool keeper)
{
	const struct task_ops *ops = room_kind("seccomp")->task;
	struct error e = { 0 };
	struct plan p;
	int rc;

	plan_init(&p, &t->r.arena, 7);
	rc = keeper ? ops->emit_keeper(&t->r, &p, 7, &e)
		    : ops->emit(&t->r, &p, &t->of[i], t->tids[i], &e);
	return told(t, &p, rc, &e);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void one_thread_installs_its_own(void)
{
	struct tree t;
	const char *plan;

	plant(&t, 1);
	t.of[0].n_filters = 2;
	t.list[0]->program.data = (uint8_t *)(uintptr_t)no_seccomp;
	plan = plan_of(&t, 0, false);
	CU_ASSERT(count(plan, "seccomp(") == 1 && count(plan, "prctl(") == 1);
	CU_ASSERT(count(plan, "wait") == 0 && count(plan_of(&t, 0, true), "seccomp(") == 0);
	room_restore_free(&t.r);
}

static void what_all_have_comes_from_one(void)
{
	struct tree t;
	const char *plan;

	plant(&t, 3);
	t.of[0].n_filters = 2;
	t.of[1].like = t.of[2].like = 7;
	t.of[1].like_count = 2;
	t.of[2].like_count = 1;
	t.of[2].n_filters = 1;
	t.list[4]->program.data = (uint8_t *)(uintptr_t)other;
	plan = plan_of(&t, 0, false);
	/* TSYNC and SPEC_ALLOW, then SPEC_ALLOW */
	CU_ASSERT(count(plan, "seccomp(1, 0x5,") == 1 && count(plan, "seccomp(1, 0x4,") == 1);
	CU_ASSERT(count(plan_of(&t, 1, false), "seccomp(") == 1);
	CU_ASSERT(count(plan_of(&t, 2, false), "seccomp(1, 0x4,") == 1);
	CU_ASSERT_STRING_EQUAL(plan_of(&t, 0, true), "");
	room_restore_free(&t.r);
}

static void a_keeper_installs_what_nobody_may(void)
{
	struct tree t;

	plant(&t, 1);
	t.of[0].n_filters = 2;
	t.of[0].alone = false;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&t, 0, false), "needs CAP_SYS_ADMIN"));
	t.r.host.cap_eff = 1ull << CAP_SYS_ADMIN;
	CU_ASSERT_EQUAL(count(plan_of(&t, 0, false), "seccomp("), 0);
	CU_ASSERT_EQUAL(count(plan_of(&t, 0, true), "seccomp(1, 0x5,"), 2);
	room_restore_free(&t.r);
	plant(&t, 2);
	t.r.host.cap_eff = 1ull << CAP_SYS_ADMIN;
	t.of[0].n_filters = 1;
	t.of[1].n_filters = 2;
	t.of[1].alone = false;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&t, 1, false), "nobody could install"));
	room_restore_free(&t.r);
}

static void strict_mode_is_one_call(void)
{
	struct tree t;

	plant(&t, 1);
	t.of[0].mode = 1;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&t, 0, false), "prctl(22, 0x1,"));
	room_restore_free(&t.r);
}

/* --- restore: the listener --------------------------------------------------------------------------- */

struct supervised {
	struct tree t;
	Description listener;
	Late late;
	Supervisor supervisor;
	Process process;
	FdTable table;
	Descriptor fds[2], *fd_list[2];
	uint32_t pid;
};

/* Process 7 has n threads under the filter, process 70 the listener, description 5, as 3 and 9. */
static void plant_supervised(struct supervised *s, size_t n)
{
	plant(&s->t, n);
	s->t.of[0].n_filters = 2;
	s->t.list[1]->program.data = (uint8_t *)(uintptr_t)asks;
	s->t.list[1]->listener = 5;
	s->t.r.host.cap_eff = 1ull << CAP_SYS_PTRACE;
	description__init(&s->listener);
	late__init(&s->late);
	s->listener.late = &s->late;
	s->late.task = 7;
	s->pid = 70;
	s->late.tables = &s->pid;
	s->late.n_tables = 1;
	put(&s->t.r, "DESC", 5, &s->listener);
	process__init(&s->process);
	s->process.threads = &s->pid;
	s->process.n_threads = 1;
	put(&s->t.r, "PROC", 70, &s->process);
	supervisor__init(&s->supervisor);
	s->supervisor.listener = 5;
	put(&s->t.r, "SPRV", 70, &s->supervisor);
	fd_table__init(&s->table);
	for (size_t i = 0; i < 2; i++) {
		descriptor__init(&s->fds[i]);
		s->fds[i].fd = i ? 9 : 3;
		s->fds[i].cloexec = i;
		s->fds[i].description = 5;
		s->fd_list[i] = &s->fds[i];
	}
	s->table.fds = s->fd_list;
	s->table.n_fds = 2;
	put(&s->t.r, "FDTB", 70, &s->table);
}

static const char *plan_of_supervisor(struct supervised *s, bool keeper)
{
	const struct task_ops *ops = room_kind("supervisor")->task;
	struct error e = { 0 };
	struct plan p;
	int rc;

	plan_init(&p, &s->t.r.arena, 70);
	rc = keeper ? ops->emit_keeper(&s->t.r, &p, 70, &e)
		    : ops->emit(&s->t.r, &p, &s->supervisor, 70, &e);
	return told(&s->t, &p, rc, &e);
}

static void a_listener_is_handed_over(void)
{
	struct supervised s;
	const char *plan;

	plant_supervised(&s, 1);
	plan = plan_of(&s.t, 0, false);
	/* NEW_LISTENER and SPEC_ALLOW */
	CU_ASSERT(count(plan, "seccomp(1, 0x4,") == 1 && count(plan, "seccomp(1, 0xc,") == 1);
	CU_ASSERT(count(plan, "close(") == 1 && count(plan, "wait") == 1);
	plan = plan_of_supervisor(&s, true);
	CU_ASSERT(count(plan, "pidfd_getfd(") == 1 && count(plan, "dup3(") == 2);
	/* When the numbers are what they were, and before anybody is told. */
	CU_ASSERT(count(plan, "what others of 70 do with 5") == 1);
	CU_ASSERT(strstr(plan, "what others") > strstr(plan, "dup3(9") &&
		  strstr(plan, "what others") < strstr(plan, "the supervisor has it"));
	CU_ASSERT(count(plan_of_supervisor(&s, false), "wait") == 1);
	s.late.n_tables = 0;
	CU_ASSERT_STRING_EQUAL(plan_of_supervisor(&s, true), "");
	room_restore_free(&s.t.r);
	plant_supervised(&s, 2);
	s.t.of[1].like = 7;
	s.t.of[1].like_count = 2;
	plan = plan_of(&s.t, 0, false);
	/* TSYNC, SPEC_ALLOW, NEW_LISTENER and TSYNC_ESRCH */
	CU_ASSERT(count(plan, "seccomp(1, 0x5,") == 1 && count(plan, "seccomp(1, 0x1d,") == 1);
	room_restore_free(&s.t.r);
}

static void bad_listeners_are_refused(void)
{
	struct supervised s;

	plant_supervised(&s, 1);
	s.late.task = 8;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&s.t, 0, false), "listener of another task"));
	s.supervisor.listener = 6;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of_supervisor(&s, false), "6 is made by nobody"));
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of_supervisor(&s, true), "6 is made by nobody"));
	s.supervisor.listener = 5;
	s.process.stop_signal = 20;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of_supervisor(&s, true), "is stopped"));
	s.process.stop_signal = 0;
	s.t.r.host.cap_eff = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of_supervisor(&s, true), "needs CAP_SYS_PTRACE"));
	s.t.r.host.cap_eff = 1ull << CAP_SYS_PTRACE;
	put(&s.t.r, "SECC", 70, &s.t.of[0]);
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of_supervisor(&s, true), "under seccomp itself"));
	room_restore_free(&s.t.r);
}

#define BAD(n, want, ...)                                                    \
	do {                                                                 \
		struct tree t;                                               \
		plant(&t, n);                                                \
		t.of[0].n_filters = 1;                                       \
		__VA_ARGS__;                                                 \
		CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&t, 0, false), want)); \
		room_restore_free(&t.r);                                     \
	} while (0)

static void bad_records_are_refused(void)
{
	BAD(1, "mode 3", t.of[0].mode = 3);
	BAD(1, "mode 0", t.of[0].mode = 0);
	BAD(1, "mode 1", t.of[0].mode = 1);
	BAD(1, "mode 2", t.of[0].n_filters = 0);
	BAD(1, "that is none", t.list[0]->program.len = 7);
	BAD(1, "that is none", t.list[0]->program.len = 0);
	BAD(1, "that is none", t.list[0]->program.len = 24);
	BAD(1, "that is none", t.list[0]->flags = SECCOMP_FILTER_FLAG_NEW_LISTENER);
	BAD(1, "asks a listener", t.list[0]->program.data = (uint8_t *)(uintptr_t)asks);
	BAD(1, "forbids rt_sigreturn", t.list[0]->program.data = (uint8_t *)(uintptr_t)no_return);
	BAD(1, "to begin with", t.of[0].like_count = 1);
	BAD(1, "to begin with", t.of[0].like = 7; t.of[0].like_count = 1);
	BAD(1, "seccomp filters", t.of[0].like_count = 0xffffffff);
	BAD(2, "to begin with", t.of[0].like = 8; t.of[0].like_count = 2; t.of[1].n_filters = 1);
	BAD(2, "to begin with", t.of[0].like = 8; t.of[0].like_count = 1; t.of[1].like = 7;
	    t.of[1].like_count = 1; t.of[1].n_filters = 1);
}

int main(void)
{
	CU_TestInfo dumps[] = {
		{ "what cannot come back is refused", what_cannot_come_back_is_refused },
		{ "equal filters are kept once", equal_filters_are_kept_once },
		{ "a tracer under seccomp is told", a_tracer_under_seccomp_is_told },
		{ "one listener is that of the filter that asks",
		  one_listener_is_that_of_the_filter_that_asks },
		{ "who has a listener waits for it", who_has_a_listener_waits_for_it },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo restores[] = {
		{ "one thread installs its own", one_thread_installs_its_own },
		{ "what all have comes from one", what_all_have_comes_from_one },
		{ "a keeper installs what nobody may", a_keeper_installs_what_nobody_may },
		{ "strict mode is one call", strict_mode_is_one_call },
		{ "a listener is handed over", a_listener_is_handed_over },
		{ "bad listeners are refused", bad_listeners_are_refused },
		{ "bad records are refused", bad_records_are_refused },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "seccomp, dump", NULL, NULL, NULL, NULL, dumps },
		{ "seccomp, restore", NULL, NULL, NULL, NULL, restores },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
