/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread uint64_t in_tls;
static uint64_t gs_area[2][4];
static volatile int stop, running;
static pthread_t thread;

static uint64_t base(int code)
{
	uint64_t value = 0;

	syscall(SYS_arch_prctl, code, &value);
	return value;
}

static uint64_t through_gs(void)
{
	uint64_t value;

	asm volatile("mov %%gs:8, %0" : "=r"(value));
	return value;
}

static uint64_t fs_before[2];

static const char *set_up(unsigned int i)
{
	gs_area[i][1] = 0x1111111111ul * (i + 1);
	in_tls = 100 + i;
	need(syscall(SYS_arch_prctl, ARCH_SET_GS, gs_area[i]) == 0);
	fs_before[i] = base(ARCH_GET_FS);
	return NULL;
}

static const char *check(unsigned int i)
{
	need(base(ARCH_GET_FS) == fs_before[i]);
	need(base(ARCH_GET_GS) == (uint64_t)gs_area[i]);
	need(through_gs() == 0x1111111111ul * (i + 1));
	need(in_tls == 100 + i);
	return NULL;
}

static void *work(void *unused)
{
	const char *text = set_up(1);

	(void)unused;
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)(text ? text : check(1));
}

static const char *prepare(void)
{
	pass_on(set_up(0));
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	stop = 1;
	need(pthread_join(thread, &text) == 0);
	pass_on(text);
	return check(0);
}

const struct subject subject = {
	.about = "bases of fs and gs of two threads",
	.prepare = prepare,
	.verify = verify,
};
