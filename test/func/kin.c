/* SPDX-License-Identifier: MIT */
#include "kin.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK 65536

struct kin {
	uint32_t asked, answered; /* orders so far */
	enum kin_order what;
	long arg, answer;
	unsigned long flags;
	pid_t pid;
	char text[PATH_MAX];
};

static struct kin *kins;

static void wait_while(uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void count(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static long open_null(int number)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0 || fd == number)
		return fd;
	if (dup3(fd, number, O_CLOEXEC) < 0 || close(fd) < 0)
		return -1;
	return number;
}

static long has(int number)
{
	int flags = fcntl(number, F_GETFD);

	return flags < 0 ? 0 : 1 + 2 * (flags & FD_CLOEXEC);
}

static long make_set(int number)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = number + 1 };
	int set = epoll_create1(0), counter = eventfd(0, 0);

	if (dup2(set, number) < 0 || dup2(counter, number + 1) < 0)
		return -1;
	close(set);
	close(counter);
	return epoll_ctl(number, EPOLL_CTL_ADD, number + 1, &event);
}

static long get_event(int number)
{
	struct epoll_event event = { 0 };
	uint64_t one = 1;

	if (write(number + 1, &one, sizeof(one)) != sizeof(one) ||
	    epoll_wait(number, &event, 1, 0) != 1 ||
	    read(number + 1, &one, sizeof(one)) != sizeof(one))
		return -1;
	return event.data.fd == number + 1;
}

static long obey(struct kin *k)
{
	switch (k->what) {
	case KIN_NOTHING:
		return 0;
	case KIN_CLONE:
		return kin_clone((unsigned int)k->arg, k->flags);
	case KIN_UNSHARE:
		return unshare((int)k->flags);
	case KIN_EXIT:
		k->answer = k->pid = 0;
		count(&k->answered);
		_exit(0);
	case KIN_OPEN:
		return open_null((int)k->arg);
	case KIN_CLOSE:
		return close((int)k->arg);
	case KIN_HAS:
		return has((int)k->arg);
	case KIN_CD:
		return chdir(k->text);
	case KIN_PWD:
		return getcwd(k->text, sizeof(k->text)) ? 0 : -1;
	case KIN_UMASK:
		return (long)umask((mode_t)k->arg);
	case KIN_THREAD:
		return kin_thread((unsigned int)k->arg);
	case KIN_EPOLL:
		return make_set((int)k->arg);
	case KIN_EVENT:
		return get_event((int)k->arg);
	case KIN_CALL:
		return ((kin_call *)k->arg)((long)k->flags);
	}
	return -1;
}

static void serve(struct kin *k)
{
	for (uint32_t done = 0;; done++) {
		wait_while(&k->asked, done);
		k->answer = obey(k);
		count(&k->answered);
	}
}

int kin_init(void)
{
	void *at = mmap(NULL, KIN_MOST * sizeof(*kins), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	kins = at == MAP_FAILED ? NULL : at;
	return kins ? prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) : -1;
}

void kin_end_all(void)
{
	for (unsigned int i = 0; i < KIN_MOST; i++)
		if (kins[i].pid > 0)
			kill(kins[i].pid, SIGKILL);
	while (wait(NULL) > 0)
		continue;
}

static int serve_kin(void *kin)
{
	serve(kin);
	return 0;
}

/* On a stack of its own. */
static pid_t clone_into(struct kin *k, unsigned long flags)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return stack == MAP_FAILED ? -1 : clone(serve_kin, stack + STACK, (int)flags, k);
}

pid_t kin_clone(unsigned int number, unsigned long flags)
{
	pid_t pid = flags & CLONE_VM
			    ? clone_into(&kins[number], flags | SIGCHLD)
			    : (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		serve(&kins[number]);
	if (pid > 0)
		kins[number].pid = pid;
	return pid;
}

static void *serve_thread(void *kin)
{
	serve(kin);
	return NULL;
}

int kin_thread(unsigned int number)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, serve_thread, &kins[number]);
}

pid_t kin_raw_thread(unsigned int number, unsigned long flags)
{
	return clone_into(&kins[number],
			  flags | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD);
}

pid_t kin_pid(unsigned int number)
{
	return kins[number].pid;
}

void kin_order(unsigned int number, enum kin_order what, long arg, unsigned long flags)
{
	struct kin *k = &kins[number];

	k->what = what;
	k->arg = arg;
	k->flags = flags;
	count(&k->asked);
}

long kin_do(unsigned int number, enum kin_order what, long arg, unsigned long flags)
{
	struct kin *k = &kins[number];
	uint32_t done = k->answered;

	kin_order(number, what, arg, flags);
	wait_while(&k->answered, done);
	return k->answer;
}

char *kin_text(unsigned int number)
{
	return kins[number].text;
}

long kin_run(unsigned int number, kin_call *what, long arg)
{
	return kin_do(number, KIN_CALL, (long)what, (unsigned long)arg);
}

static volatile long value;

long kin_get_value(long unused)
{
	(void)unused;
	return value;
}

long kin_set_value(long to)
{
	value = to;
	return 0;
}
