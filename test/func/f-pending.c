/* SPDX-License-Identifier: MIT */
/* Pending signals of a process and of two threads, in order, with all they carry. */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int running, go, handled;
static const char *volatile said;
static pthread_t thread;
static pid_t child;
static siginfo_t fault;

static void handler(int sig)
{
	handled = sig;
}

/* As the kernel would send it. */
static int send_to_me(int sig, int code, void *address)
{
	memset(&fault, 0, sizeof(fault));
	fault.si_signo = sig;
	fault.si_code = code;
	fault.si_addr = address;
	fault.si_errno = 5;
	return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), sig, &fault);
}

static const char *take(int sig, int code, int value, siginfo_t *si)
{
	const struct timespec now = { 0 };
	uint64_t set = 1ull << (sig - 1);

	/* Not libc's call, which makes SI_USER of SI_TKILL. */
	if (syscall(SYS_rt_sigtimedwait, &set, si, &now, sizeof(set)) != sig)
		return wrong_errno("signal %d does not come", sig);
	if (si->si_code != code)
		return wrong("signal %d comes with code %d", sig, si->si_code);
	if ((code == SI_QUEUE) && (si->si_int != value || si->si_pid != getpid()))
		return wrong("signal %d comes with %d from %d", sig, si->si_int, si->si_pid);
	return NULL;
}

/* There is nothing else, for the thread or for the process. */
static const char *take_nothing(void)
{
	sigset_t set;

	sigpending(&set);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigismember(&set, sig))
			return wrong("signal %d is pending too", sig);
	return NULL;
}

static const char *prepare_thread(void)
{
	for (int i = 0; i < 3; i++)
		need(pthread_sigqueue(pthread_self(), SIGRTMIN + 5,
				      (union sigval){ .sival_int = 50 + i }) == 0);
	need(pthread_kill(pthread_self(), SIGUSR2) == 0);
	need(send_to_me(SIGBUS, BUS_ADRERR, (void *)0x1234567890) == 0);
	return NULL;
}

static const char *verify_thread(void)
{
	siginfo_t si;

	for (int i = 0; i < 3; i++)
		pass_on(take(SIGRTMIN + 5, SI_QUEUE, 50 + i, &si));
	pass_on(take(SIGUSR2, SI_TKILL, 0, &si));
	need(si.si_pid == getpid());
	pass_on(take(SIGBUS, BUS_ADRERR, 0, &si));
	need(si.si_addr == (void *)0x1234567890 && si.si_errno == 5);
	return take_nothing();
}

static void *work(void *unused)
{
	said = prepare_thread();
	running = 1;
	while (!go)
		usleep(1000);
	if (!said)
		said = verify_thread();
	return unused;
}

static const char *prepare(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, call = { .sa_handler = handler };
	int ends[2];
	sigset_t all;

	sigfillset(&all);
	need(sigprocmask(SIG_BLOCK, &all, NULL) == 0);
	need(sigaction(SIGUSR1, &ignore, NULL) == 0 && sigaction(SIGURG, &call, NULL) == 0);
	need(sigaction(SIGWINCH, &call, NULL) == 0);
	/* from the kernel: the end of a child that is gone already, and news of a descriptor */
	child = fork();
	if (child == 0)
		_exit(7);
	need(waitpid(child, NULL, 0) == child);
	need(pipe(ends) == 0 && fcntl(ends[0], F_SETOWN, getpid()) == 0);
	need(fcntl(ends[0], F_SETSIG, SIGRTMIN + 9) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
	need(write(ends[1], "x", 1) == 1);
	need(fcntl(ends[0], F_SETFL, 0) == 0);
	for (int i = 0; i < 4; i++)
		need(sigqueue(getpid(), SIGRTMIN + 5 + (i & 1), (union sigval){ .sival_int = i }) ==
		     0);
	/* ignored, but blocked; the one that cr has its batches end by; ignored by default */
	need(kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGSTKFLT) == 0);
	need(kill(getpid(), SIGURG) == 0 && raise(SIGWINCH) == 0);
	need(raise(SIGSTKFLT) == 0 && kill(getpid(), SIGTSTP) == 0);
	need(send_to_me(SIGSEGV, SEGV_MAPERR, (void *)0xabcd) == 0);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return said;
}

static const char *verify(void)
{
	siginfo_t si;
	sigset_t urg;

	pass_on(take(SIGCHLD, CLD_EXITED, 0, &si));
	need(si.si_pid == child && si.si_status == 7);
	pass_on(take(SIGRTMIN + 9, POLL_IN, 0, &si));
	need(si.si_fd >= 0 && si.si_band & 1);
	for (int i = 0; i < 4; i++)
		pass_on(take(SIGRTMIN + 5 + (i / 2), SI_QUEUE, i / 2 + 2 * (i & 1), &si));
	pass_on(take(SIGUSR1, SI_USER, 0, &si));
	pass_on(take(SIGSTKFLT, SI_TKILL, 0, &si));
	pass_on(take(SIGSTKFLT, SI_USER, 0, &si));
	pass_on(take(SIGTSTP, SI_USER, 0, &si));
	pass_on(take(SIGWINCH, SI_TKILL, 0, &si));
	pass_on(take(SIGSEGV, SEGV_MAPERR, 0, &si));
	need(si.si_addr == (void *)0xabcd && si.si_errno == 5);
	/* this one by its handler */
	need(!handled);
	sigemptyset(&urg);
	sigaddset(&urg, SIGURG);
	need(sigprocmask(SIG_UNBLOCK, &urg, NULL) == 0);
	need(handled == SIGURG);
	pass_on(take_nothing());
	go = 1;
	need(pthread_join(thread, NULL) == 0);
	return said;
}

const struct subject subject = {
	.about = "pending signals of process and threads, with all they carry",
	.prepare = prepare,
	.verify = verify,
};
