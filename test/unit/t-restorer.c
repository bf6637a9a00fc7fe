/* SPDX-License-Identifier: MIT */
/* The interpreter, in scratch processes. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/uio.h>

#include "restorer-room.h"
#include "tap.h"

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static int64_t run(struct one *one)
{
	return cr_rst_run(&one->plan);
}

static void check_report(const struct room *room, uint32_t task, uint32_t index, int64_t result)
{
	CU_ASSERT_EQUAL(room->report.state, 2);
	CU_ASSERT_EQUAL(room->report.task, task);
	CU_ASSERT_EQUAL(room->report.index, index);
	CU_ASSERT_EQUAL(room->report.result, result);
}

/* --- calls and their results ------------------------------------------------------------------ */

static void test_arguments(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op;

	memcpy(one->data + 64, "hello", 6);
	room_arg(room_call(one, SYS_pipe2, 0, 0, 0), 0, CR_RST_DATA, 0);
	room_arg(room_call(one, SYS_memfd_create, 0, 0, 0), 0, CR_RST_DATA, 64);
	op = room_call(one, SYS_pwrite64, 0, 0, 6);
	room_arg(op, 0, CR_RST_RESULT, 1);
	room_arg(op, 1, CR_RST_DATA, 64);
	room_want(op, CR_RST_WANT_EXACT, 6);
	op = room_call(one, SYS_pread64, 0, 0, 6);
	room_arg(op, 0, CR_RST_RESULT, 1);
	room_arg(op, 1, CR_RST_REGION, (uint64_t)((char *)room->note - (char *)one));
	room_want(op, CR_RST_WANT_EXACT, 6);
	room_arg(room_call(one, SYS_close, 0, 0, 0), 0, CR_RST_RESULT, 1);
	op = room_call(one, SYS_mmap, 0, 4096, PROT_READ);
	op->arg[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	op->arg[4] = (uint64_t)-1;
	op->arg[5] = 4096;
	op = room_call(one, SYS_munmap, 0, 4096, 0);
	room_arg(op, 0, CR_RST_RESULT, 5);
	room_call(one, SYS_getpid, 0, 0, 0);

	CU_ASSERT_EQUAL(run(one), 0);
	int fds[2];
	memcpy(fds, one->data, sizeof(fds));
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	CU_ASSERT_EQUAL(close(fds[1]), 0);
	CU_ASSERT_STRING_EQUAL((char *)room->note, "hello");
	CU_ASSERT_EQUAL(close((int)one->result[1]), -1);
	CU_ASSERT_EQUAL(one->result[7], getpid());
	CU_ASSERT_EQUAL(room->report.state, 0);
	room_free(room);
}

/* Whether a close(-1), or a dup(2), passes under this wish. */
static int64_t wanted(long nr, int how, int64_t want)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_want(room_call(one, nr, (uint64_t)(nr == SYS_close ? -1 : 0), 0, 0), how, want);
	room_call(one, SYS_getpid, 0, 0, 0);

	int64_t result = run(one);

	/* stored whether it was wanted or not; nothing runs after a failure */
	CU_ASSERT_EQUAL(one->result[0], nr == SYS_close ? -EBADF : getppid());
	CU_ASSERT_EQUAL(one->result[1], result ? 0 : getpid());
	if (result)
		check_report(room, 100, 0, one->result[0]);
	room_free(room);
	return result;
}

static void test_wants(void)
{
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_EXACT, getppid()), 0);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_EXACT, getppid() + 1), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_EXACT, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_EXACT, 0), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_OK, 0), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK, 0), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_ANY, 0), 0);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_OK_OR, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK_OR, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK_OR, -EINVAL), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, 77, -EBADF), -ECANCELED);
}

static void test_refusals(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_call(one, SYS_getpid, 0, 0, 0);
	one->plan.abi++;
	CU_ASSERT_EQUAL(run(one), -EINVAL);
	CU_ASSERT_EQUAL(one->result[0], 0);
	CU_ASSERT_EQUAL(room->report.state, 0);

	one->plan.abi--;
	room_want(room_op(one, CR_RST_LEFT + 1), CR_RST_WANT_ANY, 0);
	CU_ASSERT_EQUAL(run(one), -EINVAL);
	check_report(room, 100, 1, -EINVAL);

	/* the result of an operation that has not run */
	memset(&room->report, 0, sizeof(room->report));
	one->plan.n_ops = 1;
	room_arg(room_call(one, SYS_close, 0, 0, 0), 0, CR_RST_RESULT, 1);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	check_report(room, 100, 1, -EINVAL);
	room_free(room);
}

static void test_end(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_op(one, CR_RST_END);
	room_call(one, SYS_close, (uint64_t)-1, 0, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[1], 0);
	one->plan.n_ops = 0;
	CU_ASSERT_EQUAL(run(one), 0);
	room_free(room);
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct cr_rst_op *read_op(struct one *one, int code, int fd, const void *where,
				 uint64_t length, uint64_t offset)
{
	struct cr_rst_op *op = room_op(one, code);

	op->arg[0] = (uint64_t)fd;
	op->arg[1] = (uintptr_t)where;
	op->arg[2] = length;
	op->arg[3] = offset;
	return op;
}

static int letters(size_t n)
{
	int fd = memfd_create("letters", MFD_CLOEXEC);

	for (size_t i = 0; i < n; i++) {
		char c = (char)('a' + i % 26);

		if (write(fd, &c, 1) != 1)
			_exit(99);
	}
	return fd;
}

static void test_read(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	char text[64] = "";
	int fd = letters(52);

	read_op(one, CR_RST_READ, fd, text, 50, 2);
	read_op(one, CR_RST_READ, fd, text, 0, 1000);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], 50);
	CU_ASSERT_EQUAL(one->result[1], 0);
	CU_ASSERT_STRING_EQUAL(text, "cdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");

	/* across the end: what there is has come, and it is an error */
	one->plan.n_ops = 0;
	memset(text, 0, sizeof(text));
	read_op(one, CR_RST_READ, fd, text, 5, 48);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -ENODATA);
	CU_ASSERT_STRING_EQUAL(text, "wxyz");
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READ, -1, text, 5, 0);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -EBADF);
	close(fd);
	room_free(room);
}

static void set(struct iovec *iov, char *base, size_t len)
{
	iov->iov_base = base;
	iov->iov_len = len;
}

static void test_readv(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	char text[64] = "";
	struct iovec iov[5];
	int fd = letters(52);

	set(&iov[0], text, 0);
	set(&iov[1], text + 20, 3);
	set(&iov[2], text, 0);
	set(&iov[3], text, 20);
	set(&iov[4], text, 0);
	read_op(one, CR_RST_READV, fd, iov, 5, 1);
	read_op(one, CR_RST_READV, fd, iov, 0, 1);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], 23);
	CU_ASSERT_EQUAL(one->result[1], 0);
	CU_ASSERT_STRING_EQUAL(text, "efghijklmnopqrstuvwxbcd");

	one->plan.n_ops = 0;
	memset(text, 0, sizeof(text));
	set(&iov[0], text, 2);
	set(&iov[1], text + 2, 3);
	read_op(one, CR_RST_READV, fd, iov, 2, 48);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -ENODATA);
	CU_ASSERT_STRING_EQUAL(text, "wxyz");
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READV, fd, iov, 1025, 0);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -EINVAL);
	close(fd);
	room_free(room);
}

/* A regular file is read at once; environ and maps come a page at a time. */
static void test_short_reads(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	size_t pages = 400, done = 0;
	char *area = mmap(NULL, pages * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char once[1 << 18], again[1 << 18];
	struct iovec iov[3];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	for (size_t i = 0; i < pages; i += 2)
		mprotect(area + i * 4096, 4096, PROT_NONE);
	n = pread(fd, once, sizeof(once), 0);
	CU_ASSERT(n > 0);
	for (; n > 0; n = pread(fd, once + done, sizeof(once) - done, (off_t)done))
		done += (size_t)n;
	CU_ASSERT(pread(fd, again, done, 0) < (ssize_t)done);

	read_op(one, CR_RST_READ, fd, again, done, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(memcmp(once, again, done), 0);

	memset(again, 0, sizeof(again));
	set(&iov[0], again, 5000);
	set(&iov[1], again, 0);
	set(&iov[2], again + 5000, done - 5000);
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READV, fd, iov, 3, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], (int64_t)done);
	CU_ASSERT_EQUAL(memcmp(once, again, done), 0);
	close(fd);
	munmap(area, pages * 4096);
	room_free(room);
}

static void test_copy(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op = room_op(one, CR_RST_COPY);

	memcpy(one->data, "0123456789", 10);
	room_arg(op, 0, CR_RST_DATA, 101);
	room_arg(op, 1, CR_RST_DATA, 1);
	room_arg(op, 2, CR_RST_CONST, 8);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(memcmp(one->data + 100, "\00012345678", 10), 0);
	room_free(room);
}

static void test_store(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op;

	memset(one->data, 0xee, 32);
	room_call(one, SYS_getpid, 0, 0, 0);
	for (uint64_t i = 0; i < 2; i++) {
		op = room_op(one, CR_RST_STORE);
		room_arg(op, 0, CR_RST_DATA, i * 16 + 4);
		room_arg(op, 1, i ? CR_RST_CONST : CR_RST_RESULT, i ? 0x1122334455667788 : 0);
		op->arg[2] = i ? 8 : 4;
	}
	op = room_op(one, CR_RST_STORE);
	room_arg(op, 0, CR_RST_DATA, 0);
	op->arg[2] = 3;
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	check_report(room, 100, 3, -EINVAL);

	unsigned char wanted_data[32];
	uint32_t pid = (uint32_t)getpid();
	uint64_t value = 0x1122334455667788;

	memset(wanted_data, 0xee, 32);
	memcpy(wanted_data + 4, &pid, 4);
	memcpy(wanted_data + 20, &value, 8);
	CU_ASSERT_EQUAL(memcmp(one->data, wanted_data, 32), 0);
	room_free(room);
}

/* --- tasks ------------------------------------------------------------------------------------ */

/* A number that was just free; nothing else starts processes as fast as that. */
static pid_t free_number(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static int run_first(struct room *room)
{
	return run(&room->one[0]) == 0 ? 0 : 1;
}

/* Parent and child both use their stacks all the time, of which each could be the other's. */
static void fork_case(pid_t number, int spin)
{
	struct room *room = room_new();
	struct one *parent = &room->one[0], *child = &room->one[1];
	struct cr_rst_op *op;

	room_clone(room, 0, 1, 0, SIGCHLD, (uint64_t)number);
	for (uint32_t i = 1; i < 8; i++) {
		room_post(parent, &room->word[0], 1);
		room_wait(parent, &room->word[1], i, spin);
		room_wait(child, &room->word[0], i, spin);
		room_post(child, &room->word[1], 1);
	}
	room_call(child, SYS_getpid, 0, 0, 0);
	room_post(child, &room->word[1], 1);
	room_wait(parent, &room->word[1], 8, spin);
	op = room_call(parent, SYS_wait4, 0, (uintptr_t)&room->note[0], 0);
	room_arg(op, 0, CR_RST_RESULT, 0);
	room->note[0] = -1;

	CU_ASSERT_EQUAL(room_scratch(run_first, room), 0);
	CU_ASSERT(parent->result[0] > 0);
	CU_ASSERT_EQUAL(parent->result[13], 7);
	CU_ASSERT_EQUAL(child->result[14], parent->result[0]);
	if (number)
		CU_ASSERT_EQUAL(parent->result[0], number);
	CU_ASSERT_EQUAL(parent->result[16], parent->result[0]);
	CU_ASSERT_EQUAL((int)room->note[0], 0);
	CU_ASSERT_EQUAL(room->report.state, 0);
	room_free(room);
}

static void test_fork(void)
{
	fork_case(0, 0);
	fork_case(0, 1);
}

static void test_fork_number(void)
{
	if (geteuid() == 0)
		fork_case(free_number(), 0);
	else
		puts("# a number cannot be chosen without a privilege");
}

/* A number that is taken is an ordinary failure. */
static void test_fork_taken(void)
{
	struct room *room = room_new();

	room_clone(room, 0, 1, 0, SIGCHLD, 1);
	CU_ASSERT_EQUAL(run(&room->one[0]), -ECANCELED);
	check_report(room, 100, 0, geteuid() == 0 ? -EEXIST : -EPERM);
	room_free(room);
}

static void thread_case(pid_t number)
{
	struct room *room = room_new();
	struct one *parent = &room->one[0], *child = &room->one[1];

	room_clone(room, 0, 1, THREAD, 0, (uint64_t)number);
	room_call(parent, SYS_getpid, 0, 0, 0);
	room_wait(parent, &room->word[0], 1, 0);
	room_call(child, SYS_gettid, 0, 0, 0);
	room_call(child, SYS_getpid, 0, 0, 0);
	room_post(child, &room->word[0], 1);
	CU_ASSERT_EQUAL(room_scratch(run_first, room), 0);
	CU_ASSERT_EQUAL(parent->result[0], child->result[0]);
	CU_ASSERT_EQUAL(parent->result[1], child->result[1]);
	CU_ASSERT_NOT_EQUAL(child->result[0], child->result[1]);
	if (number)
		CU_ASSERT_EQUAL(child->result[0], number);
	room_free(room);
}

static void test_thread(void)
{
	thread_case(0);
	if (geteuid() == 0)
		thread_case(free_number());
}

static int enter(struct room *room)
{
	cr_rst_enter(&room->one[0].plan);
	return 1;
}

/* The second of two processes fails: it dies with 127, and whoever waits is told. */
static void failing_child(int spin)
{
	struct room *room = room_new();
	struct one *parent = &room->one[0], *child = &room->one[1];

	room_clone(room, 0, 1, 0, SIGCHLD, 0);
	room_wait(parent, &room->word[0], 1, spin);
	room_call(child, SYS_getpid, 0, 0, 0);
	room_call(child, SYS_close, (uint64_t)-1, 0, 0);
	room_post(child, &room->word[0], 1);
	CU_ASSERT_EQUAL(room_scratch(enter, room), 127);
	check_report(room, 101, 1, -EBADF);
	CU_ASSERT_EQUAL(parent->result[1], -ECANCELED);
	CU_ASSERT_EQUAL(room->word[0], 0);
	room_free(room);
}

static void test_failure(void)
{
	failing_child(0);
	failing_child(1);
}

/* A whole thread group ends when one thread's plan fails, and the report is whole. */
static void test_failing_thread(void)
{
	struct room *room = room_new();
	struct one *parent = &room->one[0], *child = &room->one[1];

	room_clone(room, 0, 1, THREAD, 0, 0);
	room_call(parent, SYS_pause, 0, 0, 0);
	room_call(child, SYS_close, (uint64_t)-1, 0, 0);
	CU_ASSERT_EQUAL(room_scratch(enter, room), 127);
	check_report(room, 101, 0, -EBADF);
	room_free(room);
}

static void test_first_report_stays(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room->report.state = 2;
	room->report.task = 5;
	room_wait(one, &room->word[0], 1, 0);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -ECANCELED);
	CU_ASSERT_EQUAL(room->report.task, 5);
	/* who reports dies half way: nobody waits for ever */
	room->report.state = 1;
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(room->report.state, 1);
	room_free(room);
}

static int enter_backwards(struct room *room)
{
	__asm__ volatile("std\n\t"
			 "jmp *%0"
			 :
			 : "r"((uintptr_t)cr_rst_enter), "D"(&room->one[0].plan)
			 : "memory");
	return 1;
}

static void test_enter(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op = room_op(one, CR_RST_COPY);

	memcpy(one->data, "0123456789", 10);
	room_arg(op, 0, CR_RST_DATA, 104);
	room_arg(op, 1, CR_RST_DATA, 4);
	op->arg[2] = 4;
	CU_ASSERT_EQUAL(room_scratch(enter_backwards, room), 0);
	CU_ASSERT_EQUAL(memcmp(one->data + 100, "\0\0\0\0004567", 9), 0);
	room_free(room);
}

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

int main(void)
{
	CU_TestInfo calls[] = {
		{ "arguments: constants, results, data, region", test_arguments },
		{ "wishes of every sort, kept and not", test_wants },
		{ "another ABI, unknown code, later result", test_refusals },
		{ "END ends", test_end },
		{ "READ", test_read },
		{ "READV", test_readv },
		{ "short reads go on", test_short_reads },
		{ "COPY", test_copy },
		{ "STORE", test_store },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo tasks[] = {
		{ "fork, WAIT and POST, waiting and spinning", test_fork },
		{ "LEFT: another mask, an end, nobody", test_left },
		{ "fork with a chosen number", test_fork_number },
		{ "fork with a number that is taken", test_fork_taken },
		{ "a thread", test_thread },
		{ "a failure ends both sides", test_failure },
		{ "a failing thread ends its group", test_failing_thread },
		{ "the first report stays", test_first_report_stays },
		{ "enter, with the direction flag set", test_enter },
		{ "LEAVE restores registers and mask", test_leave },
		{ "VANISH takes the room and only the helper", test_vanish },
		{ "a copy of the code", test_copied_code },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer calls", NULL, NULL, NULL, NULL, calls },
		{ "restorer tasks", NULL, NULL, NULL, NULL, tasks },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
