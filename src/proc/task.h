/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of one task: stat, status, the threads and children of a process. Every function
 * takes a directory descriptor (of /proc/PID or /proc/PID/task/TID).
 */
#ifndef PROC_TASK_H
#define PROC_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct proc_stat { /* proc(5), /proc/PID/stat; only the fields that are used */
	int pid;
	char comm[64]; /* kernel threads' names may be longer than 15 */
	char state;    /* R S D T t Z X I ... */
	int ppid, pgid, sid, tty_nr, tpgid;
	uint64_t flags;      /* PF_*: 0x00200000 = kernel thread */
	uint64_t start_time; /* clock ticks since boot: with the pid it names a process */
	int64_t nice, priority;
	uint64_t start_code, end_code, start_stack, start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int exit_signal, exit_code, processor;
	uint64_t rt_priority, policy;
};
struct proc_status {
	char name[64];
	char state;
	int tgid, pid, ppid, tracer;
	uint32_t umask;
	uint32_t uid[4], gid[4]; /* real, effective, saved, filesystem */
	uint32_t *groups;        /* in the arena */
	size_t n_groups;
	uint32_t threads;
	uint64_t sig_pending, shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	uint32_t no_new_privs, seccomp, seccomp_filters;
	uint64_t vm_rss; /* bytes; 0 for a task without memory */
};

/* -ESRCH when the task is gone. */
int proc_stat_read(int proc, struct proc_stat *out, struct error *e) must_check;
/* The letter of its state; 0: it is gone, or proc is no descriptor. And whether it has ended by that: it is gone, or
 * a zombie. */
char proc_state(int proc);
bool proc_has_ended(char state);
int proc_status_read(int proc, struct arena *a, struct proc_status *out,
		     struct error *e) must_check;
int proc_stat_parse(const char *text, struct proc_stat *out, struct error *e) must_check;
int proc_status_parse(const char *text, struct arena *a, struct proc_status *out,
		      struct error *e) must_check;

/* Whether a label of a security module (attr/current) is another than cr's own and not the one that says
 * that there is none. */
bool proc_label_is_foreign(const char *label, const char *own);

/* SigBlk alone, from /proc/PID/task/TID/status: what the release of a restore polls. */
int proc_sigblk_parse(const char *text, uint64_t *out) must_check;

struct pids {
	vec(int) list;
};
/* The tids below proc/task, ascending. */
int proc_threads(int proc, struct pids *out, struct error *e) must_check;
/* The children of all threads of the process, from task/TID/children (CONFIG_PROC_CHILDREN). */
int proc_children(int proc, struct pids *out, struct error *e) must_check;
/* Adds those of one thread, /proc/PID/task/TID. */
int proc_task_children(int task, struct pids *out, struct error *e) must_check;
/* The descriptor numbers below proc/fd, ascending. */
int proc_fds(int proc, struct pids *out, struct error *e) must_check;

#endif
