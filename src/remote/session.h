/* SPDX-License-Identifier: MIT */
/* What the files of a batch share: the place it runs in, and its threads. */
#ifndef REMOTE_SESSION_H
#define REMOTE_SESSION_H

#include "remote/batch.h"

struct arch_stub;

/* A piece of the process' own memory that is used for a while. */
struct loan {
	uint64_t at;
	size_t size;       /* whole pages; 0: none */
	uint8_t *bytes;    /* what was there */
	uint64_t *entries; /* of pagemap, one for each page, before anything was touched */
};

struct session {
	const struct batch *b;
	struct trace_watch watch;
	size_t code;      /* bytes of stub and interpreter, whole pages */
	uint64_t code_at; /* 0: there is no place (any more) */
	uint64_t data_at; /* where plans are run, with results, data and stacks */
	size_t room;      /* bytes there, whole pages */
	bool is_mapped;   /* by the process: code, plans, data in one area */
	enum batch_place place;
	int signal; /* ends a plan */
	struct loan loans[2];
	uint64_t owed; /* signals that were swallowed and are not ours */
	/* What has come of it so far: -errno with the text of what failed first; 0: nothing can be mapped; 1. */
	int rc;
	struct error error, ignored;
};

/* One system call of the first thread of a session. */
struct session_call {
	struct session *s;
	long nr;
	uint64_t args[6];
	int64_t result;
	int rc;
	struct error *e;
};

/* --- session.c --------------------------------------------------------------------------------- */

/*
 * Calls of several processes at once, each at b->call, none twice in the same process; after that the threads are
 * what they were. If the tracer dies in between, they go on with the registers of the call: so nothing else is done
 * meanwhile. Sets result and rc of each; gives 0, or the rc of one that failed.
 */
int session_calls(struct session_call *calls, size_t n);
/* One of them. */
int session_call(struct session *s, long nr, const uint64_t args[6], int64_t *result,
		 struct error *e) must_check;
/* Sets a thread off in the stub. */
int session_start(const struct session *s, struct batch_thread *t, const struct arch_stub *stub,
		  struct error *e) must_check;
/* Waits until it is at the stub's end. 0: it could not map the area, and has not run its plan; 1. */
int session_await_end(struct session *s, struct batch_thread *t, struct error *e) must_check;
/* Registers and mask of a stopped thread as they were. */
int session_restore(const struct batch_thread *t, struct error *e) must_check;
/* Waits from here on end with a deadline of their own, and not with cr. */
void session_be_alone(struct session *s);
/* Stops a thread wherever it is; alone. */
int session_stop(struct session *s, struct batch_thread *t, struct error *e) must_check;

/* --- borrow.c ---------------------------------------------------------------------------------- */

/* Finds room for the code and at least `least` bytes for plans, up to `wish`, in memory that is there, and
 * takes it. */
int borrow(struct session *s, size_t least, size_t wish, struct error *e) must_check;
/* Puts everything back, when no thread runs. Also after a failure of borrow(). */
int borrow_return(struct session *s, struct error *e) must_check;

#endif
