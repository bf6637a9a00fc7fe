/* SPDX-License-Identifier: MIT */
/*
 * RLIMIT_DATA is used up: code can still be mapped, writable memory cannot. There is no vDSO, so that
 * a page of a file has to take the code. The program runs on a stack in the middle of its data, so
 * that what is borrowed below its stack pointer has to be put back.
 */
#include "full.h"
#include "subject.h"

#include <errno.h>
#include <sys/resource.h>
#include <ucontext.h>

#define SIZE (1 << 20)
#define STACK_AT (SIZE / 2)
#define STACK (8 << 10) /* what is borrowed is longer than that */

static unsigned char data[SIZE];
static ucontext_t outside, inside;
static unsigned long copied;
static int waits;

/* From here on libc's clocks are not to be asked. */
static const char *unmap_vdso(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];

	need(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    (strstr(line, "[vdso]") || strstr(line, "[vvar")))
			need(munmap((void *)start, end - start) == 0);
	fclose(maps);
	return NULL;
}

static const char *prepare(void)
{
	struct rlimit limit = { 0, 0 };

	fill_pattern(data, SIZE);
	pass_on(unmap_vdso());
	copied = copied_code_kb();
	need(setrlimit(RLIMIT_DATA, &limit) == 0);
	need(!can_map() && errno == ENOMEM);
	return NULL;
}

static void wait_inside(void)
{
	while (!subject_released())
		usleep(2000);
	waits++;
}

static void wait_there(void)
{
	getcontext(&inside);
	inside.uc_stack.ss_sp = data + STACK_AT;
	inside.uc_stack.ss_size = STACK;
	inside.uc_link = &outside;
	makecontext(&inside, wait_inside, 0);
	swapcontext(&outside, &inside);
}

static const char *verify(void)
{
	need(waits == 1);
	need(has_pattern(data, STACK_AT));
	fill_pattern(data, STACK_AT + STACK);
	need(has_pattern(data, SIZE));
	need(!can_map() && errno == ENOMEM);
	need(copied_code_kb() == copied);
	return NULL;
}

const struct subject subject = {
	.about = "RLIMIT_DATA is used up, the stack lies in the middle of data",
	.prepare = prepare,
	.verify = verify,
	.wait = wait_there,
};
