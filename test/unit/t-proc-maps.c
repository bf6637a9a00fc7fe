/* SPDX-License-Identifier: MIT */
/* maps and smaps: names, flags, text that is cut off or hostile, own mappings, dead tasks. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "proc-room.h"
#include "proc/maps.h"
#include "proc/task.h"
#include "tap.h"

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
		HEAD "ProtectionKey: x\n" TAIL,
		HEAD "ProtectionKey: 1 kB\n" TAIL,
		HEAD "ProtectionKey: 256\n" TAIL,
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
	CU_ASSERT(!v.has_key && !v.key);
	CU_ASSERT_EQUAL(parse(HEAD "ProtectionKey:        15\n" TAIL, true, &v), 1);
	CU_ASSERT(v.has_key && v.key == 15);
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

/* The second mapping is one that cannot be looked behind. */
static void a_given_name_hides_another(void)
{
	static const char text[] = "1000-2000 rw-s 00000000 00:01 7 [anon_shmem:a name]\n"
				   "2000-3000 rw-s 00000000 00:01 8 [anon_shmem:other]\n"
				   "3000-4000 rw-p 00000000 00:00 0 [anon:third]\n";
	char folder[] = "/tmp/cr-maps-XXXXXX";
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	int fd;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	auto_fd proc = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(proc, "maps", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL_FATAL(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(mkdirat(proc, "map_files", 0700), 0);
	CU_ASSERT_EQUAL_FATAL(symlinkat("/memfd:x (deleted)", proc, "map_files/1000-2000"), 0);
	CU_ASSERT_EQUAL_FATAL(maps_read(proc, &a, &m, &e), 0);
	CU_ASSERT_EQUAL_FATAL(m.list.n, 3);
	CU_ASSERT_STRING_EQUAL(m.list.v[0].name, "/memfd:x (deleted)");
	CU_ASSERT_STRING_EQUAL(m.list.v[0].given, "a name");
	CU_ASSERT_STRING_EQUAL(m.list.v[1].name, "[anon_shmem:other]");
	CU_ASSERT_PTR_NULL(m.list.v[1].given);
	CU_ASSERT_STRING_EQUAL(m.list.v[2].name, "[anon:third]");
	maps_free(&m);
	arena_free(&a);
	unlinkat(proc, "map_files/1000-2000", 0);
	unlinkat(proc, "map_files", AT_REMOVEDIR);
	unlinkat(proc, "maps", 0);
	rmdir(folder);
}

static CU_TestInfo maps_tests[] = {
	{ "names with blanks, newlines, backslashes, (deleted)", maps_of_odd_names },
	{ "a name that begins another", a_name_may_begin_another },
	{ "a given name hides another", a_given_name_hides_another },
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
static CU_SuiteInfo suites[] = {
	{ "maps", NULL, NULL, NULL, NULL, maps_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
