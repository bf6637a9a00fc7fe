/* SPDX-License-Identifier: MIT */
/* x86-64: the instructions that C cannot say. */
#ifndef CR_RESTORER_SYS_X86_64_H
#define CR_RESTORER_SYS_X86_64_H

#define RST_PAGE 4096ull
#define RST_USER_END 0x7ffffffff000ull /* of four levels of page tables */
#define RST_STACK_ALIGN 16ull
#define RST_ELF_MACHINE 62 /* EM_X86_64 */

static inline int64_t rst_call(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
			       uint64_t a4, uint64_t a5)
{
	register uint64_t r10 __asm__("r10") = a3;
	register uint64_t r8 __asm__("r8") = a4;
	register uint64_t r9 __asm__("r9") = a5;
	int64_t result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline void rst_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* The direction flag is clear: by the ABI, and by cr_rst_enter() for who comes from elsewhere. */
static inline void rst_copy_up(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static inline void rst_fill(void *to, int byte, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
}

/* by: the instruction that does it; 0: our own */
__attribute__((noreturn)) static inline void rst_leave(uint64_t stack, uint64_t by)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "mov %1, %%eax\n\t"
			 "test %2, %2\n\t"
			 "jz 1f\n\t"
			 "jmp *%2\n"
			 "1:\n\t"
			 "syscall\n\t"
			 "ud2"
			 :
			 : "r"(stack), "i"(__NR_rt_sigreturn), "r"(by)
			 : "memory", "rax");
	__builtin_unreachable();
}

/* As the kernel starts a program: registers are 0; what rdx holds would be called at its end. */
__attribute__((noreturn)) static inline void rst_jump(uint64_t stack, uint64_t entry)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "push %1\n\t"
			 "xor %%eax, %%eax\n\t"
			 "xor %%ebx, %%ebx\n\t"
			 "xor %%ecx, %%ecx\n\t"
			 "xor %%edx, %%edx\n\t"
			 "xor %%esi, %%esi\n\t"
			 "xor %%edi, %%edi\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "xor %%r8d, %%r8d\n\t"
			 "xor %%r9d, %%r9d\n\t"
			 "xor %%r10d, %%r10d\n\t"
			 "xor %%r11d, %%r11d\n\t"
			 "xor %%r12d, %%r12d\n\t"
			 "xor %%r13d, %%r13d\n\t"
			 "xor %%r14d, %%r14d\n\t"
			 "xor %%r15d, %%r15d\n\t"
			 "cld\n\t"
			 "ret"
			 :
			 : "r"(stack), "r"(entry)
			 : "memory");
	__builtin_unreachable();
}

/* After the system call there is neither code nor stack, unless it failed. */
static inline int64_t rst_vanish(uint64_t start, uint64_t len)
{
	return rst_call(__NR_munmap, start, len, 0, 0, 0, 0);
}

#endif
