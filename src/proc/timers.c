/* SPDX-License-Identifier: MIT */
#include "proc/timers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

/*
 *	ID: 0
 *	signal: 60/00007fff86e452a8
 *	notify: signal/pid.2634
 *	ClockID: 1
 */
static bool take_text(const char **s, const char *text)
{
	if (!str_starts(*s, text))
		return false;
	*s += strlen(text);
	return true;
}

static bool take_int(const char **s, int *out)
{
	bool minus = **s == '-';
	uint64_t n;

	*s += minus;
	if (!str_take_u64(s, 10, &n) || n > INT_MAX)
		return false;
	*out = minus ? -(int)n : (int)n;
	return true;
}

static bool take_notify(const char **s, int *notify)
{
	static const struct {
		const char *text;
		int notify;
	} names[] = {
		{ "signal/", SIGEV_SIGNAL },
		{ "none/", SIGEV_NONE },
		{ "thread/", SIGEV_THREAD },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!take_text(s, names[i].text))
			continue;
		*notify = names[i].notify;
		if (take_text(s, "tid."))
			*notify |= SIGEV_THREAD_ID;
		else if (!take_text(s, "pid."))
			return false;
		return true;
	}
	return false;
}

static bool take_timer(const char **s, struct proc_timer *t)
{
	return take_text(s, "ID: ") && take_int(s, &t->id) && take_text(s, "\nsignal: ") &&
	       take_int(s, &t->signal) && take_text(s, "/") && str_take_u64(s, 16, &t->value) &&
	       take_text(s, "\nnotify: ") && take_notify(s, &t->notify) &&
	       take_int(s, &t->target) && take_text(s, "\nClockID: ") && take_int(s, &t->clock) &&
	       take_text(s, "\n");
}

static int compare_ids(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int timers_parse(const char *text, struct arena *a, struct proc_timers *out, struct error *e)
{
	size_t room = 0;

	for (const char *s = text; (s = strstr(s, "ID: ")); s++)
		room++;
	*out = (struct proc_timers){ arena_alloc(a, (room + 1) * sizeof(*out->list)), 0 };
	while (*text) {
		const char *begin = text;

		/* "ClockID: " counts too, so there is room. */
		if (!take_timer(&text, &out->list[out->n++]))
			return fail(e, 0, "timers: not understood: %.80s", begin);
	}
	qsort(out->list, out->n, sizeof(*out->list), compare_ids);
	return 0;
}

/* The file is in the folder of the process only. */
int timers_read(int proc, struct arena *a, struct proc_timers *out, struct error *e)
{
	auto_buf text = { 0 };
	int rc = fd_read_file(proc, "../../timers", &text);

	if (rc == -ENOENT)
		return fail(e, 0,
			    "this kernel does not tell POSIX timers (/proc/PID/timers: "
			    "CONFIG_CHECKPOINT_RESTORE)");
	if (rc < 0)
		return fail(e, -rc, "read timers");
	return timers_parse(text.p, a, out, e);
}

const struct proc_timer *timers_find(const struct proc_timers *t, int id)
{
	const struct proc_timer key = { .id = id };

	return t->n ? bsearch(&key, t->list, t->n, sizeof(*t->list), compare_ids) : NULL;
}
