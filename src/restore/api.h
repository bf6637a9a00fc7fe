/* SPDX-License-Identifier: MIT */
/* The calls of the restore engine that a kind may make. */
#ifndef RESTORE_API_H
#define RESTORE_API_H

#include "kind.h"

/* The record of this kind and id, or NULL. Pure. */
const void *restore_record(struct restore *r, const char *tag, uint32_t id);
/* How the description is to be opened (access mode, status flags); an error if there is none. Pure. */
int restore_flags(struct restore *r, uint32_t description, uint32_t *flags,
		  struct error *e) must_check;
/* What the plan may know of the machine and of cr itself. */
const struct host *restore_host(struct restore *r);
/* While the task is rebuilt this signal is blocked, as all but one are: it may come before the task is
 * itself again. Pure. */
void restore_keep_blocked(struct restore *r, uint32_t signal);
/* Memory for as long as the restore takes. */
struct arena *restore_arena(struct restore *r);
/* Refuses an instruction pointer at which a thread of this address space cannot go on here: in the middle of
 * another kernel's vDSO. Pure. */
int restore_check_ip(struct restore *r, uint32_t mm, uint64_t ip, struct error *e) must_check;
/* The numbers of a process' threads, the leader's first; how many. Pure. */
size_t restore_threads(struct restore *r, uint32_t pid, const uint32_t **tids);
/* Whether a thread shares its I/O context with another, and whether any does. Pure. */
bool restore_shares_io(struct restore *r, uint32_t tid);
bool restore_has_shared_io(const struct restore *r);
/* n words of 32 bits that all tasks share, 0 at first: *at is for arg_region. Pure. */
int restore_words(struct restore *r, uint32_t n, uint64_t *at, struct error *e) must_check;
/*
 * A description that a task makes late (late.c). The maker finds it under `number`, adds 1 to the word made_at, waits
 * until as many as there are tables have added 1 to the word taken_at, closes the number and adds 1 once more. For each
 * of the tables somebody waits for made_at, fetches it from there, and adds 1 to taken_at. Whoever has one of the
 * tables or that of the maker waits until made_at is 2. What these do is told to restore_late:
 * without the maker, or one who takes, the plan is refused, since somebody would wait for ever. Pure.
 */
struct late {
	uint64_t made_at, taken_at; /* for arg_region */
	uint32_t task, process;     /* the maker */
	uint32_t number;
	uint32_t flags; /* of the description */
	size_t n_tables;
	const uint32_t *tables;
};
enum late_part {
	LATE_WAITS, /* somebody who goes on when it has been taken */
	LATE_MAKES,
	LATE_TAKES /* for a table */
};
int restore_late(struct restore *r, uint32_t description, enum late_part part, struct late *out,
		 struct error *e) must_check;
bool restore_is_late(struct restore *r, uint32_t description);
/* What others of the table want done when it has come. Pure. */
int restore_emit_late(struct restore *r, struct plan *p, uint32_t description, uint32_t table,
		      struct error *e) must_check;
/* Whether a process may open n descriptors more than its table has, and those that are late under their numbers
 * (RLIMIT_NOFILE); *lowest: the first that is free. Pure. */
int restore_check_numbers(struct restore *r, uint32_t pid, uint32_t table, uint32_t n,
			  uint32_t *lowest, struct error *e) must_check;
/* What a kind remembers of an object while plans are made: NULL at first, and when they are made anew. */
void **restore_note(struct restore *r, const struct kind *k, uint32_t id);
/*
 * A place for a descriptor that several descriptions of one object share while they are opened
 * (key: id of the object): -1 at first; closed by the engine when all are open.
 */
int *restore_shared_fd(struct restore *r, const struct kind *k, uint64_t key, unsigned int which);
/* A descriptor of shared memory (SHRM), open for reading and writing; it stays the engine's. */
int restore_shmem(struct restore *r, uint32_t id);
/* Opens a path as O_PATH or otherwise, beginning at the root of cr; gives the descriptor. */
int restore_open(struct restore *r, const char *path, int flags, struct error *e) must_check;
/* The modes and the size of a terminal, as TCGETS2 and TIOCGWINSZ give them. */
struct terminal_settings {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t cc[19];
	uint32_t ispeed, ospeed;
	uint16_t rows, columns, x_pixels, y_pixels;
};
/* The tree has descriptors on a terminal; what the program had made of it, NULL: another record tells.
 * Pure. */
void restore_terminal(struct restore *r, const struct terminal_settings *t);
/* Opens the terminal of cr; by_tty: as /dev/tty. Gives the descriptor. */
int restore_open_terminal(struct restore *r, bool by_tty, int flags, struct error *e) must_check;
/*
 * Where a thread of a process that is to be stopped has its signal frame: an address, and room for the
 * bytes, which the engine puts there in time. NULL: the process runs, and the frame lies on its stack. Pure.
 */
void *restore_stop_frame(struct restore *r, uint32_t tid, size_t size, uint64_t *at);
/* A slot (see arg_slot) for a descriptor that cr opens before the plan runs: this path. Pure. */
uint32_t restore_path_slot(struct restore *r, const char *path, int flags);
/* Emits the operations that bring a slot's descriptor into the task; gives the operation whose
 * result is the number there, and one that closes it. Pure. */
uint32_t restore_emit_fetch(struct restore *r, struct plan *p, uint32_t slot);
void restore_emit_close(struct restore *r, struct plan *p, uint32_t fetch);

#endif
