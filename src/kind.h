/* SPDX-License-Identifier: MIT */
/*
 * A kind is one sort of state that can be saved: an eventfd, a pipe, the credentials of a thread. It
 * is one file in kinds/ that exports one const descriptor `kind_NAME`, and one message in images/.
 * The table of all is made from the file names; nothing else is touched to add one. A kind never
 * calls another; it refers to other objects by id.
 */
#ifndef KIND_H
#define KIND_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "image/image.h"
#include "plan/plan.h"
#include "proc/fdinfo.h"
#include "proc/task.h"
#include "process.pb-c.h"
#include "remote/held.h"

struct dump;    /* dump/api.h */
struct restore; /* restore/api.h */
struct host;    /* restore/host.h: what a plan may know of this machine and of cr */

/* --- kinds of open file descriptions ---------------------------------------------------------- */

/* A description, seen through one of the descriptors that refer to it. */
struct fd_view {
	int pid; /* of the process; of a table that only threads have: the first of them */
	int fd;
	int tid;          /* a live thread that has it, for calls that take a number */
	int proc;         /* /proc/PID/task/TID of that */
	const char *link; /* text of the /proc link, " (deleted)" included */
	struct stat st;
	struct fdinfo info;
	uint32_t id; /* of the description; 0 during probe */
	int dup;     /* a duplicate of ours once the subject is frozen; -1 during probe */
	/* For a probe that looks at other processes: whether one is of the tree. NULL: not known. */
	bool (*in_tree)(const struct dump *d, int pid);
	const struct dump *engine;
};

/* What a view must look like; fields that are 0 or NULL match anything. Exactly one kind matches. */
struct fd_match {
	mode_t type;         /* st_mode & S_IFMT */
	bool o_path;         /* opened with O_PATH; kinds without it never see such descriptors */
	const char *link;    /* the link's text begins with this */
	uint32_t dev_major;  /* of st_rdev */
	uint64_t dev_minors; /* bit set of st_rdev's minors */
};

struct fd_ops {
	struct fd_match match;
	/* It is of shared memory, which the engine saves (SHRM): dump_shmem, restore_shmem. The field
	 * `memory` of the record holds its id. */
	bool is_shmem;
	/* Where data do not do: 1 it is mine, 0 it is not. May be NULL. */
	int (*mine)(const struct fd_view *v);
	/* Refuses by name what cannot be saved; before the freeze, by what v holds and v->proc, and
	 * once more after it. Reads only. May be NULL. */
	int (*probe)(const struct fd_view *v, struct error *e);
	/* The verdict of probe depends on link, st and the flags alone: of several descriptors that are
	 * alike in these only the first is asked about. */
	bool probes_name;
	/* Fills the record (its id is set already); after the freeze; v->dup may be asked. */
	int (*dump)(struct dump *d, const struct fd_view *v, void *record, struct error *e);
	/* Restore, pure: checks references, ranges. May be NULL. */
	int (*link)(struct restore *r, const void *record, struct error *e);
	/* Makes the description in cr, in the ordinary libc world; flags: the access mode and status
	 * flags that it had. Gives the descriptor. */
	int (*open)(struct restore *r, const void *record, uint32_t flags, struct error *e);
	/* At the restore, where descriptors 0, 1 and 2 of cr itself are not on a terminal, they take the
	 * place of those of this kind: `cr restore DIR >file` means what it says. */
	bool is_terminal;
	/* open makes something that has its numbers for the time being; a task makes it itself, behind the commit. */
	bool made_late;
	/* Status flags that open has not set and F_SETFL is to set after it (O_APPEND, O_NONBLOCK ...). */
	uint32_t late_flags;
	/* The task whose descriptor numbers the record speaks of: that one's plan gets what `emit` gives.
	 * NULL: the first that has the description, as the restore counts. */
	uint32_t (*speaks_of)(const void *record);
	/* Operations in the plan of a task that has the description as `fd`, after all its descriptors are
	 * in place; called once per description. pid: as the dump's view has it. May be NULL. */
	int (*emit)(struct restore *r, struct plan *p, const void *record, uint32_t pid, int fd,
		    struct error *e);
	/* The same when such a one, `late`, has come under its numbers in this table, in the plan of a keeper: what emit
	 * could not do with it. Once per description and table. May be NULL. */
	int (*emit_late)(struct restore *r, struct plan *p, const void *record, uint32_t pid,
			 int fd, uint32_t late, struct error *e);
	/* In cr, on its own descriptor `fd`, when all tasks wait at the barrier: what counts time from
	 * there on. May be NULL. */
	int (*start)(struct restore *r, const void *record, int fd, struct error *e);
};

/* --- kinds of task state ---------------------------------------------------------------------- */

/* Who has one record of it: the record's id is the tid, the pid or the id of the shared object. */
enum scope {
	SCOPE_THREAD,
	SCOPE_PROCESS,
	SCOPE_MM,
	SCOPE_FS,
	SCOPE_SIGHAND
};

/* When at the restore its operations run, in this order. */
enum stage {
	STAGE_BIRTHS,  /* before a task makes others: what they are born with (an emit_late) */
	STAGE_ACTIONS, /* before the threads are started: what must not come between their signals */
	STAGE_FS,      /* descriptors and memory are in place */
	STAGE_LIMITS,
	STAGE_SIGNALS,
	STAGE_TIMERS,
	STAGE_CREDS,
	STAGE_ATTRIBUTES, /* what a change of credentials clears: dumpable, pdeath_sig */
	STAGE_LIBC,       /* rseq, robust list, clear-child-tid, name */
	STAGE_COMMITTED,  /* behind the barrier: cannot fail any more */
	STAGE_FILTERS,    /* what forbids system calls: after it there is none but rt_sigreturn */
	STAGE_LEAVE,      /* the last operation: back into the program */
	STAGES,
};

struct task_view {
	int pid, tid;
	int proc; /* /proc/PID/task/TID */
	const struct proc_stat *stat;
	const struct proc_status *status;
	uint32_t id;                    /* of the record */
	bool speaks;                    /* it answers for its process */
	const struct held_thread *held; /* NULL during probe */
	/* Answers to the batch: what this kind's ask emitted, in its order. */
	const struct plan *batch;
	uint32_t first_op, n_ops;
	uint64_t data_at, n_data;
	const int64_t *results;
	const uint8_t *data;
};
/* The result of the i-th operation that ask emitted in this thread. */
int64_t task_answer(const struct task_view *v, uint32_t i);
/* What stands now at the offset that plan_data gave in ask, counted from the first byte of this kind. */
const void *task_answer_data(const struct task_view *v, uint64_t at);

struct task_ops {
	enum scope scope;
	enum stage stage;
	/* SCOPE_THREAD: there is one of a leader too that has exited before its threads; dump gets by
	 * with what /proc says. */
	bool of_exited;
	/* Refuses by name, before the freeze and once more after it. Reads only. May be NULL. */
	int (*probe)(const struct task_view *v, struct error *e);
	/* Emits calls that the thread itself is to make (in the leader only, unless SCOPE_THREAD). May be NULL. */
	void (*ask)(struct plan *batch, const struct task_view *v);
	/* The questions depend on what there is: ask is called when the thread is held, not before. */
	bool asks_late;
	/* Fills the record. 1: keep it, 0: there is nothing to say (no record), < 0: error. */
	int (*dump)(struct dump *d, const struct task_view *v, void *record, struct error *e);
	/* dump calls dump_shared, so it is called for one task after the other, in their order; else for
	 * several at once. */
	bool in_order;
	/* Restore, pure: operations in the plan of the task. May be NULL. */
	int (*emit)(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		    struct error *e);
	/* Operations behind the barrier, where nothing may fail any more, for what counts time from
	 * there on. May be NULL. */
	int (*start)(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		     struct error *e);
	/* The same at another stage, if a kind needs two. May be NULL. */
	enum stage late_stage;
	int (*emit_late)(struct restore *r, struct plan *p, const void *record, uint32_t tid,
			 struct error *e);
	/* Operations for a thread that the process has for this alone: it keeps the credentials of
	 * cr, comes after the commit, and exits. 1: there are some, 0: none. p NULL: only tell.
	 * Called for every process. May be NULL. */
	int (*emit_keeper)(struct restore *r, struct plan *p, uint32_t pid, struct error *e);
	/* Restore, in cr, while the task waits at the barrier before it commits. May be NULL. */
	int (*outside)(struct restore *r, const void *record, int proc, struct error *e);
};

struct kind {
	const char *name;          /* "eventfd": messages, cr show */
	struct record_type record; /* tag on disk, version, descriptor */
	const char *const *after;  /* kinds (names) to be opened before; NULL-terminated or NULL */
	const struct fd_ops *fd;   /* exactly one of the two is set */
	const struct task_ops *task;
};

#define KIND(name) extern const struct kind kind_##name;
#include "kinds.inc"
#undef KIND

/* All kinds, in the order of their names. */
extern const struct kind *const kinds[];
extern const size_t n_kinds;
const struct kind *kind_by_tag(const char *tag);
/* The id of the record that a thread has of a kind with this scope. */
uint32_t kind_record_id(const Thread *t, enum scope s);

/* The kind of a description: NULL if none matches; *second is set if another matches too (a bug). */
const struct kind *kind_of_fd(const struct fd_view *v, const struct kind **second);

/* Record types of the engine itself: PROC, THRD, ZOMB, DESC, FDTB, MMSP, SHRM. */
extern const struct record_type record_process, record_thread, record_zombie, record_description,
	record_fdtable, record_mm, record_shmem;
/* Those and all kinds': what a reader of images takes. *n: how many. */
const struct record_type *record_types(size_t *n);

#endif
