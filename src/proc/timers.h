/* SPDX-License-Identifier: MIT */
/* The POSIX timers of a process, from /proc/PID/timers (since 3.10, with CONFIG_CHECKPOINT_RESTORE). */
#ifndef PROC_TIMERS_H
#define PROC_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct proc_timer {
	int id;
	int signal;
	uint64_t value; /* sigev_value */
	int notify;     /* SIGEV_SIGNAL, _NONE, _THREAD; with SIGEV_THREAD_ID: to one thread */
	int target;     /* that gets the signal: pid, or tid */
	int32_t clock; /* as timer_create takes it; the kernel's own word for clocks of the caller */
};
struct proc_timers {
	struct proc_timer *list; /* by id, ascending */
	size_t n;
};

/* proc: /proc/PID/task/TID. */
int timers_read(int proc, struct arena *a, struct proc_timers *out, struct error *e) must_check;
int timers_parse(const char *text, struct arena *a, struct proc_timers *out,
		 struct error *e) must_check;
const struct proc_timer *timers_find(const struct proc_timers *t, int id);

#endif
