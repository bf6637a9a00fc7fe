/* SPDX-License-Identifier: MIT */
/*
 * Guard regions among pages with contents: in private memory, in memory that is locked afterwards, in a
 * mapped file, in shared memory, in the stack of a thread, and in a child that has its parent's pages.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#define PAGE 4096ul
#define PAGES 64ul
#define SIZE (PAGES * PAGE)
#define STACK (64 * PAGE)

static char *private, *locked, *file, *shared, *many, *stack;
static int go[2], done[2], question[2], answer[2];
static bool others; /* than private anonymous memory can have guards (6.15) */
static pthread_t thread;
static pid_t child;

/* Between two pages that cannot be used, so that it is a mapping by itself. */
static char *map(int flags, int fd)
{
	char *p = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p = mmap(p + PAGE, SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static bool is_there(const char *p)
{
	char c;
	struct iovec to = { &c, 1 }, from = { (void *)(size_t)p, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1;
}

/* Pages 3 and 4, which had contents, and 20 are guards; 2 and 5 have contents. */
static int put_up(char *p)
{
	memset(p + 2 * PAGE, '2', 4 * PAGE);
	return madvise(p + 3 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) |
	       madvise(p + 20 * PAGE, PAGE, MADV_GUARD_INSTALL);
}

static const char *are_up(const char *p)
{
	for (size_t i = 0; i < PAGES; i++) {
		bool guard = i == 3 || i == 4 || i == 20;

		if (is_there(p + i * PAGE) == guard)
			return wrong("page %zu is %s guard", i, guard ? "no" : "a");
	}
	need(p[2 * PAGE] == '2' && p[3 * PAGE - 1] == '2' && p[5 * PAGE] == '2');
	return NULL;
}

/* What is below a guard is used as any other memory. */
static void *on_stack(void *arg)
{
	char c = 0;

	(void)arg;
	while (read(go[0], &c, 1) == 1)
		if (write(done[1], &c, 1) != 1)
			break;
	return NULL;
}

static void in_child(void)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(question[0], &c, 1) == 1) {
		c = are_up(private) == NULL && private[6 * PAGE] == 'c';
		if (write(answer[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static const char *ask(int to, int from)
{
	char c = 1;

	need(write(to, &c, 1) == 1 && read(from, &c, 1) == 1 && c == 1);
	return NULL;
}

static const char *make_others(void)
{
	int fd = open(subject_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0 && ftruncate(fd, SIZE) == 0);
	shared = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	file = map(MAP_PRIVATE, fd);
	need(shared && file);
	close(fd);
	others = put_up(shared) == 0;
	need(!others || put_up(file) == 0);
	return NULL;
}

static const char *make_thread(void)
{
	pthread_attr_t attr;

	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
		     -1, 0);
	need(stack != MAP_FAILED);
	need(madvise(stack, 4 * PAGE, MADV_GUARD_INSTALL) == 0);
	need(pipe(go) == 0 && pipe(done) == 0);
	need(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, stack, STACK) == 0);
	need(pthread_create(&thread, &attr, on_stack, NULL) == 0);
	return ask(go[1], done[0]);
}

static const char *prepare(void)
{
	private = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	locked = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	many = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	need(private && locked && many);
	if (put_up(private) != 0)
		return skip("this kernel has no guard regions");
	private[6 * PAGE] = 'p';
	need(put_up(locked) == 0);
	need(mlock(locked, SIZE) == 0 || errno == ENOMEM);
	for (size_t i = 0; i < PAGES; i += 2) {
		many[i * PAGE] = (char)('a' + i);
		need(madvise(many + (i + 1) * PAGE, PAGE, MADV_GUARD_INSTALL) == 0);
	}
	pass_on(make_others());
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0) {
		private[6 * PAGE] = 'c';
		in_child();
	}
	need(child > 0);
	pass_on(ask(question[1], answer[0]));
	return make_thread();
}

static const char *verify(void)
{
	pass_on(are_up(private));
	need(private[6 * PAGE] == 'p');
	need(is_there(locked + 2 * PAGE) && !is_there(locked + 3 * PAGE) &&
	     !is_there(locked + 20 * PAGE));
	for (size_t i = 0; i < PAGES; i += 2)
		need(many[i * PAGE] == (char)('a' + i) && !is_there(many + (i + 1) * PAGE));
	if (others) {
		pass_on(are_up(shared));
		pass_on(are_up(file));
	}
	pass_on(ask(question[1], answer[0]));
	need(!is_there(stack) && !is_there(stack + 3 * PAGE));
	pass_on(ask(go[1], done[0]));
	/* Taken down, it is memory. */
	need(madvise(private + 3 * PAGE, 2 * PAGE, MADV_GUARD_REMOVE) == 0);
	need(private[3 * PAGE] == 0 && private[5 * PAGE - 1] == 0 && private[2 * PAGE] == '2');
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "guard regions in memory of each sort, in a thread's stack, in a child",
	.prepare = prepare,
	.verify = verify,
};
