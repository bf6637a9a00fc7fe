/* SPDX-License-Identifier: MIT */
/* What is mapped later is locked, and what there was is not; in a child only as far as it is used. */
#include "subject.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static char old[3 * 4096];
static pid_t child;
static int answer[2];

/* 0: not locked, 1: locked and there, 2: locked, but not there yet */
static int sort_of_new(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char there = 0;
	int sort;

	if (p == MAP_FAILED || mincore(p, 4096, &there) < 0)
		return -1;
	sort = msync(p, 4096, MS_INVALIDATE) == 0 ? 0 : errno != EBUSY ? -1 : there & 1 ? 1 : 2;
	munmap(p, 4096);
	return sort;
}

/* As often as its parent writes, it tells. */
static void tell_for_ever(const int question[2])
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mlockall(MCL_FUTURE | MCL_ONFAULT);
	/* What says that it is on fault: a mapping of that time, which stays. */
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (;;) {
		if (read(question[0], &c, 1) != 1)
			_exit(1);
		c = (char)('0' + sort_of_new());
		if (write(answer[1], &c, 1) != 1)
			_exit(1);
	}
}

static int question[2];

static const char *look(void)
{
	char *page = (char *)(((unsigned long)old + 4095) & ~4095ul);
	char c = '?';

	need(sort_of_new() == 1);
	need(msync(page, 4096, MS_INVALIDATE) == 0);
	need(write(question[1], "?", 1) == 1 && read(answer[0], &c, 1) == 1);
	if (c != '2')
		return wrong("in the child: %c", c);
	return NULL;
}

static const char *prepare(void)
{
	memset(old, 1, sizeof(old));
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0)
		tell_for_ever(question);
	if (mlockall(MCL_FUTURE) < 0)
		return skip("memory cannot be locked");
	return look();
}

static const char *verify(void)
{
	pass_on(look());
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "memory to come is locked (mlockall)",
	.prepare = prepare,
	.verify = verify,
};
