/* SPDX-License-Identifier: MIT */
/*
 * What a plan may know of the machine and of cr itself. Filled once before the plan is made, so that
 * planning is pure and a test can plan for a machine of its choice.
 */
#ifndef RESTORE_HOST_H
#define RESTORE_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "plan/plan.h"

struct host_range {
	uint64_t start, end;
};

/* Of one size, that the image has. */
#define HUGE_SIZES 8u
struct hugepages {
	uint64_t size;
	uint64_t needed, free, total;
	bool is_known; /* the machine has such */
};

struct host {
	int pid; /* of cr */
	int group;
	uint64_t lowest,
		highest; /* addresses a mapping may have: mmap_min_addr, end of user space */
	struct host_range *mapped; /* all that cr has mapped, ascending */
	size_t n_mapped;
	struct cr_rst_range *own; /* of the running executable */
	size_t n_own;
	struct host_range vdso;    /* 0 where there is none */
	struct host_range vvar[4]; /* the areas that go with it, ascending */
	size_t n_vvar;
	const void *vdso_image; /* its bytes */
	uint8_t vdso_build_id[32];
	uint32_t vdso_build_id_size;
	uint64_t xsave_mask;
	uint32_t xsave_size;
	const char *cpu_features; /* arch_cpu_features; NULL: not known */
	uint64_t rseq_address;    /* what libc has registered in cr; 0: nothing */
	uint32_t rseq_size, rseq_signature;
	uint64_t ignored;         /* signals that cr ignores, bit signal-1 */
	struct rlimit limits[16]; /* of cr, as prlimit(2) gives them */
	uint32_t uid[4], gid[4];  /* real, effective, saved, filesystem */
	uint32_t *groups;
	size_t n_groups;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	uint32_t securebits, umask, personality, no_new_privs;
	int32_t oom_score_adj;
	uint32_t coredump_filter;
	uint32_t login_uid; /* 4294967295: not set */
	uint32_t policy, priority, io_priority;
	uint64_t sched_flags, timer_slack_ns;
	uint64_t clocks[12]; /* [CLOCK_*]: what they show, nanoseconds */
	bool timer_ids;      /* a timer can get a number of choice (PR_TIMER_CREATE_RESTORE_IDS) */
	uint32_t util_min, util_max; /* 0, 0: the kernel has no utilisation clamps */
	int32_t nice;
	uint8_t affinity[128];
	uint32_t affinity_size;
	bool has_terminal;   /* a controlling terminal */
	bool leads_session;  /* is the leader of its session */
	uint32_t redirected; /* bit n: descriptor n of cr (0, 1, 2) is not on its terminal */
	struct hugepages huge[HUGE_SIZES];
	size_t n_huge;
	uint32_t workers; /* processors that cr may run on */
	bool can_move;    /* pages can be moved (UFFDIO_MOVE); asked for where there are many */
	uint32_t ways;    /* CR_RST_WAY_* allowed, 0: all */
};

#endif
