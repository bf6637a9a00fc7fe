/* SPDX-License-Identifier: MIT */
/*
 * Kinds of task state on this machine, in children: one is brought into a state and asked, another
 * gets there by the plan and is asked too.
 */
#include <linux/ioprio.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/personality.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "base/compat.h"
#include "fs.pb-c.h"
#include "kind-room.h"
#include "proc/maps.h"
#include "sigactions.pb-c.h"
#include "tap.h"

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
		{ "live", NULL, NULL, NULL, NULL, live },
		{ "live, as root", NULL, NULL, NULL, NULL, root },
		CU_SUITE_INFO_NULL,
	};

	if (geteuid() != 0)
		suites[1] = (CU_SuiteInfo)CU_SUITE_INFO_NULL;
	return tap_run(suites);
}
