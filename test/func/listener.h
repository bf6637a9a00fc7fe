/* SPDX-License-Identifier: MIT */
/* Supervised calls: a filter that asks a listener, and the supervisor who has that. */
#ifndef LISTENER_H
#define LISTENER_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

/* The caller's call nr asks from now on, all others are made. The listener, or -1. */
int listener_install(long nr);
/* Takes a descriptor over from another process; -1: it cannot be. */
int listener_fetch(pid_t from, int number);
/* Waits for a request; false: none will come, or an error to which nobody has a right (errno). */
bool listener_take(int listener, struct seccomp_notif *n);
/* Answers with what the call is to give. False: the request is gone, and the task asks again. */
bool listener_answer(int listener, const struct seccomp_notif *n, long long value);

#endif
