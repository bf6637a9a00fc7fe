/* SPDX-License-Identifier: MIT */
/*
 * Linked into a second cr, test/cr-tracer-only: /proc/PID/mem is as if the kernel had been booted with
 * proc_mem.force_override=ptrace. What a mapping does not let the program itself read or write (no `r` or `w` in maps) is
 * given to the tracer alone. For test/func/tracer-only.sh:
 *
 *   CR_DENIED_LOG=FILE   one line for each read that was denied: "PID" of who wanted it
 *   CR_DENIED_N=N        the N-th one is something special; 0 or unset: none
 *   CR_DENIED_HOW=WHAT   kill: the tracer, when it is to read next, gets SIGKILL (it is in no batch then); end: cr gets SIGINT, which it blocks;
 *                        all: from that on the tracer is denied it too, by ptrace(2) as well
 *                        never: proc_mem.force_override=never; the number does not matter
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <unistd.h>

ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
long __real_ptrace(unsigned long what, unsigned long tid, unsigned long c, unsigned long d);
long __wrap_ptrace(unsigned long what, unsigned long tid, unsigned long c, unsigned long d);

static int *denied; /* reads of cr; shared with the processes that it forks */
static pid_t cr;

__attribute__((constructor)) static void begin(void)
{
	denied = mmap(NULL, sizeof(*denied), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (denied == MAP_FAILED)
		abort();
	cr = getpid();
}

static bool is_how(const char *what)
{
	const char *how = getenv("CR_DENIED_HOW");

	return how && strcmp(how, what) == 0;
}

static int special(void)
{
	const char *number = getenv("CR_DENIED_N");

	return number ? atoi(number) : 0;
}

/* The folder of the memory that fd is; false: it is something else. */
static bool find_folder(int fd, char *folder)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, folder, PATH_MAX - 1);
	if (n < 5 || strncmp(folder, "/proc/", 6) != 0 || strncmp(folder + n - 4, "/mem", 4) != 0)
		return false;
	folder[n - 4] = '\0';
	return true;
}

static FILE *open_in(const char *folder, const char *name)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return fopen(path, "re");
}

static bool is_tracer(const char *folder)
{
	FILE *f = open_in(folder, "status");
	char line[256];
	int tracer = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (f)
		fclose(f);
	return tracer == getpid();
}

/* How much from `at` on the program itself may read or write; at most n. */
static size_t allowed(const char *folder, uint64_t at, size_t n, char right)
{
	FILE *f = open_in(folder, "maps");
	unsigned long long start, end;
	uint64_t to = at;
	char line[PATH_MAX + 128], rights[8];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %7s", &start, &end, rights) == 3 && start <= to &&
		    to < end && strchr(rights, right))
			to = end;
	if (f)
		fclose(f);
	return to - at < n ? to - at : n;
}

static void note_denied(void)
{
	int n = __atomic_add_fetch(denied, 1, __ATOMIC_SEQ_CST);
	const char *log = getenv("CR_DENIED_LOG");
	int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;

	if (fd >= 0) {
		dprintf(fd, "%d\n", getpid());
		close(fd);
	}
	if (n == special() && is_how("end"))
		kill(getpid(), SIGINT);
}

static bool is_special(void)
{
	return special() && __atomic_load_n(denied, __ATOMIC_SEQ_CST) >= special();
}

/* While it is denied to cr, it is to the tracer, if that is what is wanted. */
static bool is_for_nobody(void)
{
	return is_how("all") && is_special();
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
	char folder[PATH_MAX];
	size_t may;

	if (!find_folder(fd, folder))
		return __real_pread(fd, p, n, at);
	if (is_tracer(folder) && is_how("kill") && is_special())
		raise(SIGKILL);
	if (is_tracer(folder) && !is_for_nobody() && !is_how("never"))
		return __real_pread(fd, p, n, at);
	may = allowed(folder, (uint64_t)at, n, 'r');
	if (may)
		return __real_pread(fd, p, may, at);
	if (getpid() == cr)
		note_denied();
	errno = EIO;
	return -1;
}

/* cr itself writes nowhere. */
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	char folder[PATH_MAX];
	size_t may;

	if (!is_how("never") || !find_folder(fd, folder))
		return __real_pwrite(fd, p, n, at);
	may = allowed(folder, (uint64_t)at, n, 'w');
	if (may)
		return __real_pwrite(fd, p, may, at);
	errno = EIO;
	return -1;
}

long __wrap_ptrace(unsigned long what, unsigned long tid, unsigned long c, unsigned long d)
{
	if (what != PTRACE_PEEKDATA || !is_for_nobody())
		return __real_ptrace(what, tid, c, d);
	errno = EIO;
	return -1;
}
