/* SPDX-License-Identifier: MIT */
/*
 * A sandbox: a supervisor answers the calls of a task, and tells it things by a memory file that the task has mapped
 * shared, read-only and sealed. The file is sealed too, against everybody but the mapping that the supervisor had
 * before. What each answer brings is there for the task to see when its call returns: so none is lost or taken for
 * another's, and the memory is one. Frozen while the supervisor has one request in its hand.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listener.h"
#include "sealed.h"

#define PAGE 4096ul
#define SIZE (2 * PAGE) /* of what the task maps, from the second page of the file on */
#define THREADS 2
#define ASKED SYS_getpgid /* with: thread, number, what it was told last, what is open */
#define COOKIE 0x1122334455667788ull
#define SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* What the supervisor tells. */
struct policy {
	atomic_uint may_begin;
	atomic_uint answered[THREADS]; /* the number of the last request */
};

static char *file;                 /* the supervisor's, writable */
static struct policy *policy;      /* in there, on the second page */
static const struct policy *told;  /* the task's, mapped when the file was sealed */
static const struct policy *early; /* and before that: the kernel would let it be made writable */
static bool is_sealed;             /* the two, too */
static int memory, listener, set;
static pid_t child;
static atomic_uint handled, holds, let_go, wrongs;

/* --- the task --------------------------------------------------------------------------------------- */

/* 0, or what of its mappings is not as it should be. */
static int look_at_own(void)
{
	if (is_sealed)
		return is_open((char *)(uintptr_t)told) + 4 * is_open((char *)(uintptr_t)early);
	return mprotect((void *)(uintptr_t)told, PAGE, PROT_READ | PROT_WRITE) == 0 ||
	       errno != EACCES;
}

static void *work(void *arg)
{
	unsigned int self = (unsigned int)(uintptr_t)arg;

	for (unsigned int number = 1;; number++) {
		int open = look_at_own();
		long answer = syscall(ASKED, self, number, told->answered[self], open);

		if (answer != (long)number + 1000)
			_exit(2);
		if (told->answered[self] != number || early->answered[self] != number)
			_exit(3);
	}
	return NULL;
}

static _Noreturn void live(int report)
{
	pthread_t thread;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || munmap(file, PAGE + SIZE) || close(memory))
		_exit(1);
	if (is_sealed &&
	    (seal((char *)(uintptr_t)told, SIZE) || seal((char *)(uintptr_t)early, SIZE)))
		_exit(1);
	fd = listener_install(ASKED);
	if (write(report, &fd, sizeof(fd)) != sizeof(fd))
		_exit(1);
	close(report);
	while (!told->may_begin)
		usleep(1000);
	close(fd);
	for (uintptr_t i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, work, (void *)i))
			_exit(1);
	work(NULL);
	_exit(1);
}

/* --- the supervisor --------------------------------------------------------------------------------- */

/* What a task was interrupted in is no event any more, and there is nothing to take then. */
static bool waits(struct epoll_event *event)
{
	if (epoll_wait(set, event, 1, -1) != 1)
		return false;
	return event->data.u64 == COOKIE && event->events & (EPOLLIN | EPOLLHUP);
}

/* A request that was interrupted comes once more, with all that it had: the same is told and answered again. */
static void *answer_all(void *unused)
{
	struct seccomp_notif n;
	struct epoll_event event;

	while (waits(&event) && listener_take(listener, &n)) {
		uint64_t self = n.data.args[0], number = n.data.args[1];

		if (handled == 20 && !let_go) {
			holds = 1;
			while (!let_go)
				usleep(1000);
		}
		if (self >= THREADS || n.data.args[2] + 1 != number || n.data.args[3]) {
			wrongs++;
			continue;
		}
		policy->answered[self] = (unsigned int)number;
		if (listener_answer(listener, &n, (long long)number + 1000))
			handled++;
	}
	return unused;
}

/* Whether the task has the file mapped there, with this flag (a word of smaps). */
static bool is_mapped(const void *at, const char *flag, bool has_flag)
{
	unsigned long start = (unsigned long)(uintptr_t)at;
	char path[64], line[512], begin[32];
	struct stat one, other;
	bool found = false, good = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", child, start, start + SIZE);
	if (stat(path, &one) < 0 || fstat(memory, &other) < 0 || one.st_ino != other.st_ino ||
	    one.st_dev != other.st_dev)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/smaps", child);
	snprintf(begin, sizeof(begin), "%08lx-%08lx r--s ", start, start + SIZE);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, begin, strlen(begin)))
			found = true;
		if (!found || strncmp(line, "VmFlags:", 8))
			continue;
		good = !!strstr(line, flag) == has_flag;
		break;
	}
	if (f)
		fclose(f);
	return good;
}

static const char *check_file(void)
{
	unsigned long start = (unsigned long)(uintptr_t)file;
	struct stat own, st;
	char path[64];

	need(is_mapped(told, " mw", false) && is_mapped(early, " mw", true));
	need(is_mapped(told, " sl", is_sealed) && is_mapped(early, " sl", is_sealed));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, start + PAGE + SIZE);
	need(stat(path, &own) == 0 && fstat(memory, &st) == 0 && own.st_ino == st.st_ino);
	need(st.st_size == (off_t)(PAGE + SIZE) && (fcntl(memory, F_GET_SEALS) & SEALS) == SEALS);
	need(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
	need(ftruncate(memory, PAGE) < 0 && errno == EPERM);
	need(ftruncate(memory, 4 * PAGE) < 0 && errno == EPERM);
	need(pwrite(memory, "x", 1, 0) < 0 && errno == EPERM);
	need(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED);
	need(memcmp(file, "in front", 9) == 0);
	return NULL;
}

static void *map(int prot, size_t size, off_t from)
{
	return mmap(NULL, size, prot, MAP_SHARED, memory, from);
}

/* Its mappings of the file are those that it is born with, here as there. */
static const char *prepare_memory(void)
{
	char *probe;

	memory = memfd_create("policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	need(memory >= 0 && ftruncate(memory, PAGE + SIZE) == 0);
	file = map(PROT_READ | PROT_WRITE, PAGE + SIZE, 0);
	early = map(PROT_READ, SIZE, PAGE);
	need(file != MAP_FAILED && early != MAP_FAILED);
	strcpy(file, "in front");
	policy = (struct policy *)(file + PAGE);
	/* It would have to give up its own mapping. */
	need(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EBUSY);
	need(fcntl(memory, F_ADD_SEALS, SEALS) == 0);
	told = map(PROT_READ, SIZE, PAGE);
	probe = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(told != MAP_FAILED && probe != MAP_FAILED);
	is_sealed = seal(probe, 0) == 0;
	need(is_sealed || errno == ENOSYS);
	need(munmap(probe, PAGE) == 0);
	if (!is_sealed)
		left_out("this kernel has no mseal: the mappings are read-only, but not sealed");
	return NULL;
}

static const char *prepare(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = COOKIE };
	pthread_t answering;
	int report[2], fd;

	pass_on(prepare_memory());
	need(pipe(report) == 0);
	child = fork();
	need(child >= 0);
	if (!child)
		live(report[1]);
	close(report[1]);
	need(read(report[0], &fd, sizeof(fd)) == sizeof(fd));
	close(report[0]);
	if (fd < 0)
		return skip("no filter with a listener");
	listener = listener_fetch(child, fd);
	set = epoll_create1(EPOLL_CLOEXEC);
	need(listener >= 0 && set >= 0);
	need(epoll_ctl(set, EPOLL_CTL_ADD, listener, &event) == 0);
	need(munmap((void *)(uintptr_t)told, SIZE) == 0 &&
	     munmap((void *)(uintptr_t)early, SIZE) == 0);
	pass_on(check_file());
	policy->may_begin = 1;
	need(pthread_create(&answering, NULL, answer_all, NULL) == 0);
	while (!holds && !wrongs && waitpid(child, NULL, WNOHANG) == 0)
		usleep(1000);
	need(holds && !wrongs);
	return NULL;
}

static const char *verify(void)
{
	struct pollfd p = { listener, POLLIN, 0 };
	unsigned int before[THREADS];
	int status;

	pass_on(check_file());
	for (int i = 0; i < THREADS; i++)
		before[i] = policy->answered[i];
	let_go = 1;
	for (int i = 0; i < THREADS; i++)
		while (policy->answered[i] < before[i] + 50 && !wrongs) {
			if (waitpid(child, &status, WNOHANG) != 0)
				return wrong("the task has ended with wait status %#x", status);
			usleep(1000);
		}
	if (wrongs)
		return wrong("%u requests were wrong", wrongs);
	pass_on(check_file());
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	need(poll(&p, 1, 10000) == 1 && p.revents & POLLHUP);
	return NULL;
}

const struct subject subject = {
	.about =
		"a sandbox: a supervisor, its listener, and sealed memory that it shares with the task",
	.prepare = prepare,
	.verify = verify,
};
