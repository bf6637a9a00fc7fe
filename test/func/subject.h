/* SPDX-License-Identifier: MIT */
/*
 * A subject is a program that builds up some state, waits, and then judges itself whether the state
 * is still there. f-NAME.c gives the struct below; subject.c and judge.c make a whole test of it:
 * started by itself the program is the judge, who starts it once more as the subject and puts it
 * through every mode (judge.h). Judge and subject talk through files in a private folder only: a
 * pipe, a socket or a pending signal between them would be checkpointed too.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stdbool.h>

struct subject {
	const char *about;            /* what stays the same, in a few words */
	const char *(*prepare)(void); /* NULL, or what is wrong (wrong() or skip()) */
	const char *(*verify)(void);  /* the same; after the subject was let go */
	/* In a session with a terminal of its own, which descriptor 0 is on; else in one without. */
	bool terminal;
	/* Where the ordinary wait does not do: returns once subject_released() is true. May be NULL. */
	void (*wait)(void);
};
extern const struct subject subject;

/* The text of a failure; valid until the next call. */
const char *wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As above, with strerror(errno) behind it. */
const char *wrong_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For prepare: this cannot be tested here. */
const char *skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same where nothing could help: the processor or the kernel has no such thing. No failure with CR_MUST_WORK. */
const char *lacks(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For prepare: a part of it cannot be tested here; all else is, and this is said. */
void left_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* wrong("...: EXPRESSION") unless the condition holds. */
#define need(condition)                                                                          \
	do {                                                                                     \
		if (!(condition))                                                                \
			return wrong_errno("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
	} while (0)
/* For functions that give NULL or a text. */
#define pass_on(call)                       \
	do {                                \
		const char *text_ = (call); \
		if (text_)                  \
			return text_;       \
	} while (0)

/* A path in the private folder; valid until the next but seven calls. */
const char *subject_path(const char *name);
/* After a chroot: where the private folder is now ("" for the root itself). */
void subject_move_folder(const char *folder);
/* True once the judge has said go. Makes one system call. */
bool subject_released(void);
/* The letter that /proc shows of a process' state; 0: it is gone. */
char subject_state(int pid);
/* The ordinary wait: sleeps until released. */
void subject_wait(void);

/* subject.c to judge.c */
int judge_main(int argc, char **argv);

#endif
