/* SPDX-License-Identifier: MIT */
/*
 * How the restorer goes: LEAVE, VANISH and LEFT, in scratch processes; and a copy of its code that
 * does without the original.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "restorer-room.h"

/* --- leaving ---------------------------------------------------------------------------------- */

/* What the kernel puts on a stack for a signal, from where the stack pointer is when the handler
 * has returned. */
struct frame {
	uint64_t flags, link, stack[3];
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
	uint64_t mask;
	unsigned char siginfo[128];
};
_Static_assert(offsetof(struct frame, mask) == 296, "struct ucontext of x86-64");

static struct room *landing;

__attribute__((used)) static void landed_in_c(void)
{
	landing->note[16] = syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &landing->note[17], 8);
	_exit(42);
}

/* r8 holds where the registers go. */
void landed(void);
__asm__(".globl landed\n"
	"landed:\n"
	"	mov %rax, 0(%r8)\n"
	"	mov %rbx, 8(%r8)\n"
	"	mov %rcx, 16(%r8)\n"
	"	mov %rdx, 24(%r8)\n"
	"	mov %rsi, 32(%r8)\n"
	"	mov %rdi, 40(%r8)\n"
	"	mov %rbp, 48(%r8)\n"
	"	mov %rsp, 56(%r8)\n"
	"	mov %r9, 64(%r8)\n"
	"	mov %r10, 72(%r8)\n"
	"	mov %r11, 80(%r8)\n"
	"	mov %r12, 88(%r8)\n"
	"	mov %r13, 96(%r8)\n"
	"	mov %r14, 104(%r8)\n"
	"	mov %r15, 112(%r8)\n"
	"	call landed_in_c\n");

static int leave(struct room *room)
{
	landing = room;
	return run(&room->one[0]) == 0 ? 1 : 2;
}

static void test_leave(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct frame *f = (struct frame *)(one->data + 512);
	uint64_t sp = (uintptr_t)room->one[2].stack + sizeof(room->one[2].stack);
	const int64_t wanted_regs[15] = { 1, 2,  3,  4,  5,  6,  7, (int64_t)sp,
					  9, 10, 11, 12, 13, 14, 15 };

	memset(f, 0, sizeof(*f));
	*f = (struct frame){
		.flags = 6, /* a stack segment is there and strictly taken */
		.stack = { 0, 2 /* SS_DISABLE */, 0 },
		.ax = 1,
		.bx = 2,
		.cx = 3,
		.dx = 4,
		.si = 5,
		.di = 6,
		.bp = 7,
		.sp = sp,
		.r8 = (uintptr_t)room->note,
		.r9 = 9,
		.r10 = 10,
		.r11 = 11,
		.r12 = 12,
		.r13 = 13,
		.r14 = 14,
		.r15 = 15,
		.ip = (uintptr_t)landed,
		.eflags = 0x202,
		.cs = 0x33,
		.ss = 0x2b,
		.mask = 1u << (SIGUSR2 - 1),
	};
	room_arg(room_op(one, CR_RST_LEAVE), 0, CR_RST_DATA, 512);
	CU_ASSERT_EQUAL(room_scratch(leave, room), 42);
	CU_ASSERT_EQUAL(memcmp(room->note, wanted_regs, sizeof(wanted_regs)), 0);
	CU_ASSERT_EQUAL(room->note[16], 0);
	CU_ASSERT_EQUAL(room->note[17], 1 << (SIGUSR2 - 1));
	room_free(room);
}

/* --- copies of the code ----------------------------------------------------------------------- */

static int is_mapped(const void *where)
{
	unsigned char vec;

	return mincore((void *)((uintptr_t)where & ~4095ul), 1, &vec) == 0;
}

/* The helper shares the memory; when it is gone, so is the room, and the process lives. */
static int vanish(struct room *room)
{
	room_run moved = (room_run)room_moved(room->code, (uintptr_t)cr_rst_run);
	int status, pid;

	if (moved(&room->one[0].plan) != 0)
		return 1;
	pid = (int)room->one[0].result[0];
	if (!is_mapped(room) || !is_mapped(room->code))
		return 2;
	__atomic_store_n(&room->word[0], 1, __ATOMIC_RELEASE);
	if (waitpid(pid, &status, 0) != pid)
		return 3;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV || WCOREDUMP(status))
		return 4;
	if (is_mapped(room) || is_mapped(room->code))
		return 5;
	return 42;
}

static void test_vanish(void)
{
	struct room *room = room_new();
	struct one *helper = &room->one[1];
	struct cr_rst_op *op;

	CU_ASSERT_FATAL(cr_rst_size() <= sizeof(room->code));
	memcpy(room->code, cr_rst_begin(), cr_rst_size());
	room_clone(room, 0, 1, CLONE_VM, SIGCHLD, 0);
	room_wait(helper, &room->word[0], 1, 1);
	op = room_op(helper, CR_RST_VANISH);
	op->arg[0] = (uintptr_t)room;
	op->arg[1] = sizeof(*room);
	CU_ASSERT_EQUAL(room_scratch(vanish, room), 42);
	CU_ASSERT_EQUAL(room->report.state, 0);
	room_free(room);
}

/* Nothing but the copy: begin, size, and what starts a task tell where they really are. */
static int run_copy(struct room *room)
{
	int fd = memfd_create("copy", MFD_CLOEXEC);
	size_t size = cr_rst_size();
	const size_t skew = 64; /* bytes, not pages, may be copied */
	char *copy;

	if (pwrite(fd, cr_rst_begin(), size, skew) != (ssize_t)size)
		return 1;
	copy = mmap(NULL, size + skew, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (copy == MAP_FAILED)
		return 2;
	copy += skew;

	const void *(*begin)(void) =
		(const void *(*)(void))room_moved(copy, (uintptr_t)cr_rst_begin);
	size_t (*length)(void) = (size_t(*)(void))room_moved(copy, (uintptr_t)cr_rst_size);
	room_run moved = (room_run)room_moved(copy, (uintptr_t)cr_rst_run);

	if (begin() != copy || length() != size)
		return 3;
	return moved(&room->one[0].plan) == 0 ? 42 : 4;
}

static void test_copied_code(void)
{
	struct room *room = room_new();
	struct one *parent = &room->one[0], *child = &room->one[1];
	struct cr_rst_op *op;

	room_clone(room, 0, 1, 0, SIGCHLD, 0);
	room_wait(parent, &room->word[0], 1, 0);
	/* the original goes away under the child, so that nothing can still refer to it */
	op = room_call(child, SYS_mprotect, (uintptr_t)cr_rst_begin() & ~4095ul, 4096, PROT_NONE);
	op = room_op(child, CR_RST_COPY);
	room_arg(op, 0, CR_RST_DATA, 8);
	room_arg(op, 1, CR_RST_DATA, 0);
	op->arg[2] = 8;
	room_call(child, SYS_getpid, 0, 0, 0);
	room_post(child, &room->word[0], 1);
	op = room_call(parent, SYS_wait4, 0, (uintptr_t)&room->note[0], 0);
	room_arg(op, 0, CR_RST_RESULT, 0);
	room->note[0] = -1;
	CU_ASSERT_EQUAL(room_scratch(run_copy, room), 42);
	CU_ASSERT_EQUAL(child->result[2], parent->result[0]);
	CU_ASSERT_EQUAL((int)room->note[0], 0);
	room_free(room);
}

/* --- who has left ------------------------------------------------------------------------------- */

#define MARKER (~((1ull << (SIGKILL - 1)) | (1ull << (SIGSTOP - 1)) | (1ull << (SIGURG - 1))))

/* A process with the mask MARKER, that takes another one when it reads a byte, or ends. */
static pid_t marked(int *to, int ends)
{
	const uint64_t marker = MARKER, other = MARKER & ~1ull;
	int go[2], ready[2];
	pid_t pid;
	char c;

	CU_ASSERT_FATAL(pipe(go) == 0 && pipe(ready) == 0);
	pid = fork();
	if (!pid) {
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &marker, NULL, sizeof(marker));
		(void)!write(ready[1], "x", 1);
		(void)!read(go[0], &c, 1);
		usleep(20000);
		if (ends)
			_exit(0);
		syscall(SYS_rt_sigprocmask, SIG_SETMASK, &other, NULL, sizeof(other));
		for (;;)
			pause();
	}
	(void)!read(ready[0], &c, 1);
	close(go[0]);
	close(ready[0]);
	close(ready[1]);
	*to = go[1];
	return pid;
}

static int64_t wait_until_left(const char *path)
{
	struct room *room = room_new();
	struct cr_rst_op *op = room_op(&room->one[0], CR_RST_LEFT);
	int64_t result;

	op->want_how = CR_RST_WANT_ANY;
	op->arg[0] = (uintptr_t)path;
	op->arg[1] = MARKER;
	CU_ASSERT_EQUAL(cr_rst_run(&room->one[0].plan), 0);
	result = room->one[0].result[0];
	room_free(room);
	return result;
}

static void test_left(void)
{
	for (int ends = 0; ends < 2; ends++) {
		uint64_t mask = 0;
		char path[64], line[256];
		int to;
		pid_t pid = marked(&to, ends);
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		(void)!write(to, "x", 1);
		CU_ASSERT_EQUAL(wait_until_left(path), 0);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			sscanf(line, "SigBlk: %llx", (unsigned long long *)&mask);
		if (f)
			fclose(f);
		/* that of a zombie stays */
		CU_ASSERT_EQUAL(mask == MARKER, ends);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(to);
		CU_ASSERT_EQUAL(wait_until_left(path), 0); /* there is nobody */
	}
	CU_ASSERT_EQUAL(wait_until_left("/dev/null"), -ENODATA);
	CU_ASSERT_EQUAL(wait_until_left("/proc/self"), -EISDIR);
}

int main(void)
{
	CU_TestInfo tasks[] = {
		{ "LEFT: another mask, an end, nobody", test_left },
		{ "LEAVE restores registers and mask", test_leave },
		{ "VANISH takes the room and only the helper", test_vanish },
		{ "a copy of the code", test_copied_code },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer tasks", NULL, NULL, NULL, NULL, tasks },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
