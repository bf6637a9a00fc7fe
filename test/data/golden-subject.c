/* SPDX-License-Identifier: MIT */
/*
 * The program of the golden image (test/golden.sh): without libc, so that it is small, with one of
 * each sort of descriptor. Built and dumped once, by
 *
 *	mkdir /tmp/golden && cd /tmp/golden
 *	gcc -Os -static -nostdlib -fno-stack-protector -fno-pie -no-pie -o subject golden-subject.c
 *	echo text >file; setsid env -i ./subject </dev/null >file 2>&1 & sleep 1
 *	cr dump $! image; cr show --json image >image.json
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>

static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static volatile char data[2 * 4096];

static int work(void)
{
	struct {
		unsigned int events;
		unsigned long data;
	} __attribute__((packed)) event = { 1, 0x1234 };
	int ends[2];
	long fd, set;

	for (int i = 3; i < 256; i++)
		call(__NR_close, i, 0, 0, 0);
	fd = call(__NR_eventfd2, 7, 1, 0, 0);
	set = call(__NR_epoll_create1, O_CLOEXEC, 0, 0, 0);
	call(__NR_epoll_ctl, set, 1, fd, (long)&event);
	call(__NR_pipe2, (long)ends, 0, 0, 0);
	call(__NR_write, ends[1], (long)"unread", 6, 0);
	call(__NR_open, (long)"/", O_RDONLY | O_DIRECTORY, 0, 0);
	call(__NR_open, (long)"/dev", 010000000 /* O_PATH */, 0, 0);
	data[5000] = 'x';
	for (;;)
		call(__NR_pause, 0, 0, 0, 0);
}

__attribute__((force_align_arg_pointer)) void _start(void)
{
	work();
}
