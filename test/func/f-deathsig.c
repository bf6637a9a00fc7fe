/* SPDX-License-Identifier: MIT */
/* The signal for the death of the parent: kept, and not sent because cr itself is a parent that ends. */
#include "subject.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile sig_atomic_t received;
static volatile int stop, running;
static pthread_t thread;

static void on_signal(int sig)
{
	(void)sig;
	received++;
}

static int death_signal(void)
{
	int sig = 0;

	prctl(PR_GET_PDEATHSIG, &sig);
	return sig;
}

static void *work(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGUSR2);
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)(death_signal() == SIGUSR2 ? NULL : "the thread's signal is another");
}

static const char *prepare(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	need(sigaction(SIGHUP, &sa, NULL) == 0 && sigaction(SIGUSR2, &sa, NULL) == 0);
	need(prctl(PR_SET_PDEATHSIG, SIGHUP) == 0);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	need(death_signal() == SIGHUP);
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	pass_on(text);
	if (received)
		return wrong("%d signals came, but no parent has died", (int)received);
	return NULL;
}

const struct subject subject = {
	.about = "the signal for a parent's death",
	.prepare = prepare,
	.verify = verify,
};
