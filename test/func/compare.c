/* SPDX-License-Identifier: MIT */
#include "compare.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What may differ between the subject before its dump and after its restore. A key is
 * PID/WHAT or PID/task/TID/WHAT; * matches anything.
 */
static const struct exception {
	const char *key;
	const char *why;
} exceptions[] = {
	{ "*/status/State", "R and S come and go" },
	{ "*/status/VmPeak", "a high-water mark of the past" },
	{ "*/status/VmHWM", "a high-water mark of the past" },
	{ "*/status/VmRSS", "residency" },
	{ "*/status/Rss*", "residency" },
	{ "*/status/HugetlbPages", "residency: pages that hold nothing but zeros" },
	{ "*/status/VmPTE", "page tables: follows residency" },
	{ "*/status/VmSwap", "residency" },
	{ "*/status/FDSize",
	  "the room of the descriptor table, which grows in steps and never shrinks" },
	{ "*/status/SigQ", "counts the signals queued by all processes of the user" },
	{ "*/status/*ctxt_switches", "a counter of the past" },
	{ "*/stat/03-state", "R and S come and go" },
	{ "*/stat/1[0-7]-*", "page faults and processor time: counters of the past" },
	{ "*/stat/22-starttime", "the restored process was born later" },
	{ "*/stat/24-rss", "residency" },
	{ "*/stat/35-wchan", "asleep or not: comes and goes with the state" },
	{ "*/stat/39-processor", "where it ran last" },
	{ "*/stat/4[23]-*", "time waited for I/O and guest time: counters of the past" },
	{ "*/fdinfo/*/it_value", "what is left of a timerfd's time, which goes on" },
	{ "*/fdinfo/*/eventfd-id", "a running number of the kernel, since 5.2" },
};

/* PF_FORKNOEXEC and PF_SUPERPRIV: forked without exec (as every restored process was), has used a
 * privilege. PF_RANDOMIZE is kept. */
#define STAT_FLAGS_IGNORED (0x40ul | 0x100ul)
/* What is not an event but says how events are told. */
#define MEMBER_MODES (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

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

struct line {
	char *key, *value;
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

/* Numbers, in the order of their first appearance. */
struct inodes {
	unsigned long *list;
	size_t n;
};

struct snapshot {
	struct line *lines;
	size_t n, room;
	int *tasks; /* every thread */
	size_t n_tasks;
	/* Memory lies on another device than pipes and other things: the same number may be among both. */
	struct inodes pipes, memory;
};

static char *format(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	return text;
}

static void *grown(void *p, size_t n)
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

__attribute__((format(printf, 3, 4))) static void add(struct snapshot *s, const char *value,
						      const char *key_fmt, ...)
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

/* The whole file, NUL-terminated; NULL if it cannot be read. */
static char *slurp(const char *path, size_t *length)
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

/* The inode number of a pipe is another after the restore; what counts is which ends belong together. */
static size_t inode_index(struct inodes *all, unsigned long inode)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->list[i] == inode)
			return i;
	all->list = grown(all->list, (i + 1) * sizeof(*all->list));
	all->list[all->n++] = inode;
	return i;
}

static bool is_known_inode(const struct inodes *all, unsigned long inode)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i] == inode)
			return true;
	return false;
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

struct area {
	unsigned long start, end, offset;
	char rest[PATH_MAX + 64]; /* permissions, device, inode, path */
	char flags[256];
	char key[16]; /* protection key, where the processor has them */
	bool anonymous, set;
};

/* Two neighbours that are alike are one or two as their history wants it: written as one. */
static bool area_join(struct area *a, const struct area *b)
{
	if (a->end != b->start || strcmp(a->rest, b->rest) != 0 ||
	    strcmp(a->flags, b->flags) != 0 || strcmp(a->key, b->key) != 0 ||
	    (!a->anonymous && a->offset + (a->end - a->start) != b->offset))
		return false;
	a->end = b->end;
	return true;
}

static void area_add(struct snapshot *s, const char *proc, const struct area *a)
{
	char value[PATH_MAX + 512];

	if (!a->set)
		return;
	snprintf(value, sizeof(value), "%lx offset %lx %s flags %skey %s", a->end, a->offset,
		 a->rest, a->flags, a->key);
	add(s, value, "%s/maps/%016lx", proc + strlen("/proc/"), a->start);
}

/* VmFlags without sd (written since soft-dirty was last reset: history). */
static void area_set_flags(struct area *a, const char *flags)
{
	const char *at = flags + strspn(flags, " \t");
	char *out = a->flags;

	for (; at[0] && at[1] && out < a->flags + sizeof(a->flags) - 4;
	     at += 2, at += strspn(at, " ")) {
		if (memcmp(at, "sd", 2) == 0)
			continue;
		*out++ = at[0];
		*out++ = at[1];
		*out++ = ' ';
	}
	*out = '\0';
}

/* Memory without a name has another inode number after the restore, a System V segment the same. */
static bool is_memory(const char *name)
{
	return strcmp(name, "/anon_hugepage (deleted)") == 0 || strncmp(name, "/memfd:", 7) == 0 ||
	       strncmp(name, "[anon_shmem:", 12) == 0 || strcmp(name, "/dev/zero (deleted)") == 0 ||
	       (strncmp(name, "/dev/shm/", 9) == 0 && strstr(name, " (deleted)"));
}

/* Leaves *a alone unless the line begins an area. */
static void area_parse(struct snapshot *s, struct area *a, const char *line)
{
	struct area next = { .set = true };
	char perms[8], device[16], inode[24];
	int at = 0;

	if (sscanf(line, "%lx-%lx %7s %lx %15s %23s %n", &next.start, &next.end, perms,
		   &next.offset, device, inode, &at) < 6)
		return;
	/* Private huge pages have a file, which nobody else can have. */
	if (perms[3] == 'p' && strcmp(line + at, "/anon_hugepage (deleted)") == 0) {
		next.offset = 0;
		strcpy(inode, "0");
		at = (int)strlen(line);
	}
	next.anonymous = strcmp(inode, "0") == 0;
	if (is_memory(line + at))
		snprintf(inode, sizeof(inode), "#%zu",
			 inode_index(&s->memory, strtoul(inode, NULL, 10)));
	snprintf(next.rest, sizeof(next.rest), "%s %s %s %s", perms, device, inode, line + at);
	*a = next;
}

static void read_maps(struct snapshot *s, const char *proc)
{
	char path[PATH_MAX];
	struct area last = { .set = false }, now = { .set = false };
	char *text, *line, *save = NULL;

	snprintf(path, sizeof(path), "%s/smaps", proc);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		sscanf(line, "ProtectionKey: %15s", now.key);
		if (strncmp(line, "VmFlags:", 8) != 0) {
			area_parse(s, &now, line);
			continue;
		}
		area_set_flags(&now, line + 8);
		if (last.set && area_join(&last, &now))
			continue;
		area_add(s, proc, &last);
		last = now;
	}
	area_add(s, proc, &last);
	free(text);
}

/*
 * "NUMBER events: X data: X pos:N ino:X sdev:X". A pipe's inode number is written as for the pipe
 * itself. The kernel adds EPOLLERR and EPOLLHUP to whatever is asked for, but a one-shot member that
 * has told loses them too; no call brings that about, so for such a member the two do not count.
 */
static void write_member(struct snapshot *s, const char *text, char *out, size_t room)
{
	unsigned long data, inode;
	unsigned int events, device;
	long number, pos;

	if (sscanf(text, "%ld events: %x data: %lx pos:%li ino:%lx sdev:%x", &number, &events,
		   &data, &pos, &inode, &device) != 6)
		return;
	if (events & EPOLLONESHOT && !(events & ~(MEMBER_MODES | EPOLLERR | EPOLLHUP)))
		events &= MEMBER_MODES;
	if (is_known_inode(&s->pipes, inode))
		snprintf(out, room, "events %x data %lx pos %ld pipe #%zu sdev %x", events, data,
			 pos, inode_index(&s->pipes, inode), device);
	else
		snprintf(out, room, "events %x data %lx pos %ld ino %lx sdev %x", events, data, pos,
			 inode, device);
}

/*
 * inodes: those among which its own counts; NULL: its number stays the same. The members of an epoll set come in the
 * order of kernel addresses: the number makes the key.
 */
static void read_fdinfo_line(struct snapshot *s, const char *prefix, const char *key,
			     const char *text, struct inodes *inodes)
{
	char value[512];

	snprintf(value, sizeof(value), "%s", text);
	if (strcmp(key, "ino") == 0 && inodes)
		snprintf(value, sizeof(value), "#%zu",
			 inode_index(inodes, strtoul(text, NULL, 10)));
	if (strcmp(key, "tfd") != 0)
		return add(s, value, "%s/%s", prefix, key);
	write_member(s, text, value, sizeof(value));
	add(s, value, "%s/tfd/%05ld", prefix, strtol(text, NULL, 10));
}

static void read_fdinfo(struct snapshot *s, const char *proc, int fd, struct inodes *inodes)
{
	char path[PATH_MAX], prefix[96];
	char *text, *line, *save = NULL;

	snprintf(path, sizeof(path), "%s/fdinfo/%d", proc, fd);
	snprintf(prefix, sizeof(prefix), "%s/fdinfo/%05d", proc + strlen("/proc/"), fd);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon++ = '\0';
		read_fdinfo_line(s, prefix, line, colon + strspn(colon, " \t"), inodes);
	}
	free(text);
}

static bool is_pipe_link(const char *link)
{
	return strncmp(link, "pipe:[", 6) == 0;
}

static void read_fd(struct snapshot *s, const char *proc, int fd)
{
	char path[PATH_MAX], link[PATH_MAX], value[PATH_MAX + 64];
	struct inodes *inodes = NULL;
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/fd/%d", proc, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || lstat(path, &st) < 0)
		return;
	link[n] = '\0';
	if (is_pipe_link(link)) {
		inodes = &s->pipes;
		snprintf(link, sizeof(link), "pipe #%zu",
			 inode_index(inodes, strtoul(link + 6, NULL, 10)));
	} else if (is_memory(link)) {
		inodes = &s->memory;
	}
	snprintf(value, sizeof(value), "%s %03o", link, st.st_mode & 0777);
	add(s, value, "%s/fd/%05d", proc + strlen("/proc/"), fd);
	read_fdinfo(s, proc, fd, inodes);
}

/* Before any set that watches it is read. */
static void number_pipe(struct snapshot *s, const char *proc, int fd)
{
	char path[PATH_MAX], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/fd/%d", proc, fd);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	if (is_pipe_link(link))
		inode_index(&s->pipes, strtoul(link + 6, NULL, 10));
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

/* --- comparison ---------------------------------------------------------------------------------- */

static bool is_exception(const char *key)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (fnmatch(exceptions[i].key, key, 0) == 0)
			return true;
	return false;
}

static unsigned int tell(FILE *out, const char *key, const char *before, const char *after)
{
	if (is_exception(key))
		return 0;
	fprintf(out, "%s: before: %s; after: %s\n", key, before, after);
	return 1;
}

unsigned int snapshot_compare(const struct snapshot *before, const struct snapshot *after,
			      FILE *out)
{
	size_t i = 0, k = 0;
	unsigned int n = 0;

	while (i < before->n || k < after->n) {
		const struct line *a = i < before->n ? &before->lines[i] : NULL;
		const struct line *b = k < after->n ? &after->lines[k] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->key, b->key);

		if (order < 0)
			n += tell(out, a->key, a->value, "(not there)");
		else if (order > 0)
			n += tell(out, b->key, "(not there)", b->value);
		else if (strcmp(a->value, b->value) != 0)
			n += tell(out, a->key, a->value, b->value);
		i += order <= 0;
		k += order >= 0;
	}
	return n;
}
