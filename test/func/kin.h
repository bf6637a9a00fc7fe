/* SPDX-License-Identifier: MIT */
/*
 * Processes that share with each other what they are told to share, and do what they are told. Orders and answers
 * go through shared memory, for descriptors are what some of them have in common.
 */
#ifndef KIN_H
#define KIN_H

#include <sys/types.h>

enum kin_order {
	KIN_NOTHING,
	KIN_CLONE,   /* kin number `arg`, with the flags `flags` */
	KIN_UNSHARE, /* flags */
	KIN_EXIT,
	KIN_OPEN,  /* /dev/null, as descriptor arg */
	KIN_CLOSE, /* descriptor arg */
	KIN_HAS, /* whether there is a descriptor arg: 1, and 2 more if it is closed on exec; 0: not */
	KIN_CD,     /* to text */
	KIN_PWD,    /* into text */
	KIN_UMASK,  /* to arg; answers with the one before */
	KIN_THREAD, /* kin number `arg` is a thread of this one's process */
	KIN_EPOLL,  /* makes a set, arg, with an eventfd, arg + 1 */
	KIN_EVENT,  /* 1: an event of that comes by the set */
	KIN_CALL,   /* the function arg, a kin_call, with `flags` */
};

typedef long kin_call(long arg);

#define KIN_MOST 16

/* 0: all is ready for kins; the caller inherits those whose parents have ended. */
int kin_init(void);
/* And waits for them. */
void kin_end_all(void);
/* Started by the caller itself, with CLONE_VM on a stack of its own; its number, or -1. */
pid_t kin_clone(unsigned int number, unsigned long flags);
/* A thread of the caller's; 0, or an error. */
int kin_thread(unsigned int number);
/* Likewise, where the caller has the memory of another process: libc knows nothing of it. flags: besides those that
 * make a thread. Its number, or -1. */
pid_t kin_raw_thread(unsigned int number, unsigned long flags);
pid_t kin_pid(unsigned int number);
/* The answer; -1 if it failed. The caller waits for it, which `number` must be alive for. */
long kin_do(unsigned int number, enum kin_order what, long arg, unsigned long flags);
/* KIN_CALL. */
long kin_run(unsigned int number, kin_call *what, long arg);
/* For that: a value that all who share the memory have. */
long kin_get_value(long unused);
long kin_set_value(long to);
/* Does not wait for an answer, which never comes. */
void kin_order(unsigned int number, enum kin_order what, long arg, unsigned long flags);
/* What it says with KIN_CD (in) and KIN_PWD (out). */
char *kin_text(unsigned int number);

#endif
