/* SPDX-License-Identifier: MIT */
/* The judge compares the flags in smaps; here is what they do. */
#include "subject.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define SIZE (4ul << 20)

/* Not every kernel is built with huge pages and same-page merging. */
static const struct {
	int advice;
	bool may_lack;
} advices[] = {
	{ MADV_DONTFORK, false },   { MADV_WIPEONFORK, false }, { MADV_DONTDUMP, false },
	{ MADV_SEQUENTIAL, false }, { MADV_RANDOM, false },     { MADV_HUGEPAGE, true },
	{ MADV_NOHUGEPAGE, true },  { MADV_MERGEABLE, true },
};
#define N (sizeof(advices) / sizeof(advices[0]))

static char *areas[N], *locked, *on_fault;

static char *area(void)
{
	char *p =
		mmap(NULL, SIZE + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED && mprotect(p + SIZE, PAGE, PROT_NONE) == 0)
		return p;
	return NULL;
}

static const char *prepare(void)
{
	for (size_t i = 0; i < N; i++) {
		need((areas[i] = area()) != NULL);
		memset(areas[i], (int)i + 1, 3 * PAGE);
		if (madvise(areas[i], SIZE, advices[i].advice) < 0 &&
		    !(advices[i].may_lack && errno == EINVAL))
			return wrong_errno("madvise %d", advices[i].advice);
	}
	need((locked = area()) && (on_fault = area()));
	need(mlock(locked, 4 * PAGE) == 0);
	need(mlock2(on_fault, 4 * PAGE, MLOCK_ONFAULT) == 0);
	strcpy(locked, "locked");
	strcpy(on_fault + PAGE, "on fault");
	return NULL;
}

static int in_child(int i)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(areas[i][PAGE]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *verify(void)
{
	unsigned char vec[4];

	for (size_t i = 0; i < N; i++)
		need(areas[i][0] == (int)i + 1 && areas[i][3 * PAGE - 1] == (int)i + 1 &&
		     areas[i][3 * PAGE] == 0);
	need(in_child(0) == -SIGSEGV);
	need(in_child(1) == 0);
	need(in_child(2) == 3);
	need(strcmp(locked, "locked") == 0 && strcmp(on_fault + PAGE, "on fault") == 0);
	need(mincore(locked, 4 * PAGE, vec) == 0);
	for (int i = 0; i < 4; i++)
		need(vec[i] & 1);
	need(mincore(on_fault, 4 * PAGE, vec) == 0);
	need(!(vec[0] & 1) && (vec[1] & 1) && !(vec[2] & 1));
	return NULL;
}

const struct subject subject = {
	.about = "madvise and mlock",
	.prepare = prepare,
	.verify = verify,
};
