/* SPDX-License-Identifier: MIT */
/*
 * The judge puts a subject through the modes, each one case of TAP:
 *
 *   null           no checkpoint at all: is the test itself sound?
 *   cr             dumped, restored; the snapshots from outside are equal, nothing of cr is left
 *   cr-twice       the restored one is dumped and restored once more
 *   leave-running  dumped and left running to its end; then the image is restored and ends well too
 *   broken-dump    cr dump is killed at several moments: unharmed each time, and no image
 *
 * The judge is the subreaper of all it starts, so that it sees the death of a restored, detached
 * subject and every process that cr leaves behind. It kills only what it started.
 *
 *   CR=FILE               the program under test
 *   CR_MUST_WORK=1        a case that cannot be tested is a failure
 *   CR_TEST_MODES="A B"   only these, where none is named on the command line
 *   CR_TEST_KILLS=N       how many dumps are killed in broken-dump; 7 if unset
 *   CR_TEST_DEADLINE=S    of every wait; 30 if unset
 *   CR_KEEP=1             the private folder of a failed case is kept
 */
#include "judge.h"
#include "compare.h"
#include "subject.h"

#define SETTLE_SECONDS 2.0

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

/* A positive number from the environment. */
static int setting(const char *name, int otherwise)
{
	const char *text = getenv(name);
	int value = text ? atoi(text) : 0;

	return value > 0 ? value : otherwise;
}

static double patience(void)
{
	return setting("CR_TEST_DEADLINE", 30);
}

/* The case failed: the first reason is the one that counts. Gives false. */
__attribute__((format(printf, 2, 3))) static bool lost(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	if (t->why[0])
		return false;
	va_start(ap, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
	return false;
}

/* --- the subject ------------------------------------------------------------------------------- */

static bool is_there(const struct trial *t, const char *name)
{
	return access(trial_path(t, name), F_OK) == 0;
}

static void start_subject(const struct trial *t)
{
	char program[4096], where[4096];
	char *argv[] = { program, (char *)"--subject", where, NULL };
	char *envp[] = { (char *)"SUBJECT=yes", NULL };
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int fd;

	if (n < 0 || chdir(t->folder) < 0)
		_exit(126);
	program[n] = '\0';
	snprintf(where, sizeof(where), "%s", t->folder);
	fd = open("/dev/null", O_RDONLY);
	if (t->master >= 0 ? !terminal_enter(t) : fd < 0 || setsid() < 0 || dup2(fd, 0) < 0)
		_exit(126);
	fd = open("output", O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	execve(program, argv, envp);
	_exit(126);
}

/* Waits for a file of the subject's; false when the subject dies before or time is over. */
static bool wait_file(struct trial *t, const char *name)
{
	double until = now() + patience();
	int status;

	for (;;) {
		if (is_there(t, name))
			return true;
		if (waitpid(t->pid, &status, WNOHANG) == t->pid) {
			t->pid = 0;
			if (is_there(t, name))
				return true;
			if (WIFSIGNALED(status))
				return lost(t, "the subject died of signal %d before it wrote '%s'",
					    WTERMSIG(status), name);
			return lost(t, "the subject exited with %d before it wrote '%s'",
				    WEXITSTATUS(status), name);
		}
		if (now() > until) {
			report_tasks();
			return lost(t, "no file '%s' after %g seconds", name, patience());
		}
		nap(0.002);
	}
}

static bool read_verdict(struct trial *t)
{
	char text[1024] = "";
	int fd = open(trial_path(t, "verdict"), O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	if (strcmp(text, "good") == 0)
		return true;
	t->lacks = strncmp(text, "lacks: ", 7) == 0;
	t->skipped = t->lacks || strncmp(text, "skip: ", 6) == 0;
	if (t->skipped)
		return lost(t, "%s", strchr(text, ' ') + 1);
	return lost(t, "%s", text[0] ? text : "an empty verdict");
}

static bool begin(struct trial *t)
{
	if (subject.terminal && !terminal_open(t))
		return lost(t, "make a terminal: %s", strerror(errno));
	t->pid = fork();
	if (t->pid < 0)
		return lost(t, "fork: %s", strerror(errno));
	if (t->pid == 0)
		start_subject(t);
	if (!wait_file(t, "ready"))
		return is_there(t, "verdict") ? (t->why[0] = '\0', read_verdict(t)) : false;
	return true;
}

static bool reap_subject(struct trial *t, int *status)
{
	double until = now() + patience();

	while (waitpid(t->pid, status, WNOHANG) != t->pid) {
		if (now() > until) {
			report_tasks();
			return lost(t, "the subject did not end");
		}
		nap(0.001);
	}
	t->pid = 0;
	return true;
}

/* Says go, hears the verdict, sees the end. */
static bool finish(struct trial *t)
{
	int fd = open(trial_path(t, "go"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	int status = 0;

	if (fd < 0)
		return lost(t, "create 'go': %s", strerror(errno));
	close(fd);
	if (!wait_file(t, "verdict") || !read_verdict(t))
		return false;
	if (t->pid && !reap_subject(t, &status))
		return false;
	if (status != 0)
		return lost(t, "the subject ended with wait status 0x%x after its verdict", status);
	return true;
}

static bool subject_lives(struct trial *t)
{
	int status;

	if (waitpid(t->pid, &status, WNOHANG) != t->pid)
		return true;
	t->pid = 0;
	return false;
}

/* --- cr ---------------------------------------------------------------------------------------- */

static pid_t start_cr(struct trial *t, const char *const *argv)
{
	const char *cr = getenv("CR");
	const char *full[16] = { cr };
	pid_t pid;
	int fd;

	for (size_t i = 0; argv[i]; i++)
		full[i + 1] = argv[i];
	pid = fork();
	if (pid != 0)
		return pid;
	fd = open("/dev/null", O_RDONLY);
	if (fd < 0 || dup2(fd, 0) < 0)
		_exit(126);
	/* It is the subject's while that lives. */
	if (t->master >= 0 && !strcmp(argv[0], "restore") && !terminal_enter(t))
		_exit(126);
	fd = open(trial_path(t, "cr.log"), O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	execv(cr, (char **)(uintptr_t)full);
	_exit(126);
}

static bool wait_cr(struct trial *t, pid_t pid, const char *what, int *status)
{
	double until = now() + patience();

	while (waitpid(pid, status, WNOHANG) != pid) {
		if (now() > until) {
			report_tasks();
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			return lost(t, "cr %s did not end", what);
		}
		nap(0.0005);
	}
	return true;
}

static bool run_cr(struct trial *t, const char *const *argv)
{
	pid_t pid = start_cr(t, argv);
	int status;

	if (pid < 0)
		return lost(t, "fork: %s", strerror(errno));
	if (!wait_cr(t, pid, argv[0], &status))
		return false;
	if (WIFSIGNALED(status))
		return lost(t, "cr %s died of signal %d", argv[0], WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return lost(t, "cr %s exited with %d", argv[0], WEXITSTATUS(status));
	return true;
}

/* Reaps what has ended; true once no child but the subject is left. A process of cr that outlives
 * it becomes the judge's child. */
static bool settle(struct trial *t, const char *after)
{
	double until = now() + patience();

	for (;;) {
		pid_t left = other_child(t->pid);

		if (left == 0)
			return true;
		if (now() > until) {
			report_tasks();
			return lost(t, "after %s process %d is left", after, left);
		}
		nap(0.001);
	}
}

static bool image_is_whole(struct trial *t, const char *image)
{
	char partial[64];

	snprintf(partial, sizeof(partial), "%s.partial", image);
	if (!is_there(t, image))
		return lost(t, "there is no image");
	if (is_there(t, partial))
		return lost(t, "'%s' is left", partial);
	return true;
}

enum {
	SYNC = 1,
	LEAVE_RUNNING = 2
};

static bool dump(struct trial *t, const char *image, unsigned int how)
{
	char pid[16], dir[4096];
	const char *argv[6];
	int n = 0, status;

	snprintf(pid, sizeof(pid), "%d", t->pid);
	snprintf(dir, sizeof(dir), "%s", trial_path(t, image));
	argv[n++] = "dump";
	if (!(how & SYNC))
		argv[n++] = "--no-sync";
	if (how & LEAVE_RUNNING)
		argv[n++] = "--leave-running";
	argv[n++] = pid;
	argv[n++] = dir;
	argv[n] = NULL;
	if (!run_cr(t, argv) || !image_is_whole(t, image))
		return false;
	if (how & LEAVE_RUNNING)
		return settle(t, "cr dump");
	if (!reap_subject(t, &status))
		return false;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return lost(t, "after the dump the subject ended with wait status 0x%x", status);
	return settle(t, "cr dump");
}

static bool restore(struct trial *t, const char *image, pid_t pid)
{
	char dir[4096];
	const char *argv[] = { "restore", "--detach", dir, NULL };

	snprintf(dir, sizeof(dir), "%s", trial_path(t, image));
	if (t->master >= 0 && !terminal_reset(t))
		return lost(t, "reset the terminal: %s", strerror(errno));
	if (!run_cr(t, argv))
		return false;
	t->pid = pid;
	if (!is_child(pid)) {
		t->pid = 0;
		return lost(t, "cr restore was content, but process %d is not there", pid);
	}
	return settle(t, "cr restore");
}

/* --- the modes --------------------------------------------------------------------------------- */

static bool mode_null(struct trial *t)
{
	return begin(t) && finish(t);
}

/* The number of differences, and what they are. */
static unsigned int differences(const struct trial *t, const struct snapshot *before, char **text)
{
	struct snapshot *after = snapshot_take(t->pid);
	size_t size = 0;
	FILE *out = open_memstream(text, &size);
	unsigned int n = snapshot_compare(before, after, out);

	fclose(out);
	snapshot_free(after);
	return n;
}

/* On a busy machine a thread that was let go has not run yet: one in sigsuspend(2) has the mask from before that. */
static bool compare(struct trial *t, const struct snapshot *before)
{
	double until = now() + SETTLE_SECONDS;
	char *text = NULL;
	unsigned int n;

	while ((n = differences(t, before, &text)) && now() < until) {
		free(text);
		nap(0.02);
	}
	if (n) {
		lost(t, "%u differences seen from outside", n);
		say_text(text);
	}
	free(text);
	return n == 0;
}

static bool dump_and_restore(struct trial *t, unsigned int times)
{
	struct snapshot *before;
	bool good = true;

	if (!begin(t))
		return false;
	before = snapshot_take(t->pid);
	for (unsigned int i = 0; good && i < times; i++) {
		char image[24];
		pid_t pid = t->pid;

		snprintf(image, sizeof(image), "image-%u", i);
		good = dump(t, image, i ? 0 : SYNC) && restore(t, image, pid);
	}
	good = good && compare(t, before);
	snapshot_free(before);
	/* The verdict is worth hearing even where the look from outside found something. */
	if (t->pid)
		good = finish(t) && good;
	return good;
}

static bool mode_cr(struct trial *t)
{
	return dump_and_restore(t, 1);
}

static bool mode_cr_twice(struct trial *t)
{
	return dump_and_restore(t, 2);
}

static bool mode_leave_running(struct trial *t)
{
	struct snapshot *before;
	pid_t pid;
	bool good;

	if (!begin(t))
		return false;
	pid = t->pid;
	before = snapshot_take(pid);
	good = dump(t, "image", LEAVE_RUNNING) && compare(t, before);
	snapshot_free(before);
	if (!good || !files_save(t) || !finish(t))
		return false;
	unlink(trial_path(t, "go"));
	unlink(trial_path(t, "verdict"));
	return settle(t, "the verdict") && files_put_back(t) && restore(t, "image", pid) &&
	       finish(t);
}

/*
 * One killed dump. Afterwards there is either the subject, unharmed, and no image, or (the kill
 * came after the image was published) the image, and it is restored to go on with.
 */
static bool kill_a_dump(struct trial *t, double after, int *undone)
{
	char number[16], dir[4096];
	const char *argv[] = { "dump", "--no-sync", number, dir, NULL };
	pid_t pid = t->pid, cr;
	int status;

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(dir, sizeof(dir), "%s", trial_path(t, "image"));
	cr = start_cr(t, argv);
	if (cr < 0)
		return lost(t, "fork: %s", strerror(errno));
	nap(after);
	kill(cr, SIGKILL);
	if (!wait_cr(t, cr, "dump", &status) || !settle(t, "a killed cr dump"))
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return lost(t, "cr dump exited with %d", WEXITSTATUS(status));
	if (!is_there(t, "image")) {
		if (!subject_lives(t))
			return lost(
				t,
				"cr dump was killed after %g s: the subject is dead and there is no image",
				after);
		++*undone;
		return true;
	}
	if (!reap_subject(t, &status))
		return lost(t, "there is an image of a killed dump, and the subject lives");
	/* Its descendants are the judge's, and have their numbers until it waits for them. */
	if (!settle(t, "a killed cr dump") || !restore(t, "image", pid))
		return false;
	return remove_tree(trial_path(t, "image")) ||
	       lost(t, "cannot remove the image: %s", strerror(errno));
}

static bool mode_broken_dump(struct trial *t)
{
	struct snapshot *before;
	int kills = setting("CR_TEST_KILLS", 7), undone = 0;
	double begun, whole;
	bool good;

	if (!begin(t))
		return false;
	before = snapshot_take(t->pid);
	begun = now();
	good = dump(t, "calibration", LEAVE_RUNNING);
	whole = now() - begun;
	for (int i = 0; good && i < kills; i++)
		good = kill_a_dump(t, whole * (i + 0.5) / kills, &undone);
	printf("# %d dumps killed within %.1f ms: %d came before the image was published\n", kills,
	       whole * 1e3, undone);
	good = good && compare(t, before);
	snapshot_free(before);
	return good && finish(t);
}

static const struct mode {
	const char *name;
	bool (*run)(struct trial *t);
} modes[] = {
	{ "null", mode_null },
	{ "cr", mode_cr },
	{ "cr-twice", mode_cr_twice },
	{ "leave-running", mode_leave_running },
	{ "broken-dump", mode_broken_dump },
};

#define N_MODES (sizeof(modes) / sizeof(modes[0]))

static const char *cannot_run(const struct mode *m)
{
	const char *cr = getenv("CR");

	if (m->run == mode_null)
		return NULL;
	if (!cr || access(cr, X_OK) < 0)
		return "CR does not name a program";
	return geteuid() == 0 ? NULL : "needs root";
}

static void show_file(const struct trial *t, const char *name)
{
	char text[8192];
	int fd = open(trial_path(t, name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	printf("# %s:\n", name);
	say_text(text);
}

/* What could not be tested though all else was. */
static void show_left_out(const struct trial *t)
{
	char text[1024];
	int fd = open(trial_path(t, "left out"), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n > 0)
		printf("# left out: %.*s\n", (int)n, text);
}

static bool run_mode(const struct mode *m, unsigned int number)
{
	const char *must = getenv("CR_MUST_WORK");
	const char *unable = cannot_run(m);
	struct trial t = { .master = -1 };
	bool good;

	if (!trial_open(&t))
		return lost(&t, "no private folder");
	if (unable) {
		t.skipped = true;
		good = lost(&t, "%s", unable);
	} else {
		good = m->run(&t);
	}
	if (t.skipped && (t.lacks || !(must && strcmp(must, "1") == 0))) {
		printf("ok %u - %s: %s # SKIP %s\n", number, m->name, subject.about, t.why);
		good = true;
	} else {
		printf("%sok %u - %s: %s\n", good ? "" : "not ", number, m->name, subject.about);
		show_left_out(&t);
		if (!good) {
			printf("# %s\n", t.why);
			show_file(&t, "output");
			show_file(&t, "cr.log");
		}
	}
	fflush(stdout);
	kill_children();
	terminal_close(&t);
	trial_close(&t, !good && getenv("CR_KEEP"));
	return good;
}

static bool is_word_of(const char *word, const char *text)
{
	size_t n = strlen(word);

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t length = strcspn(text, " ");

		if (length == n && memcmp(text, word, n) == 0)
			return true;
		text += length;
	}
	return false;
}

static bool is_wanted(const struct mode *m, int argc, char **argv)
{
	const char *some = getenv("CR_TEST_MODES");

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], m->name) == 0)
			return true;
	return argc <= 1 && (!some || is_word_of(m->name, some));
}

int judge_main(int argc, char **argv)
{
	unsigned int planned = 0, number = 0;
	bool good = true;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		printf("Bail out! no subreaper: %s\n", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < N_MODES; i++)
		planned += is_wanted(&modes[i], argc, argv);
	printf("1..%u\n", planned);
	fflush(stdout);
	for (size_t i = 0; i < N_MODES; i++)
		if (is_wanted(&modes[i], argc, argv))
			good = run_mode(&modes[i], ++number) && good;
	return good ? 0 : 1;
}
