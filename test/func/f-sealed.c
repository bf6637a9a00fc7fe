/* SPDX-License-Identifier: MIT */
/*
 * Sealed mappings of each sort, and those of a task under supervision: a read-only shared mapping of
 * a memory file, sealed, in a child, which sees what its supervisor writes there.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sealed.h"

#define PAGE 4096ul

static char *anon, *fixed, *none, *file, *shared, *told, *seen;
static int question[2], answer[2];
static pid_t child;

/* What it sees of its supervisor's, and whether that is sealed; as often as it is asked. */
static void supervised(void)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(question[0], &c, 1) == 1) {
		char two[2] = { seen[PAGE], (char)('0' + is_open(seen) + is_open(anon)) };

		if (write(answer[1], two, 2) != 2)
			break;
	}
	_exit(1);
}

static const char *look(char now)
{
	char two[2];

	told[PAGE] = now;
	need(write(question[1], "?", 1) == 1 && read(answer[0], two, 2) == 2);
	if (two[0] != now || two[1] != '0')
		return wrong("the child sees '%c', not '%c', and %c", two[0], now, two[1]);
	need(anon[PAGE] == 'a' && fixed[PAGE] == 'f' && file[PAGE] == 0x7f && shared[PAGE] == 's');
	/* Sealed is not read only. */
	anon[0]++;
	shared[0]++;
	need(is_open(anon) == 0 && is_open(fixed) == 0 && is_open(none) == 0);
	need(is_open(file) == 0 && is_open(shared) == 0);
	return NULL;
}

static char *map(int prot, int flags, int fd)
{
	char *p = mmap(NULL, 2 * PAGE, prot, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static const char *prepare(void)
{
	int fd = memfd_create("told", MFD_CLOEXEC);
	int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	anon = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (seal(anon, 2 * PAGE) < 0 && errno == ENOSYS)
		return skip("this kernel has no mseal");
	fixed = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	none = map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	file = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, own);
	shared = map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	need(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
	told = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	need(anon && fixed && none && file && shared && told);
	anon[PAGE] = 'a';
	fixed[PAGE] = 'f';
	shared[PAGE] = 's';
	file[PAGE] = 0x7f;
	need(mprotect(fixed, 2 * PAGE, PROT_READ) == 0 && mprotect(file, 2 * PAGE, PROT_READ) == 0);
	need(!seal(fixed, 2 * PAGE) && !seal(none, 2 * PAGE) && !seal(file, 2 * PAGE) &&
	     !seal(shared, 2 * PAGE));
	need(pipe(question) == 0 && pipe(answer) == 0);
	child = fork();
	if (child == 0) {
		munmap(told, 2 * PAGE);
		seen = map(PROT_READ, MAP_SHARED, fd);
		close(fd);
		if (!seen || seal(seen, 2 * PAGE) < 0)
			_exit(1);
		supervised();
	}
	close(fd);
	close(own);
	return look('1');
}

static const char *verify(void)
{
	pass_on(look('2'));
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "sealed memory of each sort, and a supervised task's",
	.prepare = prepare,
	.verify = verify,
};
