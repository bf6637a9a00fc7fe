/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "proc/cgroup.h"
#include "proc/fdinfo.h"
#include "proc/keys.h"
#include "proc/maps.h"
#include "proc/pagemap.h"
#include "proc/task.h"
#include "proc/timers.h"
#include "tap.h"

static int snapshot(const char *name)
{
	const char *source = getenv("srcdir");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/test/data/proc-%s", source ? source : ".", name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* --- maps ------------------------------------------------------------------------------------ */

static const struct vma *find_name(const struct maps *m, const char *name)
{
	vec_each(v, &m->list)
		if (strcmp(v->name, name) == 0)
			return v;
	return NULL;
}

static void maps_of_odd_names(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	const struct vma *v;

	CU_ASSERT_EQUAL_FATAL(maps_read(proc, &a, &m, &e), 0);
	CU_ASSERT_EQUAL(m.list.n, 38);
	v = &m.list.v[0];
	CU_ASSERT(v->start == 0x10000000 && v->end == 0x10002000 && v->inode == 0 && v->dev == 0);
	CU_ASSERT_STRING_EQUAL(v->name, "");
	CU_ASSERT_EQUAL(v->prot, PROT_READ | PROT_WRITE);
	v = find_name(&m, "/tmp/odd/two words");
	CU_ASSERT_FATAL(v != NULL);
	CU_ASSERT(v->start == 0x7f2804048000 && v->end == 0x7f280404a000);
	CU_ASSERT(v->offset == 4096 && v->inode == 10961714 && v->dev == makedev(0xfe, 0) &&
		  !v->shared);
	v = find_name(&m, "/tmp/odd/new\nline");
	CU_ASSERT(v && v->shared && v->prot == PROT_READ);
	CU_ASSERT_PTR_NOT_NULL(find_name(&m, "/tmp/odd/back\\slash"));
	CU_ASSERT_PTR_NOT_NULL(find_name(&m, "/tmp/odd/was not (deleted)"));
	v = find_name(&m, "/tmp/odd/gone (deleted)");
	CU_ASSERT(v && v->prot == (PROT_READ | PROT_EXEC));
	CU_ASSERT_PTR_NOT_NULL(find_name(&m, "/memfd:a memfd (deleted)"));
	v = find_name(&m, "[vsyscall]");
	CU_ASSERT(v && v->start == 0xffffffffff600000 && v->prot == PROT_EXEC);
	maps_free(&m);
	arena_free(&a);
}

static void maps_and_smaps_agree(void)
{
	static const char *const names[] = { "odd", "sleep", "threads" };

	for (int i = 0; i < 3; i++) {
		auto_fd proc = snapshot(names[i]);
		struct arena a = { 0 };
		struct maps m = { 0 }, s = { 0 };
		struct error e = { 0 };
		bool same = true;

		CU_ASSERT_EQUAL_FATAL(maps_read(proc, &a, &m, &e), 0);
		CU_ASSERT_EQUAL_FATAL(smaps_read(proc, &a, &s, &e), 0);
		CU_ASSERT_EQUAL_FATAL(m.list.n, s.list.n);
		for (size_t k = 0; k < m.list.n; k++) {
			const struct vma *x = &m.list.v[k], *y = &s.list.v[k];

			same &= x->start == y->start && x->end == y->end &&
				x->offset == y->offset && x->prot == y->prot &&
				x->shared == y->shared && x->dev == y->dev &&
				x->inode == y->inode && strcmp(x->name, y->name) == 0;
			same &= x->flags == 0 && !(y->flags & VMF(UNKNOWN));
			same &= !(y->flags & VMF(rd)) == !(y->prot & PROT_READ);
			same &= !(y->flags & VMF(wr)) == !(y->prot & PROT_WRITE);
			same &= !(y->flags & VMF(ex)) == !(y->prot & PROT_EXEC);
		}
		CU_ASSERT(same);
		maps_free(&m);
		maps_free(&s);
		arena_free(&a);
	}
}

static void smaps_flags_and_rss(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	uint64_t all = 0, rss = 0;
	const struct vma *v;

	CU_ASSERT_EQUAL_FATAL(smaps_read(proc, &a, &m, &e), 0);
	CU_ASSERT_EQUAL(m.list.v[0].flags,
			VMF(rd) | VMF(wr) | VMF(mr) | VMF(mw) | VMF(me) | VMF(gd) | VMF(ac));
	v = find_name(&m, "[vvar]");
	CU_ASSERT(v && v->flags == (VMF(rd) | VMF(mr) | VMF(pf) | VMF(io) | VMF(de) | VMF(dd)));
	vec_each(it, &m.list) {
		all |= it->flags;
		rss += it->rss;
	}
	CU_ASSERT_EQUAL(all & (VMF(dc) | VMF(wf) | VMF(lo) | VMF(nr) | VMF(nh)),
			VMF(dc) | VMF(wf) | VMF(lo) | VMF(nr) | VMF(nh));
	CU_ASSERT(rss > 1000 * 1024 && rss < 1400 * 1024 && rss % 4096 == 0);
	maps_free(&m);
	arena_free(&a);
}

static void a_name_may_begin_another(void)
{
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(
		maps_parse(
			"1000-2000 r--p 00000000 00:01 1 /ab\n2000-3000 r--p 00000000 00:01 1 /a\n"
			"3000-4000 r--p 00000000 00:01 1 /a\n"
			"4000-5000 r--p 00000000 00:01 1 /a\\012b\n",
			false, &a, &m, &e),
		0);
	CU_ASSERT_STRING_EQUAL(m.list.v[0].name, "/ab");
	CU_ASSERT_STRING_EQUAL(m.list.v[1].name, "/a");
	CU_ASSERT_PTR_EQUAL(m.list.v[2].name, m.list.v[1].name); /* kept once */
	CU_ASSERT_STRING_EQUAL(m.list.v[3].name, "/a\nb");
	maps_free(&m);
	arena_free(&a);
}

#define HEAD "1000-2000 rw-p 00000000 00:00 0 \n"
#define TAIL "Size: 4 kB\nRss:                   4 kB\nVmFlags: rd wr \n"

static int parse(const char *text, bool smaps, struct vma *first)
{
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	int rc = maps_parse(text, smaps, &a, &m, &e);

	CU_ASSERT(rc == 0 || e.text[0]);
	if (rc == 0 && first && m.list.n > 0) {
		*first = m.list.v[0];
		first->name = NULL;
	}
	if (rc == 0)
		rc = (int)m.list.n;
	maps_free(&m);
	arena_free(&a);
	return rc;
}

static void maps_refuse_hostile_text(void)
{
	static const char *const bad[] = {
		"x",
		"\n",
		"1000-2000 rw-p 00000000 00:00 0",
		"1000-2000",
		"1000 2000 rw-p 00000000 00:00 0 \n",
		"1000-2000 rw-q 00000000 00:00 0 \n",
		"1000-2000 rW-p 00000000 00:00 0 \n",
		"1000-2000 r\n",
		"1000-2000 rw-p 00000000 00:00 \n0 \n",
		"1000-2000 rw-p 00000000 00-00 0 \n",
		"1000-2000 rw-p 00000000 100000000:00 0 \n",
		"1000-2000 rw-p 00000000 00:00 18446744073709551616 \n",
		"10000000000000000-20000000000000000 rw-p 00000000 00:00 0 \n",
		"2000-1000 rw-p 00000000 00:00 0 \n",
		"1000-1000 rw-p 00000000 00:00 0 \n",
		"-2000 rw-p 00000000 00:00 0 \n",
		"1000--2000 rw-p 00000000 00:00 0 \n",
		HEAD "Rss: 4 kB\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(parse(bad[i], false, NULL), -EINVAL);
	CU_ASSERT_EQUAL(parse(HEAD HEAD, false, NULL), -EAGAIN);
	CU_ASSERT_EQUAL(parse("", false, NULL), 0);
	CU_ASSERT_EQUAL(parse(HEAD, false, NULL), 1);
}

static void smaps_refuse_hostile_text(void)
{
	static const char *const bad[] = {
		HEAD, /* no VmFlags: cut off */
		HEAD "Rss: 4 kB\n2000-3000 rw-p 00000000 00:00 0 \n" TAIL,
		"Rss: 4 kB\n",
		HEAD "Rss: 4\n" TAIL,
		HEAD "Rss: x kB\n" TAIL,
		HEAD "Rss: 4 MB\n" TAIL,
		HEAD "Rss: 18446744073709551615 kB\n" TAIL,
		HEAD "VmFlags: r\n",
		HEAD "VmFlags: rdw wr\n",
		HEAD "VmFlags: rd w\n",
		HEAD "VmFlags: rd wr",
	};
	struct vma v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(parse(bad[i], true, NULL), -EINVAL);
	CU_ASSERT_EQUAL(parse(HEAD TAIL "2000-3000 rw-p 00000000 00:00 0 \n" TAIL, true, &v), 2);
	CU_ASSERT_EQUAL(v.flags, VMF(rd) | VMF(wr));
	CU_ASSERT_EQUAL(v.rss, 4096);
	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: rd zz\n", true, &v), 1);
	CU_ASSERT_EQUAL(v.flags, VMF(rd) | VMF(UNKNOWN));
	CU_ASSERT_STRING_EQUAL(v.unknown, "zz");
}

/* What has no letters is MLOCK_ONFAULT beside lo, and unknown anywhere else. */
static void a_flag_without_letters(void)
{
	struct vma v;

	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: rd lo ??\n", true, &v), 1);
	CU_ASSERT_EQUAL(v.flags, VMF(rd) | VMF(lo) | VMF(lf));
	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: rd ??\n", true, &v), 1);
	CU_ASSERT_EQUAL(v.flags, VMF(rd) | VMF(UNKNOWN));
	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: rd lo ?? ??\n", true, &v), 1);
	CU_ASSERT((v.flags & VMF(UNKNOWN)) != 0);
}

static void every_vm_flag_has_its_bit(void)
{
	struct vma v;

	CU_ASSERT_EQUAL(
		parse(HEAD "VmFlags: rd wr ex sh mr mw me ms gd pf dw lo io sr rr dc de ac nr ht "
			   "sf nl ar wf dd sd mm hg nh mg bt mt um uw ui ss sl lf dp gu \n",
		      true, &v),
		1);
	CU_ASSERT_EQUAL(v.flags, VMF(UNKNOWN) - 1);
	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: sl\n", true, &v), 1);
	CU_ASSERT_EQUAL(v.flags, VMF(sl));
	CU_ASSERT_EQUAL(parse(HEAD "VmFlags: gu\n", true, &v), 1);
	CU_ASSERT_EQUAL(v.flags, VMF(gu));
}

/* However a snapshot is cut, the answer is an error or a shorter list. */
static void maps_cut_anywhere(void)
{
	auto_fd proc = snapshot("odd");
	auto_buf text = { 0 };
	bool good = true;

	CU_ASSERT_EQUAL_FATAL(fd_read_file(proc, "smaps", &text), 0);
	for (size_t n = 0; n < 3000; n++) {
		auto_free char *part = mem_alloc(n + 1); /* its own size, for sanitizers */
		int rc;

		memcpy(part, text.p, n);
		rc = parse(part, true, NULL);
		good &= rc < 0 || rc < 10;
		rc = parse(part, false, NULL);
		good &= rc < 0 || rc < 10;
	}
	CU_ASSERT(good);
}

static void own_maps_are_found(void)
{
	auto_fd self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct arena a = { 0 };
	struct maps m = { 0 }, s = { 0 };
	struct error e = { 0 };
	int here = 0;
	const struct vma *v;

	CU_ASSERT_EQUAL_FATAL(maps_read(self, &a, &m, &e), 0);
	v = maps_find(&m, (uint64_t)(uintptr_t)&here);
	CU_ASSERT(v && v->start <= (uintptr_t)&here && (uintptr_t)&here < v->end);
	v = maps_find(&m, (uint64_t)(uintptr_t)own_maps_are_found);
	CU_ASSERT(v && v->prot & PROT_EXEC && v->inode != 0);
	for (size_t i = 0; i < m.list.n; i++) {
		CU_ASSERT_PTR_EQUAL(maps_find(&m, m.list.v[i].start), &m.list.v[i]);
		CU_ASSERT_PTR_EQUAL(maps_find(&m, m.list.v[i].end - 1), &m.list.v[i]);
	}
	CU_ASSERT_PTR_NULL(maps_find(&m, 0));
	CU_ASSERT_PTR_NULL(maps_find(&m, UINT64_MAX));
	CU_ASSERT_EQUAL(smaps_read(self, &a, &s, &e), 0);
	maps_free(&m);
	maps_free(&s);
	arena_free(&a);
}

/* A zombie has no memory, and after it is reaped there is no such task. */
static void a_dead_task_is_esrch(void)
{
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	struct proc_stat st;
	struct proc_status status;
	struct pids pids = { 0 };
	siginfo_t info;
	char path[32];
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	auto_fd proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	CU_ASSERT_EQUAL(maps_read(proc, &a, &m, &e), -ESRCH);
	CU_ASSERT_EQUAL(smaps_read(proc, &a, &m, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_stat_read(proc, &st, &e), 0);
	CU_ASSERT(st.state == 'Z' && st.pid == pid && st.ppid == getpid());
	CU_ASSERT_EQUAL(proc_status_read(proc, &a, &status, &e), 0);
	CU_ASSERT(status.state == 'Z' && status.vm_rss == 0);
	CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
	CU_ASSERT_EQUAL(maps_read(proc, &a, &m, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_stat_read(proc, &st, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_status_read(proc, &a, &status, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_threads(proc, &pids, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_children(proc, &pids, &e), -ESRCH);
	CU_ASSERT_EQUAL(proc_fds(proc, &pids, &e), -ESRCH);
	maps_free(&m);
	vec_free(&pids.list);
	arena_free(&a);
}

/* --- stat and status ------------------------------------------------------------------------- */

static void stat_of_an_odd_name(void)
{
	auto_fd proc = snapshot("odd");
	struct proc_stat s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_stat_read(proc, &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.comm, "a) R 1 (\n\\b");
	CU_ASSERT(s.pid == 25906 && s.state == 'S' && s.ppid == 25877);
	CU_ASSERT(s.pgid == 25906 && s.sid == 25906 && s.tty_nr == 0 && s.tpgid == -1);
	CU_ASSERT(s.flags == 4194304 && s.priority == 20 && s.nice == 0 && s.start_time == 338099);
	CU_ASSERT(s.start_code == 94476679651328 && s.end_code == 94476679653573);
	CU_ASSERT(s.start_stack == 140736718960752);
	CU_ASSERT(s.exit_signal == 17 && s.rt_priority == 0 && s.policy == 0);
	CU_ASSERT(s.start_data == 94476679663056 && s.end_data == 94476679663896);
	CU_ASSERT(s.start_brk == 94477185536000 && s.arg_start == 140736718969456);
	CU_ASSERT(s.arg_end == 140736718969477 && s.env_start == 140736718969477);
	CU_ASSERT(s.env_end == 140736718970851 && s.exit_code == 0);
}

static int stat_rc(const char *text)
{
	struct proc_stat s;
	struct error e = { 0 };
	int rc = proc_stat_parse(text, &s, &e);

	CU_ASSERT(rc == 0 || e.text[0]);
	return rc;
}

#define FIELDS                                                                                    \
	" 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 -5 1 0 7 0 0 0 1 2 3 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 " \
	"1 2 3 4 5 6 7 0"

static void stat_refuses_hostile_text(void)
{
	static const char *const bad[] = {
		"",
		"1",
		"1 (",
		"1 (a",
		"1 )(",
		"(a) S" FIELDS "\n",
		"0 (a) S" FIELDS "\n",
		"2147483648 (a) S" FIELDS "\n",
		"1 (a)S" FIELDS "\n",
		"1 (a) " FIELDS "\n",
		"1 (a) S" FIELDS,
		"1 (a) S 1 2 3\n",
		"1 (a) S  1" FIELDS "\n",
		"1 (0123456789012345678901234567890123456789012345678901234567890123) S" FIELDS
		"\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(stat_rc(bad[i]), -EINVAL);
	CU_ASSERT_EQUAL(stat_rc("1 (a) S" FIELDS "\n"), 0);
	CU_ASSERT_EQUAL(stat_rc("1 (a) S" FIELDS " 99\n"), 0); /* a newer kernel may tell more */
	CU_ASSERT_EQUAL(stat_rc("1 () S" FIELDS "\n"), 0);
}

static void status_of_an_odd_name(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct proc_status s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_status_read(proc, &a, &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.name, "a) R 1 (\n\\b");
	CU_ASSERT(s.state == 'S' && s.tgid == 25906 && s.pid == 25906 && s.ppid == 25877);
	CU_ASSERT(s.tracer == 0 && s.umask == 027 && s.n_groups == 0 && s.threads == 1);
	CU_ASSERT(s.sig_pending == 0x200 && s.shared_pending == 0);
	CU_ASSERT(s.sig_blocked == 0x4200 && s.sig_ignored == 6 && s.sig_caught == 0);
	CU_ASSERT(s.vm_rss == 1096 * 1024);
	arena_free(&a);
}

static void status_of_another_user(void)
{
	auto_fd proc = snapshot("sleep");
	struct arena a = { 0 };
	struct proc_status s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_status_read(proc, &a, &s, &e), 0);
	for (int i = 0; i < 4; i++)
		CU_ASSERT(s.uid[i] == 65534 && s.gid[i] == 65534);
	CU_ASSERT_EQUAL_FATAL(s.n_groups, 3);
	CU_ASSERT(s.groups[0] == 7 && s.groups[1] == 8 && s.groups[2] == 9);
	CU_ASSERT(s.cap_eff == 0 && s.cap_prm == 0 && s.cap_bnd == 0x1fffeffffff);
	CU_ASSERT(s.no_new_privs == 1 && s.seccomp == 0);
	arena_free(&a);
}

static int status_rc(const char *text, struct proc_status *s)
{
	struct arena a = { 0 };
	struct error e = { 0 };
	int rc = proc_status_parse(text, &a, s, &e);

	CU_ASSERT(rc == 0 || e.text[0]);
	arena_free(&a);
	return rc;
}

/* Each line that must be there is left out in turn, and each is damaged in turn. */
static void status_misses_lines(void)
{
	static const char *const keys[] = { "Name",      "State",  "Tgid",   "Pid",    "PPid",
					    "TracerPid", "Uid",    "Gid",    "Groups", "Threads",
					    "SigPnd",    "ShdPnd", "SigBlk", "SigIgn", "SigCgt",
					    "CapInh",    "CapPrm", "CapEff", "CapBnd", "CapAmb",
					    "NoNewPrivs" };
	auto_fd proc = snapshot("sleep");
	auto_buf text = { 0 };
	struct proc_status s;

	CU_ASSERT_EQUAL_FATAL(fd_read_file(proc, "status", &text), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char line[32];
		char *at;

		snprintf(line, sizeof(line), "\n%s:\t", keys[i]);
		at = i == 0 ? text.p : strstr(text.p, line) + 1;
		*at = 'x';
		CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
		*at = keys[i][0];
		if (i > 1) { /* names and states may be anything */
			char *value = strchr(at, '\t') + 1, kept = *value;

			*value = '?';
			CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
			*value = kept;
			value = strchr(at, '\n') - 1; /* and what stands behind a value */
			kept = *value;
			*value = '?';
			CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
			*value = kept;
		}
	}
	CU_ASSERT_EQUAL(status_rc(text.p, &s), 0);
	CU_ASSERT_EQUAL(status_rc("", &s), -EINVAL);
	CU_ASSERT_EQUAL(
		status_rc(
			"Name:\t0123456789012345678901234567890123456789012345678901234567890123\n",
			&s),
		-EINVAL);
}

static void sigblk_alone(void)
{
	uint64_t mask = 0;

	CU_ASSERT_EQUAL(proc_sigblk_parse("Name:\tSigBlk:\t1\nSigBlk:\tfffffffffffbfeff\n", &mask),
			0);
	CU_ASSERT_EQUAL(mask, 0xfffffffffffbfeff);
	CU_ASSERT_EQUAL(proc_sigblk_parse("Name:\tx\n", &mask), -EINVAL);
	CU_ASSERT_EQUAL(proc_sigblk_parse("a\nSigBlk:\t12", &mask), -EINVAL);
	CU_ASSERT_EQUAL(proc_sigblk_parse("a\nSigBlk:\t\n", &mask), -EINVAL);
}

/* --- lists ----------------------------------------------------------------------------------- */

static void threads_in_order(void)
{
	auto_fd proc = snapshot("threads");
	struct pids p = { 0 };
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_threads(proc, &p, &e), 0);
	CU_ASSERT_EQUAL_FATAL(p.list.n, 4);
	CU_ASSERT(p.list.v[0] == 25907 && p.list.v[1] == 25916);
	CU_ASSERT(p.list.v[2] == 25918 && p.list.v[3] == 25919);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.n, 0);
	vec_free(&p.list);
}

static void own_children_and_fds(void)
{
	auto_fd self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pids p = { 0 };
	struct error e = { 0 };
	pid_t children[3];
	int high = fcntl(0, F_DUPFD_CLOEXEC, 700);

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			pause();
			_exit(0);
		}
	}
	CU_ASSERT_EQUAL(proc_children(self, &p, &e), 0);
	CU_ASSERT_EQUAL_FATAL(p.list.n, 3);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT(p.list.v[i] == children[0] || p.list.v[i] == children[1] ||
			  p.list.v[i] == children[2]);
		CU_ASSERT(i == 0 || p.list.v[i - 1] < p.list.v[i]);
	}
	for (int i = 0; i < 3; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	CU_ASSERT_EQUAL(proc_fds(self, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.v[0], 0);
	CU_ASSERT_EQUAL(p.list.v[p.list.n - 1], high);
	close(high);
	CU_ASSERT_EQUAL(proc_threads(self, &p, &e), 0);
	CU_ASSERT(p.list.n >= 1 && p.list.v[0] == getpid()); /* a sanitizer may have threads */
	vec_free(&p.list);
}

static void children_of_several_threads(void)
{
	char path[] = "/tmp/t-proc.XXXXXX";
	static const char *const names[] = { "task", "task/9", "task/10" };
	struct pids p = { 0 };
	struct proc_stat st;
	struct error e = { 0 };

	CU_ASSERT_FATAL(mkdtemp(path) != NULL);
	auto_fd proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(proc_stat_read(proc, &st, &e), -ESRCH); /* what some kernels call ENOENT */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(mkdirat(proc, names[i], 0700), 0);
	/* A thread that has ended has no files, though its folder is still open. */
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.n, 0);
	close(openat(proc, "task/10/stat", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e),
			-EINVAL); /* one is there, and has no children */
	CU_ASSERT(strstr(e.text, "CONFIG_PROC_CHILDREN") != NULL);
	auto_fd one = openat(proc, "task/9/children", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	auto_fd two = openat(proc, "task/10/children", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL(fd_write_full(one, "300 20 ", 7), 0);
	CU_ASSERT_EQUAL(fd_write_full(two, "100 ", 4), 0);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT(p.list.n == 3 && p.list.v[0] == 20 && p.list.v[1] == 100 && p.list.v[2] == 300);
	CU_ASSERT_EQUAL(fd_write_full(two, "x ", 2), 0);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), -EINVAL);
	vec_free(&p.list);
	unlinkat(proc, "task/10/stat", 0);
	unlinkat(proc, "task/9/children", 0);
	unlinkat(proc, "task/10/children", 0);
	for (int i = 2; i >= 0; i--)
		unlinkat(proc, names[i], AT_REMOVEDIR);
	rmdir(path);
}

/* --- fdinfo ---------------------------------------------------------------------------------- */

static const char *line(const struct fdinfo *f, size_t i, const char *key)
{
	return i < f->n_lines && strcmp(f->lines[i].key, key) == 0 ? f->lines[i].value : "-";
}

static void fdinfo_of_kinds(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct fdinfo f;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 4, &a, &f, &e), 0); /* eventfd */
	CU_ASSERT(f.pos == 0 && f.flags == 02004002 && f.mnt_id == 17 && f.ino == 1038);
	CU_ASSERT_EQUAL(f.n_lines, 3);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "eventfd-count"), "7");
	CU_ASSERT_STRING_EQUAL(line(&f, 2, "eventfd-semaphore"), "0");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 8, &a, &f, &e),
			      0); /* epoll: pos and ino once more */
	CU_ASSERT_EQUAL(f.n_lines, 2);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "tfd"),
			       "4 events: 80000019 data:  123456789abcdef  pos:0 ino:40e sdev:10");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 9, &a, &f, &e), 0); /* file with locks */
	CU_ASSERT(f.pos == 12345 && f.flags == 0102002 && f.ino == 10961714 && f.n_lines == 2);
	CU_ASSERT_STRING_EQUAL(line(&f, 1, "lock"),
			       "2: POSIX  ADVISORY  WRITE 25906 fe:00:10961714 10 14");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 12, &a, &f, &e), 0);
	CU_ASSERT_EQUAL(strncmp(line(&f, 0, "inotify wd"), "1 ino:a7432f", 12), 0);
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 6, &a, &f, &e), 0); /* pipe */
	CU_ASSERT(f.flags == 0 && f.n_lines == 0);
	CU_ASSERT_EQUAL(fdinfo_read(proc, 77, &a, &f, &e), -ENOENT);
	arena_free(&a);
}

static void fdinfo_refuses_hostile_text(void)
{
	static const char *const bad[] = {
		"",
		"\n",
		"pos:\t0\nflags:\t0\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t1",
		"pos:\tx\nflags:\t0\nmnt_id:\t1\n",
		"pos:\t0\nflags:\t8\nmnt_id:\t1\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t-1\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t4294967296\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t1\nino:\t\n",
	};
	struct arena a = { 0 };
	struct fdinfo f;
	struct error e = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(fdinfo_parse(bad[i], &a, &f, &e), -EINVAL);
	CU_ASSERT_EQUAL(fdinfo_parse("pos:\t-5\nflags:\t0\nmnt_id:\t1\npos:\t9\nodd\n\n:\n", &a, &f,
				     &e),
			0);
	CU_ASSERT(f.pos == (uint64_t)-5 && f.n_lines == 4);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "pos"), "9");
	CU_ASSERT_STRING_EQUAL(line(&f, 1, "odd"), "");
	CU_ASSERT_STRING_EQUAL(line(&f, 2, ""), "");
	CU_ASSERT_STRING_EQUAL(line(&f, 3, ""), "");
	arena_free(&a);
}

/* --- pagemap --------------------------------------------------------------------------------- */

struct runs {
	uint64_t base;
	struct buf text;
	int stop_after;
};

static int note_run(void *arg, uint64_t start, uint64_t end)
{
	struct runs *r = arg;

	buf_printf(&r->text, "%d+%d ", (int)((start - r->base) / 4096),
		   (int)((end - start) / 4096));
	return r->stop_after-- == 0 ? -ECANCELED : 0;
}

/* The runs of pages as text; "scan" and "read" must agree. */
static void check_runs(void *p, size_t pages, bool private_file, const char *want)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t start = (uint64_t)(uintptr_t)p;

	for (int force = 0; force < 2; force++) {
		struct pagemap map = { .fd = fd, .force_read = force };
		struct runs r = { .base = start, .stop_after = -1 };
		struct error e = { 0 };

		buf_grow(&r.text, 0);
		CU_ASSERT_EQUAL(pagemap_walk(&map, start, start + pages * 4096, private_file,
					     note_run, &r, &e),
				0);
		CU_ASSERT_STRING_EQUAL(r.text.p, want);
		buf_free(&r.text);
	}
}

static void pages_with_contents(void)
{
	char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 64 * 4096, MADV_NOHUGEPAGE);
	check_runs(p, 64, false, "");
	p[0] = p[5 * 4096] = p[6 * 4096] = p[63 * 4096] = 1;
	check_runs(p, 64, false, "0+1 5+2 63+1 ");
	check_runs(p, 64, true, "0+1 5+2 63+1 ");
	check_runs(p + 6 * 4096, 2, false, "0+1 ");
	madvise(p + 5 * 4096, 4096, MADV_DONTNEED);
	check_runs(p, 64, false, "0+1 6+1 63+1 ");
	munmap(p, 64 * 4096);
}

/* More runs than one call of the kernel reports, and one run over the border of a batch. */
static void more_runs_than_a_batch(void)
{
	char *p =
		mmap(NULL, 3000 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	auto_buf want = { 0 };

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 3000 * 4096, MADV_NOHUGEPAGE);
	for (int i = 0; i < 2000; i += 2) {
		p[i * 4096] = 1;
		buf_printf(&want, "%d+1 ", i);
	}
	memset(p + 2100 * 4096, 1, 900 * 4096);
	buf_printf(&want, "2100+900 ");
	check_runs(p, 3000, false, want.p);
	munmap(p, 3000 * 4096);
}

static void pages_of_a_private_file(void)
{
	int fd = memfd_create("t-proc", MFD_CLOEXEC);
	volatile char *p;

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 8 * 4096), 0);
	CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 0), 1);
	p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CU_ASSERT_FATAL(p != MAP_FAILED);
	(void)p[0]; /* in memory, and the file's */
	p[3 * 4096] = 1;
	check_runs((void *)p, 8, true, "3+1 ");
	munmap((void *)p, 8 * 4096);
	close(fd);
}

/* Bytes of the mapping that are in memory, without the zero page. */
static uint64_t resident(const volatile void *p)
{
	auto_fd proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	const struct vma *v;
	uint64_t rss;

	CU_ASSERT_EQUAL_FATAL(smaps_read(proc, &a, &m, &e), 0);
	v = maps_find(&m, (uint64_t)(uintptr_t)p);
	CU_ASSERT_FATAL(v != NULL);
	rss = v->rss;
	maps_free(&m);
	arena_free(&a);
	return rss;
}

/* A kernel may be told to have none (guests of some hypervisors): then a page that was only read is
 * like any other. */
static void the_zero_page_does_not_count(void)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *p =
		mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pagemap map = { .fd = fd };
	struct runs r = { .base = (uint64_t)(uintptr_t)p, .stop_after = -1 };
	struct error e = { 0 };
	bool is_zero_page;
	uint64_t before;

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise((void *)p, 4 * 4096, MADV_NOHUGEPAGE);
	before = resident(p);
	(void)p[0];
	is_zero_page = resident(p) == before;
	p[4096] = 1;
	CU_ASSERT_EQUAL(pagemap_walk(&map, r.base, r.base + 4 * 4096, false, note_run, &r, &e), 0);
	CU_ASSERT_STRING_EQUAL(r.text.p, is_zero_page && !map.no_scan ? "1+1 " : "0+2 ");
	buf_free(&r.text);
	munmap((void *)p, 4 * 4096);
}

static void a_walk_is_stopped_by_found(void)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 8 * 4096, MADV_NOHUGEPAGE);
	p[0] = p[2 * 4096] = p[4 * 4096] = 1;
	for (int force = 0; force < 2; force++) {
		struct pagemap map = { .fd = fd, .force_read = force };
		struct runs r = { .base = (uint64_t)(uintptr_t)p, .stop_after = 1 };
		struct error e = { 0 };

		CU_ASSERT_EQUAL(pagemap_walk(&map, r.base, r.base + 8 * 4096, false, note_run, &r,
					     &e),
				-ECANCELED);
		CU_ASSERT_STRING_EQUAL(r.text.p, "0+1 2+1 ");
		buf_free(&r.text);
	}
	munmap(p, 8 * 4096);
}

static void a_bad_pagemap_is_an_error(void)
{
	for (int force = 0; force < 2; force++) {
		struct pagemap map = { .fd = -1, .force_read = force };
		struct error e = { 0 };

		CU_ASSERT_EQUAL(pagemap_walk(&map, 4096, 8192, false, note_run, NULL, &e), -EBADF);
		CU_ASSERT(e.text[0]);
	}
}

static void posix_timers_are_read(void)
{
	static const char text[] = "ID: 7\nsignal: 34/0000000000000007\nnotify: thread/tid.-1\n"
				   "ClockID: -6\nID: 2\nsignal: 60/00007fff86e452a8\n"
				   "notify: signal/pid.2634\nClockID: 1\n";
	static const char *const bad[] = {
		"ID: 1\n",
		"ID: 1\nsignal: 60/x\nnotify: signal/pid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: signal/xid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: other/pid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: signal/pid.1\nClockID: 1",
		"ID: 99999999999\nsignal: 60/1\nnotify: signal/pid.1\nClockID: 1\n",
	};
	struct arena a = { 0 };
	struct proc_timers t;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(timers_parse(text, &a, &t, &e), 0);
	CU_ASSERT_EQUAL_FATAL(t.n, 2);
	CU_ASSERT(t.list[0].id == 2 && t.list[0].signal == 60 && t.list[0].clock == 1);
	CU_ASSERT(t.list[0].value == 0x7fff86e452a8 && t.list[0].target == 2634);
	CU_ASSERT_EQUAL(t.list[0].notify, SIGEV_SIGNAL);
	CU_ASSERT(t.list[1].id == 7 && t.list[1].clock == -6 && t.list[1].target == -1);
	CU_ASSERT_EQUAL(t.list[1].notify, SIGEV_THREAD | SIGEV_THREAD_ID);
	CU_ASSERT_PTR_EQUAL(timers_find(&t, 7), &t.list[1]);
	CU_ASSERT_PTR_NULL(timers_find(&t, 3));
	CU_ASSERT(timers_parse("", &a, &t, &e) == 0 && t.n == 0 && !timers_find(&t, 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT(timers_parse(bad[i], &a, &t, &e) < 0);
	arena_free(&a);
}

static void groups_are_parsed(void)
{
	struct arena a = { 0 };
	struct cgroups g = { 0 };
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(cgroups_parse("4:cpu,cpuacct:/a\n1:name=systemd:/b:c d\n0::/\n", &a,
					    &g, &e),
			      0);
	CU_ASSERT_EQUAL_FATAL(g.list.n, 3);
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, "cpu,cpuacct"), "/a");
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, "name=systemd"), "/b:c d");
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, ""), "/");
	CU_ASSERT_PTR_NULL(cgroups_find(&g, "cpu"));
	CU_ASSERT(cgroups_parse("0:/a", &a, &g, &e) < 0);
	CU_ASSERT(cgroups_parse("0::a\n", &a, &g, &e) < 0);
	CU_ASSERT(cgroups_parse("\n", &a, &g, &e) < 0);
	vec_free(&g.list);
	arena_free(&a);
}

static void labels_are_compared(void)
{
	CU_ASSERT(!proc_label_is_foreign("unconfined", "unconfined"));
	CU_ASSERT(!proc_label_is_foreign("unconfined", "docker-default (enforce)"));
	CU_ASSERT(!proc_label_is_foreign("system_u:system_r:x_t:s0", "system_u:system_r:x_t:s0"));
	CU_ASSERT(!proc_label_is_foreign("", "unconfined"));
	CU_ASSERT(proc_label_is_foreign("docker-default (enforce)", "unconfined"));
	CU_ASSERT(proc_label_is_foreign("system_u:system_r:y_t:s0", "system_u:system_r:x_t:s0"));
}

static void keys_are_known(void)
{
	static const char users[] = "    0:    10 9/9 4/1000000 45/25000000\n"
				    " 1000:     1 1/1 1/200 30/20000\n";

	CU_ASSERT(keys_is_default("keyring;0;65534;1f3f0000;_uid.0"));
	CU_ASSERT(keys_is_default("keyring;1000;65534;1f3f0000;_uid_ses.1000"));
	CU_ASSERT(keys_is_default("user;0;0;3f010000;invocation_id"));
	CU_ASSERT(!keys_is_default("user;0;0;3f010000;_uid.0"));
	CU_ASSERT(!keys_is_default("keyring;0;0;3f010000;mine"));
	CU_ASSERT(!keys_is_default("user;0;0"));
	CU_ASSERT(keys_has_user(users, 0));
	CU_ASSERT(!keys_has_user(users, 1000));
	CU_ASSERT(!keys_has_user(users, 1));
}

/* "MOUNT|BELOW", or "none" */
static const char *place_of(struct arena *a, const char *mounts, const char *controllers,
			    const char *path)
{
	const struct cgroup g = { controllers, path };
	struct cgroup_place p;

	return cgroup_place_find(mounts, &g, a, &p) ? arena_printf(a, "%s|%s", p.mount, p.below)
						    : "none";
}

static void groups_are_found_in_mounts(void)
{
	static const char mounts[] =
		"22 1 0:20 / / rw - ext4 /dev/vda rw\n"
		"31 30 0:28 / /cg/cpu rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
		"39 30 0:36 / /cg/my\\040own rw - cgroup systemd rw,xattr,name=systemd\n"
		"40 30 0:37 /in /cg/part rw - cgroup2 cgroup2 rw,nsdelegate\n"
		"41 30 0:37 / /cg/all rw - cgroup2 none rw\n";
	struct arena a = { 0 };

	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpu,cpuacct", "/x/y"), "/cg/cpu|x/y");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpuacct", "/"), "/cg/cpu|");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cp", "/"), "none");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpu,memory", "/"), "none");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "name=systemd", "/u"), "/cg/my own|u");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/in/x"), "/cg/part|x");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/in"), "/cg/part|");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/inner"), "/cg/all|inner");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/../x"), "/cg/all|../x");
	CU_ASSERT_STRING_EQUAL(place_of(&a, "1 2", "", "/"), "none");
	arena_free(&a);
}

static CU_TestInfo maps_tests[] = {
	{ "names with blanks, newlines, backslashes, (deleted)", maps_of_odd_names },
	{ "a name that begins another", a_name_may_begin_another },
	{ "maps and smaps agree", maps_and_smaps_agree },
	{ "flags and resident size", smaps_flags_and_rss },
	{ "hostile maps are refused", maps_refuse_hostile_text },
	{ "hostile smaps are refused", smaps_refuse_hostile_text },
	{ "every flag has its bit", every_vm_flag_has_its_bit },
	{ "a flag without letters", a_flag_without_letters },
	{ "smaps cut off anywhere", maps_cut_anywhere },
	{ "own mappings are found by address", own_maps_are_found },
	{ "a dead task is ESRCH", a_dead_task_is_esrch },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo task_tests[] = {
	{ "stat of a task with an odd name", stat_of_an_odd_name },
	{ "hostile stat is refused", stat_refuses_hostile_text },
	{ "status of a task with an odd name", status_of_an_odd_name },
	{ "status of another user's task", status_of_another_user },
	{ "each line of status is needed and checked", status_misses_lines },
	{ "SigBlk alone", sigblk_alone },
	{ "threads in order", threads_in_order },
	{ "own children, descriptors and threads", own_children_and_fds },
	{ "children of several threads", children_of_several_threads },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo fdinfo_tests[] = {
	{ "several kinds", fdinfo_of_kinds },
	{ "hostile text is refused", fdinfo_refuses_hostile_text },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo pagemap_tests[] = {
	{ "pages with contents", pages_with_contents },
	{ "more runs than a batch", more_runs_than_a_batch },
	{ "pages of a private file mapping", pages_of_a_private_file },
	{ "the zero page does not count", the_zero_page_does_not_count },
	{ "found stops the walk", a_walk_is_stopped_by_found },
	{ "a bad descriptor is an error", a_bad_pagemap_is_an_error },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo timers_tests[] = {
	{ "POSIX timers", posix_timers_are_read },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo cgroup_tests[] = {
	{ "the groups of a task", groups_are_parsed },
	{ "groups in mounts", groups_are_found_in_mounts },
	{ "labels of security modules", labels_are_compared },
	{ "keys that are there by default", keys_are_known },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "maps", NULL, NULL, NULL, NULL, maps_tests },
	{ "task", NULL, NULL, NULL, NULL, task_tests },
	{ "fdinfo", NULL, NULL, NULL, NULL, fdinfo_tests },
	{ "pagemap", NULL, NULL, NULL, NULL, pagemap_tests },
	{ "timers", NULL, NULL, NULL, NULL, timers_tests },
	{ "cgroup", NULL, NULL, NULL, NULL, cgroup_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
