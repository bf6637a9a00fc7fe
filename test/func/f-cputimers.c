/* SPDX-License-Identifier: MIT */
/* POSIX timers of processor time in a process with one thread, and numbers far apart. */
#include "subject.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static timer_t of_thread, of_process, fired, far;

static int make(timer_t *t, clockid_t clock, int sig)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };

	return timer_create(clock, &event, t);
}

static int set(timer_t t, int flags, struct timespec value, long interval)
{
	const struct itimerspec spec = { { interval, 0 }, value };

	return timer_settime(t, flags, &spec, NULL);
}

static const char *prepare(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 2);
	need(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
	need(make(&of_thread, CLOCK_THREAD_CPUTIME_ID, SIGRTMIN) == 0);
	need(make(&of_process, CLOCK_PROCESS_CPUTIME_ID, SIGRTMIN) == 0);
	need(make(&fired, CLOCK_PROCESS_CPUTIME_ID, SIGRTMIN + 2) == 0);
	for (int i = 0; i < 300; i++) {
		need(make(&far, CLOCK_MONOTONIC, SIGRTMIN) == 0);
		need(timer_delete(far) == 0);
	}
	need(make(&far, CLOCK_MONOTONIC, SIGRTMIN) == 0);
	need(set(of_thread, 0, (struct timespec){ 5000, 0 }, 5) == 0);
	need(set(of_process, 0, (struct timespec){ 5000, 0 }, 0) == 0);
	need(set(fired, TIMER_ABSTIME, (struct timespec){ 0, 1 }, 3000) == 0);
	need(sigpending(&s) == 0 && sigismember(&s, SIGRTMIN + 2));
	return NULL;
}

static const char *verify_left(timer_t t, long least, long most, long interval)
{
	struct itimerspec left;

	need(timer_gettime(t, &left) == 0);
	if (left.it_value.tv_sec < least || left.it_value.tv_sec > most)
		return wrong("timer %ld: %ld s are left", (long)t, (long)left.it_value.tv_sec);
	need(left.it_interval.tv_sec == interval);
	return NULL;
}

static const char *verify(void)
{
	const struct timespec now = { 0 };
	siginfo_t si;
	sigset_t s;

	pass_on(verify_left(of_thread, 4900, 5000, 5));
	pass_on(verify_left(of_process, 4900, 5000, 0));
	pass_on(verify_left(far, 0, 0, 0));
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 2);
	need(sigtimedwait(&s, &si, &now) == SIGRTMIN + 2 && si.si_code == SI_TIMER);
	need(si.si_timerid == 2 && si.si_overrun == 0);
	need(sigtimedwait(&s, &si, &now) == -1 && errno == EAGAIN);
	pass_on(verify_left(fired, 2900, 3000, 3000));
	/* the clock is that of the thread */
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN);
	need(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
	need(set(of_thread, TIMER_ABSTIME, (struct timespec){ 0, 1 }, 0) == 0);
	need(sigtimedwait(&s, &si, &now) == SIGRTMIN && si.si_timerid == 0);
	return NULL;
}

const struct subject subject = {
	.about = "POSIX timers of processor time, numbers far apart",
	.prepare = prepare,
	.verify = verify,
};
