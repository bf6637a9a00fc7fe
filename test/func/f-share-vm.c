/* SPDX-License-Identifier: MIT */
/*
 * Processes that share memory (CLONE_VM), some with descriptors or signal actions, with threads and children of
 * their own; and a second such family.
 */
#include "subject.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

enum {
	PLAIN,      /* memory alone */
	THREAD,     /* of PLAIN */
	FILES,      /* and descriptors */
	ACTIONS,    /* and signal actions */
	GRANDCHILD, /* of ACTIONS, all of it */
	FORKED,     /* of PLAIN, by fork */
	FAMILY,     /* by fork, it has a ... */
	MEMBER,     /* with its memory */
	HEIR,       /* of FAMILY, by fork: it shares pages */
	STOPPED,    /* of PLAIN, memory alone, and stopped */
	HALTED,     /* the same, of GRANDCHILD */
	N_KIN
};

/* A letter for each memory, and for each table of signal actions; the subject itself has `r`. */
static const char memory[N_KIN] = { 'r', 'r', 'r', 'r', 'r', 'f', 'm', 'm', 'h', 'r', 'r' };
static const char actions[N_KIN] = { 'p', 'p', 'd', 'r', 'r', 'f', 'm', 'n', 'h', 's', 't' };
static const char files[N_KIN] = { 'p', 'p', 'r', 'a', 'g', 'f', 'm', 'n', 'h', 's', 't' };
#define BASE 40
#define PAGES 64
#define PAGE 4096

static volatile long caught, told;
static volatile long *segment;   /* of System V, attached in each memory once */
static volatile int cleared = 1; /* by the end of a thread */
static volatile char *pages;

static long get_page(long i)
{
	return pages[i * PAGE];
}

static void catch (int signal)
{
	(void)signal;
	caught++;
}

/* That a child has been stopped; for the subject and GRANDCHILD. */
static void note_child(int signal)
{
	(void)signal;
	told++;
}

/* A different mask for each. */
static long set_action(long mask)
{
	struct sigaction a = { .sa_handler = catch };

	sigaddset(&a.sa_mask, (int)mask);
	return sigaction(SIGUSR1, &a, NULL);
}

static long has_action(long mask)
{
	struct sigaction a;

	return sigaction(SIGUSR1, NULL, &a) == 0 && a.sa_handler == catch &&
	       sigismember(&a.sa_mask, (int)mask);
}

static long signal_self(long unused)
{
	long before = caught;

	(void)unused;
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
	return caught - before;
}

/* The number of the task, as set_tid_address gives it. */
static long clear_at_end(long unused)
{
	(void)unused;
	return syscall(SYS_set_tid_address, &cleared);
}

static long raw_thread(long number)
{
	return kin_raw_thread((unsigned int)number, 0);
}

static long map_page(long at)
{
	return mmap((void *)at, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)at;
}

static long unmap_page(long at)
{
	return munmap((void *)at, PAGE);
}

/* Stops a child, and is told of that. */
static long stop(long child)
{
	siginfo_t si;

	return kill((pid_t)child, SIGSTOP) == 0 && waitid(P_PID, (id_t)child, &si, WSTOPPED) == 0;
}

/* Whether something is mapped there. */
static long is_mapped(long at)
{
	return msync((void *)at, PAGE, MS_ASYNC) == 0;
}

/* What one with that memory has done all see who have it, and nobody else. */
static const char *expect_memory(char of, kin_call *what, long arg, long wanted)
{
	for (unsigned int i = 0; i < N_KIN; i++) {
		long is = kin_run(i, what, arg);

		if ((is == wanted) != (memory[i] == of))
			return wrong("kin %u says %ld of what %c has", i, is, of);
	}
	if ((what(arg) == wanted) != (of == 'r'))
		return wrong("the subject says %ld of what %c has", what(arg), of);
	return NULL;
}

static const char *expect_action(char of, long mask)
{
	for (unsigned int i = 0; i < N_KIN; i++)
		if (kin_run(i, has_action, mask) != (actions[i] == of))
			return wrong("kin %u and the signal action of %c", i, of);
	if (has_action(mask) != (of == 'r'))
		return wrong("the subject and the signal action of %c", of);
	return NULL;
}

static const char *expect_file(char of, int number)
{
	for (unsigned int i = 0; i < N_KIN; i++)
		if (kin_do(i, KIN_HAS, number, 0) != (files[i] == of ? 3 : 0))
			return wrong("kin %u and the descriptor of %c", i, of);
	return NULL;
}

/* Each does something that others have to see. */
static const char *set_all(long base)
{
	need(kin_run(THREAD, kin_set_value, base + 1) == 0);
	need(kin_run(FORKED, kin_set_value, base + 2) == 0);
	need(kin_run(MEMBER, kin_set_value, base + 3) == 0);
	need(kin_run(HEIR, kin_set_value, base + 4) == 0);
	return NULL;
}

static const char *expect_all(long base)
{
	pass_on(expect_memory('r', kin_get_value, 0, base + 1));
	pass_on(expect_memory('f', kin_get_value, 0, base + 2));
	pass_on(expect_memory('m', kin_get_value, 0, base + 3));
	return expect_memory('h', kin_get_value, 0, base + 4);
}

static const char *prepare(void)
{
	struct sigaction a = { .sa_handler = note_child };
	int id;

	need(kin_init() == 0);
	id = shmget(IPC_PRIVATE, PAGE, 0600);
	segment = shmat(id, NULL, 0);
	need(segment != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
	*segment = 1234;
	pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	need(pages != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		pages[i * PAGE] = (char)(i + 1);
	need(kin_clone(FAMILY, 0) > 0);
	need(kin_do(FAMILY, KIN_CLONE, HEIR, 0) > 0);
	need(kin_do(FAMILY, KIN_CLONE, MEMBER, CLONE_VM) > 0);
	need(kin_clone(PLAIN, CLONE_VM) > 0 && kin_clone(FILES, CLONE_VM | CLONE_FILES) > 0);
	need(kin_run(PLAIN, raw_thread, THREAD) > 0);
	need(kin_do(PLAIN, KIN_CLONE, FORKED, 0) > 0);
	need(kin_clone(ACTIONS, CLONE_VM | CLONE_SIGHAND) > 0);
	need(kin_do(ACTIONS, KIN_CLONE, GRANDCHILD, CLONE_VM | CLONE_SIGHAND) > 0);
	need(kin_do(PLAIN, KIN_CLONE, STOPPED, CLONE_VM) > 0);
	need(kin_do(GRANDCHILD, KIN_CLONE, HALTED, CLONE_VM) > 0);
	need(kin_run(GRANDCHILD, set_action, 20) == 0 && kin_run(PLAIN, set_action, 21) == 0);
	need(kin_run(MEMBER, set_action, 22) == 0);
	need(kin_do(FILES, KIN_OPEN, BASE, 0) == BASE);
	need(kin_do(MEMBER, KIN_OPEN, BASE + 1, 0) == BASE + 1);
	need(kin_run(ACTIONS, clear_at_end, 0) > 0);
	pass_on(set_all(100));
	need(sigaction(SIGCHLD, &a, NULL) == 0);
	need(kin_run(PLAIN, stop, kin_pid(STOPPED)) && kin_run(GRANDCHILD, stop, kin_pid(HALTED)));
	if (told != 1)
		return wrong("told of %ld stops", told);
	return NULL;
}

static const char *verify(void)
{
	long page = (long)(uintptr_t)(pages + PAGES * PAGE / 2);
	siginfo_t si = { 0 };
	pid_t ended;

	need(subject_state(kin_pid(STOPPED)) == 'T' && subject_state(kin_pid(HALTED)) == 'T');
	need(told == 1 && signal(SIGCHLD, SIG_DFL) == note_child);
	need(waitid(P_ALL, 0, &si, WSTOPPED | WNOHANG) == 0 && !si.si_pid);
	need(kill(kin_pid(STOPPED), SIGCONT) == 0 && kill(kin_pid(HALTED), SIGCONT) == 0);
	pass_on(expect_all(100));
	pass_on(set_all(200));
	pass_on(expect_all(200));
	for (int i = 0; i < PAGES; i++)
		for (unsigned int k = 0; k < N_KIN; k++)
			need(kin_run(k, get_page, i) == i + 1);
	need(*segment == 1234);
	pass_on(expect_action('r', 20));
	pass_on(expect_action('p', 21));
	pass_on(expect_action('n', 22));
	need(kin_run(ACTIONS, set_action, 23) == 0);
	pass_on(expect_action('r', 23));
	need(kin_run(GRANDCHILD, signal_self, 0) == 1 && kin_run(THREAD, signal_self, 0) == 1);
	pass_on(expect_file('r', BASE));
	pass_on(expect_file('n', BASE + 1));
	/* One maps, the others have it. */
	need(kin_run(GRANDCHILD, unmap_page, page) == 0);
	pass_on(expect_memory('r', is_mapped, page, 0));
	need(kin_run(FILES, map_page, page) == 1);
	need(kin_run(PLAIN, get_page, PAGES / 2) == 0 && kin_run(FORKED, get_page, PAGES / 2) != 0);
	/* Its child becomes the subject's, and the memory lives on. */
	ended = kin_pid(ACTIONS);
	need(kin_do(ACTIONS, KIN_EXIT, 0, 0) == 0 && waitpid(ended, NULL, 0) == ended);
	need(cleared == 0);
	need(kin_run(GRANDCHILD, kin_set_value, 300) == 0 &&
	     kin_run(THREAD, kin_get_value, 0) == 300 && kin_get_value(0) == 300);
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "memory that processes share (CLONE_VM)",
	.prepare = prepare,
	.verify = verify,
};
