/* SPDX-License-Identifier: MIT */
/*
 * The signals by which people end a command: SIGINT, SIGTERM, SIGHUP and SIGQUIT. A command that has
 * something to put back blocks them, looks for them where it can stop, and ends by the same signal when
 * all is as it was. One that was ignored when cr was started (nohup(1), a job in the background of a
 * script) stays without effect.
 */
#ifndef BASE_ENDS_H
#define BASE_ENDS_H

#include "base/error.h"

void ends_block(void);
/* A descriptor that can be read when one has come. They must be blocked. */
int ends_open(struct error *e) must_check;
/* 0: none has come. Else a failure, "SIGINT: WHAT", that ends the program by the same signal. */
int ends_check(struct error *e, const char *what) must_check;

#endif
