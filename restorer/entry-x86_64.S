/* SPDX-License-Identifier: MIT */
/*
 * x86-64: the first instructions of a task that has no stack yet. The linker script puts the labels
 * rst_first and rst_last at both ends of the code.
 */
#include <asm/unistd.h>

/* offsetof(struct cr_rst_plan, stack_top); thread.c asserts it */
#define PLAN_STACK_TOP 40

	.text

	/* rdi = the plan */
	.globl cr_rst_enter
	.protected cr_rst_enter
	.type cr_rst_enter, @function
cr_rst_enter:
	cld
	mov PLAN_STACK_TOP(%rdi), %rsp
	add %rdi, %rsp
	and $-16, %rsp
	xor %ebp, %ebp
	call rst_main
	ud2
	.size cr_rst_enter, . - cr_rst_enter

	/*
	 * rdi = struct clone_args, rsi = its size, rdx = the child's plan. The child has its parent's
	 * registers but rax and rsp, and touches no memory before it is on its own stack.
	 */
	.globl rst_clone
	.hidden rst_clone
	.type rst_clone, @function
rst_clone:
	mov $__NR_clone3, %eax
	syscall
	test %rax, %rax
	jz 1f
	ret
1:	mov %rdx, %rdi
	jmp cr_rst_enter
	.size rst_clone, . - rst_clone

	.globl cr_rst_begin
	.protected cr_rst_begin
	.type cr_rst_begin, @function
cr_rst_begin:
	lea rst_first(%rip), %rax
	ret
	.size cr_rst_begin, . - cr_rst_begin

	.globl cr_rst_size
	.protected cr_rst_size
	.type cr_rst_size, @function
cr_rst_size:
	lea rst_last(%rip), %rax
	lea rst_first(%rip), %rcx
	sub %rcx, %rax
	ret
	.size cr_rst_size, . - cr_rst_size

	.hidden rst_first
	.hidden rst_last
	.hidden rst_main

	.section .note.GNU-stack, "", @progbits
