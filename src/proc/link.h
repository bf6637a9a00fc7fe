/* SPDX-License-Identifier: MIT */
/*
 * Texts of the links in /proc (fd/N, cwd, root): whether one is a name under which the object that
 * it stands for can be opened again.
 */
#ifndef PROC_LINK_H
#define PROC_LINK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

/*
 * Refuses, with what would help, a text that does not lead to the object that `st` is of: it was
 * deleted, renamed away, covered by another, or never had a name. The caller puts the text in front
 * of the sentence. follow: whether a symbolic link at the end is followed.
 */
int link_check(const char *text, const struct stat *st, bool follow, struct error *e) must_check;
/* Refuses what lies in a proc file system; proc: a directory of one. The root folder is no harm. */
int link_check_proc(const char *text, const struct stat *st, int proc, struct error *e) must_check;

#endif
