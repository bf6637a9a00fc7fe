/* SPDX-License-Identifier: MIT */
/*
 * The holder: a process that is the tracer of the subject and outlives `cr dump`. It lets go of the
 * subject, as it found it, when it is told so or when `cr dump` dies, by SIGKILL too; and it is the
 * one that gives the finished image its name and then ends the subject, so that these two happen
 * together whatever happens to `cr dump`.
 *
 * Orders and replies go over a socket, one at a time; everything else lies in memory that both share,
 * at the same address. What an order needs no reply for at once, cr does meanwhile.
 */
#ifndef DUMP_HOLDER_H
#define DUMP_HOLDER_H

#include <pthread.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "image/image.h"
#include "remote/batch.h"
#include "remote/held.h"

/* One thread of the subject. Before the freeze cr fills in what it knows, after it this is what is held. */
#define HOLDER_ROOT UINT32_MAX

struct held {
	struct held_thread thread;
	int pid;
	uint32_t
		above; /* index of one of its parent's, which stands before it; HOLDER_ROOT: it is of the root */
	bool has_company; /* others of the tree have the memory of its process, as of one in vfork */
	bool is_seized;
	bool is_zombie; /* besides is_gone: its parent in the tree has not waited for it */
	bool is_gone;
	bool is_exited; /* gone, and the leader of threads that live on */
	bool speaks;    /* one of each process that is held */
	bool is_read;   /* stopped, and thread is filled in */
};

/* The vDSO of a process, as the look before the freeze has found it. */
struct holder_vdso {
	int pid;
	uint64_t start, end;
};

#define HOLDER_MAX_THREADS 32768u
#define HOLDER_MAX_TIDS (1u << 22)  /* what pid_max may be */
#define HOLDER_BYTES (768ull << 20) /* of shared memory; taken only as far as it is used */
#define HOLDER_XSTATE_ROOM 16384u   /* largest xstate that is taken: AMX needs 11008 bytes */

/* What is said of a dump that a signal has ended. */
#define DUMP_ENDED "nothing was saved, and the process runs on"

/* What becomes of the subject. */
enum holder_end {
	HOLDER_KILL,
	HOLDER_STOP,
	HOLDER_RUN
};

/* A look at memory of a process, as its tracer. */
struct holder_peek {
	int tid;
	uint64_t at;
	size_t n;
	uint8_t *bytes; /* shared; HOLDER_PEEK of them */
};
#define HOLDER_PEEK (512u << 10)

/* At the begin of the shared memory. */
struct holder_page {
	struct error error; /* of the last order */
	int root;
	double seconds; /* freeze: for how long; 0: the usual ten */
	uint32_t n_held;
	struct batch *batches; /* one for each process; all in the shared memory */
	uint32_t n_batches;
	uint32_t
		batch_at; /* those before it are run; cr reads it meanwhile. Or the one that failed */
	enum holder_end end;
	bool published;     /* the image has its name */
	bool knows_filters; /* whoever has some has been looked at */
	bool has_shmem;     /* a look at the memory has found some that can be shared with others */
	struct holder_peek peek;
	uint64_t used;                /* bytes of the shared memory that are given away for good */
	uint64_t vdso_low, vdso_high; /* all of them lie between */
	uint32_t n_vdsos;
	struct holder_vdso vdsos[HOLDER_MAX_THREADS];
	struct held held[HOLDER_MAX_THREADS];
	uint8_t known[HOLDER_MAX_TIDS /
		      8]; /* a bit for each number that is in the list and not gone */
};

struct holder {
	struct holder_page *page;
	int socket;
	int ends; /* readable when cr is to end (base/ends.h) */
	int pid;
	bool is_last;          /* the order after which it ends has been given */
	bool is_lost;          /* it was killed in the middle of an order */
	pthread_mutex_t peeks; /* workers may want them all at once */
	bool owes_reply;       /* to the last order */
	/* Of an order that holder_peek had to wait for. */
	struct {
		bool is_there;
		int rc;
		struct error error;
	} reply;
};

/*
 * Starts it. w: the image that it may publish. What it does first, before any order: `first`, whose
 * result holder_await gives.
 */
int holder_start(struct holder *h, struct image_writer *w, int (*first)(void *arg, struct error *e),
		 void *arg, struct error *e) must_check;
/*
 * Orders that are carried out while cr does something else; holder_await gives what came of it, and is
 * called before the next order.
 *   freeze:  stops all threads of the tree at h->page->root; held[0..n_held) says what to begin with
 *   filters: reads the seccomp filters of the threads of which cr has noted that they have some
 *   signals: reads the pending signals of the threads of which cr has noted that they have some
 *   batches: runs h->page->batches
 *   publish: publishes the image and then ends the subject, stops it or lets it run; the holder ends.
 *            h->page->published: the image has its name (also when the subject did not end in time)
 */
int holder_start_freeze(struct holder *h, struct error *e) must_check;
int holder_start_filters(struct holder *h, struct error *e) must_check;
int holder_start_signals(struct holder *h, struct error *e) must_check;
int holder_start_batches(struct holder *h, struct error *e) must_check;
int holder_start_publish(struct holder *h, enum holder_end end, struct error *e) must_check;
/* Ends with a failure when a signal ends cr, unless the last order has been given. */
int holder_await(struct holder *h, struct error *e) must_check;
/* How many processes have answered their batch and are as they were, in the order of page->batches; of the last ones
 * holder_await alone tells. Waits a moment for more than `known`. */
uint32_t holder_answered(const struct holder *h, uint32_t known);
/*
 * All n bytes of the memory of a thread's process, which the kernel shows to its tracer alone; any worker may ask. Waits
 * until what has been ordered before is done; holder_await still tells what came of that.
 */
int holder_peek(struct holder *h, int tid, uint64_t address, void *p, size_t n,
		struct error *e) must_check;
/* Before the last order: whatever has failed, that the holder was killed is why. Gives rc, or that. */
int holder_blame(struct holder *h, int rc, struct error *e) must_check;
/* Lets the subject go; HOLDER_RUN or HOLDER_STOP. The holder ends. */
int holder_release(struct holder *h, enum holder_end end, struct error *e) must_check;
/* Whatever is left is rolled back. Waits until the holder is gone. */
void holder_close(struct holder *h);

/* Shared memory for plans, in one piece, zeros; once, after the freeze. NULL: too much. */
void *holder_scratch(struct holder *h, uint64_t size);

/* --- in the holder (freeze.c) ------------------------------------------------------------------ */

/* Waits for the next stop of a thread; a signal on its way is delivered first. TRACE_GONE: it has ended. */
int freeze_next_stop(struct held *h, const struct trace_watch *w, struct error *e) must_check;
/* leave.c: the thread is outside the vDSO, if that can be. TRACE_STOP, TRACE_GONE or an error. */
int freeze_leave_vdso(const struct holder_page *page, struct held *h, const struct trace_watch *w,
		      struct error *e) must_check;
int freeze_tree(struct holder_page *page, const struct trace_watch *w, struct error *e) must_check;
/*
 * For a thread that is let go before its filters were looked at. A sleep that a stop has interrupted goes on by
 * restart_syscall(2), and a filter that does not know that call may end the program for it.
 */
void freeze_spare_sleepers(struct holder_page *page);
int freeze_read_filters(struct holder_page *page, struct error *e) must_check;
int freeze_read_signals(struct holder_page *page, struct error *e) must_check;

#endif
