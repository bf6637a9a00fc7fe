/* SPDX-License-Identifier: MIT */
/*
 * Memory that the kernel may drop (MAP_DROPPABLE): what is there when the program is saved comes back,
 * and a child finds it empty.
 */
#include "subject.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define PAGE 4096ul
#define SIZE (16 * PAGE)

static char *filled, *sealed, *untouched;
static int question[2], answer[2];
static pid_t child;

static char *map(void)
{
	/* Each is a mapping by itself. */
	char *p = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p = mmap(p + PAGE, SIZE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* Of the parent's nothing was left to it. */
static void in_child(void)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(filled + 8 * PAGE, 'c', PAGE);
	while (read(question[0], &c, 1) == 1) {
		c = filled[PAGE] == 0 && filled[8 * PAGE] == 'c' && filled[9 * PAGE] == 0;
		if (write(answer[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static const char *ask(void)
{
	char c = 0;

	need(write(question[1], "?", 1) == 1 && read(answer[0], &c, 1) == 1 && c == 1);
	return NULL;
}

static const char *prepare(void)
{
	filled = map();
	if (!filled)
		return skip("this kernel has no MAP_DROPPABLE");
	need((sealed = map()) && (untouched = map()));
	for (size_t i = 0; i < SIZE; i += 2 * PAGE)
		memset(filled + i + PAGE, (int)(i / PAGE + 1), PAGE);
	memset(sealed, 's', PAGE);
	need(mprotect(sealed, SIZE, PROT_READ) == 0);
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0)
		in_child();
	need(child > 0);
	return ask();
}

static int in_new_child(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(filled[PAGE]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static const char *verify(void)
{
	for (size_t i = 0; i < SIZE; i += 2 * PAGE) {
		need(filled[i] == 0 && filled[i + PAGE] == (char)(i / PAGE + 1));
		need(filled[i + 2 * PAGE - 1] == (char)(i / PAGE + 1));
	}
	need(sealed[PAGE - 1] == 's' && sealed[PAGE] == 0 && untouched[SIZE - 1] == 0);
	/* What is droppable is for one process alone, and cannot be told otherwise. */
	need(in_new_child() == 0);
	need(madvise(filled, SIZE, MADV_KEEPONFORK) < 0 && errno == EINVAL);
	pass_on(ask());
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "memory that may be dropped (MAP_DROPPABLE)",
	.prepare = prepare,
	.verify = verify,
};
