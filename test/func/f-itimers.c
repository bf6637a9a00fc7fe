/* SPDX-License-Identifier: MIT */
/* Interval timers: what is left, what is to come again, one whose signal is pending. */
#include "subject.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t rang;
static int pipe_out[2], pipe_in[2];

static void on_alarm(int sig)
{
	(void)sig;
	rang++;
}

static const char *prepare_child(void)
{
	const struct itimerval often = { { 7, 500000 }, { 0, 1000 } };
	sigset_t alarm;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	need(sigprocmask(SIG_BLOCK, &alarm, NULL) == 0);
	need(setitimer(ITIMER_REAL, &often, NULL) == 0);
	/* until it has fired */
	do
		need(sigpending(&alarm) == 0);
	while (!sigismember(&alarm, SIGALRM));
	return NULL;
}

/* The signal is there once, and the timer is wound up again when it is taken. */
static const char *verify_child(void)
{
	const struct timespec now = { 0 };
	struct itimerval left;
	siginfo_t si;
	sigset_t alarm;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	need(getitimer(ITIMER_REAL, &left) == 0);
	need(!left.it_value.tv_sec && left.it_interval.tv_sec == 7);
	need(sigtimedwait(&alarm, &si, &now) == SIGALRM && si.si_code == SI_KERNEL);
	need(sigtimedwait(&alarm, &si, &now) == -1 && errno == EAGAIN);
	need(getitimer(ITIMER_REAL, &left) == 0);
	need(left.it_value.tv_sec <= 7 && (left.it_value.tv_sec || left.it_value.tv_usec));
	need(left.it_interval.tv_sec == 7 && left.it_interval.tv_usec == 500000);
	return NULL;
}

static void child(void)
{
	char byte = prepare_child() ? 'n' : 'y';

	if (write(pipe_out[1], &byte, 1) != 1 || read(pipe_in[0], &byte, 1) != 1)
		_exit(1);
	_exit(verify_child() ? 2 : 0);
}

static const char *prepare(void)
{
	const struct itimerval real = { { 0, 0 }, { 5000, 0 } };
	const struct itimerval user = { { 3, 250000 }, { 1000, 0 } };
	const struct itimerval both = { { 0, 0 }, { 2000, 0 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	char byte;

	need(sigaction(SIGALRM, &sa, NULL) == 0);
	need(setitimer(ITIMER_REAL, &real, NULL) == 0);
	need(setitimer(ITIMER_VIRTUAL, &user, NULL) == 0);
	need(setitimer(ITIMER_PROF, &both, NULL) == 0);
	need(pipe(pipe_out) == 0 && pipe(pipe_in) == 0);
	if (fork() == 0)
		child();
	need(read(pipe_out[0], &byte, 1) == 1 && byte == 'y');
	return NULL;
}

static const char *verify_left(int which, long least, long most, long interval)
{
	struct itimerval left;

	need(getitimer((__itimer_which_t)which, &left) == 0);
	if (left.it_value.tv_sec < least || left.it_value.tv_sec > most)
		return wrong("timer %d: %ld s are left", which, (long)left.it_value.tv_sec);
	need(left.it_interval.tv_sec * 1000000 + left.it_interval.tv_usec == interval);
	return NULL;
}

static const char *verify(void)
{
	const struct itimerval soon = { { 0, 0 }, { 0, 1 } };
	int status;

	pass_on(verify_left(ITIMER_REAL, 4000, 5000, 0));
	pass_on(verify_left(ITIMER_VIRTUAL, 900, 1000, 3250000));
	pass_on(verify_left(ITIMER_PROF, 1900, 2000, 0));
	need(!rang);
	need(write(pipe_in[1], "x", 1) == 1);
	need(wait(&status) > 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return wrong("the child says %#x", status);
	need(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	while (!rang)
		usleep(100);
	return NULL;
}

const struct subject subject = {
	.about = "interval timers: what is left, intervals, one that has fired",
	.prepare = prepare,
	.verify = verify,
};
