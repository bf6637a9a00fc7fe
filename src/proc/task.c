/* SPDX-License-Identifier: MIT */
#include "proc/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

/* ENOENT below /proc/PID means what ESRCH means: the task is gone. */
static int read_task_file(int proc, const char *what, struct buf *b, struct error *e)
{
	int rc = fd_read_record(proc, what, b);

	if (rc == -ENOENT)
		rc = -ESRCH;
	return rc < 0 ? fail(e, -rc, "read %s", what) : 0;
}

/* --- stat ------------------------------------------------------------------------------------ */

/* Fields by their numbers in proc(5), from the state (3) on. */
enum {
	F_PPID = 4,
	F_PGID,
	F_SID,
	F_TTY,
	F_TPGID,
	F_FLAGS,
	F_PRIORITY = 18,
	F_NICE,
	F_START_TIME = 22,
	F_START_CODE = 26,
	F_END_CODE,
	F_START_STACK,
	F_EXIT_SIGNAL = 38,
	F_PROCESSOR,
	F_RT_PRIORITY,
	F_POLICY,
	F_START_DATA = 45,
	F_END_DATA,
	F_START_BRK,
	F_ARG_START,
	F_ARG_END,
	F_ENV_START,
	F_ENV_END,
	F_EXIT_CODE,
	F_END
};

static bool take_number(const char **p, uint64_t *out)
{
	bool negative = **p == '-';

	*p += negative;
	if (!str_take_u64(p, 10, out))
		return false;
	if (negative)
		*out = -*out;
	return true;
}

static bool take_fields(const char *p, uint64_t f[F_END])
{
	for (int i = F_PPID; i < F_END; i++)
		if (*p++ != ' ' || !take_number(&p, &f[i]))
			return false;
	return *p == '\n' || *p == ' ';
}

static void fill_stat(const uint64_t f[F_END], struct proc_stat *s)
{
	s->ppid = (int)f[F_PPID];
	s->pgid = (int)f[F_PGID];
	s->sid = (int)f[F_SID];
	s->tty_nr = (int)f[F_TTY];
	s->tpgid = (int)f[F_TPGID];
	s->flags = f[F_FLAGS];
	s->start_time = f[F_START_TIME];
	s->nice = (int64_t)f[F_NICE];
	s->priority = (int64_t)f[F_PRIORITY];
	s->start_code = f[F_START_CODE];
	s->end_code = f[F_END_CODE];
	s->start_stack = f[F_START_STACK];
	s->start_data = f[F_START_DATA];
	s->end_data = f[F_END_DATA];
	s->start_brk = f[F_START_BRK];
	s->arg_start = f[F_ARG_START];
	s->arg_end = f[F_ARG_END];
	s->env_start = f[F_ENV_START];
	s->env_end = f[F_ENV_END];
	s->exit_signal = (int)f[F_EXIT_SIGNAL];
	s->exit_code = (int)f[F_EXIT_CODE];
	s->processor = (int)f[F_PROCESSOR];
	s->rt_priority = f[F_RT_PRIORITY];
	s->policy = f[F_POLICY];
}

int proc_stat_parse(const char *text, struct proc_stat *out, struct error *e)
{
	const char *p = text, *close = strrchr(text, ')'); /* the name may hold anything */
	uint64_t pid, f[F_END] = { 0 };
	size_t n;

	*out = (struct proc_stat){ 0 };
	if (!str_take_u64(&p, 10, &pid) || pid < 1 || pid > INT_MAX || !str_starts(p, " (") ||
	    !close || close < p + 2)
		return fail(e, 0, "stat: does not begin with a pid and a name");
	p += 2;
	n = (size_t)(close - p);
	if (n >= sizeof(out->comm))
		return fail(e, 0, "stat: a name of %zu bytes", n);
	out->pid = (int)pid;
	memcpy(out->comm, p, n);
	if (close[1] != ' ' || close[2] <= ' ' || !take_fields(close + 3, f))
		return fail(e, 0, "stat: not %d fields", F_END - 1);
	out->state = close[2];
	fill_stat(f, out);
	return 0;
}

int proc_stat_read(int proc, struct proc_stat *out, struct error *e)
{
	auto_buf text = { 0 };
	int rc = read_task_file(proc, "stat", &text, e);

	return rc < 0 ? rc : proc_stat_parse(text.p, out, e);
}

char proc_state(int proc)
{
	struct proc_stat stat;
	struct error ignored;

	return proc < 0 || proc_stat_read(proc, &stat, &ignored) < 0 ? 0 : stat.state;
}

bool proc_has_ended(char state)
{
	return !state || state == 'Z' || state == 'X';
}

/* --- status ---------------------------------------------------------------------------------- */

enum form {
	NAME,
	STATE,
	INT,
	U32,
	OCTAL,
	IDS,
	GROUPS,
	MASK,
	KILOBYTES
};

struct status_line {
	const char *key;
	enum form form;
	bool is_needed;
	size_t offset; /* into struct proc_status */
};

#define LINE(key, form, needed, member)                                 \
	{                                                               \
		key, form, needed, offsetof(struct proc_status, member) \
	}
static const struct status_line status_lines[] = {
	LINE("Name", NAME, true, name),
	LINE("Umask", OCTAL, false, umask), /* not for a zombie */
	LINE("State", STATE, true, state),
	LINE("Tgid", INT, true, tgid),
	LINE("Pid", INT, true, pid),
	LINE("PPid", INT, true, ppid),
	LINE("TracerPid", INT, true, tracer),
	LINE("Uid", IDS, true, uid),
	LINE("Gid", IDS, true, gid),
	LINE("Groups", GROUPS, true, groups),
	LINE("VmRSS", KILOBYTES, false, vm_rss),
	LINE("Threads", U32, true, threads),
	LINE("SigPnd", MASK, true, sig_pending),
	LINE("ShdPnd", MASK, true, shared_pending),
	LINE("SigBlk", MASK, true, sig_blocked),
	LINE("SigIgn", MASK, true, sig_ignored),
	LINE("SigCgt", MASK, true, sig_caught),
	LINE("CapInh", MASK, true, cap_inh),
	LINE("CapPrm", MASK, true, cap_prm),
	LINE("CapEff", MASK, true, cap_eff),
	LINE("CapBnd", MASK, true, cap_bnd),
	LINE("CapAmb", MASK, true, cap_amb),
	LINE("NoNewPrivs", U32, true, no_new_privs),
	LINE("Seccomp", U32, false, seccomp), /* CONFIG_SECCOMP */
	LINE("Seccomp_filters", U32, false, seccomp_filters),
};
#define N_STATUS_LINES (sizeof(status_lines) / sizeof(status_lines[0]))

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static bool take_u32(const char **p, unsigned int base, uint32_t *out)
{
	uint64_t n;

	*p = skip_blanks(*p);
	if (!str_take_u64(p, base, &n) || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* In status, unlike in stat, the kernel writes a newline as \n and a backslash as \\. */
static bool take_name(const char **p, char *name, size_t room)
{
	const char *s = *p;
	size_t n = 0;

	for (; *s && *s != '\n'; s++) {
		char c = *s;

		if (c == '\\' && (s[1] == 'n' || s[1] == '\\'))
			c = *++s == 'n' ? '\n' : '\\';
		if (n + 1 >= room)
			return false;
		name[n++] = c;
	}
	name[n] = '\0';
	*p = s;
	return true;
}

static bool take_groups(const char **p, struct arena *a, struct proc_status *out)
{
	vec(uint32_t) list = { 0 };
	bool ok = true;

	for (*p = skip_blanks(*p); ok && **p && **p != '\n'; *p = skip_blanks(*p))
		ok = take_u32(p, 10, vec_add(&list));
	if (ok) {
		out->groups = arena_copy(a, list.v, list.n * sizeof(*list.v));
		out->n_groups = list.n;
	}
	vec_free(&list);
	return ok;
}

static bool take_ids(const char **p, uint32_t ids[4])
{
	for (int i = 0; i < 4; i++)
		if (!take_u32(p, 10, &ids[i]))
			return false;
	return true;
}

static bool take_int(const char **p, int *out)
{
	uint32_t n;

	if (!take_u32(p, 10, &n) || n > INT_MAX)
		return false;
	*out = (int)n;
	return true;
}

static bool take_kilobytes(const char **p, uint64_t *bytes)
{
	uint64_t n;

	*p = skip_blanks(*p);
	if (!str_take_u64(p, 10, &n) || __builtin_mul_overflow(n, (uint64_t)1024, bytes) ||
	    !str_starts(*p, " kB"))
		return false;
	*p += 3;
	return true;
}

static bool take_value(const char **p, const struct status_line *line, struct arena *a,
		       struct proc_status *s)
{
	void *member = (char *)s + line->offset;

	switch (line->form) {
	case NAME:
		return take_name(p, s->name, sizeof(s->name));
	case STATE: /* "S (sleeping)" */
		s->state = **p;
		*p += strcspn(*p, "\n");
		return s->state > ' ';
	case INT:
		return take_int(p, member);
	case U32:
		return take_u32(p, 10, member);
	case OCTAL:
		return take_u32(p, 8, member);
	case IDS:
		return take_ids(p, member);
	case GROUPS:
		return take_groups(p, a, s);
	case MASK:
		return str_take_u64(p, 16, member);
	case KILOBYTES:
		return take_kilobytes(p, member);
	}
	return false;
}

/* The kernel has the lines in the order of the table: nearly always it is number *next. */
static const struct status_line *find_line(const char *text, size_t *n, size_t *next)
{
	*n = strcspn(text, ":\n");
	for (size_t i = 0; i < N_STATUS_LINES; i++) {
		size_t k = (*next + i) % N_STATUS_LINES;
		const char *key = status_lines[k].key;

		if (*key != *text || strncmp(key, text, *n) != 0 || key[*n] != '\0')
			continue;
		*next = k + 1;
		return &status_lines[k];
	}
	return NULL;
}

int proc_status_parse(const char *text, struct arena *a, struct proc_status *out, struct error *e)
{
	bool seen[N_STATUS_LINES] = { false };
	size_t next = 0;

	*out = (struct proc_status){ 0 };
	while (*text) {
		size_t n;
		const struct status_line *line = find_line(text, &n, &next);
		const char *p = text + n;

		if (line && str_starts(p, ":\t") && !seen[line - status_lines]) {
			p += 2;
			if (!take_value(&p, line, a, out) || *p != '\n')
				return fail(e, 0, "status: %s: not understood", line->key);
			seen[line - status_lines] = true;
		}
		p += strcspn(p, "\n");
		text = p + (*p == '\n');
	}
	for (size_t i = 0; i < N_STATUS_LINES; i++)
		if (status_lines[i].is_needed && !seen[i])
			return fail(e, 0, "status: no line %s", status_lines[i].key);
	return 0;
}

int proc_status_read(int proc, struct arena *a, struct proc_status *out, struct error *e)
{
	auto_buf text = { 0 };
	int rc = read_task_file(proc, "status", &text, e);

	return rc < 0 ? rc : proc_status_parse(text.p, a, out, e);
}

bool proc_label_is_foreign(const char *label, const char *own)
{
	return strcmp(label, own) != 0 && *label && strcmp(label, "unconfined") != 0;
}

int proc_sigblk_parse(const char *text, uint64_t *out)
{
	/* The name, which stands before it, cannot hold a newline: see take_name(). */
	static const char key[] = "\nSigBlk:\t";
	const char *p = strstr(text, key);

	if (!p)
		return -EINVAL;
	p += sizeof(key) - 1;
	return str_take_u64(&p, 16, out) && *p == '\n' ? 0 : -EINVAL;
}

/* --- lists ----------------------------------------------------------------------------------- */

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void sort(struct pids *p)
{
	for (size_t i = 1; i < p->list.n; i++) {
		if (p->list.v[i - 1] > p->list.v[i]) {
			qsort(p->list.v, p->list.n, sizeof(*p->list.v), compare_ints);
			return;
		}
	}
}

static int add_entry(struct pids *out, const char *name, const char *what, struct error *e)
{
	uint64_t n;

	if (name[0] == '.')
		return 0;
	if (!str_to_u64(name, 10, &n) || n > INT_MAX)
		return fail(e, 0, "%s: an entry %s", what, name);
	*vec_add(&out->list) = (int)n;
	return 0;
}

/* getdents64 directly: opendir would add three calls to four. */
static int read_numbers(int proc, const char *what, struct pids *out, struct error *e)
{
	_Alignas(struct dirent64) char room[16 * 1024];
	ssize_t got;

	out->list.n = 0;
	auto_fd dir = openat(proc, what, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(e, errno == ENOENT ? ESRCH : errno, "open %s", what);
	while ((got = getdents64(dir, room, sizeof(room))) > 0) {
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *d = (const void *)(room + at);
			int rc = add_entry(out, d->d_name, what, e);

			if (rc < 0)
				return rc;
			at += d->d_reclen;
		}
	}
	if (got < 0)
		return fail(e, errno == ENOENT ? ESRCH : errno, "read %s", what);
	sort(out);
	return 0;
}

int proc_threads(int proc, struct pids *out, struct error *e)
{
	return read_numbers(proc, "task", out, e);
}

int proc_fds(int proc, struct pids *out, struct error *e)
{
	return read_numbers(proc, "fd", out, e);
}

static int parse_children(const char *p, struct pids *out, struct error *e)
{
	uint64_t n;

	for (p += strspn(p, " \n"); *p; p += strspn(p, " \n")) {
		if (!str_take_u64(&p, 10, &n) || n < 1 || n > INT_MAX)
			return fail(e, 0, "children: not understood");
		*vec_add(&out->list) = (int)n;
	}
	return 0;
}

/* text: for reading into. A task that is gone has no files either, though its folder is still open. */
static int add_children(int task, struct buf *text, struct pids *out, struct error *e)
{
	int rc = fd_read_file(task, "children", text);

	if (rc == -ENOENT && faccessat(task, "stat", F_OK, 0) == 0)
		return fail(e, 0, "the kernel has no task/TID/children (CONFIG_PROC_CHILDREN)");
	if (rc == -ENOENT || rc == -ESRCH)
		return 0; /* the thread has exited: its children are another's */
	if (rc < 0)
		return fail(e, -rc, "read children");
	return parse_children(text->p, out, e);
}

int proc_task_children(int task, struct pids *out, struct error *e)
{
	auto_buf text = { 0 };
	int rc = add_children(task, &text, out, e);

	sort(out);
	return rc;
}

int proc_children(int proc, struct pids *out, struct error *e)
{
	struct pids threads = { 0 };
	auto_buf text = { 0 };
	int rc = proc_threads(proc, &threads, e);

	out->list.n = 0;
	for (size_t i = 0; rc == 0 && i < threads.list.n; i++) {
		char path[24];

		snprintf(path, sizeof(path), "task/%d", threads.list.v[i]);
		auto_fd task = fd_open(proc, path, O_PATH | O_DIRECTORY);
		if (task >= 0)
			rc = add_children(task, &text, out, e);
	}
	vec_free(&threads.list);
	sort(out);
	return rc;
}
