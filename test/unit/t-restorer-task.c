/* SPDX-License-Identifier: MIT */
/*
 * The restorer's CLONE, WAIT and POST, in scratch processes: tasks that meet, how all end if one
 * fails, and how the first is entered.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "restorer-room.h"

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

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

int main(void)
{
	CU_TestInfo tasks[] = {
		{ "fork, WAIT and POST, waiting and spinning", test_fork },
		{ "fork with a chosen number", test_fork_number },
		{ "fork with a number that is taken", test_fork_taken },
		{ "a thread", test_thread },
		{ "a failure ends both sides", test_failure },
		{ "a failing thread ends its group", test_failing_thread },
		{ "the first report stays", test_first_report_stays },
		{ "enter, with the direction flag set", test_enter },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer tasks", NULL, NULL, NULL, NULL, tasks },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
