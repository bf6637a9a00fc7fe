/* SPDX-License-Identifier: MIT */
/*
 * Kinds of task state: plans from records and machines made by hand.
 */
#include <linux/ioprio.h>
#include <sys/capability.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "base/compat.h"
#include "cgroups.pb-c.h"
#include "comm.pb-c.h"
#include "creds.pb-c.h"
#include "deathsig.pb-c.h"
#include "dumpable.pb-c.h"
#include "fs.pb-c.h"
#include "itimers.pb-c.h"
#include "kind-room.h"
#include "loginuid.pb-c.h"
#include "personality.pb-c.h"
#include "posixtimers.pb-c.h"
#include "prctls.pb-c.h"
#include "proc/maps.h"
#include "rlimits.pb-c.h"
#include "sched.pb-c.h"
#include "sigactions.pb-c.h"
#include "sigpending.pb-c.h"
#include "tap.h"
#include "tidptrs.pb-c.h"

/* --- plans ------------------------------------------------------------------------------------- */

static bool is_plan(struct restore *r, const char *kind, const void *record, const char *want)
{
	const char *got = room_plan_of(r, kind, record);

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

/* Who has ended meanwhile is not there, whatever the link says. */
static void fs_of_the_dead(void)
{
	struct task_view v = { .proc = -1 };
	struct error e = { 0 };
	siginfo_t si;
	char path[32];
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	CU_ASSERT_FATAL(pid > 0 && waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	v.proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT(v.proc >= 0 && kind_fs.task->probe(&v, &e) == -ESRCH);
	close(v.proc);
	waitpid(pid, NULL, 0);
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
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sigpending", &m), "tgsigqueueinfo(8, 7"));
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
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sigpending", &m), "data+0x80"));
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
		strstr(room_plan_of(&r, "itimers", &m), "then every 18446744073709551615"));
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
	CU_ASSERT_PTR_NOT_NULL(
		strstr(room_plan_of(&r, "posixtimers", &m), "timer_delete(4999) = 0"));
	r.host.timer_ids = true;
	CU_ASSERT_PTR_NULL(strstr(room_plan_of(&r, "posixtimers", &m), "timer_delete"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(room_plan_of(&r, "posixtimers", &m), "prctl(77, 0x1, 0, 0, 0) = 0"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(room_plan_of(&r, "posixtimers", &m), "prctl(77, 0, 0, 0, 0) = 0"));
	r.host.timer_ids = false;
	b.timer = INT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(room_plan_of(&r, "posixtimers", &m), "cannot give a number of choice"));
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
		strstr(room_plan_of(&r, "rlimits", &m), "prlimit64(0, 7, data+0, 0) = 0"));
	one.resource = 16;
	CU_ASSERT_PTR_NULL(strstr(room_plan_of(&r, "rlimits", &m), "prlimit64"));
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
		strstr(room_plan_of(&r, "sched", &m),
		       "   2  setpriority(0, 0, 5) = 0\n"
		       "    # scheduling policy 1, priority 3, nice 5 (to raise them needs "
		       "CAP_SYS_NICE)\n   3  sched_setattr(0, data+0x10, 0) = 0\n"));
	m.nice = 20;
	CU_ASSERT_PTR_NULL(strstr(room_plan_of(&r, "sched", &m), "set"));
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
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sched", &m), set));
	r.host.util_min = 100;
	r.host.util_max = 700;
	CU_ASSERT(is_plan(&r, "sched", &m, ""));
	m.has_util_min = m.has_util_max = false;
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sched", &m), "clamps 0 to 1024\n"));
	m.util_max = 1025;
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sched", &m), "policy 0, flags 0, nice 0"));
	m.util_max = 700;
	m.policy = SCHED_DEADLINE;
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "sched", &m), "policy 6, flags 0, nice 0"));
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
		strstr(room_plan_of(&r, "prctls", &m), "cr itself runs with no_new_privs"));
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
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "creds", &m),
				      "   2  prctl(8, 0x1, 0, 0, 0) = 0\n"
				      "    # user ids 65534 65534 65534 (needs CAP_SETUID)\n"
				      "   3  setresuid(65534, 65534, 65534) = 0\n"));
	m.cap_permitted = 1ull << CAP_SYS_RESOURCE;
	m.cap_effective = m.cap_ambient = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "creds", &m),
				      "permitted capability set holds CAP_SYS_RESOURCE"));
	m.cap_permitted = 0;
	m.euid = UINT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "creds", &m), "is no user or group id"));
	room_restore_free(&r);
}

static void plan_of_loginuid(void)
{
	struct restore r = { .host.login_uid = UINT32_MAX };
	LoginUid m = LOGIN_UID__INIT;

	m.uid = UINT32_MAX;
	CU_ASSERT(is_plan(&r, "loginuid", &m, ""));
	m.uid = 1000;
	CU_ASSERT(is_plan(&r, "loginuid", &m,
			  "    # login uid 1000\n"
			  "   0  openat(-100, \"/proc/thread-self/loginuid\", 02000001) any\n"
			  "   1  write(#0, data+0x20, 0x4) any\n"
			  "   2  close(#0) any\n"));
	r.host.login_uid = 1000;
	CU_ASSERT(is_plan(&r, "loginuid", &m, ""));
	room_restore_free(&r);
}

static void groups_of_threads_are_checked(void)
{
	Process pr = PROCESS__INIT;
	uint32_t tids[] = { 7, 9 };
	ThreadCgroups t = THREAD_CGROUPS__INIT, *list = &t;
	struct restore r = { 0 };
	Cgroups m = CGROUPS__INIT;

	pr.threads = tids;
	pr.n_threads = 2;
	*vec_add(&r.records) = (struct room_record){ "PROC", 7, &pr };
	m.id = 7;
	m.threads = &list;
	m.n_threads = 1;
	t.tid = 9;
	CU_ASSERT(is_plan(&r, "cgroups", &m, ""));
	t.tid = 1;
	CU_ASSERT(is_plan(&r, "cgroups", &m,
			  "groups of thread 1, which the process does not have\n"));
	room_restore_free(&r);
}

int main(void)
{
	CU_TestInfo plans[] = {
		{ "comm", plan_of_comm },
		{ "loginuid", plan_of_loginuid },
		{ "groups of threads are checked", groups_of_threads_are_checked },
		{ "fs", plan_of_fs },
		{ "fs: who has ended is not there", fs_of_the_dead },
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
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "plans", NULL, NULL, NULL, NULL, plans },
		CU_SUITE_INFO_NULL,
	};
	return tap_run(suites);
}
