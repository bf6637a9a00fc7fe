/* SPDX-License-Identifier: MIT */
/* Descriptors: owned ones that close themselves, and input and output that is whole or an error. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

void fd_cleanup(int *fd); /* closes if >= 0; keeps errno */
#define auto_fd __attribute__((cleanup(fd_cleanup))) int
static inline int take_fd(int *fd) /* moves ownership out */
{
	int n = *fd;

	*fd = -1;
	return n;
}

/* openat with O_CLOEXEC, tried again after a signal; the descriptor or -errno. */
int fd_open(int dir, const char *path, int flags) must_check;

/* The soft limit of open descriptors becomes the hard one. */
void fd_raise_limit(void);

/*
 * Has the kernel make its table of descriptors large enough for n more. With several threads it would wait, at
 * each time that the table grows, until all processors have passed through a quiet moment: milliseconds.
 */
void fd_make_room(size_t n);

/* Reads a whole (proc) file relative to dir into b (emptied first, NUL-terminated, the NUL not
 * counted in len). `what` is the path. 0 or -errno; no error text, so that callers can tell ENOENT
 * and ESRCH. */
int fd_read_file(int dir, const char *what, struct buf *b) must_check;
/* The same for a file that the kernel makes in one piece, as it does where one function writes all of it
 * (stat, status, limits, fdinfo, numbers): one read gives it whole. Not for lists of tasks or mappings,
 * which are handed out bit by bit. */
int fd_read_record(int dir, const char *what, struct buf *b) must_check;
/* All n bytes at offset, or -errno; -ENODATA when the file ends before. */
int fd_pread_full(int fd, void *p, size_t n, off_t offset) must_check;
int fd_pwrite_full(int fd, const void *p, size_t n, off_t offset) must_check;
int fd_write_full(int fd, const void *p, size_t n) must_check;
/* readlinkat into an arena string; NULL and errno on failure. */
char *fd_readlink(struct arena *a, int dir, const char *path);

#endif
