/* SPDX-License-Identifier: MIT */
/* A child that reads and writes its memory as it is told, to see whether it is still shared. */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	int to, from;
};

/* Forks; the child calls prepare and then waits for orders. False if prepare or anything else failed. */
bool peer_start(struct peer *p, bool (*prepare)(void));
bool peer_write(const struct peer *p, char *at, char value);
/* The byte there; -1: nothing could be learned. */
int peer_read(const struct peer *p, const char *at);
/* Lets the child end; true if it ended well. */
bool peer_end(struct peer *p);

#endif
