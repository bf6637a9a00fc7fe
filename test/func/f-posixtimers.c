/* SPDX-License-Identifier: MIT */
/* POSIX timers: numbers, clocks, who is signalled, what is left, signals that are pending. */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VALUE(n) ((void *)(0x123456789000ul + (unsigned long)(n)))

static timer_t once, often, boot, tai, silent, processor, other, unset, fired, step, busy, late;
static volatile sig_atomic_t rang;
static volatile int running, go, tid;
static volatile const char *said;
static pthread_t thread;

static void on_ring(int sig, siginfo_t *si, void *unused)
{
	(void)sig;
	(void)unused;
	if (si->si_code == SI_TIMER && si->si_ptr == VALUE(7))
		rang++;
}

static int make(timer_t *t, clockid_t clock, int notify, int sig, int value, int to)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = sig };

	event.sigev_value.sival_ptr = VALUE(value);
	if (notify == SIGEV_THREAD_ID)
		event._sigev_un._tid = to;
	return timer_create(clock, &event, t);
}

static int set(timer_t t, int flags, long value, long interval)
{
	const struct itimerspec spec = { { interval, 0 }, { value, 0 } };

	return timer_settime(t, flags, &spec, NULL);
}

/* Exactly one, with what belongs to it. */
static const char *take(timer_t t, int sig, int value)
{
	const struct timespec now = { 0 };
	siginfo_t si;
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	if (sigtimedwait(&s, &si, &now) != sig)
		return wrong_errno("signal %d is not pending", sig);
	if (si.si_code != SI_TIMER || si.si_ptr != VALUE(value) || si.si_overrun ||
	    si.si_timerid != (int)(long)t)
		return wrong("signal %d, code %d, value %p, overrun %d, timer %d", sig, si.si_code,
			     si.si_ptr, si.si_overrun, si.si_timerid);
	if (sigtimedwait(&s, &si, &now) != -1 || errno != EAGAIN)
		return wrong("signal %d is pending twice", sig);
	return NULL;
}

static void *work(void *unused)
{
	tid = gettid();
	running = 1;
	while (!go)
		usleep(1000);
	said = take(late, SIGRTMIN + 4, 11);
	return unused;
}

static struct timespec now_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t;
}

static const char *prepare(void)
{
	struct sigaction sa = { .sa_sigaction = on_ring, .sa_flags = SA_SIGINFO };
	const struct itimerspec soon = { { 0, 10000000 }, { 0, 10000000 } };
	clockid_t of_thread;
	sigset_t s;
	timer_t gone[3];

	sigemptyset(&s);
	for (int i = 1; i <= 4; i++)
		sigaddset(&s, SIGRTMIN + i);
	need(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
	need(sigaction(SIGRTMIN + 1, &sa, NULL) == 0);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	need(pthread_getcpuclockid(thread, &of_thread) == 0);
	need(make(&once, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 1, 0) == 0);
	for (int i = 0; i < 3; i++)
		need(make(&gone[i], CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0) == 0);
	need(make(&often, CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 2, 0) == 0);
	for (int i = 0; i < 3; i++)
		need(timer_delete(gone[i]) == 0);
	need(make(&boot, CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGRTMIN, 3, 0) == 0);
	need(make(&tai, CLOCK_TAI, SIGEV_SIGNAL, SIGRTMIN, 4, 0) == 0);
	need(make(&silent, CLOCK_MONOTONIC, SIGEV_NONE, 0, 5, 0) == 0);
	need(make(&processor, CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN, 6, 0) == 0);
	need(make(&other, of_thread, SIGEV_THREAD_ID, SIGRTMIN, 8, tid) == 0);
	need(make(&unset, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 9, 0) == 0);
	need(make(&busy, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 7, 0) == 0);
	need(make(&fired, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 10, 0) == 0);
	need(make(&late, CLOCK_REALTIME, SIGEV_THREAD_ID, SIGRTMIN + 4, 11, tid) == 0);
	need(make(&step, CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 3, 12, 0) == 0);
	need(set(once, 0, 5000, 0) == 0 && set(often, 0, 5000, 7) == 0);
	need(set(boot, TIMER_ABSTIME, now_of(CLOCK_BOOTTIME).tv_sec + 5000, 0) == 0);
	need(set(tai, 0, 5000, 0) == 0 && set(silent, 0, 5000, 9) == 0);
	need(set(processor, 0, 5000, 0) == 0 && set(other, 0, 5000, 3) == 0);
	need(set(fired, TIMER_ABSTIME, 1, 0) == 0 && set(late, TIMER_ABSTIME, 1, 0) == 0);
	need(set(step, TIMER_ABSTIME, now_of(CLOCK_REALTIME).tv_sec - 100, 2000) == 0);
	need(timer_settime(busy, 0, &soon, NULL) == 0);
	do
		need(sigpending(&s) == 0);
	while (!sigismember(&s, SIGRTMIN + 2) || !sigismember(&s, SIGRTMIN + 3) ||
	       !sigismember(&s, SIGRTMIN + 1));
	return NULL;
}

static const char *verify_left(timer_t t, long least, long most, long interval)
{
	struct itimerspec left;

	need(timer_gettime(t, &left) == 0);
	if (left.it_value.tv_sec < least || left.it_value.tv_sec > most)
		return wrong("timer %ld: %ld s are left", (long)t, (long)left.it_value.tv_sec);
	need(left.it_interval.tv_sec == interval && left.it_interval.tv_nsec == 0);
	return NULL;
}

static const char *verify(void)
{
	sigset_t s;

	pass_on(verify_left(once, 4000, 5000, 0));
	pass_on(verify_left(often, 4000, 5000, 7));
	pass_on(verify_left(boot, 4000, 5000, 0));
	pass_on(verify_left(tai, 4000, 5000, 0));
	pass_on(verify_left(silent, 4000, 5000, 9));
	pass_on(verify_left(processor, 4900, 5000, 0));
	pass_on(verify_left(other, 4900, 5000, 3));
	pass_on(verify_left(unset, 0, 0, 0));
	pass_on(verify_left(fired, 0, 0, 0));
	/* one that has rung often, as one signal, and goes on */
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 1);
	need(!rang && sigprocmask(SIG_UNBLOCK, &s, NULL) == 0 && rang);
	while (rang < 4)
		usleep(1000);
	need(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
	pass_on(take(fired, SIGRTMIN + 2, 10));
	/* it keeps its step: in 1900 s, not in 2000 */
	pass_on(take(step, SIGRTMIN + 3, 12));
	pass_on(verify_left(step, 1000, 1901, 2000));
	go = 1;
	need(pthread_join(thread, NULL) == 0);
	pass_on((const char *)said);
	need(set(unset, 0, 77, 0) == 0);
	return verify_left(unset, 70, 77, 0);
}

const struct subject subject = {
	.about = "POSIX timers: numbers, clocks, targets, pending signals",
	.prepare = prepare,
	.verify = verify,
};
