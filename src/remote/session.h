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
};

/* --- session.c --------------------------------------------------------------------------------- */

/*
 * One system call of the first thread, at b->call; after that it is what it was. If the tracer dies in between,
 * the thread goes on with the registers of the call: so nothing else is done meanwhile.
 */
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
