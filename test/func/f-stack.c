/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define FRAMES 200

static char *growing;
static bool spoiled;

/* How far down it has come. The frame is used after the call too: else a compiler makes a loop of it. */
static uintptr_t dig(unsigned int depth)
{
	volatile char frame[PAGE];
	uintptr_t end = (uintptr_t)frame;

	frame[0] = (char)depth;
	if (depth)
		end = dig(depth - 1);
	__asm__ volatile("" : : "r"(frame) : "memory");
	return frame[0] == (char)depth ? end : 0;
}

static bool digs(unsigned int depth)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), end = dig(depth);

	return end && here - end >= depth * PAGE;
}

static const char *prepare(void)
{
	/* A free stretch below it, so that it has where to grow. */
	char *room = mmap(NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(room != MAP_FAILED);
	growing = room + 4080 * PAGE;
	need(munmap(room, 4096 * PAGE) == 0);
	need(mmap(growing, 16 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1,
		  0) == growing);
	growing[0] = 'g';
	/* The main stack is as large as it will be while the subject waits. */
	need(digs(100));
	return NULL;
}

/* Waits at the end of many frames, which must all be there on the way back. */
static void wait_deep(unsigned int depth)
{
	volatile char frame[1024];

	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (char)(depth + i);
	if (depth < FRAMES)
		wait_deep(depth + 1);
	else
		subject_wait();
	for (size_t i = 0; i < sizeof(frame); i++)
		if (frame[i] != (char)(depth + i))
			spoiled = true;
}

static void wait_at_the_end(void)
{
	wait_deep(0);
}

static const char *verify(void)
{
	need(!spoiled);
	need(growing[0] == 'g');
	for (size_t i = 1; i <= 64; i++)
		growing[-(intptr_t)(i * PAGE)] = (char)i;
	need(digs(1000)); /* 4 MiB */
	return NULL;
}

const struct subject subject = {
	.about = "stacks: deep frames, and both the main stack and MAP_GROWSDOWN grow",
	.prepare = prepare,
	.verify = verify,
	.wait = wait_at_the_end,
};
