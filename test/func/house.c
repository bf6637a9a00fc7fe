/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* --- the private folder -------------------------------------------------------------------------- */

const char *trial_path(const struct trial *t, const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", t->folder, name);
	return path;
}

bool trial_open(struct trial *t)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(t->folder, sizeof(t->folder), "%s/cr-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(t->folder)) {
		printf("# mkdtemp %s: %s\n", t->folder, strerror(errno));
		t->folder[0] = '\0';
		return false;
	}
	return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

bool remove_tree(const char *path)
{
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0;
}

void trial_close(struct trial *t, bool keep)
{
	if (keep)
		printf("# kept: %s\n", t->folder);
	else if (t->folder[0])
		remove_tree(t->folder);
}

static bool copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st = { .st_size = 0 };
	ssize_t n = -1;

	if (out >= 0 && fstat(in, &st) == 0)
		while ((n = read(in, buffer, sizeof(buffer))) > 0)
			if (write(out, buffer, (size_t)n) != n)
				break;
	if (out >= 0) {
		struct timespec times[2] = { st.st_atim, st.st_mtim };

		futimens(out, times);
		close(out);
	}
	if (in >= 0)
		close(in);
	return n == 0;
}

static bool is_subjects_own(const char *folder, const struct dirent *entry)
{
	static const char *const ours[] = { "ready", "go", "verdict", "cr.log", "output" };
	char path[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(entry->d_name, ours[i]) == 0)
			return false;
	snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool copy_files(const char *list, const char *from, const char *to)
{
	DIR *dir = opendir(list);
	struct dirent *entry;
	bool good = dir != NULL;

	while (good && (entry = readdir(dir))) {
		char a[PATH_MAX], b[PATH_MAX];

		if (!is_subjects_own(list, entry))
			continue;
		snprintf(a, sizeof(a), "%s/%s", from, entry->d_name);
		snprintf(b, sizeof(b), "%s/%s", to, entry->d_name);
		good = copy_file(a, b);
		if (!good)
			printf("# copy %s to %s: %s\n", a, b, strerror(errno));
	}
	if (dir)
		closedir(dir);
	return good;
}

bool files_save(struct trial *t)
{
	const char *saved = trial_path(t, "judge-saved");

	return mkdir(saved, 0700) == 0 && copy_files(t->folder, t->folder, saved);
}

bool files_put_back(struct trial *t)
{
	const char *saved = trial_path(t, "judge-saved");

	return copy_files(saved, saved, t->folder);
}

/* --- the terminal -------------------------------------------------------------------------------- */

bool terminal_open(struct trial *t)
{
	t->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	return t->master >= 0 && grantpt(t->master) == 0 && unlockpt(t->master) == 0;
}

bool terminal_enter(const struct trial *t)
{
	const char *name = ptsname(t->master);
	int fd = name && setsid() >= 0 ? open(name, O_RDWR | O_NOCTTY) : -1;

	return fd >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0 && dup2(fd, 0) == 0;
}

/* What is set on the master is set on both. */
bool terminal_reset(const struct trial *t)
{
	struct termios modes;
	int other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	bool good = other >= 0 && tcgetattr(other, &modes) == 0 &&
		    tcsetattr(t->master, TCSANOW, &modes) == 0;

	if (other >= 0)
		close(other);
	return good;
}

void terminal_close(struct trial *t)
{
	if (t->master >= 0)
		close(t->master);
	t->master = -1;
}

/* --- processes ----------------------------------------------------------------------------------- */

static size_t children(pid_t pid, pid_t *list, size_t room)
{
	char path[64], text[16384];
	char *word, *save = NULL;
	size_t n = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got < 0 ? 0 : got] = '\0';
	for (word = strtok_r(text, " ", &save); word && n < room; word = strtok_r(NULL, " ", &save))
		list[n++] = atoi(word);
	return n;
}

bool is_child(pid_t pid)
{
	pid_t list[256];
	size_t n = children(getpid(), list, 256);

	for (size_t i = 0; i < n; i++)
		if (list[i] == pid)
			return true;
	return false;
}

pid_t other_child(pid_t subject)
{
	pid_t list[256], left = 0;
	size_t n = children(getpid(), list, 256);

	for (size_t i = 0; i < n; i++)
		if (list[i] != subject && waitpid(list[i], NULL, WNOHANG | __WALL) != list[i])
			left = list[i];
	return left;
}

void kill_children(void)
{
	pid_t list[256];
	size_t n;

	while ((n = children(getpid(), list, 256)) > 0)
		for (size_t i = 0; i < n; i++) {
			kill(list[i], SIGKILL);
			waitpid(list[i], NULL, __WALL);
		}
}

/* --- reports ------------------------------------------------------------------------------------- */

void say_text(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("#   %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void report_file(pid_t pid, const char *tid, const char *name)
{
	char path[320], text[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	printf("# %s\n", path);
	say_text(text);
}

static void report_process(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		report_file(pid, entry->d_name, "status");
		report_file(pid, entry->d_name, "wchan");
		report_file(pid, entry->d_name, "syscall");
		report_file(pid, entry->d_name, "stack");
	}
	if (dir)
		closedir(dir);
}

static void report_below(pid_t pid, unsigned int depth)
{
	pid_t list[256];
	size_t n = children(pid, list, 256);

	for (size_t i = 0; i < n; i++) {
		report_process(list[i]);
		if (depth < 8)
			report_below(list[i], depth + 1);
	}
}

void report_tasks(void)
{
	report_below(getpid(), 0);
	fflush(stdout);
}
