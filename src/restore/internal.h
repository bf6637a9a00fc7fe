/* SPDX-License-Identifier: MIT */
/* What the files of the restore engine share. */
#ifndef RESTORE_INTERNAL_H
#define RESTORE_INTERNAL_H

#include "base/clock.h"
#include "files.pb-c.h"
#include "image/image.h"
#include "kind.h"
#include "mm.pb-c.h"
#include "plan/plan.h"
#include "process.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"
#include "restore/restore.h"
#include "tree/relations.h"

#define RESTORE_ENDED "nothing was restored" /* by a signal */

#define REGION_WORDS 990u

/* The first page of the region that cr and all tasks of a restore share. */
struct region_head {
	struct cr_rst_report report;
	uint32_t opened;  /* 1: every slot is open, its number is in the plans */
	uint32_t reaped;  /* processes that have reaped the intermediate of their helper */
	uint32_t ready;   /* tasks and helpers that wait for the commit */
	uint32_t go;      /* 1: committed; all who wait see the same, should cr be killed now */
	uint32_t stopped; /* processes that are in their job-control stop again, children first */
	uint32_t led;     /* process groups whose leader is there */
	uint32_t joined;  /* processes that are in a group whose leader only made it */
	uint32_t words[REGION_WORDS]; /* for kinds: restore_words() */
};
#define WORD_AT(name) offsetof(struct region_head, name)

/* Room for a task's stack in the region: the interpreter needs a few hundred bytes. */
#define TASK_STACK 2048u
#define CODE_AT 4096u /* of the restorer in the region */
_Static_assert(sizeof(struct region_head) <= CODE_AT, "it lies before the code");

/* --- the tree (tree.c) ------------------------------------------------------------------------ */

struct rthread {
	const Thread *rec;
	struct rprocess *process;
	struct rtable *table[TABLES];
	struct rthread *maker; /* the thread that clones it; the leader: itself */
	bool own[TABLES]; /* not that of its maker: it is the first of its process that has it */
	bool has_context; /* of input and output: that of its maker */
};

/* A descriptor table, or an fs. */
struct rtable {
	uint32_t id;
	const FdTable *files;  /* TABLE_FILES */
	struct rthread *owner; /* the first that has it: it fills it */
	uint32_t n_processes;  /* that have it */
	uint32_t n_passing;    /* others that have it for a while only, and leave it */
	uint64_t
		words; /* in the region, where those processes wait for each other (plan_tables.c) */
};

/* What a thread of a stopped process leaves by, see stop.c. */
struct stop_frame {
	struct stop_frame *next; /* at a higher address */
	uint64_t at;
	size_t size;
	void *bytes;
};

struct rprocess {
	const Process *rec;
	struct rprocess *parent; /* NULL: the root */
	/* The first in the tree with the same memory, or signal actions: itself, one above it or above a sibling. */
	struct rprocess *memory, *actions;
	uint32_t n_members; /* of the first: others that have its memory (members.h) */
	size_t members_end; /* likewise: index in the list of all, one past the last of them */
	uint64_t words;     /* in the region, where those wait for each other */
	const Mm *mm;
	const FdTable *files;
	struct rthread *threads; /* the leader first */
	size_t n_threads;
	uint32_t n_own[TABLES]; /* threads with one of their own */
	uint64_t begun; /* in the region: how many of those with an fs of their own there are */
	struct relative *relative; /* relations.h */
	struct rprocess **children;
	size_t n_children;
	size_t sibling;          /* index in the list of its parent's */
	struct sharing *sharing; /* sharing.h */
	/* Of one that is to be stopped: its frames, from the first on, up to frames_end. */
	struct stop_frame *frames;
	uint64_t frames_end;
	struct task_plan *helper; /* of its memory, and in there: */
	uint32_t watch_op;        /* the userfaultfd */
	uint64_t watch_range;     /* and the range, in the data */
	int watch;                /* its userfaultfd, in cr */
	size_t end;               /* index in the list of all, one past its last descendant */
	uint64_t keeper_at; /* in the region, where the end of its keeper is seen; 0: it has none */
};

/* It has the memory of a process above or beside it. */
static inline bool is_member(const struct rprocess *p)
{
	return p->memory != p;
}

/* --- slots (slots.c) --------------------------------------------------------------------------- */

enum slot_sort {
	SLOT_PATH,
	SLOT_FILE,
	SLOT_DESCRIPTION,
	SLOT_STORE,
	SLOT_SHMEM,
	SLOT_OWN_EXE,
	SLOT_STANDARD, /* one of cr's own descriptors 0, 1, 2 */
	SLOT_TERMINAL  /* cr's controlling terminal */
};

/* Leaders can have exited before their threads; the others are those that live on. */
static inline bool thread_has_exited(const struct rthread *th)
{
	return th->rec->has_exit_status;
}

/* A descriptor that cr opens and tasks fetch by pidfd_getfd. */
struct slot {
	enum slot_sort sort;
	const char *path;         /* SLOT_PATH */
	const FileIdentity *file; /* SLOT_FILE */
	uint32_t
		id; /* SLOT_DESCRIPTION, SLOT_SHMEM: of it; SLOT_STORE, SLOT_STANDARD: its number */
	int flags;  /* for open */
	int fd;     /* -1 until opened */
};

/* --- plans (planner.c) ------------------------------------------------------------------------- */

enum plan_sort {
	PLAN_LEADER,
	PLAN_THREAD,
	PLAN_KEEPER,
	PLAN_INTERMEDIATE,
	PLAN_HELPER,
	PLAN_READER,   /* reads memory and is gone before that runs */
	PLAN_RELATIVE, /* one that has ended, or only makes a group or a session */
	PLAN_START
};

struct task_plan {
	struct plan plan; /* plan.task: index in the list of all */
	enum plan_sort sort;
	struct rprocess *process;
	uint32_t tid;            /* of what is restored; 0: any */
	uint64_t at;             /* in the region */
	struct memory *memory;   /* of a leader, while its plan is made (plan_memory.c) */
	uint32_t clone_op;       /* in one that makes a helper or the root: the clone */
	struct task_plan *maker; /* of a helper */
	uint64_t quiet_at;       /* in a leader's: what was the action of SIGCHLD */
};

/* --- keepers (keeper.c) ------------------------------------------------------------------------- */

/* Sets p->keeper_at: whether it needs one. Pure, as all of them. */
int keeper_find(struct restore *r, struct rprocess *p, struct error *e) must_check;
/* The keeper's own: its end leaves a mark at `at`; what it is there for; and in the helper's the wait for its end. */
void keeper_plan_mark(struct plan *p, uint64_t at);
int keeper_plan(struct restore *r, struct plan *p, const struct rprocess *pr,
		struct error *e) must_check;
void keeper_plan_gone(struct plan *helper, uint64_t at);

struct note {
	const struct kind *kind;
	uint32_t id;
	void *of_kind;
};

struct shared_fd {
	struct shared_fd *next; /* of the same record */
	const struct kind *kind;
	uint64_t key;
	unsigned int which;
	int fd;
};

/* --- the terminal (terminal.c) ------------------------------------------------------------------- */

/* What the terminal of cr is to the tree. */
enum terminal_role {
	TERMINAL_NONE, /* there is none, or the tree has a session of its own without one */
	TERMINAL_APART, /* with --detach: the root gets a process group of its own, in the background */
	TERMINAL_JOB,  /* besides, the foreground, and cr stays as parent of a job */
	TERMINAL_GIVEN /* the tree has a session of its own and gets the terminal from cr for good */
};

struct terminal {
	bool is_wanted;    /* the image has descriptors on it */
	bool has_settings; /* ... and tells what the program had made of it */
	bool is_held;      /* a group of the tree has the foreground, from cr */
	bool is_left;      /* given up, for the tree to take */
	enum terminal_role role;
	int fd;          /* on cr's controlling terminal; -1: it has none */
	char path[32];   /* opens the terminal */
	uint32_t root;   /* process group of the root */
	uint32_t group;  /* of the tree, to which the foreground goes */
	bool is_program; /* the settings are the program's, which was in the foreground */
	struct terminal_settings program, own;
};

/* What is found out about a record, so that nothing is searched for again and again. */
struct known {
	uint32_t process; /* PROC: its index in processes, + 1 */
	uint32_t owner;   /* DESC: index of the first descriptor table that has it, + 1 */
	uint32_t slot;    /* DESC: + 1; while plans are made */
	uint32_t placed;  /* DESC: index in the table that is being planned, + 1 */
	struct shared_fd *shared;
};

struct restore {
	const struct restore_options *opt;
	struct arena arena;
	struct image img;
	struct host host;
	struct deadline deadline;

	struct rprocess *processes; /* parents before their children; [0]: the root */
	size_t n_processes;
	uint32_t n_memories;           /* processes that are no members */
	bool has_contexts;             /* of input and output, that tasks share */
	struct rtable *tables[TABLES]; /* by id */
	size_t n_tables[TABLES];
	struct relatives *relatives; /* relations.h */
	struct known *known;         /* in the order of img.records */
	uint64_t
		marker; /* signal mask of a thread that is still in the restorer; 0: not yet chosen */

	vec(struct slot) slots;
	vec(struct task_plan *) plans; /* [0]: the root's leader; the last: what cr does itself */
	const struct task_plan *session_plan; /* of the one that makes the root; NULL: cr does */
	vec(struct shared_fd *) shared;
	struct shared_fd *shared_others; /* whose key is the id of no record */
	uint32_t standard_slots[3];      /* + 1; while plans are made */
	struct made_shmem *shmems;       /* shmem.h */
	size_t n_shmems;
	vec(struct note *) notes;
	vec(const Description *) made_late; /* that a task makes late */
	uint32_t n_words;                   /* of region_head.words that are given away */
	/* One of them: how many are in their plans behind their stop (continued.c). */
	uint64_t continued_at;
	uint32_t n_continued;       /* of so many */
	struct host_range hole;     /* of the region and, behind it, room for a vDSO */
	char vdso_missing[64];      /* a function of the image's vDSO that nothing stands for */
	uint64_t scratch;           /* a block of memory for each reader */
	uint64_t region_size, room; /* bytes that it needs, bytes that there are */
	uint64_t region_used;       /* up to here there is something in it */
	uint64_t frames_size;       /* of stopped processes, at the end of the room */
	uint64_t blocked; /* signals that must not be the one that is not blocked, bit signal-1 */
	int self_pidfd;   /* of cr, under a number that no table of the image uses */

	struct terminal terminal;
	struct image_check *check; /* of the pages, under way; NULL: it is not */
	bool can_check_again;      /* a task that could not read has its pages checked */
	bool checks_beside;        /* the tasks read their pages while they are checked */
	bool *is_checked;          /* of the blocks of all stores: by the reader that reads it */
	size_t n_blocks;
	bool is_unread; /* a task, or cr for shared memory, has failed to read some */
	void *region;   /* mapped at hole.start; NULL: nothing has been started */
	struct buf
		others; /* numbers of the children of cr that were there before, with blanks around */
};

/* The pure steps, which tests and fuzzers call one by one (restore.c): opt and self_pidfd are set. */
int restore_read(struct restore *r, bool skip_pages, struct error *e) must_check;
void restore_explain(const struct restore *r, struct buf *out);
/*
 * check_pages.c: all pages are checked before, or, where they are many, beside the tasks that read them: from
 * restore_check_begin, when the root is forked, to the end, before the commit. What a reader has as a whole it checks
 * itself (plan_hash.c). After a failure it is dropped; what is
 * wrong with the pages is put into *e, if that is known by then or a task could not read them.
 */
int restore_check_before(struct restore *r, struct error *e) must_check;
/* What would be checked beside them is checked now. */
int restore_check_instead(struct restore *r, struct error *e) must_check;
void restore_check_begin(struct restore *r);
bool restore_check_has_failed(const struct restore *r);
int restore_check_end(struct restore *r, struct error *e) must_check;
void restore_check_drop(struct restore *r, struct error *e);
/* Frees all but self_pidfd. */
void restore_end(struct restore *r);

int tree_build(struct restore *r, struct error *e) must_check;
/* NULL: there is no such record. */
struct known *tree_known(const struct restore *r, const char *tag, uint32_t id);
struct rprocess *tree_process(const struct restore *r, uint32_t pid);
/* Whether `a` is p or an ancestor of it. */
bool tree_is_above(const struct restore *r, const struct rprocess *a, const struct rprocess *p);
struct rtable *tree_table(const struct restore *r, enum table which, uint32_t id);
/* The lowest descriptor number >= from that no table of the image uses. */
int tree_free_fd(const struct restore *r, int from);

/* hole.c: a hole of `size` bytes in [lowest, highest), free of all ranges (any order, may overlap);
 * 0 if there is none. guard: bytes to keep free below each range. */
uint64_t hole_find(const struct host_range *taken, size_t n, uint64_t lowest, uint64_t highest,
		   uint64_t size, uint64_t guard);
int hole_of_tree(struct restore *r, uint64_t size, struct error *e) must_check;

/* cpu.c: refuses a processor that lacks what that of the image had, unless opt->any_cpu. Pure. */
int cpu_check(const struct restore *r, struct error *e) must_check;
/* The words of `image` that are not in `here`. */
void cpu_lacks(const char *image, const char *here, struct buf *out);

/* hugepages.c: which the image needs; how many there are; whether that is enough. The first and the last are pure. */
void hugepages_count(struct restore *r);
void hugepages_read(struct host *h);
int hugepages_check(const struct restore *r, struct error *e) must_check;

int host_fill(struct restore *r, struct error *e) must_check;

/* Compiles the plans of the whole tree for r->hole; pure. Sets region_size to what they need. */
/* How many say that they are ready: every thread, and a helper for each address space. */
uint32_t restore_how_many(const struct restore *r);
int planner_run(struct restore *r, struct error *e) must_check;
/* late.c: which there are; what a helper does when those of its memory have left; when all plans are made, whether all
 * are there who wait for each other. */
#define LATE_SEEN "the listener of a seccomp filter is where it belongs"
void late_link(struct restore *r);
int late_plan_seen(struct restore *r, struct plan *helper, const struct rprocess *p,
		   struct error *e) must_check;
int late_check(struct restore *r, struct error *e) must_check;
/* A reader of the memory of this process (plan_readers.c); a child of the leader's that goes on in the other
 * plan. And how many there can be. */
struct task_plan *planner_new_reader(struct restore *r, struct rprocess *p);
uint32_t planner_emit_clone(struct plan *p, uint64_t flags, const struct task_plan *child);
uint32_t readers_width(const struct restore *r);
bool readers_are_there(const struct restore *r);
/* A leader's memory: first what it has from its parent, then what it leaves to each child, before it forks
 * that, then all the rest. */
void plan_inheritance(struct restore *r, struct task_plan *t);
void plan_legacy(struct task_plan *t, struct rprocess *child);
int plan_memory(struct restore *r, struct task_plan *t, struct error *e) must_check;
/* The vDSO where the program had it (plan_vdso.c). */
int plan_vdso(struct restore *r, struct task_plan *t, struct error *e) must_check;
/* All areas that cr has of it. */
struct host_range vdso_span(const struct host *h);
/* Into a table that is empty but for the way to cr. */
int plan_files(struct restore *r, struct plan *p, const struct rtable *t,
	       struct error *e) must_check;
void plan_close_all(const struct restore *r, struct plan *p);
/* Everything that cr has mapped and that the tree does not need goes away (plan_own.c, as the next). */
void plan_clear_memory(struct restore *r, struct task_plan *t);
/* The own executable's ranges that no mapping of the image takes away. *n: how many. */
struct cr_rst_range *plan_own_left(struct restore *r, const Mm *mm, size_t *n);
/* "task 7", "helper of task 7" */
void plan_title(const struct task_plan *t, struct buf *out);

/* terminal.c: what cr has; after host_fill. */
int terminal_find(struct restore *r, struct error *e) must_check;
/* What becomes of it in this restore, or why that cannot be. Pure. */
int terminal_decide(struct restore *r, struct error *e) must_check;
/* Whether this descriptor of the image is replaced by one of cr's own. Pure. */
bool terminal_is_redirected(struct restore *r, const Descriptor *d);
/* TERMINAL_GIVEN: operations by which the root takes it; the last: what is to be done at the end. */
void terminal_plan(struct restore *r, struct plan *p);
uint32_t terminal_plan_fetch(struct restore *r, struct plan *p);
void terminal_plan_foreground(struct restore *r, struct plan *p, uint32_t fetch);
/* TERMINAL_GIVEN, when all descriptors are open: cr has none any more. And the way back. */
int terminal_leave(struct restore *r, struct error *e) must_check;
void terminal_take_back(struct restore *r);
/* The last step before the commit: settings and foreground are the program's. */
int terminal_give_first(struct restore *r, struct error *e) must_check;
/* After it: a program that would not know is told to draw its window again. */
void terminal_tell_size(struct restore *r);
/* Whether cr's own group is in the foreground, as a shell puts it there. */
bool terminal_is_ours(const struct restore *r);
/* To the tree, if it is ours; back to cr, if the tree has it from cr. */
void terminal_give(struct restore *r);
void terminal_take(struct restore *r);

/* job.c: cr as parent, until the root has ended. *status: how. */
int job_wait(struct restore *r, int *status, struct error *e) must_check;
/* stop.c: processes that were in a job-control stop. Bytes for their frames of this size. */
bool process_is_stopped(const struct rprocess *p);
uint64_t stop_room(const struct restore *r, uint64_t frame);
void plan_stop_watch(struct task_plan *helper, struct rprocess *p);
void plan_stop_range(struct rprocess *p);
void plan_stop_parent(struct restore *r, struct task_plan *t);
void plan_stop_await(struct restore *r, struct task_plan *helper, const struct rprocess *first);
void plan_stop_wait(struct restore *r, struct task_plan *t);
int stop_prepare(struct restore *r, struct error *e) must_check;
int stop_all(struct restore *r, struct error *e) must_check;

/* continued.c: processes that went on after a stop, which their parent has not waited for. The word in which they
 * count themselves; and when all children are forked, what a task does of its own and for those. Pure. */
int continued_find_word(struct restore *r, struct error *e) must_check;
void plan_continued(struct restore *r, struct task_plan *t);

uint32_t slot_add(struct restore *r, struct slot s);
int slots_open(struct restore *r, struct error *e) must_check;
int slots_set_owners(struct restore *r, struct error *e) must_check;
int slots_start(struct restore *r, struct error *e) must_check;
void slots_close(struct restore *r);
/* One line for --explain. */
void slot_print(const struct restore *r, uint32_t i, struct buf *out);
/* Gives the number of every slot, in the arena. */
int *slots_numbers(struct restore *r);

int run_start(struct restore *r, struct error *e) must_check;
int run_wait_ready(struct restore *r, struct error *e) must_check;
int run_outside(struct restore *r, struct error *e) must_check;
/* The last moment at which a signal ends it; behind it nothing fails. */
int run_commit(struct restore *r, struct error *e) must_check;
/* Kills and reaps everything that has been started. */
void run_abort(struct restore *r);
int release_all(struct restore *r, struct error *e) must_check;
/* Known when all plans are made. */
uint64_t restore_marker_mask(const struct restore *r);
/* The last act of cr in front of a tree that goes on without it. */
void release_part(struct restore *r);

#endif
