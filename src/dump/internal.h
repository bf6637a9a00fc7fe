/* SPDX-License-Identifier: MIT */
/* What the files of the dump engine share. */
#ifndef DUMP_INTERNAL_H
#define DUMP_INTERNAL_H

#include <sched.h>
#include <signal.h>

#include "base/clock.h"
#include "dump/api.h"
#include "dump/dump.h"
#include "dump/holder.h"
#include "image/image.h"
#include "kind.h"
#include "plan/plan.h"
#include "proc/maps.h"
#include "proc/shmem.h"
#include "proc/task.h"
#include "remote/memory.h"
#include "tree/relations.h"

struct dump_process;
struct description;
struct shmem; /* dump/shmem.h */
struct outsider;
struct same;  /* dump/same.h */
struct equal; /* dump/equal.h */

/* What a worker has found of a task, to be judged in its turn (gather.c). */
struct finding {
	bool is_there;
	int rc;
	struct error *error; /* rc < 0 */
};

/* Where in a thread's batch the questions of one kind stand. */
struct asked {
	uint32_t first_op, n_ops;
	uint64_t data_at, n_data;
};

struct dump_fd {
	struct fd_view view;
	const struct kind *kind;
	struct dump_thread *thread; /* one that has it */
	struct description *description;
	const struct dump_fd *like; /* of this number, whence it is inherited; NULL: it is none's */
};

#define SHARE_PARTS (TABLES + 3) /* memory, signal actions and I/O context as well */

struct dump_thread {
	struct dump_process *process;
	int tid;
	int dir; /* /proc/PID/task/TID */
	struct proc_stat stat;
	struct proc_status status;
	bool is_fresh; /* these two have just been read */
	struct finding found, seen_fds;
	struct pids children;     /* while the tree is discovered */
	struct held_thread *held; /* NULL before the freeze */
	struct plan batch;
	struct asked *asked; /* one for each kind */
	uint64_t plan_at;    /* of its plan in the process' image of plans */
	void **made; /* records that workers have made, for each kind; NULL: it has nothing to say */
	size_t n_made;
	/* Who has its descriptor table and fs too, and stands for them: the first such speaker, or thread that
	 * does not share them with its speaker (share.c). Before that is known: the speaker, or itself. */
	struct dump_thread *table[TABLES];
	/* Of its I/O context, 0: it has none, or one without a priority; and the first in the tree that has that
	 * context too, NULL: nobody else has. */
	uint32_t io_priority;
	struct dump_thread *context;
	vec(struct dump_fd) fds; /* ascending, of one that stands for a descriptor table */
	int pidfd;               /* of such a one that is no speaker; -1: none */
	/* Where the last look has put it among those that were compared with it (share.c), for each sort of
	 * what is shared; 0: nowhere. */
	size_t rank[SHARE_PARTS];
};

/* Which pages of a process were saved, and where they lie in the page store. */
enum pages_sort {
	PAGES_DATA,
	PAGES_ZERO, /* zeros, where the file has something else */
	PAGES_SAME, /* those that the parent has there */
};
/* Within one mapping. */
struct page_extent {
	uint64_t start, length;
	uint64_t offset;  /* PAGES_DATA */
	uint32_t store;   /* likewise */
	uint32_t mapping; /* index in the list of maps */
	enum pages_sort sort;
};
/* Within one mapping. */
struct page_guard {
	uint64_t start, length;
};
struct page_list {
	vec(struct page_extent) list;  /* ascending */
	vec(struct page_guard) guards; /* ascending */
	vec(struct page_guard) huge;   /* huge pages, likewise */
};

struct dump_process {
	int pid;
	struct dump_process *parent; /* NULL: the root */
	int dir;                     /* /proc/TID of the speaker, which is /proc/PID */
	int pidfd;
	/* All that live, the one first that speaks for the process: the leader, or some thread when the
	 * leader has exited before the others. */
	vec(struct dump_thread *) threads;
	struct dump_thread *exited; /* such a leader, of which only /proc tells something; NULL */
	/* The first in the tree with the same memory, or signal actions: it stands for them; NULL before that is
	 * known (share.c). */
	struct dump_process *memory, *actions;
	bool has_company;     /* others of the tree have its memory */
	bool session_is_gone; /* of the root: its session has no leader any more */
	uint32_t
		held_at; /* the index of its first thread in the holder's list, before the freeze */
	size_t next_held; /* the thread that the holder's list should have next */
	struct finding found, seen_memory;
	struct maps maps;       /* as smaps tells */
	bool has_fresh_maps;    /* they have just been read */
	struct page_list pages; /* that have been saved */
	struct buf auxv;        /* empty: not read yet */
	char *exe;              /* the path of the executable */
	struct stat exe_stat;
	int stop_signal;    /* in a job-control stop by this one; 0: not */
	bool stop_told;     /* and its parent in the tree has waited for that */
	bool was_continued; /* after a stop, and its parent in the tree has not waited for that */
	uint32_t told_op;   /* the question about these two in the parent's batch */
	uint64_t told_at;
	uint64_t brk;      /* told by the batch */
	bool locks_future; /* as well: mlockall(MCL_FUTURE) */
	uint32_t keys_op;  /* the questions about protection keys; 0: there are none */
	uint32_t keys;     /* those that are allocated, bit = key */
	uint8_t *answers;  /* image of the plans with their results; shared */
	size_t answers_size;
};

struct description {
	struct fd_view view;
	const struct kind *kind;
	struct dump_thread *thread;
	uint32_t made_by; /* of a kind that is made_late: tid; 0: nobody has said so */
};

/* A child that has ended and that its parent has not waited for; the parent tells the rest. */
struct dump_zombie {
	int pid;
	struct dump_process *parent;
	struct proc_stat stat;
	uint32_t asked_op; /* in the batch of its parent */
	uint64_t asked_at;
	siginfo_t how;
};

struct shared_object {
	const struct kind *kind;
	uint64_t key;
	uint32_t id;
};

/* A file that is mapped somewhere in the tree, as its path led to it when it was looked at. */
struct mapped_file {
	const char *path;
	uint64_t dev, inode; /* as maps tells them */
	struct stat st;
	uint32_t n_build_id; /* 0: not read yet, or there is none */
	uint8_t build_id[32];
};

/* A name that has been found to lead to an object, in the look that is under way. */
struct known_name {
	const struct kind *kind; /* of the descriptor that has it; NULL: an executable */
	const char *text;
	dev_t dev;
	ino_t inode;
	uint32_t flags;
};
#define N_NAMES 32u /* processes of a tree have the same, and few */

#define N_NAMESPACES 10

struct dump {
	const struct dump_options *opt;
	struct dump *whole;   /* this is a worker's own (gather.c), a copy of that one; NULL */
	unsigned int width;   /* workers that there can be; 0: to be found out */
	cpu_set_t processors; /* before cr has left one to the holder */
	bool is_aside;
	struct check_report *report; /* of `cr check`; NULL in a dump */
	struct arena arena;
	struct deadline deadline;
	char *namespaces[N_NAMESPACES]; /* of cr itself */
	char *label;                    /* of cr, by a security module; NULL: none gives any */
	vec(struct dump_process *) processes; /* parents before their children; [0]: the root */
	vec(struct dump_zombie) zombies;
	vec(struct description *) descriptions; /* [i]: id i + 1 */
	size_t n_late;                          /* of kinds that are made_late */
	vec(struct shared_object) shared;
	vec(struct mapped_file) files;
	size_t last_file; /* the one found last */
	struct known_name names[N_NAMES];
	size_t n_names;               /* that have been noted, those forgotten since included */
	vec(struct shmem *) shmems;   /* [i]: id i + 1 */
	struct shmem **shmem_buckets; /* by inode */
	vec(struct outsider) outsiders;
	dev_t shmem_dev, tmpfs_dev; /* 0: not known yet */
	struct shmem_huge huge[SHMEM_HUGE_MOST];
	size_t n_huge;
	bool knows_huge;
	bool has_looked_outside;
	struct image_writer *writer;
	vec(char *) tags;                      /* of records that have been put */
	int64_t realtime, monotonic, boottime; /* at the freeze, nanoseconds */
	struct holder holder;                  /* pid 0: there is none (any more) */
	struct same *same;                     /* NULL: there is one process only */
	struct equal *equal;                   /* NULL: nobody asks for it */
	size_t n_paged;                        /* processes whose pages are saved */
	struct finding paged;                  /* what came of that, when it is at an end */
	bool frozen;
};

/* The thread that is asked for what its process has: a leader that has exited has neither memory nor
 * descriptors any more. */
static inline struct dump_thread *speaker_of(const struct dump_process *p)
{
	return p->threads.v[0];
}
/* Its number, for calls that take one: that of the process while the leader lives. */
static inline int speaker_id(const struct dump_process *p)
{
	return speaker_of(p)->tid;
}

/* Whether the record of its memory is its own, and that of its signal actions. */
static inline bool has_own_memory(const struct dump_process *p)
{
	return !p->memory || p->memory == p;
}
static inline bool has_own_actions(const struct dump_process *p)
{
	return !p->actions || p->actions == p;
}

/* --- discover.c -------------------------------------------------------------------------------- */

int discover_tree(struct dump *d, int pid, struct error *e) must_check;
/*
 * -ESRCH in words: it has ended, or another thread than the first runs another program and becomes the first, so
 * what was looked at is gone.
 */
int discover_has_ended(const struct dump_process *p, struct error *e) must_check;
/* After the freeze: exactly what the holder holds. */
int discover_held(struct dump *d, struct error *e) must_check;
void discover_free(struct dump *d);
/* Whether the process is of the tree. */
bool dump_has_process(const struct dump *d, int pid);
/* Reads stat and status of the thread. */
int thread_read(struct dump *d, struct dump_thread *t, struct error *e) must_check;
/* The folder of a thread; -ESRCH: there is no such thread (any more). */
int thread_open(const struct dump_process *p, int tid, struct error *e) must_check;
/* Not in the list of all, and nothing of it open yet. */
struct dump_process *process_new(struct dump *d, int pid, struct dump_process *parent);
/* All of it that is read one by one. 1: it is a zombie. After a failure it is closed. */
int process_open(struct dump *d, struct dump_process *p, struct error *e) must_check;
void process_close(struct dump_process *p);
/* In the list of all, without a parent. */
int process_add(struct dump *d, int pid, struct dump_process **out, struct error *e) must_check;
void zombie_add(struct dump *d, struct dump_process *parent, const struct proc_stat *stat);

/* --- heir.c ------------------------------------------------------------------------------------ */

/* What is left to know of a process once its image is whole. */
struct heir {
	int pid, pidfd, dir;
	bool is_stopped; /* by job control */
};
struct heirs {
	struct heir *v;
	size_t n, room;
};
/* Takes descriptors out of d. */
void heirs_take(struct dump *d, struct heirs *h);
void heirs_free(struct heirs *h);
/*
 * The holder was lost with the order to publish; *e says so. If the image has its name already, what was ordered
 * is done here, and the holder closed; else that failure.
 */
int heirs_finish(const struct heirs *h, struct holder *holder, struct image_writer *w,
		 struct error *e) must_check;

/* --- gather.c: what several workers do at once ------------------------------------------------- */

/*
 * Calls each(dump, arg, i, e) for all i below n, in several workers if that is worth while: if each of them has
 * `grain` to do. dump: d itself, or the worker's own copy. Of a copy the worker uses the arena and the names,
 * whose contents become d's in the end, and reads what does not change meanwhile; it adds to no list of it.
 * What there is to be said of a task is a finding. Gives what work_over gives.
 */
typedef int gather_each(struct dump *d, void *arg, size_t i, struct error *e);
int gather_over(struct dump *d, size_t n, size_t grain, gather_each *each, void *arg,
		struct error *e) must_check;
/* Workers that there can be. */
unsigned int gather_width(struct dump *d);
/* Whether there would be several. */
bool gather_helps(struct dump *d, size_t n, size_t grain);
/* Whether some part of the tree is large enough for that. */
bool gather_is_much(const struct dump *d);
/* rc with its text is kept; -ESRCH is for the judge alone, so that 0 is given. */
int finding_note(struct dump *d, struct finding *f, int rc, const struct error *e);
/* What was kept, once. */
int finding_take(struct finding *f, struct error *e) must_check;
/* All threads of the tree, in order; in the arena. */
struct dump_thread **gather_threads(struct dump *d, size_t *n);
/* What is looked at in the time that it takes to start a worker, and more. */
#define GRAIN_THREADS 24
#define GRAIN_PROCESSES 8

/* --- run.c: every processor may be used, since the holder and the subject do nothing now ---------- */

void dump_step_back(struct dump *d);

/* --- probe*.c ---------------------------------------------------------------------------------- */

/* The verdict on one object of a thread (tid 0: of the process), rc: what was found. For `cr check` it
 * is written down and 0 is given; else rc, with the object in front of the text. */
struct object {
	const char *sort;
	int pid, tid;
};
int verdict(struct dump *d, struct object o, int rc, struct error *e, const char *fmt,
	    ...) must_check format_printf(5, 6);

/* Of every process these parts. */
enum probe_part {
	PROBE_TASKS = 1,
	PROBE_MEMORY = 2,
	PROBE_FDS = 4,
	PROBE_ALL = 7
};
int probe_tree(struct dump *d, unsigned int parts, struct error *e) must_check;
int probe_task(struct dump *d, struct dump_thread *t, struct error *e) must_check;
int probe_mappings(struct dump *d, struct dump_process *p, struct error *e) must_check;
/* What has nothing to do with other processes; a worker does that. */
int probe_mappings_alone(struct dump *d, struct dump_process *p, struct error *e) must_check;
int probe_fds_alone(struct dump *d, struct dump_thread *t, struct error *e) must_check;
/* Reads what the batch would change, for a probe to come. */
int probe_read_ahead(struct dump *d, struct error *e) must_check;
/* Of one that stands for its table. */
int probe_fds(struct dump *d, struct dump_thread *t, struct error *e) must_check;
void probe_read_own(struct dump *d);
/* Whether such a name was found to be good in this look already; and that it was. The text must live on. */
bool probe_knows(const struct dump *d, const struct known_name *name);
void probe_note(struct dump *d, struct known_name name);
/* Process groups and sessions (relations.c). */
int probe_relations(struct dump *d, struct error *e) must_check;

/* What a kind of task state sees. */
void view_of_thread(const struct dump_thread *t, const struct kind *k, struct task_view *v);
/* Whether there is one of this scope for this thread, seen as an object of its own; its record's id. */
bool kind_is_of_thread(const struct kind *k, const struct dump_thread *t);

/* share.c: whether the thread has tables of its own within its process. */
int share_look(struct dump_thread *t, struct error *e) must_check;
/* What all threads of the tree share, when each has been looked at. */
int share_find(struct dump *d, struct error *e) must_check;
static inline bool stands_for(const struct dump_thread *t, enum table which)
{
	return t->table[which] == t;
}
/* The number of such a context; 0: it is not shared. */
uint32_t context_id(const struct dump_thread *t);
/* The id of the record. */
uint32_t table_id(const struct dump_thread *t, enum table which);
/* Of one that stands for its table of descriptors. */
bool table_has(const struct dump_thread *t, uint32_t description);

/* --- after the freeze -------------------------------------------------------------------------- */

int identify_descriptions(struct dump *d, struct error *e) must_check;
void identify_close(struct dump *d);
/* Writes the questions of threads that have none yet; at any time. */
void ask_prepare(struct dump *d);
/* All threads are asked between these two, and run meanwhile. */
int ask_start(struct dump *d, struct error *e) must_check;
int ask_finish(struct dump *d, struct error *e) must_check;
/* The pages of processes[d->n_paged] and those behind it, up to `end`; and MMSP of one when those of all are saved. */
int memory_save_pages(struct dump *d, size_t end, struct error *e) must_check;
int memory_save(struct dump *d, struct dump_process *p, struct error *e) must_check;
int memory_read_auxv(struct dump_process *p, struct error *e) must_check;
/* For reading it, also what the kernel shows to the holder alone. mem: the process' /proc/TID/mem, open. */
struct memory memory_of(struct dump *d, const struct dump_process *p, int mem);
/* The file of a mapping that has passed the probe. */
struct mapped_file *find_mapped_file(struct dump *d, const struct vma *v);
enum mapping_sort {
	MAPPING_ANON,
	MAPPING_FILE,
	MAPPING_SHMEM,
	MAPPING_VDSO,
	MAPPING_VVAR,
	MAPPING_NONE
};
enum mapping_sort mapping_sort(const struct vma *v);
/* image_put, and a note of the tag for the manifest. */
int records_put(struct dump *d, const struct record_type *type, const ProtobufCMessage *msg,
		struct error *e) must_check;
int records_save(struct dump *d, struct error *e) must_check;
/* Before that: what there is of one thread is made ready, by a worker. */
int records_prepare(struct dump *d, struct dump_thread *t, struct error *e) must_check;
/* What is known before the subject is held, and the rest but for the list of files; strings are in the
 * arena. The subject must still be held. */
int manifest_begin(struct dump *d, Manifest *m, struct error *e) must_check;
int manifest_fill(struct dump *d, Manifest *m, struct error *e) must_check;

#endif
