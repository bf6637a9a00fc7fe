/* SPDX-License-Identifier: MIT */
/* Tasks: starting them, entering a plan, waiting for each other, telling a failure, the end. */
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/time_types.h>

#include "rst.h"

_Static_assert(offsetof(struct cr_rst_plan, stack_top) == 40, "entry-<arch>.S");

#define SECOND 1000000000ull
#define LOOK_AGAIN_NS 50000000ull
#define LOOK_LATEST_NS (2 * SECOND)
#define LOOKS_AT_HALF_A_REPORT 20
#define LEFT_LOOKS 20
#define LEFT_PAUSE_NS (200 * 1000)
#define LEFT_TURNS 40000 /* a pause takes some 50 us more */

/* In one place: all of the library is to fit into one page. */
static __attribute__((noinline)) int64_t call3(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	return rst_call3(nr, a, b, c);
}

static int64_t futex_wait(const uint32_t *word, uint32_t value, uint64_t ns)
{
	struct __kernel_timespec time = { .tv_sec = (int64_t)(ns / SECOND),
					  .tv_nsec = (int64_t)(ns % SECOND) };

	return rst_call(__NR_futex, (uintptr_t)word, FUTEX_WAIT, value, (uintptr_t)&time, 0, 0);
}

static void futex_wake(const uint32_t *word)
{
	call3(__NR_futex, (uintptr_t)word, FUTEX_WAKE, INT32_MAX);
}

/*
 * The loser waits until the winner is done: it may be about to end a thread group that the winner
 * belongs to. Not for ever, since the winner can be killed half way.
 */
void rst_tell(struct cr_rst_report *report, uint32_t task, uint32_t index, int64_t result)
{
	uint32_t state = 0;

	if (__atomic_compare_exchange_n(&report->state, &state, 1, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		report->task = task;
		report->index = index;
		report->result = result;
		__atomic_store_n(&report->state, 2, __ATOMIC_RELEASE);
		futex_wake(&report->state);
		return;
	}
	for (int i = 0; i < LOOKS_AT_HALF_A_REPORT; i++) {
		if (__atomic_load_n(&report->state, __ATOMIC_ACQUIRE) != 1)
			return;
		futex_wait(&report->state, 1, LOOK_AGAIN_NS);
	}
}

/* A stack is given to a forked child too: the page its parent runs on is shared between them. */
int64_t rst_op_clone(struct cr_rst_plan *plan, const uint64_t *arg)
{
	struct cr_rst_plan *child = (void *)((uintptr_t)plan + arg[3]);
	int32_t wanted = (int32_t)arg[2];
	struct clone_args args;

	memset(&args, 0, sizeof(args));
	args.flags = arg[0];
	args.exit_signal = arg[1];
	args.stack = ((uintptr_t)child + (uint64_t)child->stack_top) - 16;
	args.stack_size = 16;
	if (wanted) {
		args.set_tid = (uintptr_t)&wanted;
		args.set_tid_size = 1;
	}
	return rst_clone(&args, sizeof(args), child);
}

static int is_ended(uint32_t process)
{
	return process && call3(__NR_kill, process, 0, 0) == -ESRCH;
}

/* Who waits for long looks around more and more seldom: thousands would keep each other from running. */
int64_t rst_op_wait(const struct cr_rst_report *report, const uint64_t *arg)
{
	const uint32_t *word = (const void *)(uintptr_t)arg[0];
	uint64_t ns = LOOK_AGAIN_NS;
	int64_t rc = 0;

	for (;;) {
		/* Before the word: who has ended does not change it any more, and all who wait for it see
		 * the same. */
		int ended = rc == -ETIMEDOUT && is_ended(report->watched);
		uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (value >= (uint32_t)arg[1])
			return 0;
		if (ended || __atomic_load_n(&report->state, __ATOMIC_ACQUIRE))
			return -ECANCELED;
		if (arg[2]) {
			rst_pause();
			continue;
		}
		if (rc == -ETIMEDOUT)
			ns = 2 * ns < LOOK_LATEST_NS ? 2 * ns : LOOK_LATEST_NS;
		rc = futex_wait(word, value, ns);
	}
}

int64_t rst_op_post(const uint64_t *arg)
{
	uint32_t *word = (void *)(uintptr_t)arg[0];
	uint32_t value = __atomic_add_fetch(word, (uint32_t)arg[1], __ATOMIC_ACQ_REL);

	if (value >= (uint32_t)arg[2])
		futex_wake(word);
	return value;
}

/* "State:\tZ", or with X, which lacks one bit; "SigBlk:\t" */
#define STATE_ZOMBIE 0x53746174653a095aull
#define SIGBLK 0x536967426c6b3a09ull

/* In a file of /proc, whose text may come in any pieces. The mask of a zombie stays what it was: -ESRCH. */
static int64_t read_mask(uint64_t fd, uint64_t *mask)
{
	uint64_t last = 0;       /* eight bytes */
	unsigned int digits = 0; /* to come */
	char text[512];

	for (;;) {
		int64_t n = call3(__NR_read, fd, (uintptr_t)text, sizeof(text));

		if (n <= 0)
			return n ? n : -ENODATA;
		for (const char *c = text; c < text + n; c++) {
			last = last << 8 | (unsigned char)*c;
			if ((last | 2) == STATE_ZOMBIE)
				return -ESRCH;
			if (digits) {
				*mask = *mask << 4 | ((last & 15) + (last & 64 ? 9 : 0));
				if (!--digits)
					return 0;
			} else if (last == SIGBLK) {
				digits = 16;
			}
		}
	}
}

/* It takes a few microseconds; a sleep is never shorter than the timer slack. */
int64_t rst_op_left(const uint64_t *arg)
{
	const uint32_t nobody = 0;

	for (int turn = 0; turn < LEFT_TURNS; turn++) {
		uint64_t mask = 0;
		int64_t rc = call3(__NR_openat, (uint64_t)AT_FDCWD, arg[0], O_RDONLY);

		if (rc >= 0) {
			uint64_t fd = (uint64_t)rc;

			rc = read_mask(fd, &mask);
			call3(__NR_close, fd, 0, 0);
		}
		if (rc < 0)
			return rc == -ENOENT || rc == -ESRCH ? 0 : rc;
		if (mask != arg[1])
			return 0;
		if (turn >= LEFT_LOOKS)
			futex_wait(&nobody, 0, LEFT_PAUSE_NS);
	}
	return -ETIMEDOUT;
}

/*
 * With a handler set the kernel writes no line about the fault. The handler is never reached: its
 * frame would go to the stack that is gone. A limit of 1 keeps core_pattern's pipes quiet as well,
 * which 0 does not (core(5)).
 */
int64_t rst_op_vanish(const uint64_t *arg)
{
	struct {
		uint64_t handler, flags, restorer, mask;
	} action = { .handler = 2 };
	struct {
		uint64_t soft, hard;
	} limit;

	rst_call(__NR_rt_sigaction, 11, (uintptr_t)&action, 0, sizeof(action.mask), 0, 0);
	if (rst_call(__NR_prlimit64, 0, 4, 0, (uintptr_t)&limit, 0, 0) == 0) {
		limit.soft = limit.hard < 1 ? limit.hard : 1;
		rst_call(__NR_prlimit64, 0, 4, (uintptr_t)&limit, 0, 0, 0);
	}
	return rst_vanish(arg[0], arg[1]);
}

void rst_main(struct cr_rst_plan *plan)
{
	if (cr_rst_run(plan) < 0)
		call3(__NR_exit_group, 127, 0, 0);
	call3(__NR_exit, 0, 0, 0);
	__builtin_trap();
}
