/* SPDX-License-Identifier: MIT */
/*
 * Kinds of task state: plans from records and machines made by hand; and on this machine, in children:
 * one is brought into a state and asked, another gets there by the plan and is asked too.
 */
#include <linux/ioprio.h>
#include <linux/rseq.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "base/compat.h"
#include "comm.pb-c.h"
#include "context.pb-c.h"
#include "creds.pb-c.h"
#include "deathsig.pb-c.h"
#include "dumpable.pb-c.h"
#include "fs.pb-c.h"
#include "itimers.pb-c.h"
#include "kind-room.h"
#include "mm.pb-c.h"
#include "personality.pb-c.h"
#include "posixtimers.pb-c.h"
#include "prctls.pb-c.h"
#include "proc/maps.h"
#include "process.pb-c.h"
#include "rlimits.pb-c.h"
#include "sched.pb-c.h"
#include "sigactions.pb-c.h"
#include "sigpending.pb-c.h"
#include "tap.h"
#include "tidptrs.pb-c.h"

/* --- plans ------------------------------------------------------------------------------------- */

/* The plan that the kind makes of the record, in words; or its error. */
static const char *plan_of(struct restore *r, const char *kind, const void *record)
{
	auto_buf text = { 0 };
	struct error e = { 0 };
	const struct task_ops *ops = room_kind(kind)->task;
	struct plan p;

	plan_init(&p, &r->arena, 7);
	if (ops->emit(r, &p, record, 7, &e) < 0 ||
	    (ops->emit_late && ops->emit_late(r, &p, record, 7, &e) < 0))
		buf_printf(&text, "%s\n", e.text);
	else
		plan_explain(&p, &text);
	buf_add(&text, "", 1);
	plan_free(&p);
	return arena_strdup(&r->arena, text.p);
}

static bool is_plan(struct restore *r, const char *kind, const void *record, const char *want)
{
	const char *got = plan_of(r, kind, record);

	if (!strcmp(got, want))
		return true;
	printf("# %s\n%s# not\n%s", kind, got, want);
	return false;
}

static void plan_of_comm(void)
{
	struct restore r = { 0 };
	Comm m = COMM__INIT;

	m.name = (ProtobufCBinaryData){ 3, (uint8_t *)"abc" };
	CU_ASSERT(is_plan(&r, "comm", &m, "    # name\n   0  prctl(15, data+0, 0, 0, 0) = 0\n"));
	m.name.len = 16;
	CU_ASSERT(is_plan(&r, "comm", &m, "a name of 16 bytes\n"));
	room_restore_free(&r);
}

static void plan_of_fs(void)
{
	struct restore r = { .host.umask = 022 };
	Fs m = FS__INIT;

	m.cwd = "/var/tmp";
	m.root = "/";
	m.umask = 022;
	CU_ASSERT(is_plan(&r, "fs", &m,
			  "    # working folder /var/tmp\n   0  chdir(\"/var/tmp\") = 0\n"));
	m.root = "/srv";
	m.umask = 077;
	CU_ASSERT(is_plan(&r, "fs", &m,
			  "    # working folder /var/tmp\n   0  chdir(\"/var/tmp\") = 0\n"
			  "    # root folder /srv\n   1  chroot(\"/srv\") = 0\n"
			  "    # umask\n   2  umask(077) = 18\n"));
	m.umask = 01000;
	CU_ASSERT(is_plan(&r, "fs", &m, "umask 01000\n"));
	room_restore_free(&r);
}

static void plan_of_sigactions(void)
{
	struct restore r = { .host.ignored = 1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1) };
	SigAction a = SIG_ACTION__INIT, *list = &a;
	SigActions m = SIG_ACTIONS__INIT;

	m.actions = &list;
	m.n_actions = 1;
	a.signal = SIGTERM;
	a.handler = 1;
	CU_ASSERT(is_plan(&r, "sigactions", &m,
			  "    # signal 15\n   0  rt_sigaction(15, data+0, 0, 8) = 0\n"
			  "    # signal 2\n   1  rt_sigaction(2, data+0x20, 0, 8) = 0\n"));
	a.signal = SIGKILL;
	CU_ASSERT(is_plan(&r, "sigactions", &m, "an action for signal 9\n"));
	room_restore_free(&r);
}

static PendingSignal signal_of(uint32_t number, int code)
{
	PendingSignal s = PENDING_SIGNAL__INIT;

	s.signal = number;
	s.code = code;
	return s;
}

static void plan_of_sigpending(void)
{
	PendingSignal a = signal_of(SIGURG, SI_TKILL), b = signal_of(64, SI_QUEUE);
	PendingSignal *own[] = { &a, &b }, *shared = &b;
	uint8_t many[200] = { 1 };
	struct restore r = { 0 };
	SigPending m = SIG_PENDING__INIT;

	m.process = 7;
	m.own = own;
	m.n_own = 2;
	m.shared = &shared;
	m.n_shared = 1;
	CU_ASSERT(is_plan(&r, "sigpending", &m,
			  "    # pending signal 23 (RLIMIT_SIGPENDING has to allow it)\n"
			  "   0  rt_tgsigqueueinfo(7, 7, 23, data+0) = 0\n"
			  "    # pending signal 64 (RLIMIT_SIGPENDING has to allow it)\n"
			  "   1  rt_tgsigqueueinfo(7, 7, 64, data+0x80) = 0\n"
			  "    # pending signal 64 (RLIMIT_SIGPENDING has to allow it)\n"
			  "   2  rt_sigqueueinfo(7, 64, data+0x100) = 0\n"));
	/* they must not come while the task is rebuilt */
	CU_ASSERT_EQUAL(r.blocked, 1ull << (SIGURG - 1) | 1ull << 63);
	m.process = 8;
	CU_ASSERT(is_plan(&r, "sigpending", &m,
			  "signals of process 8, which is not that of the thread\n"));
	m.n_shared = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sigpending", &m), "tgsigqueueinfo(8, 7"));
	a.signal = SIGSTOP;
	CU_ASSERT(is_plan(&r, "sigpending", &m, "signal 19 cannot be pending\n"));
	a.signal = 65;
	CU_ASSERT(is_plan(&r, "sigpending", &m, "signal 65 cannot be pending\n"));
	a.signal = 0;
	CU_ASSERT(is_plan(&r, "sigpending", &m, "signal 0 cannot be pending\n"));
	a.signal = 1;
	a.fields = (ProtobufCBinaryData){ 113, many };
	CU_ASSERT(is_plan(&r, "sigpending", &m, "signal 1 with 113 bytes of information\n"));
	a.fields.len = 112;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sigpending", &m), "data+0x80"));
	room_restore_free(&r);
}

/* What the holder has read becomes the record, without what a timer has sent that is gone. */
static void queues_become_records(void)
{
	const struct kind *k = room_kind("sigpending");
	siginfo_t list[2] = { { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR, .si_errno = 3 },
			      { .si_signo = 40, .si_code = SI_QUEUE } };
	struct held_thread held = { .shared = { true, 2, list } };
	struct task_view v = { .pid = 5, .tid = 5, .held = &held };
	struct dump d = { 0 };
	struct error e = { 0 };
	SigPending m = SIG_PENDING__INIT;

	list[0].si_addr = (void *)0x1234;
	list[1].si_int = 77;
	CU_ASSERT_EQUAL(k->task->dump(&d, &v, &m, &e), 1);
	CU_ASSERT_EQUAL_FATAL(m.n_shared, 2);
	CU_ASSERT_EQUAL(m.n_own, 0);
	CU_ASSERT_EQUAL(m.process, 5);
	CU_ASSERT_EQUAL(m.shared[0]->signal, (uint32_t)SIGSEGV);
	CU_ASSERT_EQUAL(m.shared[0]->code, SEGV_MAPERR);
	CU_ASSERT_EQUAL(m.shared[0]->error, 3);
	CU_ASSERT_EQUAL(m.shared[0]->fields.len, 2);
	CU_ASSERT(m.shared[1]->fields.len == 9 && m.shared[1]->fields.data[8] == 77);
	list[1].si_signo = SIGSTOP;
	CU_ASSERT(k->task->dump(&d, &v, &m, &e) < 0 && strstr(e.text, "try again"));
	held.shared.n = 0;
	CU_ASSERT_EQUAL(k->task->dump(&d, &v, &m, &e), 0);
	arena_free(&d.arena);
}

static const char *starts_of(struct restore *r, const char *kind, const void *record)
{
	auto_buf text = { 0 };
	struct error e = { 0 };
	struct plan p;

	plan_init(&p, &r->arena, 7);
	if (room_kind(kind)->task->start(r, &p, record, 7, &e) < 0)
		abort();
	plan_explain(&p, &text);
	buf_add(&text, "", 1);
	plan_free(&p);
	return arena_strdup(&r->arena, text.p);
}

static void plan_of_itimers(void)
{
	Itimer fired = ITIMER__INIT, user = ITIMER__INIT, *list[] = { &fired, &user };
	struct restore r = { 0 };
	Itimers m = ITIMERS__INIT;

	fired.interval = 5;
	user.which = ITIMER_VIRTUAL;
	user.remaining = 2500000;
	m.timers = list;
	m.n_timers = 2;
	CU_ASSERT(is_plan(&r, "itimers", &m,
			  "    # interval timer ITIMER_REAL\n   0  setitimer(0, data+0, 0) = 0\n"));
	CU_ASSERT_STRING_EQUAL(
		starts_of(&r, "itimers", &m),
		"    # interval timer ITIMER_VIRTUAL\n   0  setitimer(1, data+0, 0) = 0\n");
	user.which = 3;
	CU_ASSERT(is_plan(&r, "itimers", &m,
			  "interval timer 3 with 2500000 us left, then every 0\n"));
	user.which = 2;
	user.interval = UINT64_MAX;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "itimers", &m), "then every 18446744073709551615"));
	room_restore_free(&r);
}

static PosixTimer timer_of(uint32_t id, int32_t clock, uint64_t remaining, uint64_t interval)
{
	PosixTimer t = POSIX_TIMER__INIT;

	t.timer = id;
	t.clock = clock;
	t.signal = SIGURG;
	t.remaining = remaining;
	t.interval = interval;
	return t;
}

static void plan_of_posixtimers(void)
{
	PosixTimer a = timer_of(0, CLOCK_MONOTONIC, 5, 0), b = timer_of(2, -6, 0, 9);
	PosixTimer *list[] = { &a, &b };
	struct restore r = { 0 };
	PosixTimers m = POSIX_TIMERS__INIT;

	m.timers = list;
	m.n_timers = 2;
	b.pending = true;
	CU_ASSERT(is_plan(&r, "posixtimers", &m,
			  "    # timer 0\n   0  timer_create(1, data+0, data+0x40) = 0\n"
			  "    # number 1, which no timer has\n"
			  "   1  timer_create(1, data+0x50, data+0x90) = 0\n"
			  "   2  timer_delete(1) = 0\n"
			  "    # timer 2\n   3  timer_create(-6, data+0xa0, data+0xe0) = 0\n"
			  "    # number of timer 0\n   4  timer_getoverrun(0) = 0\n"
			  "    # timer 2\n   5  timer_settime(2, 1, data+0xf0, 0) = 0\n"));
	CU_ASSERT_STRING_EQUAL(starts_of(&r, "posixtimers", &m),
			       "    # timer 0\n   0  timer_settime(0, 0, data+0, 0) = 0\n");
	CU_ASSERT_EQUAL(r.blocked, 1ull << (SIGURG - 1));
	/* numbers far apart */
	b.timer = 5000;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "posixtimers", &m), "timer_delete(4999) = 0"));
	r.host.timer_ids = true;
	CU_ASSERT_PTR_NULL(strstr(plan_of(&r, "posixtimers", &m), "timer_delete"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "posixtimers", &m), "prctl(77, 0x1, 0, 0, 0) = 0"));
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "posixtimers", &m), "prctl(77, 0, 0, 0, 0) = 0"));
	r.host.timer_ids = false;
	b.timer = INT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "posixtimers", &m), "cannot give a number of choice"));
	room_restore_free(&r);
}

static void bad_timers_are_refused(void)
{
	PosixTimer a = timer_of(3, CLOCK_MONOTONIC, 5, 0), b = timer_of(3, CLOCK_TAI, 0, 9);
	PosixTimer *list[] = { &a, &b };
	struct restore r = { 0 };
	PosixTimers m = POSIX_TIMERS__INIT;

	m.timers = list;
	m.n_timers = 2;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 behind timer 3\n"));
	m.n_timers = 1;
	a.clock = 12;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with clock 12\n"));
	a.clock = -29; /* of descriptor 3 */
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with clock -29\n"));
	a.clock = 0;
	a.signal = 65;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with signal 65, notified in way 0\n"));
	a.signal = 64;
	a.notify = 3;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with signal 64, notified in way 3\n"));
	a.notify = SIGEV_THREAD_ID;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with signal 64, notified in way 4\n"));
	a.notify = SIGEV_NONE;
	a.pending = true;
	CU_ASSERT(is_plan(&r, "posixtimers", &m, "timer 3 with signal 64, notified in way 1\n"));
	a.notify = 0;
	a.interval = 1ull << 63;
	CU_ASSERT(is_plan(&r, "posixtimers", &m,
			  "timer 3 with 5 ns left, then every 9223372036854775808\n"));
	room_restore_free(&r);
}

static void plan_of_tidptrs(void)
{
	struct restore r = { 0 };
	TidPtrs m = TID_PTRS__INIT;

	CU_ASSERT(is_plan(&r, "tidptrs", &m, ""));
	m.clear_child_tid = 0x1000;
	m.robust_list = 0x2000;
	m.robust_list_size = 24;
	m.rseq = 0x3000;
	m.rseq_size = 32;
	m.rseq_signature = 0x53053053;
	CU_ASSERT(is_plan(
		&r, "tidptrs", &m,
		"    # address to clear at exit\n   0  set_tid_address(0x1000) = 7\n"
		"    # list of robust mutexes\n   1  set_robust_list(0x2000, 24) = 0\n"
		"    # restartable sequences\n   2  rseq(0x3000, 32, 0, 0x53053053) = 0\n"));
	room_restore_free(&r);
}

static void plan_of_rlimits(void)
{
	struct restore r = { 0 };
	Rlimit one = RLIMIT__INIT, *list = &one;
	Rlimits m = RLIMITS__INIT;

	r.host.limits[RLIMIT_NOFILE] = (struct rlimit){ 10, 20 };
	m.limits = &list;
	m.n_limits = 1;
	one.resource = RLIMIT_NOFILE;
	one.soft = 10;
	one.hard = 20;
	CU_ASSERT(is_plan(&r, "rlimits", &m, ""));
	one.soft = 11;
	CU_ASSERT(
		is_plan(&r, "rlimits", &m,
			"    # limit of open files (to raise a hard limit needs CAP_SYS_RESOURCE)\n"
			"   0  prlimit64(0, 7, data+0, 0) = 0\n"));
	one.hard = 21;
	CU_ASSERT(is_plan(
		&r, "rlimits", &m,
		"limit of open files: the hard limit was 21, that of cr is 20, and raising it needs "
		"CAP_SYS_RESOURCE; start cr with a limit that is not lower\n"));
	r.host.cap_eff = 1ull << CAP_SYS_RESOURCE;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "rlimits", &m), "prlimit64(0, 7, data+0, 0) = 0"));
	one.resource = 16;
	CU_ASSERT_PTR_NULL(strstr(plan_of(&r, "rlimits", &m), "prlimit64"));
	room_restore_free(&r);
}

static void plan_of_sched(void)
{
	struct restore r = { .host.affinity = { 3 },
			     .host.affinity_size = 8,
			     .host.timer_slack_ns = 50000 };
	uint8_t bits[16] = { 3 };
	Sched m = SCHED__INIT;

	m.affinity = (ProtobufCBinaryData){ 16, bits };
	m.timer_slack_ns = 50000;
	CU_ASSERT(is_plan(&r, "sched", &m, ""));
	bits[0] = 1;
	m.io_priority = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7);
	m.timer_slack_ns = 1;
	m.nice = 5;
	CU_ASSERT(is_plan(&r, "sched", &m,
			  "    # affinity (of the processors it had, one must be there)\n"
			  "   0  sched_setaffinity(0, 16, data+0) = 0\n"
			  "    # input and output priority\n   1  ioprio_set(1, 0, 0x4007) = 0\n"
			  "    # timer slack\n   2  prctl(29, 0x1, 0, 0, 0) = 0\n"
			  "    # nice 5 (to lower it needs CAP_SYS_NICE)\n"
			  "   3  setpriority(0, 0, 5) = 0\n"));
	m.policy = SCHED_FIFO;
	m.priority = 3;
	m.timer_slack_ns = 0;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "sched", &m),
		       "   2  setpriority(0, 0, 5) = 0\n"
		       "    # scheduling policy 1, priority 3, nice 5 (to raise them needs "
		       "CAP_SYS_NICE)\n   3  sched_setattr(0, data+0x10, 0) = 0\n"));
	m.nice = 20;
	CU_ASSERT_PTR_NULL(strstr(plan_of(&r, "sched", &m), "set"));
	room_restore_free(&r);
}

/* Not every kernel has clamps; what a thread would have anyway is not set. */
static void plan_of_clamps(void)
{
	static const char *const set = "utilisation clamps 100 to 700\n";
	struct restore r = { .host.util_max = 1024 };
	Sched m = SCHED__INIT;

	CU_ASSERT(is_plan(&r, "sched", &m, ""));
	m.has_util_min = m.has_util_max = true;
	m.util_min = 100;
	m.util_max = 700;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sched", &m), set));
	r.host.util_min = 100;
	r.host.util_max = 700;
	CU_ASSERT(is_plan(&r, "sched", &m, ""));
	m.has_util_min = m.has_util_max = false;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sched", &m), "clamps 0 to 1024\n"));
	m.util_max = 1025;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sched", &m), "policy 0, flags 0, nice 0"));
	m.util_max = 700;
	m.policy = SCHED_DEADLINE;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "sched", &m), "policy 6, flags 0, nice 0"));
	room_restore_free(&r);
}

static void plan_of_prctls(void)
{
	struct restore r = { 0 };
	PrctlValue one = PRCTL_VALUE__INIT, *list = &one;
	Prctls m = PRCTLS__INIT;

	CU_ASSERT(is_plan(&r, "prctls", &m, ""));
	r.host.no_new_privs = 1;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(plan_of(&r, "prctls", &m), "cr itself runs with no_new_privs"));
	m.values = &list;
	m.n_values = 1;
	one.name = "no_new_privs";
	one.value = 1;
	CU_ASSERT(is_plan(&r, "prctls", &m, ""));
	r.host.no_new_privs = 0;
	CU_ASSERT(is_plan(&r, "prctls", &m,
			  "    # prctl no_new_privs\n   0  prctl(38, 0x1, 0, 0, 0) = 0\n"));
	one.name = "mce_kill";
	CU_ASSERT(is_plan(&r, "prctls", &m,
			  "    # prctl mce_kill\n   0  prctl(33, 0x1, 0x1, 0, 0) = 0\n"));
	one.name = "thp_disable";
	one.value = 3;
	CU_ASSERT(is_plan(&r, "prctls", &m,
			  "    # prctl thp_disable\n   0  prctl(41, 0x1, 0x2, 0, 0) = 0\n"));
	one.name = "cpuid";
	one.value = 0;
	CU_ASSERT(
		is_plan(&r, "prctls", &m, "    # prctl cpuid\n   0  arch_prctl(0x1012, 0) = 0\n"));
	one.name = "speculation_l1d_flush";
	one.value = 2;
	CU_ASSERT(is_plan(
		&r, "prctls", &m,
		"    # prctl speculation_l1d_flush\n   0  prctl(53, 0x2, 0x2, 0, 0) = 0\n"));
	one.name = "nonsense";
	CU_ASSERT(is_plan(&r, "prctls", &m, "an attribute that is not known: nonsense\n"));
	room_restore_free(&r);
}

static void plans_of_numbers(void)
{
	struct restore r = { .host.personality = 8 };
	Personality pers = PERSONALITY__INIT;
	Dumpable able = DUMPABLE__INIT;
	DeathSig sig = DEATH_SIG__INIT;

	pers.personality = 8;
	CU_ASSERT(is_plan(&r, "personality", &pers, ""));
	pers.personality = 0;
	CU_ASSERT(
		is_plan(&r, "personality", &pers, "    # personality\n   0  personality(0) = 8\n"));
	able.value = 1;
	CU_ASSERT(is_plan(&r, "dumpable", &able,
			  "    # dumpable\n   0  prctl(4, 0x1, 0, 0, 0) = 0\n"));
	able.value = 2;
	CU_ASSERT(
		is_plan(&r, "dumpable", &able, "    # dumpable\n   0  prctl(4, 0, 0, 0, 0) = 0\n"));
	sig.signal = SIGTERM;
	CU_ASSERT(is_plan(
		&r, "deathsig", &sig,
		"    # signal at the death of the parent\n   0  prctl(1, 0xf, 0, 0, 0) = 0\n"));
	sig.signal = 65;
	CU_ASSERT(is_plan(&r, "deathsig", &sig, "signal 65 at the death of the parent\n"));
	room_restore_free(&r);
}

/* Root with all capabilities but 24, who has the groups 0 and 4. */
static struct host root_host(void)
{
	static uint32_t groups[] = { 0, 4 };
	const uint64_t caps = 0x1fffeffffffull;

	return (struct host){
		.cap_prm = caps, .cap_eff = caps, .cap_bnd = caps, .groups = groups, .n_groups = 2
	};
}

static Creds creds_of(const struct host *h)
{
	Creds m = CREDS__INIT;

	m.groups = h->groups;
	m.n_groups = h->n_groups;
	m.cap_permitted = h->cap_prm;
	m.cap_effective = h->cap_eff;
	m.cap_bounding = h->cap_bnd;
	return m;
}

static void plan_of_creds(void)
{
	struct restore r = { .host = root_host() };
	Creds m = creds_of(&r.host);

	CU_ASSERT(is_plan(&r, "creds", &m, ""));
	m.ruid = m.euid = m.suid = m.fsuid = m.rgid = m.egid = m.sgid = m.fsgid = 65534;
	m.cap_permitted = m.cap_effective = 0;
	m.n_groups = 0;
	CU_ASSERT(is_plan(
		&r, "creds", &m,
		"    # supplementary groups (needs CAP_SETGID)\n   0  setgroups(0, data+0) = 0\n"
		"    # group ids 65534 65534 65534 (needs CAP_SETGID)\n"
		"   1  setresgid(65534, 65534, 65534) = 0\n"
		"    # user ids 65534 65534 65534 (needs CAP_SETUID)\n"
		"   2  setresuid(65534, 65534, 65534) = 0\n"));
	m.cap_permitted = m.cap_effective = m.cap_inheritable = m.cap_ambient = 1;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "creds", &m),
				      "   2  prctl(8, 0x1, 0, 0, 0) = 0\n"
				      "    # user ids 65534 65534 65534 (needs CAP_SETUID)\n"
				      "   3  setresuid(65534, 65534, 65534) = 0\n"));
	m.cap_permitted = 1ull << CAP_SYS_RESOURCE;
	m.cap_effective = m.cap_ambient = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "creds", &m),
				      "permitted capability set holds CAP_SYS_RESOURCE"));
	m.cap_permitted = 0;
	m.euid = UINT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "creds", &m), "is no user or group id"));
	room_restore_free(&r);
}

/* --- where the frame goes ---------------------------------------------------------------------- */

#define XSIZE 832u /* with AVX: arch_frame_size gives 320 and this and 4 */
#define FRAME (320u + XSIZE + 4u)

struct stack_case {
	const char *about;
	uint64_t sp, alt, alt_size;
	uint32_t alt_flags;
	uint64_t want; /* the frame's address; 0: there is no room */
};

/* [1M, 2M) nothing to write, [2M, 3M) writable, [3M, 4M) a guard, [8M, 9M) grows down. */
static const struct stack_case stack_cases[] = {
	{ "below the red zone", 0x2ffff8, 0, 0, SS_DISABLE, (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "the red zone alone fits", 0x200100, 0, 0, SS_DISABLE, 0 },
	{ "exactly at the begin", 0x200000 + 1216 + 128, 0, 0, SS_DISABLE, 0x200000 },
	{ "one byte too low", 0x200000 + 1156 + 127, 0, 0, SS_DISABLE, 0 },
	{ "not writable", 0x1ffff8, 0, 0, SS_DISABLE, 0 },
	{ "nothing there", 0x7ffff8, 0, 0, SS_DISABLE, 0 },
	{ "no stack at all", 0, 0, 0, SS_DISABLE, 0 },
	{ "on the alternate stack", 0x2ffff8, 0x210000, 8192, 0, (0x212000 - FRAME) & ~63ull },
	{ "that helps a thread without a stack", 5, 0x210000, 8192, 0,
	  (0x212000 - FRAME) & ~63ull },
	{ "not on one that is switched off", 0x2ffff8, 0x210000, 8192, SS_DISABLE,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that is too small", 0x2ffff8, 0x210000, 1024, 0,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that cannot be written", 0x2ffff8, 0x110000, 8192, 0,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that is in use", 0x211ff8, 0x210000, 8192, 0,
	  (0x211ff8 - 128 - FRAME) & ~63ull },
	{ "but never below its begin", 0x210100, 0x210000, 8192, 0, 0 },
	{ "a stack that grows", 0x800100, 0, 0, SS_DISABLE, (0x800100 - 128 - FRAME) & ~63ull },
};

static Mapping mapping_of(uint64_t start, uint64_t end, uint32_t prot, uint64_t flags)
{
	Mapping m = MAPPING__INIT;

	m.start = start;
	m.end = end;
	m.prot = prot;
	m.flags = flags;
	return m;
}

static Mapping areas[] = { MAPPING__INIT, MAPPING__INIT, MAPPING__INIT, MAPPING__INIT };

static void restore_with_stacks(struct restore *r, Mm *mm, Thread *th)
{
	static Mapping *list[] = { &areas[0], &areas[1], &areas[2], &areas[3] };

	areas[0] = mapping_of(0x100000, 0x200000, PROT_READ, 0);
	areas[1] = mapping_of(0x200000, 0x300000, PROT_READ | PROT_WRITE, 0);
	areas[2] = mapping_of(0x300000, 0x400000, PROT_NONE, 0);
	areas[3] = mapping_of(0x800000, 0x900000, PROT_READ | PROT_WRITE, VMF(gd));
	r->host.xsave_mask = 7;
	r->host.xsave_size = XSIZE;
	mm__init(mm);
	mm->mappings = list;
	mm->n_mappings = 4;
	thread__init(th);
	th->mm = 1;
	*vec_add(&r->records) = (struct room_record){ "THRD", 7, th };
	*vec_add(&r->records) = (struct room_record){ "MMSP", 1, mm };
}

static void fill_context(Context *m, uint64_t *regs, uint8_t *xstate, const struct stack_case *s)
{
	const uint64_t mask = 7;

	memset(regs, 0, 27 * 8);
	memset(xstate, 0, XSIZE);
	memcpy(xstate + 464, &mask, sizeof(mask));
	regs[15] = ~0ull; /* orig_rax */
	regs[17] = 0x33;  /* cs */
	regs[19] = s->sp;
	regs[20] = 0x2b; /* ss */
	context__init(m);
	m->n_regs = 27;
	m->regs = regs;
	m->xstate = (ProtobufCBinaryData){ XSIZE, xstate };
	m->altstack_sp = s->alt;
	m->altstack_size = s->alt_size;
	m->altstack_flags = s->alt_flags;
}

static void frames_go_where_signals_go(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27];

	for (size_t i = 0; i < sizeof(stack_cases) / sizeof(stack_cases[0]); i++) {
		const struct stack_case *s = &stack_cases[i];
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;
		char want[64] = "no room for a signal frame";

		restore_with_stacks(&r, &mm, &th);
		fill_context(&m, regs, xstate, s);
		if (s->want)
			snprintf(want, sizeof(want), "leave(%#llx)", (unsigned long long)s->want);
		if (!strstr(plan_of(&r, "context", &m), want))
			printf("# %s: %s not %s\n", s->about, plan_of(&r, "context", &m), want);
		CU_ASSERT_PTR_NOT_NULL(strstr(plan_of(&r, "context", &m), want));
		room_restore_free(&r);
	}
}

/* A machine whose extended state is smaller, or lacks a component. */
static void another_processor_is_refused(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27];

	for (int i = 0; i < 3; i++) {
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;

		restore_with_stacks(&r, &mm, &th);
		fill_context(&m, regs, xstate, &stack_cases[0]);
		r.host.xsave_size -= i == 1 ? 64 : 0;
		r.host.xsave_mask &= i == 2 ? 3 : ~0ull;
		CU_ASSERT_EQUAL(!strstr(plan_of(&r, "context", &m), "extended state"), i == 0);
		room_restore_free(&r);
	}
}

static void a_stack_grows_into_free_room(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27];
	struct stack_case s = { "", 0x800100, 0, 0, SS_DISABLE, 0 };

	for (int i = 0; i < 3; i++) {
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;

		restore_with_stacks(&r, &mm, &th);
		/* another mapping too near below it; but one without access is no hindrance */
		areas[2].start = 0x600000;
		areas[2].end = i < 1 ? 0x6ff000 : 0x700000;
		areas[2].prot = i == 2 ? PROT_NONE : PROT_READ;
		fill_context(&m, regs, xstate, &s);
		CU_ASSERT_EQUAL(!strstr(plan_of(&r, "context", &m), "leave("), i == 1);
		room_restore_free(&r);
	}
}

/* A thread of this process that stands at `ip`, in its restartable sequence cs (or none). */
static int dump_context(uint64_t ip, uint64_t ax, uint64_t call, const struct rseq_cs *cs,
			Context *m, struct arena *a, struct error *e)
{
	static const stack_t alt = { .ss_flags = SS_DISABLE };
	struct rseq area = { .rseq_cs = (uint64_t)(uintptr_t)cs };
	struct held_thread held = { .n_regs = 27, .rseq_address = (uint64_t)(uintptr_t)&area };
	const int64_t result = 0;
	char stack[4096];
	struct dump d = { 0 };
	struct task_view v = {
		.pid = getpid(),
		.tid = getpid(),
		.held = &held,
		.n_ops = 1,
		.n_data = sizeof(alt),
		.results = &result,
		.data = (const uint8_t *)&alt,
	};
	int rc;

	memset(stack, 0, sizeof(stack));
	held.regs[10] = ax;
	held.regs[15] = call;
	held.regs[16] = ip;
	held.regs[17] = 0x33;
	held.regs[19] = (uint64_t)(uintptr_t)(stack + sizeof(stack));
	held.regs[20] = 0x2b;
	context__init(m);
	rc = room_kind("context")->task->dump(&d, &v, m, e);
	*a = d.arena;
	return rc;
}

static void a_restartable_sequence_is_aborted(void)
{
	static const struct rseq_cs cs __attribute__((aligned(32))) = {
		.start_ip = 0x1000,
		.post_commit_offset = 0x10,
		.abort_ip = 0x5000,
	};
	static const uint64_t ips[][2] = {
		{ 0xfff, 0xfff },
		{ 0x1000, 0x5000 },
		{ 0x100f, 0x5000 },
		{ 0x1010, 0x1010 },
	};
	struct error e = { 0 };
	struct arena a;
	Context m;

	for (size_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(dump_context(ips[i][0], 0, ~0ull, &cs, &m, &a, &e), 1);
		CU_ASSERT_EQUAL(m.regs[16], ips[i][1]);
		arena_free(&a);
		CU_ASSERT_EQUAL(dump_context(ips[i][0], 0, ~0ull, NULL, &m, &a, &e), 1);
		CU_ASSERT_EQUAL(m.regs[16], ips[i][0]);
		arena_free(&a);
	}
}

static void an_interrupted_call_is_made_again(void)
{
	struct error e = { 0 };
	struct arena a;
	Context m;

	CU_ASSERT_EQUAL(dump_context(0x2002, (uint64_t)-512, SYS_read, NULL, &m, &a, &e), 1);
	CU_ASSERT_EQUAL(m.regs[16], 0x2000);
	CU_ASSERT_EQUAL(m.regs[10], SYS_read);
	arena_free(&a);
	CU_ASSERT_EQUAL(dump_context(0x2002, (uint64_t)-EINTR, SYS_read, NULL, &m, &a, &e), 1);
	CU_ASSERT_EQUAL(m.regs[16], 0x2002);
	CU_ASSERT_EQUAL(m.regs[10], (uint64_t)-EINTR);
	arena_free(&a);
}

/* --- live: what a process is asked ------------------------------------------------------------- */

struct snapshot {
	int rc; /* of dump: 1 there is a record */
	size_t n;
	uint8_t bytes[4096];
	char error[1016];
};

static void take(const struct kind *k, struct snapshot *out)
{
	struct held_thread held = { 0 };
	struct proc_status status;
	struct proc_stat stat;
	struct dump d = { 0 };
	struct plan batch;
	struct room_run run;
	struct error e = { 0 };
	struct task_view v = { .pid = getpid(), .tid = getpid(), .id = 1, .held = &held };
	ProtobufCMessage *m = room_message(&d.arena, k, 1);

	v.proc = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	v.stat = &stat;
	v.status = &status;
	out->rc = proc_stat_read(v.proc, &stat, &e);
	if (out->rc == 0)
		out->rc = proc_status_read(v.proc, &d.arena, &status, &e);
	plan_init(&batch, &d.arena, 1);
	/* what others have asked before */
	plan_call_any(&batch, SYS_getpid, arg_num(0));
	plan_data(&batch, NULL, 5);
	v.first_op = (uint32_t)batch.ops.n;
	v.data_at = 16;
	if (k->task->ask)
		k->task->ask(&batch, &v);
	v.n_ops = (uint32_t)batch.ops.n - v.first_op;
	v.n_data = batch.data.len > 16 ? batch.data.len - 16 : 0;
	run = room_run(&batch);
	v.batch = &batch;
	v.results = run.results;
	v.data = run.data;
	if (out->rc == 0)
		out->rc = run.failed >= 0 ? fail(&e, 0, "the batch failed")
					  : k->task->dump(&d, &v, m, &e);
	snprintf(out->error, sizeof(out->error), "%s", e.text);
	out->n = out->rc > 0 ? protobuf_c_message_get_packed_size(m) : 0;
	if (out->n <= sizeof(out->bytes) && out->n)
		protobuf_c_message_pack(m, out->bytes);
	plan_free(&batch);
	close(v.proc);
	arena_free(&d.arena);
}

/* What the restore would know of this process. */
static void fill_host(struct restore *r)
{
	struct host *h = &r->host;
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t rest[3];
	} attr;
	struct proc_status s;
	struct error e;
	int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_status_read(proc, &r->arena, &s, &e) < 0)
		abort();
	close(proc);
	memcpy(h->uid, s.uid, sizeof(h->uid));
	memcpy(h->gid, s.gid, sizeof(h->gid));
	h->groups = s.groups;
	h->n_groups = s.n_groups;
	h->cap_inh = s.cap_inh;
	h->cap_prm = s.cap_prm;
	h->cap_eff = s.cap_eff;
	h->cap_bnd = s.cap_bnd;
	h->cap_amb = s.cap_amb;
	h->umask = s.umask;
	h->no_new_privs = s.no_new_privs;
	h->ignored = s.sig_ignored;
	for (int i = 0; i < 16; i++)
		getrlimit((__rlimit_resource_t)i, &h->limits[i]);
	h->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	h->timer_slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK);
	h->personality = (uint32_t)personality(0xffffffff);
	h->coredump_filter = 0x33;
	h->io_priority = (uint32_t)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) < 0)
		abort();
	h->policy = attr.policy;
	h->sched_flags = attr.flags;
	h->nice = attr.nice;
	h->priority = attr.priority;
	h->affinity_size =
		(uint32_t)syscall(SYS_sched_getaffinity, 0, sizeof(h->affinity), h->affinity);
}

/* In a task that shall get there: runs the plan of the record. */
static int get_there(const struct kind *k, const struct snapshot *from, struct error *e)
{
	struct restore r = { 0 };
	struct room_run run;
	auto_buf text = { 0 };
	struct plan p;
	ProtobufCMessage *m = room_unpack(&r.arena, k->record.desc, from->n, from->bytes);
	int rc = 0, proc;

	fill_host(&r);
	plan_init(&p, &r.arena, 1);
	if (!m)
		return fail(e, 0, "not a message");
	if (k->task->emit)
		rc = k->task->emit(&r, &p, m, (uint32_t)getpid(), e);
	if (rc >= 0 && k->task->start)
		rc = k->task->start(&r, &p, m, (uint32_t)getpid(), e);
	if (rc < 0)
		return rc;
	proc = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	run = room_run(&p);
	if (run.failed >= 0) {
		plan_explain_op(&p, (uint32_t)run.failed, &text);
		buf_add(&text, "", 1);
		return fail(e, (int)-run.result, "%s", text.p);
	}
	return k->task->outside ? k->task->outside(&r, m, proc, e) : 0;
}

struct live {
	struct snapshot before, wanted, got;
};

/* Runs a part in a child; false if it died. */
static bool in_child(void (*part)(const struct kind *k, struct live *l, void (*prepare)(void)),
		     const struct kind *k, struct live *l, void (*prepare)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		part(k, l, prepare);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void first_child(const struct kind *k, struct live *l, void (*prepare)(void))
{
	take(k, &l->before);
	prepare();
	take(k, &l->wanted);
}

static void second_child(const struct kind *k, struct live *l, void (*prepare)(void))
{
	struct error e = { 0 };

	(void)prepare;
	if (l->wanted.rc > 0 && get_there(k, &l->wanted, &e) < 0) {
		snprintf(l->got.error, sizeof(l->got.error), "%s", e.text);
		l->got.rc = -1;
		return;
	}
	take(k, &l->got);
}

static bool is_same(const struct snapshot *a, const struct snapshot *b)
{
	return a->rc == b->rc && a->n == b->n && !memcmp(a->bytes, b->bytes, a->n);
}

static bool comes_back(const char *name, void (*prepare)(void))
{
	const struct kind *k = room_kind(name);
	struct live *l =
		mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool good = l != MAP_FAILED && in_child(first_child, k, l, prepare) &&
		    in_child(second_child, k, l, prepare);
	const char *why = !good                             ? "a child died"
			  : l->wanted.rc < 0                ? l->wanted.error
			  : l->got.rc < 0                   ? l->got.error
			  : is_same(&l->before, &l->wanted) ? "it was prepared in vain"
			  : is_same(&l->wanted, &l->got)    ? NULL
							    : "it is not the same";

	if (why)
		printf("# %s: %s\n", name, why);
	munmap(l, sizeof(*l));
	return !why;
}

static void must(long rc)
{
	if (rc < 0) {
		printf("# prepare: %s\n", strerror(errno));
		fflush(stdout);
		_exit(1);
	}
}

static void prepare_comm(void)
{
	must(prctl(PR_SET_NAME, "a) b (c\n\\"));
}

static void prepare_fs(void)
{
	must(chdir("/usr/lib"));
	umask(0270);
}

static void handler(int s)
{
	(void)s;
}

static void prepare_sigactions(void)
{
	struct sigaction a = { .sa_handler = handler,
			       .sa_flags = SA_RESTART | SA_ONSTACK | SA_NODEFER };

	sigaddset(&a.sa_mask, SIGUSR2);
	must(sigaction(SIGUSR1, &a, NULL));
	must(sigaction(64, &a, NULL));
	a = (struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	must(sigaction(SIGCHLD, &a, NULL));
	signal(SIGHUP, SIG_IGN);
}

/* SA_NOCLDWAIT makes a difference without a handler. */
static void flags_without_a_handler_are_kept(void)
{
	struct snapshot *s = mem_alloc(sizeof(*s));
	struct sigaction a = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT }, before;
	const struct kind *k = room_kind("sigactions");
	const SigActions *m;
	struct arena arena = { 0 };
	uint64_t flags = 0;

	must(sigaction(SIGCHLD, &a, &before));
	take(k, s);
	must(sigaction(SIGCHLD, &before, NULL));
	m = (const void *)room_unpack(&arena, k->record.desc, s->n, s->bytes);
	for (size_t i = 0; m && i < m->n_actions; i++) {
		if (m->actions[i]->signal == SIGCHLD)
			flags = m->actions[i]->flags;
	}
	CU_ASSERT(flags & SA_NOCLDWAIT);
	arena_free(&arena);
	mem_free_cleanup(&s);
}

static void prepare_rlimits(void)
{
	must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 20, 40 }));
	must(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 4096 }));
}

static void prepare_sched(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	must(sched_setaffinity(0, sizeof(one), &one));
	must(setpriority(PRIO_PROCESS, 0, 7));
	must(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)));
	must(prctl(PR_SET_TIMERSLACK, 123456));
}

static void prepare_batch(void)
{
	must(setpriority(PRIO_PROCESS, 0, 3));
	must(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &(struct sched_param){ 0 }));
}

static void prepare_idle(void)
{
	must(setpriority(PRIO_PROCESS, 0, 3));
	must(sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }));
}

static void prepare_realtime(void)
{
	must(setpriority(PRIO_PROCESS, 0, 3));
	must(sched_setscheduler(0, SCHED_RR, &(struct sched_param){ 2 }));
}

static void prepare_personality(void)
{
	must(personality(ADDR_NO_RANDOMIZE | UNAME26));
}

static void prepare_prctls(void)
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	/* these only some kernels or processors know */
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE, 0, 0);
	prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

/* What is left goes down while it is looked at; an interval alone does not. */
static void prepare_itimers(void)
{
	const struct itimerval once = { { 7, 8 }, { 0, 0 } };

	must(setitimer(ITIMER_VIRTUAL, &once, NULL));
}

static void prepare_posixtimers(void)
{
	struct sigevent silent = { .sigev_notify = SIGEV_NONE, .sigev_signo = 5 };
	timer_t t;

	must(timer_create(CLOCK_TAI, &silent, &t));
	must(timer_create(CLOCK_PROCESS_CPUTIME_ID, NULL, &t));
	silent.sigev_value.sival_ptr = &silent;
	must(timer_create(CLOCK_BOOTTIME, &silent, &t));
}

static void prepare_deathsig(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGUSR2));
}

static void prepare_dumpable(void)
{
	must(prctl(PR_SET_DUMPABLE, 0));
}

static void write_number(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd);
	must(write(fd, text, strlen(text)));
	close(fd);
}

static void prepare_procattr(void)
{
	write_number("/proc/self/oom_score_adj", "123");
	write_number("/proc/self/coredump_filter", "0x11");
}

static uint64_t pointed[4];

static void prepare_tidptrs(void)
{
	must(syscall(SYS_set_tid_address, &pointed[0]));
	must(syscall(SYS_set_robust_list, &pointed[1], 24));
}

static void plain_state_comes_back(void)
{
	CU_ASSERT(comes_back("comm", prepare_comm));
	CU_ASSERT(comes_back("fs", prepare_fs));
	CU_ASSERT(comes_back("sigactions", prepare_sigactions));
	CU_ASSERT(comes_back("rlimits", prepare_rlimits));
	CU_ASSERT(comes_back("sched", prepare_sched));
	CU_ASSERT(comes_back("sched", prepare_batch));
	CU_ASSERT(comes_back("sched", prepare_idle));
	CU_ASSERT(comes_back("personality", prepare_personality));
	CU_ASSERT(comes_back("prctls", prepare_prctls));
	CU_ASSERT(comes_back("deathsig", prepare_deathsig));
	CU_ASSERT(comes_back("itimers", prepare_itimers));
	CU_ASSERT(comes_back("posixtimers", prepare_posixtimers));
	CU_ASSERT(comes_back("dumpable", prepare_dumpable));
	CU_ASSERT(comes_back("procattr", prepare_procattr));
	CU_ASSERT(comes_back("tidptrs", prepare_tidptrs));
}

/* --- live, as root ----------------------------------------------------------------------------- */

/* setgroups and ids for this thread alone, as all of it is done in a child. */
static void become(uint32_t r, uint32_t eff, uint32_t s)
{
	const gid_t groups[] = { 7, 100, 70000 };

	must(syscall(SYS_setgroups, 3, groups));
	must(syscall(SYS_setresgid, r + 1, eff + 1, s + 1));
	must(syscall(SYS_setresuid, r, eff, s));
}

static void caps(const char *text)
{
	cap_t c = cap_from_text(text);

	must(cap_set_proc(c));
	cap_free(c);
}

static void creds_user(void)
{
	become(1000, 1000, 1000);
}

static void creds_mixed_ids(void)
{
	become(1000, 1001, 1002);
}

static void creds_saved_root(void)
{
	become(1000, 1000, 0);
}

static void creds_effective_user(void)
{
	become(0, 1000, 0);
}

static void creds_file_ids(void)
{
	syscall(SYS_setfsgid, 77);
	syscall(SYS_setfsuid, 78);
}

static void creds_file_ids_of_user(void)
{
	must(syscall(SYS_setresuid, 1000, 0, 1000));
	syscall(SYS_setfsuid, 1000);
}

static void creds_keep(void)
{
	must(prctl(PR_SET_KEEPCAPS, 1));
	become(1000, 1000, 1000);
	caps("cap_net_raw,cap_chown+p cap_net_raw+e");
}

static void creds_ambient(void)
{
	must(prctl(PR_SET_KEEPCAPS, 1));
	become(1000, 1000, 1000);
	caps("cap_net_raw,cap_chown+eip");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	must(prctl(PR_SET_KEEPCAPS, 0));
}

static void creds_bounding(void)
{
	caps("all=ep cap_sys_resource-ep cap_kill+i");
	must(prctl(PR_CAPBSET_DROP, CAP_KILL));
	must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	caps("=");
}

static void creds_inheritable_without_permitted(void)
{
	caps("all=ep cap_sys_resource-ep cap_kill,cap_chown+i");
	must(prctl(PR_CAPBSET_DROP, CAP_KILL));
	become(1000, 1000, 1000);
}

static void creds_inheritable_alone(void)
{
	caps("all=ep cap_sys_resource-ep cap_kill,cap_chown+i");
	become(1000, 1000, 1000);
}

static void creds_file_ids_and_all_effective(void)
{
	syscall(SYS_setfsuid, 78);
	caps("all=ep cap_sys_resource-ep");
}

static void creds_securebits(void)
{
	must(prctl(PR_SET_SECUREBITS,
		   SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP));
	become(1000, 1000, 1000);
	caps("cap_net_raw+ep");
}

static void creds_no_raise(void)
{
	caps("all=ep cap_sys_resource-ep cap_net_raw+i");
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	must(prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE |
					      SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
					      SECBIT_KEEP_CAPS_LOCKED));
	caps("cap_net_raw+eip");
}

static void creds_nothing(void)
{
	const gid_t none[1];

	must(syscall(SYS_setgroups, 0, none));
	caps("=");
}

static void credentials_come_back(void)
{
	static void (*const list[])(void) = {
		creds_user,
		creds_mixed_ids,
		creds_saved_root,
		creds_effective_user,
		creds_file_ids,
		creds_file_ids_of_user,
		creds_keep,
		creds_ambient,
		creds_bounding,
		creds_inheritable_without_permitted,
		creds_inheritable_alone,
		creds_file_ids_and_all_effective,
		creds_securebits,
		creds_no_raise,
		creds_nothing,
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		bool good = comes_back("creds", list[i]);

		if (!good)
			printf("# case %zu\n", i);
		CU_ASSERT(good);
	}
}

static void a_realtime_policy_comes_back(void)
{
	CU_ASSERT(comes_back("sched", prepare_realtime));
}

/* From a root folder of its own the child cannot see /proc, so it is looked at from here. */
static void a_root_folder_comes_back(void)
{
	const struct kind *k = room_kind("fs");
	int ready[2], status = -1;
	char path[32], byte;
	struct proc_status s = { .umask = 022 };
	struct dump d = { 0 };
	struct task_view v = { .status = &s };
	struct error e = { 0 };
	Fs m = FS__INIT, back = FS__INIT;
	pid_t pid;

	m.cwd = "/usr/lib";
	m.root = "/usr";
	m.umask = 022;
	CU_ASSERT_EQUAL_FATAL(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct restore r = { .host.umask = 022 };
		struct plan p;

		plan_init(&p, &r.arena, 1);
		if (k->task->emit(&r, &p, &m, 1, &e) < 0 || room_run(&p).failed >= 0)
			_exit(1);
		must(write(ready[1], "x", 1));
		pause();
		_exit(1);
	}
	close(ready[1]);
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	v.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(k->task->dump(&d, &v, &back, &e), 1);
	CU_ASSERT_STRING_EQUAL(back.cwd ? back.cwd : e.text, "/usr/lib");
	CU_ASSERT_STRING_EQUAL(back.root ? back.root : e.text, "/usr");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(v.proc);
	close(ready[0]);
	arena_free(&d.arena);
}

static void a_deleted_folder_is_refused(void)
{
	const struct kind *k = room_kind("fs");
	struct task_view v = { .proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char folder[] = "/tmp/t-kind-XXXXXX";
	struct error e = { 0 };

	CU_ASSERT_EQUAL(k->task->probe(&v, &e), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL(chdir(folder), 0);
	CU_ASSERT_EQUAL(k->task->probe(&v, &e), 0);
	rmdir(folder);
	CU_ASSERT(k->task->probe(&v, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "working folder /tmp/t-kind-"));
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "was deleted"));
	CU_ASSERT_EQUAL(fchdir(back), 0);
	close(back);
	close(v.proc);
}

int main(void)
{
	CU_TestInfo plans[] = {
		{ "comm", plan_of_comm },
		{ "fs", plan_of_fs },
		{ "sigactions", plan_of_sigactions },
		{ "sigpending", plan_of_sigpending },
		{ "queues of signals become records", queues_become_records },
		{ "itimers", plan_of_itimers },
		{ "posixtimers", plan_of_posixtimers },
		{ "bad POSIX timers are refused", bad_timers_are_refused },
		{ "tidptrs", plan_of_tidptrs },
		{ "rlimits", plan_of_rlimits },
		{ "sched", plan_of_sched },
		{ "utilisation clamps", plan_of_clamps },
		{ "prctls", plan_of_prctls },
		{ "personality, dumpable, deathsig", plans_of_numbers },
		{ "creds", plan_of_creds },
		{ "frames go where those of signals go", frames_go_where_signals_go },
		{ "another processor is refused", another_processor_is_refused },
		{ "a stack grows into free room", a_stack_grows_into_free_room },
		{ "a restartable sequence is aborted", a_restartable_sequence_is_aborted },
		{ "an interrupted call is made again", an_interrupted_call_is_made_again },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo live[] = {
		{ "what everybody may set", plain_state_comes_back },
		{ "flags of a signal without a handler", flags_without_a_handler_are_kept },
		{ "a deleted working folder is refused", a_deleted_folder_is_refused },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo root[] = {
		{ "credentials", credentials_come_back },
		{ "a real-time policy", a_realtime_policy_comes_back },
		{ "a root folder", a_root_folder_comes_back },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "plans", NULL, NULL, NULL, NULL, plans },
		{ "live", NULL, NULL, NULL, NULL, live },
		{ "live, as root", NULL, NULL, NULL, NULL, root },
		CU_SUITE_INFO_NULL,
	};

	if (geteuid() != 0)
		suites[2] = (CU_SuiteInfo)CU_SUITE_INFO_NULL;
	return tap_run(suites);
}
