/* SPDX-License-Identifier: MIT */
/* What a plan may know of this machine and of cr: asked once, before planning. */
#include "restore/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/work.h"
#include "proc/maps.h"
#include "proc/task.h"
#include "restore/plan_memory.h"

static const struct vma *find_own(const struct maps *m)
{
	return maps_find(m, (uint64_t)(uintptr_t)cr_rst_begin());
}

static void add_own(struct host *h, struct arena *a, const struct maps *m)
{
	const struct vma *own = find_own(m);
	struct cr_rst_range *out = arena_alloc(a, m->list.n * sizeof(*out));

	h->own = out;
	vec_each(v, &m->list) {
		if (!own || !own->inode || v->dev != own->dev || v->inode != own->inode)
			continue;
		out[h->n_own++] = (struct cr_rst_range){
			.start = v->start,
			.end = v->end,
			.offset = v->offset,
			.prot = v->prot,
			.flags = v->shared ? 1u : 2u, /* MAP_SHARED, MAP_PRIVATE */
		};
	}
}

static int read_maps(struct restore *r, int proc, struct error *e)
{
	struct host *h = &r->host;
	struct maps m = { 0 };
	int rc = maps_read(proc, &r->arena, &m, e);

	if (rc < 0)
		return rc;
	h->mapped = arena_alloc(&r->arena, (m.list.n + 1) * sizeof(*h->mapped));
	vec_each(v, &m.list) {
		struct host_range range = { v->start, v->end };

		/* [vsyscall] lies in the kernel's half. */
		if (v->start >= h->highest)
			continue;
		h->mapped[h->n_mapped++] = range;
		if (!strcmp(v->name, "[vdso]"))
			h->vdso = range;
		else if (str_starts(v->name, "[vvar") && h->n_vvar < 4)
			h->vvar[h->n_vvar++] = range;
	}
	add_own(h, &r->arena, &m);
	maps_free(&m);
	h->vdso_image = (const void *)(uintptr_t)h->vdso.start;
	if (h->vdso.start)
		h->vdso_build_id_size =
			arch_elf_build_id(h->vdso_image, h->vdso.end - h->vdso.start,
					  h->vdso_build_id);
	return 0;
}

static int read_status(struct restore *r, int proc, struct error *e)
{
	struct host *h = &r->host;
	struct proc_status s;
	int rc = proc_status_read(proc, &r->arena, &s, e);

	if (rc < 0)
		return rc;
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
	return 0;
}

/* A number in a file of /proc/self; `fallback` where the file is not there. */
static uint64_t read_number(int proc, const char *name, unsigned int base, uint64_t fallback)
{
	auto_buf b = { 0 };
	const char *s;
	uint64_t v;
	bool negative;

	if (fd_read_file(proc, name, &b) < 0)
		return fallback;
	s = b.p;
	negative = *s == '-';
	s += negative;
	if (!str_take_u64(&s, base, &v))
		return fallback;
	return negative ? -v : v;
}

static void read_attributes(struct host *h, int proc)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} attr = { 0 };
	long n;

	for (int i = 0; i < 16; i++)
		getrlimit((__rlimit_resource_t)i, &h->limits[i]);
	h->securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	h->timer_slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK);
	h->personality = (uint32_t)personality(0xffffffff);
	h->oom_score_adj = (int32_t)read_number(proc, "oom_score_adj", 10, 0);
	h->coredump_filter = (uint32_t)read_number(proc, "coredump_filter", 16, 0x33);
	h->login_uid = (uint32_t)read_number(proc, "loginuid", 10, UINT32_MAX);
	h->io_priority = (uint32_t)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
	if (!syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0)) {
		h->policy = attr.policy;
		h->sched_flags = attr.flags;
		h->nice = attr.nice;
		h->priority = attr.priority;
		h->util_min = attr.util_min;
		h->util_max = attr.util_max;
	}
	n = syscall(SYS_sched_getaffinity, 0, sizeof(h->affinity), h->affinity);
	h->affinity_size = n > 0 ? (uint32_t)n : 0;
}

static uint64_t clock_shows(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* For an image with POSIX timers. */
static void read_timing(struct restore *r)
{
	static const clockid_t asked[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					   CLOCK_TAI };
	struct host *h = &r->host;
	bool any = false;

	vec_each(rec, &r->img.records)
		any = any || !strcmp(rec->type->tag, kind_posixtimers.record.tag);
	if (!any)
		return;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		h->clocks[asked[i]] = clock_shows(asked[i]);
	h->clocks[CLOCK_REALTIME_ALARM] = h->clocks[CLOCK_REALTIME];
	h->clocks[CLOCK_BOOTTIME_ALARM] = h->clocks[CLOCK_BOOTTIME];
	h->timer_ids =
		prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static void find_rseq(struct host *h)
{
	/* glibc registers 32 bytes; since 2.40 __rseq_size tells how many of them are in use. */
	if (!__rseq_size)
		return;
	h->rseq_address = (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
	h->rseq_size = __rseq_size < 32 ? 32 : __rseq_size;
	h->rseq_signature = RSEQ_SIG;
}

static int too_few(int at, struct error *e)
{
	return fail(
		e, EMFILE,
		"a descriptor that is free in all processes has the number %d, which RLIMIT_NOFILE "
		"of cr does not allow; start cr with a higher one",
		at);
}

/* The tasks fetch descriptors from cr through a pidfd that they inherit, the only one. */
static int open_self(struct restore *r, struct error *e)
{
	auto_fd fd = sys_pidfd_open(getpid(), 0);
	int at;

	if (fd < 0)
		return fail(e, -fd, "pidfd_open of cr itself");
	at = tree_free_fd(r, fd);
	while (at != fd) {
		int n = fcntl(fd, F_DUPFD_CLOEXEC, at);

		if (n < 0)
			return errno == EINVAL ? too_few(at, e)
					       : fail(e, errno, "F_DUPFD from %d", at);
		close(fd);
		fd = n;
		at = tree_free_fd(r, fd);
	}
	r->self_pidfd = take_fd(&fd);
	return 0;
}

/*
 * The kernel is asked where pages may be many enough for it; what the plan does then is what is asked here.
 */
static void ask_for_moves(struct restore *r)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_HAS_MOVE };
	uint64_t bytes = 0;
	auto_fd fd = -1;

	for (size_t i = 0; i < r->img.n_stores; i++)
		bytes += r->img.store_sizes[i];
	if (bytes < READERS_LEAST)
		return;
	r->host.workers = work_width();
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	r->host.can_move = fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0;
}

static int choose_ways(struct restore *r, struct error *e)
{
	static const struct {
		const char *name;
		uint32_t way;
	} names[] = {
		{ "plain", CR_RST_WAY_PLAIN },
		{ "mount", CR_RST_WAY_MOUNT },
		{ "copy", CR_RST_WAY_COPY },
	};

	if (!r->opt->exe_way)
		return 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(r->opt->exe_way, names[i].name)) {
			r->host.ways = names[i].way;
			return 0;
		}
	}
	return fail(e, 0, "the ways to set the exe link are plain, mount and copy, not '%s'",
		    r->opt->exe_way);
}

int host_fill(struct restore *r, struct error *e)
{
	struct host *h = &r->host;
	auto_fd proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_buf features = { 0 };
	int rc;

	if (proc < 0)
		return fail(e, errno, "open /proc/self");
	h->pid = getpid();
	h->group = getpgrp();
	h->lowest = 65536;
	h->highest = arch_user_end();
	arch_xsave_host(&h->xsave_mask, &h->xsave_size);
	arch_cpu_features(h->xsave_mask, &features);
	h->cpu_features = arena_strdup(&r->arena, features.len ? features.p : "");
	find_rseq(h);
	read_attributes(h, proc);
	read_timing(r);
	ask_for_moves(r);
	rc = choose_ways(r, e);
	if (rc < 0)
		return rc;
	rc = read_status(r, proc, e);
	if (rc < 0)
		return rc;
	rc = open_self(r, e);
	if (rc < 0)
		return rc;
	return read_maps(r, proc, e);
}
