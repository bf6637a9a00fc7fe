/* SPDX-License-Identifier: MIT */
/* What the judge needs to keep house: the private folder of a case, its children, its reports. */
#ifndef JUDGE_H
#define JUDGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One mode of one subject. */
struct trial {
	char folder[256]; /* private, made by mkdtemp */
	pid_t pid;        /* of the subject; 0: not there */
	int master;       /* of its terminal; -1: it has none */
	bool skipped;
	bool lacks;     /* skipped, and nobody could do anything about it */
	char why[1024]; /* the first thing that went wrong */
};

bool trial_open(struct trial *t);
void trial_close(struct trial *t, bool keep);
/* Valid until the next but seven calls. */
const char *trial_path(const struct trial *t, const char *name);

/* Puts every regular file of the folder but those of judge and cr aside, and back with content,
 * length and time of modification (same inode). */
bool files_save(struct trial *t);
bool files_put_back(struct trial *t);
bool remove_tree(const char *path);

/* Makes a terminal of the trial's. In a child: makes it that of a new session, and descriptor 0. */
bool terminal_open(struct trial *t);
bool terminal_enter(const struct trial *t);
/* Its modes are those of a new one: what the subject has set is gone. */
bool terminal_reset(const struct trial *t);
void terminal_close(struct trial *t);

/* Reaps ended children other than `subject`; one that still runs, or 0. */
pid_t other_child(pid_t subject);
bool is_child(pid_t pid);
/* Kills and reaps every child, and those that become children thereby. */
void kill_children(void);

/* Prints text as comment lines of TAP. */
void say_text(const char *text);
/* Status, stack, wait channel and system call of every task below the judge. */
void report_tasks(void);

#endif
