/* SPDX-License-Identifier: MIT */
/*
 * A group of its own in every hierarchy that is mounted and can be written, and a thread that is elsewhere
 * again: in version 2 in a threaded group below, in version 1 where the process was before.
 */
#include "subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 20

static struct hierarchy {
	char mount[256], group[300], below[320];
	bool is_v2, has_thread;
} made[MOST];
static size_t n_made;
static char *before; /* /proc/self/cgroup, and that of the thread */
static char *before_thread;
static volatile pid_t thread;
static char born[32];

static int put(const char *folder, const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	rc = write(fd, text, strlen(text)) < 0 ? -1 : 0;
	close(fd);
	return rc;
}

static char *get(const char *path)
{
	char *text = calloc(1, 8192);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, 8191) < 0)
		text[0] = '\0';
	close(fd);
	return text;
}

/* A new cpuset has neither processors nor memory, and takes nobody. */
static void copy(const struct hierarchy *h, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", h->mount, file);
	put(h->group, file, get(path));
}

static void *sleeper(void *unused)
{
	thread = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return unused;
}

/* When this process has begun. */
static void read_birth(char out[32])
{
	char *text = get("/proc/self/stat"), *at = strrchr(text, ')');

	for (int i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	snprintf(out, 32, "%.*s", at ? (int)strcspn(at + 1, " ") : 0, at ? at + 1 : "");
	free(text);
}

/* What is empty: an earlier subject was restored once more after it had judged, and needed its groups. */
static void sweep(const char *mount)
{
	DIR *dir = opendir(mount);
	struct dirent *d;
	char path[PATH_MAX];

	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, "cr-test ", 8) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/thread", mount, d->d_name);
		rmdir(path);
		snprintf(path, sizeof(path), "%s/%s", mount, d->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

static bool enter(struct hierarchy *h)
{
	char text[16];

	snprintf(h->group, sizeof(h->group), "%s/cr-test %d", h->mount, getpid());
	snprintf(h->below, sizeof(h->below), "%s/thread", h->group);
	sweep(h->mount);
	if (mkdir(h->group, 0755) < 0)
		return false;
	copy(h, "cpuset.cpus");
	copy(h, "cpuset.mems");
	if (put(h->group, "cgroup.procs", "0") < 0) {
		rmdir(h->group);
		return false;
	}
	snprintf(text, sizeof(text), "%d", thread);
	if (!h->is_v2)
		h->has_thread = put(h->mount, "tasks", text) == 0;
	else if (mkdir(h->below, 0755) == 0)
		h->has_thread = put(h->below, "cgroup.type", "threaded") == 0 &&
				put(h->below, "cgroup.threads", text) == 0;
	return true;
}

/* "31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu" */
static void enter_all(void)
{
	char *save = NULL, *text = get("/proc/self/mountinfo");

	for (char *line = strtok_r(text, "\n", &save); line && n_made < MOST;
	     line = strtok_r(NULL, "\n", &save)) {
		struct hierarchy h = { .is_v2 = strstr(line, " - cgroup2 ") };

		if (!h.is_v2 && !strstr(line, " - cgroup "))
			continue;
		if (sscanf(line, "%*d %*d %*s / %255s", h.mount) == 1 && enter(&h))
			made[n_made++] = h;
	}
	free(text);
}

static const char *prepare(void)
{
	char path[64];
	pthread_t t;

	need(pthread_create(&t, NULL, sleeper, NULL) == 0);
	while (!thread)
		usleep(1000);
	enter_all();
	if (!n_made)
		return skip("no control group can be made here");
	snprintf(path, sizeof(path), "/proc/self/task/%d/cgroup", thread);
	before = get("/proc/self/cgroup");
	before_thread = get(path);
	need(strstr(before, "cr-test "));
	read_birth(born);
	return NULL;
}

static const char *verify(void)
{
	char path[64], birth[32];
	char *now = get("/proc/self/cgroup"), *now_thread;

	snprintf(path, sizeof(path), "/proc/self/task/%d/cgroup", thread);
	now_thread = get(path);
	read_birth(birth);
	for (size_t i = 0; i < n_made && strcmp(birth, born) != 0; i++) {
		put(made[i].mount, "cgroup.procs", "0");
		sweep(made[i].mount);
	}
	if (strcmp(now, before) != 0)
		return wrong("groups: %s, were %s", now, before);
	if (strcmp(now_thread, before_thread) != 0)
		return wrong("groups of the thread: %s, were %s", now_thread, before_thread);
	return NULL;
}

const struct subject subject = {
	.about = "control groups of a process and of a thread",
	.prepare = prepare,
	.verify = verify,
};
