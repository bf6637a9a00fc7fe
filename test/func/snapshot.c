/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compare.h"

/* PF_FORKNOEXEC and PF_SUPERPRIV: forked without exec (as every restored process was), has used a
 * privilege. PF_RANDOMIZE is kept. */
#define STAT_FLAGS_IGNORED (0x40ul | 0x100ul)

static const char *const stat_names[] = {
	"pid",     "comm",        "state",      "ppid",        "pgrp",      "session",
	"tty",     "tpgid",       "flags",      "minflt",      "cminflt",   "majflt",
	"cmajflt", "utime",       "stime",      "cutime",      "cstime",    "priority",
	"nice",    "threads",     "itreal",     "starttime",   "vsize",     "rss",
	"rsslim",  "startcode",   "endcode",    "startstack",  "esp",       "eip",
	"signal",  "blocked",     "sigignore",  "sigcatch",    "wchan",     "nswap",
	"cnswap",  "exit_signal", "processor",  "rt_priority", "policy",    "blkio",
	"guest",   "cguest",      "start_data", "end_data",    "start_brk", "arg_start",
	"arg_end", "env_start",   "env_end",    "exit_code",
};

/* What tasks share, as kcmp tells. */
static const struct shareable {
	const char *name;
	int type;
} shareables[] = {
	{ "vm", KCMP_VM },           { "files", KCMP_FILES }, { "fs", KCMP_FS },
	{ "sighand", KCMP_SIGHAND }, { "io", KCMP_IO },
};
#define N_SHAREABLES (sizeof(shareables) / sizeof(shareables[0]))

/* Tasks that have the same one. */
struct sharers {
	int of;    /* one of them, for kcmp */
	int least; /* the lowest number among them */
};

static char *format(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	return text;
}

void *grown(void *p, size_t n)
{
	p = realloc(p, n);
	if (!p)
		abort();
	return p;
}

static char *copy(const char *s)
{
	char *c = strdup(s);

	if (!c)
		abort();
	return c;
}

void add(struct snapshot *s, const char *value, const char *key_fmt, ...)
{
	va_list ap;

	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 512;
		s->lines = grown(s->lines, s->room * sizeof(*s->lines));
	}
	va_start(ap, key_fmt);
	s->lines[s->n].key = format(key_fmt, ap);
	va_end(ap);
	s->lines[s->n++].value = copy(value);
}

char *slurp(const char *path, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0, room = 4096;
	char *text;
	ssize_t got;

	if (fd < 0)
		return NULL;
	text = grown(NULL, room);
	while ((got = read(fd, text + n, room - n - 1)) > 0) {
		n += (size_t)got;
		if (room - n < 4096)
			text = grown(text, room *= 2);
	}
	close(fd);
	text[n] = '\0';
	if (length)
		*length = n;
	if (got == 0)
		return text;
	free(text);
	return NULL;
}

size_t inode_index(struct inodes *all, unsigned long inode)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->list[i] == inode)
			return i;
	all->list = grown(all->list, (i + 1) * sizeof(*all->list));
	all->list[all->n++] = inode;
	return i;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->key, ((const struct line *)b)->key);
}

/* --- what is read ------------------------------------------------------------------------------ */

static void read_link(struct snapshot *s, const char *proc, const char *name)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	add(s, n < 0 ? "(cannot be read)" : link, "%s/%s", proc + strlen("/proc/"), name);
}

/* Bytes, printed so that a difference can be read. */
static void read_bytes(struct snapshot *s, const char *proc, const char *name, bool hex)
{
	char path[PATH_MAX];
	char *text, *out, *p;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	text = slurp(path, &n);
	p = out = grown(NULL, 4 * n + 32);
	*p = '\0';
	if (!text)
		strcpy(out, "(cannot be read)");
	for (size_t i = 0; text && i < n; i++)
		if (!hex && isprint((unsigned char)text[i]))
			*p++ = text[i], *p = '\0';
		else
			p += sprintf(p, hex ? "%02x" : "\\x%02x", (unsigned char)text[i]);
	add(s, out, "%s/%s", proc + strlen("/proc/"), name);
	free(out);
	free(text);
}

/* Lines "KEY: value"; the value of a line without a colon is the line. */
static void read_lines(struct snapshot *s, const char *proc, const char *name)
{
	char path[PATH_MAX];
	char *text, *line, *save = NULL;
	unsigned int number = 0;

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save), number++) {
		char *colon = strchr(line, ':');

		if (colon) {
			*colon++ = '\0';
			add(s, colon + strspn(colon, " \t"), "%s/%s/%s", proc + strlen("/proc/"),
			    name, line);
		} else {
			add(s, line, "%s/%s/%u", proc + strlen("/proc/"), name, number);
		}
	}
	free(text);
}

/* The signal mask of a thread that has exited, a leader before the others, means nothing. */
static void forget_mask_of_dead(struct snapshot *s, size_t from)
{
	bool dead = false;

	for (size_t i = from; i < s->n; i++) {
		const char *key = strrchr(s->lines[i].key, '/') + 1;

		if (!strcmp(key, "State") || !strcmp(key, "03-state"))
			dead = s->lines[i].value[0] == 'Z';
		if (dead && (!strcmp(key, "SigBlk") || !strcmp(key, "32-blocked")))
			strcpy(s->lines[i].value, "0");
	}
}

static void read_stat(struct snapshot *s, const char *proc)
{
	char path[PATH_MAX], masked[32];
	char *text, *at, *word, *save = NULL;
	size_t i = 2;

	snprintf(path, sizeof(path), "%s/stat", proc);
	text = slurp(path, NULL);
	at = text ? strrchr(text, ')') : NULL;
	if (!at)
		return free(text);
	for (word = strtok_r(at + 1, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save), i++) {
		if (i == 8) {
			snprintf(masked, sizeof(masked), "0x%lx",
				 strtoul(word, NULL, 10) & ~STAT_FLAGS_IGNORED);
			word = masked;
		}
		add(s, word, "%s/stat/%02zu-%s", proc + strlen("/proc/"), i + 1,
		    i < sizeof(stat_names) / sizeof(stat_names[0]) ? stat_names[i] : "?");
	}
	free(text);
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The names in a folder that are numbers, ascending. */
static int *numbers(const char *path, size_t *n)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int *list = NULL;

	*n = 0;
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		list = grown(list, (*n + 1) * sizeof(*list));
		list[(*n)++] = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (list)
		qsort(list, *n, sizeof(*list), compare_ints);
	return list;
}

static void read_namespaces(struct snapshot *s, const char *proc)
{
	static const char *const names[] = { "cgroup", "ipc",  "mnt",  "net",
					     "pid",    "time", "user", "uts" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "ns/%s", names[i]);
		read_link(s, proc, name);
	}
}

/* Of `sched` what is an attribute, not a count of the past: dl.runtime is what is left of the period. */
static void read_sched(struct snapshot *s, const char *proc)
{
	static const char *const attributes[] = {
		"policy",
		"prio",
		"se.load.weight",
		"uclamp.min",
		"uclamp.max",
		"effective uclamp.min",
		"effective uclamp.max",
		"ext.enabled",
	};
	char path[PATH_MAX];
	char *text, *line, *save = NULL;

	snprintf(path, sizeof(path), "%s/sched", proc);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');
		size_t n = strcspn(line, " :");

		if (!strncmp(line, "effective ", 10))
			n = 10 + strcspn(line + 10, " :");
		for (size_t i = 0; colon && i < sizeof(attributes) / sizeof(attributes[0]); i++)
			if (strlen(attributes[i]) == n && !strncmp(line, attributes[i], n))
				add(s, colon + 1 + strspn(colon + 1, " "), "%s/sched/%s",
				    proc + strlen("/proc/"), attributes[i]);
	}
	free(text);
}

/* Four lines for each, in the order in which they were made last: the number makes the key. */
static void read_timers(struct snapshot *s, const char *proc)
{
	char path[PATH_MAX];
	char *text, *line, *save = NULL;
	int id = -1;

	snprintf(path, sizeof(path), "%s/timers", proc);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon++ = '\0';
		if (strcmp(line, "ID") == 0)
			id = atoi(colon);
		add(s, colon + strspn(colon, " "), "%s/timers/%05d/%s", proc + strlen("/proc/"), id,
		    line);
	}
	free(text);
}

static void read_task(struct snapshot *s, const char *proc)
{
	size_t from = s->n;

	read_lines(s, proc, "status");
	read_stat(s, proc);
	forget_mask_of_dead(s, from);
	read_link(s, proc, "cwd");
	read_link(s, proc, "root");
	read_bytes(s, proc, "comm", false);
	read_bytes(s, proc, "personality", false);
	read_bytes(s, proc, "oom_score_adj", false);
	read_bytes(s, proc, "attr/current", false);
	read_bytes(s, proc, "loginuid", false);
	read_lines(s, proc, "limits");
	read_lines(s, proc, "cgroup");
	read_sched(s, proc);
	read_namespaces(s, proc);
}

/* A zombie is what its parent can ask; everything else it left is nobody's any more. */
static bool read_zombie(struct snapshot *s, const char *proc)
{
	static const char *const told[] = {
		"Name",       "State",          "Tgid",         "Pid",
		"PPid",       "03-state",       "04-ppid",      "05-pgrp",
		"06-session", "38-exit_signal", "52-exit_code",
	};
	size_t from = s->n, kept = s->n;
	bool zombie = false, alone = false;

	read_lines(s, proc, "status");
	read_stat(s, proc);
	for (size_t i = from; i < s->n; i++) {
		const char *key = strrchr(s->lines[i].key, '/') + 1;

		zombie = zombie || (!strcmp(key, "State") && s->lines[i].value[0] == 'Z');
		alone = alone || (!strcmp(key, "20-threads") && !strcmp(s->lines[i].value, "1"));
	}
	for (size_t i = from; i < s->n; i++) {
		const char *key = strrchr(s->lines[i].key, '/') + 1;
		bool keep = false;

		for (size_t k = 0; k < sizeof(told) / sizeof(told[0]); k++)
			keep = keep || !strcmp(key, told[k]);
		if (!strcmp(key, "Uid")) { /* the real one */
			s->lines[i].value[strcspn(s->lines[i].value, "\t")] = '\0';
			keep = true;
		}
		if (zombie && alone && keep) {
			s->lines[kept++] = s->lines[i];
		} else {
			free(s->lines[i].key);
			free(s->lines[i].value);
		}
	}
	s->n = kept;
	return zombie && alone;
}

static void read_process(struct snapshot *s, pid_t pid)
{
	char proc[64], path[96];
	int *list;
	size_t n;

	snprintf(proc, sizeof(proc), "/proc/%d", pid);
	if (read_zombie(s, proc))
		return;
	snprintf(path, sizeof(path), "%s/fd", proc);
	list = numbers(path, &n);
	for (size_t i = 0; i < n; i++)
		number_pipe(s, proc, list[i]);
	for (size_t i = 0; i < n; i++)
		read_fd(s, proc, list[i]);
	free(list);
	read_maps(s, proc);
	read_bytes(s, proc, "auxv", true);
	read_bytes(s, proc, "cmdline", false);
	read_bytes(s, proc, "environ", false);
	read_bytes(s, proc, "coredump_filter", false);
	read_bytes(s, proc, "timerslack_ns", false);
	read_timers(s, proc);
	read_link(s, proc, "exe");
	read_task(s, proc);
	snprintf(path, sizeof(path), "%s/task", proc);
	list = numbers(path, &n);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/task/%d", proc, list[i]);
		read_task(s, path);
		s->tasks = grown(s->tasks, (s->n_tasks + 1) * sizeof(*s->tasks));
		s->tasks[s->n_tasks++] = list[i];
	}
	free(list);
}

static void read_tree(struct snapshot *s, pid_t pid)
{
	char path[96];
	int *tasks;
	size_t n;

	read_process(s, pid);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = numbers(path, &n);
	for (size_t i = 0; i < n; i++) {
		char *text, *word, *save = NULL;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tasks[i]);
		text = slurp(path, NULL);
		for (word = text ? strtok_r(text, " ", &save) : NULL; word;
		     word = strtok_r(NULL, " ", &save))
			read_tree(s, atoi(word));
		free(text);
	}
	free(tasks);
}

/* Where it belongs in a list that is in the kernel's order, or is already. */
static size_t find_sharers(const struct sharers *v, size_t n, int tid, int type, bool *found)
{
	size_t low = 0, high = n;

	*found = false;
	while (low < high) {
		size_t mid = (low + high) / 2;
		long order = syscall(SYS_kcmp, v[mid].of, tid, type, 0, 0);

		*found = order == 0;
		if (order <= 0)
			return mid;
		if (order == 1)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Each task is with the lowest number of those with whom it shares something. */
static void read_shared(struct snapshot *s, const struct shareable *what)
{
	struct sharers *v = grown(NULL, (s->n_tasks + 1) * sizeof(*v));
	size_t n = 0, at;
	bool found;

	for (size_t i = 0; i < s->n_tasks; i++) {
		int tid = s->tasks[i];

		at = find_sharers(v, n, tid, what->type, &found);
		if (!found) {
			memmove(v + at + 1, v + at, (n++ - at) * sizeof(*v));
			v[at] = (struct sharers){ tid, tid };
		}
		if (tid < v[at].least)
			v[at].least = tid;
	}
	for (size_t i = 0; i < s->n_tasks; i++) {
		char text[16];

		at = find_sharers(v, n, s->tasks[i], what->type, &found);
		snprintf(text, sizeof(text), "%d", found ? v[at].least : 0);
		add(s, text, "%d/shares/%s", s->tasks[i], what->name);
	}
	free(v);
}

struct snapshot *snapshot_take(pid_t root)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	if (kill(root, 0) == 0)
		read_tree(s, root);
	for (size_t i = 0; i < N_SHAREABLES; i++)
		read_shared(s, &shareables[i]);
	if (s->n)
		qsort(s->lines, s->n, sizeof(*s->lines), compare_lines);
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		free(s->lines[i].key);
		free(s->lines[i].value);
	}
	free(s->lines);
	free(s->pipes.list);
	free(s->memory.list);
	free(s->tasks);
	free(s);
}
