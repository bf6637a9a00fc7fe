/* SPDX-License-Identifier: MIT */
/*
 * `cr restore` of images that no cr has written, for real: in namespaces of its own, with everything but a
 * folder in memory read-only. A tree that runs is ended; after each attempt no process is left, no file has
 * changed, no device was opened, and cr has ended by itself, with status 0 or 1. Fields and values are taken
 * by descriptor, a few of each; CR_HOSTILE=all takes all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "hostile.h"
#include "kind.h"

#define PATIENCE_MS 20000 /* more than cr itself has */

static const char *cr;
static char work[] = "/tmp/cr-sandbox-XXXXXX";
static int image = -1, opened = -1;
static struct buf base, before; /* the image; the folder as it was */
static unsigned int number, failed;
static char *doing; /* shared, so that the outside can tell where it ended */
#define DOING 256u

static void must(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(99);
}

static void result(const char *title, unsigned int wrong, unsigned int all, unsigned int restored)
{
	printf("%sok %u - %s\n# %u images, %u restored\n", wrong ? "not " : "", ++number, title,
	       all, restored);
	fflush(stdout);
	failed += wrong;
}

/* --- the sandbox --------------------------------------------------------------------------------- */

static void make_folder(void)
{
	must(mount("none", work, "tmpfs", 0, "mode=755") == 0, "mount a tmpfs");
	must(chdir(work) == 0 && mkdir("files", 0755) == 0 && mkdir("image", 0700) == 0 &&
		     mkdir("files/folder", 0755) == 0,
	     "make folders");
	hostile_write_file(AT_FDCWD, "files/data", "some data\n", 10);
	hostile_write_file(AT_FDCWD, "files/canary", "alive\n", 6);
	must(mkfifo("files/fifo", 0666) == 0, "mkfifo");
	/* /dev/kmsg, which no kind may open, under another name */
	must(mknod("files/device", S_IFCHR | 0666, makedev(1, 11)) == 0, "mknod");
	opened = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	must(opened >= 0 && inotify_add_watch(opened, "files/device", IN_OPEN) >= 0, "inotify");
}

static void close_in(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) == 0,
	     "read-only mounts");
	must(mount("proc", "/proc", "proc", 0, NULL) == 0, "mount /proc");
	make_folder();
}

/* Names, sizes, times and contents of all that could be written to, but for the image. */
static void list(const char *dir, struct buf *out)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[600];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && strcmp(path, "./image") &&
		    lstat(path, &st) == 0) {
			buf_printf(out, "%s %o %lld %lld.%ld\n", path, st.st_mode,
				   (long long)st.st_size, (long long)st.st_mtim.tv_sec,
				   st.st_mtim.tv_nsec);
			if (S_ISDIR(st.st_mode))
				list(path, out);
		}
		free(names[i]);
	}
	free(names);
}

static unsigned int is_changed(void)
{
	auto_buf now = { 0 };
	char event[4096];

	list(".", &now);
	if (now.len != before.len || memcmp(now.p, before.p, now.len)) {
		printf("# %s: a file has changed, from\n%s# to\n%s", doing, before.p, now.p);
		return 1;
	}
	if (read(opened, event, sizeof(event)) > 0) {
		printf("# %s: a device was opened\n", doing);
		return 1;
	}
	return 0;
}

/* Processes besides this one, which is the first of its namespace: all of them are to be found here. */
static unsigned int is_left(void)
{
	siginfo_t si = { 0 };
	char name[64] = "";
	char path[64];

	if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return 0;
	if (si.si_pid) {
		printf("# %s: process %d was left to be waited for\n", doing, si.si_pid);
		return 1;
	}
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read(fd, name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	printf("# %s: processes are left: %s\n", doing, name);
	return 1;
}

static void end_all(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		continue;
}

/* --- cr ------------------------------------------------------------------------------------------ */

/* Its status as waitpid tells it, or -1 when it did not end. */
static int run_cr(const char *const *args)
{
	const char *const quiet = getenv("CR_HOSTILE_SAY") ? NULL : "/dev/null";
	struct pollfd p = { .events = POLLIN };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		if (quiet)
			dup2(null, 2);
		setsid();
		execv(cr, (char *const *)args);
		_exit(127);
	}
	p.fd = sys_pidfd_open(pid, 0);
	if (p.fd < 0 || poll(&p, 1, PATIENCE_MS) != 1)
		kill(pid, SIGKILL);
	else
		waitpid(pid, &status, 0);
	close(p.fd);
	return status;
}

struct tally {
	unsigned int all, restored, wrong;
};

static void attempt(struct tally *t, const uint8_t *blob, size_t n)
{
	static const char *const restore[] = { "cr", "restore", "--detach", "image", NULL };
	static const char *const explain[] = { "cr", "restore", "--explain", "image", NULL };
	int status;

	hostile_write(image, blob, n);
	t->all++;
	if (t->all % 8 == 0) {
		status = run_cr(explain);
		t->wrong +=
			status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1 || is_left();
	}
	status = run_cr(restore);
	if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1) {
		printf("# %s: %s %d\n", doing,
		       status < 0 ? "cr did not end" : "cr ended with status", status);
		t->wrong++;
	} else if (WEXITSTATUS(status)) {
		t->wrong += is_left();
	} else {
		t->restored++;
	}
	end_all();
	t->wrong += is_changed();
	must(t->wrong < 10, "too much is wrong");
}

static void attempt_image(struct tally *t, const struct hostile *h)
{
	auto_buf blob = { 0 };

	hostile_pack(h, &blob);
	attempt(t, (const uint8_t *)blob.p, blob.len);
}

/* --- an image ------------------------------------------------------------------------------------ */

static void be_subject(int ready)
{
	const char *dir = getenv("builddir");
	char path[512], number_of[16];

	snprintf(path, sizeof(path), "%s/test/fuzz/subject", dir ? dir : ".");
	snprintf(number_of, sizeof(number_of), "%d", ready);
	execl(path, "subject", number_of, NULL);
	_exit(127);
}

static void make_image(void)
{
	const char *dump[] = { "cr", "dump", NULL, "image/new", NULL };
	char pid[16], x;
	struct error e = { 0 };
	int ready[2], status;
	pid_t subject;

	must(pipe(ready) == 0 && fcntl(ready[0], F_SETFD, FD_CLOEXEC) == 0, "pipe");
	fflush(stdout);
	subject = fork();
	if (subject == 0) {
		close(ready[0]);
		be_subject(ready[1]);
	}
	close(ready[1]);
	must(read(ready[0], &x, 1) == 1, "the subject is not ready");
	close(ready[0]);
	snprintf(pid, sizeof(pid), "%d", subject);
	dump[2] = pid;
	status = run_cr(dump);
	end_all();
	must(status == 0, "cr dump");
	must(rename("image/new/pages-0", "image/pages-0") == 0 &&
		     hostile_read("image/new", &base, &e) == 0,
	     "the image");
	/* whatever other stores there are */
	for (int i = 1; i < 16; i++) {
		char from[32], to[32];

		snprintf(from, sizeof(from), "image/new/pages-%d", i);
		snprintf(to, sizeof(to), "image/pages-%d", i);
		(void)!rename(from, to);
	}
	image = open("image", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list(".", &before);
}

/* --- changes ------------------------------------------------------------------------------------- */

struct run {
	struct hostile h;
	struct arena scratch;
	struct tally tally;
	const char *tag;
	uint64_t state;
	bool all;
};

static unsigned int chance(struct run *r)
{
	r->state = r->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(r->state >> 40);
}

static void each_value(void *arg, const struct hostile_place *p)
{
	struct run *r = arg;
	size_t size = p->msg->descriptor->sizeof_message;
	auto_free void *copy = mem_alloc(size);
	unsigned int n = 0;

	memcpy(copy, p->msg, size);
	while (hostile_set(&r->scratch, p, n)) {
		memcpy(p->msg, copy, size);
		n++;
	}
	for (unsigned int i = 0; i < n; i++) {
		/* about two of each field */
		if (!r->all && chance(r) % n >= 2)
			continue;
		hostile_set(&r->scratch, p, i);
		snprintf(doing, DOING, "%s: %s.%s, value %u", r->tag, p->msg->descriptor->name,
			 p->field->name, i);
		attempt_image(&r->tally, &r->h);
		memcpy(p->msg, copy, size);
	}
	memcpy(p->msg, copy, size);
	arena_free(&r->scratch);
}

static void start(struct run *r)
{
	const char *how = getenv("CR_HOSTILE");

	*r = (struct run){ .state = 1, .all = how && !strcmp(how, "all") };
	must(hostile_parse(&r->h, (const uint8_t *)base.p, base.len), "parse the image");
}

static void end(struct run *r, const char *title)
{
	result(title, r->tally.wrong, r->tally.all, r->tally.restored);
	hostile_free(&r->h);
	arena_free(&r->scratch);
}

/* The first record of the type. */
static void each_field(const struct record_type *type)
{
	char title[64];
	struct run r;

	start(&r);
	r.tag = type->tag;
	snprintf(title, sizeof(title), "%s: fields with odd values", type->tag);
	vec_each(rec, &r.h.records) {
		if (strcmp(rec->type->tag, type->tag))
			continue;
		hostile_each_place(rec->msg, &r, each_value);
		break;
	}
	end(&r, title);
}

/* A kind that the image has not, all zero and with odd values. */
static void each_new_kind(const struct kind *k)
{
	char title[64];
	struct run r;

	start(&r);
	r.tag = k->record.tag;
	snprintf(title, sizeof(title), "%s: added to the image", k->record.tag);
	if (hostile_add_kind(&r.h, k)) {
		attempt_image(&r.tally, &r.h);
		hostile_each_place(r.h.records.v[r.h.records.n - 1].msg, &r, each_value);
		end(&r, title);
		return;
	}
	hostile_free(&r.h);
	each_field(&k->record);
}

static void put_path(void *arg, const struct hostile_place *p)
{
	static const char *const names[] = { "fifo", "device", "folder", "canary", "nothing" };
	struct run *r = arg;
	char **at = (char **)((char *)p->msg + p->field->offset), *old;

	if (p->field->type != PROTOBUF_C_TYPE_STRING ||
	    p->field->label == PROTOBUF_C_LABEL_REPEATED)
		return;
	old = *at;
	if (!old || *old != '/')
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(doing, DOING, "%s.%s: %s", p->msg->descriptor->name, p->field->name,
			 names[i]);
		*at = arena_printf(&r->scratch, "%s/files/%s", work, names[i]);
		attempt_image(&r->tally, &r->h);
	}
	*at = old;
}

static void paths_elsewhere(void)
{
	struct run r;

	start(&r);
	vec_each(rec, &r.h.records)
		hostile_each_place(rec->msg, &r, put_path);
	end(&r, "paths of a fifo, a device, a folder, another file");
}

static void at_random(void)
{
	size_t size = base.len * 2 + 65536;
	auto_free uint8_t *blob = mem_alloc(size);
	const char *first = getenv("CR_HOSTILE_SEED");
	struct run r;

	start(&r);
	for (unsigned int seed = first ? (unsigned int)atoi(first) : 1;
	     seed <= (r.all ? 3000u : 100u); seed++) {
		memcpy(blob, base.p, base.len);
		snprintf(doing, DOING, "seed %u", seed);
		attempt(&r.tally, blob, hostile_mutate(blob, base.len, size, seed, NULL));
	}
	end(&r, "several changes at random");
}

static void as_it_is(void)
{
	struct tally t = { 0 };

	snprintf(doing, DOING, "the image as it is");
	attempt(&t, (const uint8_t *)base.p, base.len);
	result("the image itself is restored", t.wrong + !t.restored, 1, t.restored);
}

static int inside(void)
{
	static const struct record_type *const engine[] = {
		&record_process, &record_thread, &record_description, &record_fdtable, &record_mm,
	};

	close_in();
	make_image();
	as_it_is();
	/* Only these, from that one on. */
	if (getenv("CR_HOSTILE_SEED")) {
		at_random();
		printf("1..%u\n", number);
		fflush(stdout);
		return failed != 0;
	}
	for (size_t i = 0; i < sizeof(engine) / sizeof(engine[0]); i++)
		each_field(engine[i]);
	for (size_t i = 0; i < n_kinds; i++)
		each_new_kind(kinds[i]);
	paths_elsewhere();
	at_random();
	printf("1..%u\n", number);
	fflush(stdout);
	return failed != 0;
}

static int skip(const char *why)
{
	if (getenv("CR_MUST_WORK"))
		printf("1..1\nnot ok 1 - cannot test here: %s\n", why);
	else
		printf("1..0 # SKIP %s\n", why);
	return getenv("CR_MUST_WORK") != NULL;
}

/* The namespaces are those of a process between: what is mounted in them goes with it. */
static int between(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return skip("no namespaces (needs root)");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(inside());
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("Bail out! %s: the test was ended by signal %d\n", doing, WTERMSIG(status));
	return 1;
}

int main(void)
{
	int status;
	pid_t pid;

	cr = getenv("CR");
	if (!cr || access(cr, X_OK) < 0)
		return skip("CR does not name the program");
	/* What the shell has left open would be the subject's too. */
	close_range(3, ~0u, 0);
	must(mkdtemp(work) != NULL, "mkdtemp");
	doing = mmap(NULL, DOING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(doing != MAP_FAILED, "mmap");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		status = between();
		fflush(stdout);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	rmdir(work);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
