/* SPDX-License-Identifier: MIT */
/*
 * What depends on the architecture, outside the restorer: the order of registers, the signal frame
 * that takes a thread back into its program, the vDSO. One folder for each architecture. Pure.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* How many words NT_PRSTATUS gives, and how many bytes. */
#define ARCH_MAX_REGS 32
uint32_t arch_n_regs(void);

/* What filters of system calls know the architecture by (AUDIT_ARCH_*). */
extern const uint32_t arch_audit;

uint64_t arch_sp(const uint64_t *regs);
uint64_t arch_ip(const uint64_t *regs);
void arch_set_ip(uint64_t *regs, uint64_t ip);
uint64_t arch_fs_base(const uint64_t *regs);
uint64_t arch_gs_base(const uint64_t *regs);
/* A task of this architecture's 64-bit mode: what cr can save. */
bool arch_is_native(const uint64_t *regs);
/* Whether a stop has interrupted a sleep whose remaining time the kernel keeps for restart_syscall(2). */
bool arch_is_asleep(const uint64_t *regs);

/*
 * Folds the restart of an interrupted system call into instruction pointer and result, as the kernel
 * does itself when it goes back to the program without a handler; after that no restart is pending.
 * A call whose remaining time only the kernel knows (ERESTART_RESTARTBLOCK) is made anew with its
 * original arguments.
 */
void arch_restart(uint64_t *regs);

/*
 * A call that answers EINTR to any interruption, a stop too, and that the kernel never makes anew by
 * itself (signal(7)): whether the thread is on its way out of one; and the same, as if it had not begun.
 */
bool arch_is_broken_off(const uint64_t *regs);
void arch_begin_anew(uint64_t *regs);

/*
 * A call that was interrupted twice is `restart_syscall` by then, and only the kernel knows which one it was:
 * whether that is so, and its own number put in again. sleeps_in: the function of the kernel in which
 * it sleeps (wchan).
 */
bool arch_is_nameless(const uint64_t *regs);
void arch_name_call(uint64_t *regs, const char *sleeps_in);

/* Bytes that the program may use below its stack pointer (the red zone). */
#define ARCH_RED_ZONE 128

/* The signal frame: its size, and the highest address of one that ends at or below `below`. */
size_t arch_frame_size(uint32_t xstate_size);
uint64_t arch_frame_place(uint64_t below, uint32_t xstate_size);
/*
 * Builds the frame that rt_sigreturn takes registers, extended state, signal mask and alternate
 * stack from. `at`: the address it will have = the stack pointer at rt_sigreturn. Refused: an xstate
 * that is not what this machine takes.
 */
int arch_frame_build(void *out, uint64_t at, const uint64_t *regs, uint32_t n_regs,
		     const uint8_t *xstate, uint32_t xstate_size, uint64_t sigmask, uint64_t ss_sp,
		     uint64_t ss_size, uint32_t ss_flags, struct error *e) must_check;

/* The GNU build id in the image of a vDSO or the first bytes of an ELF file: its length (at most 32), or 0. */
uint32_t arch_elf_build_id(const void *image, size_t size, uint8_t id[32]);

/*
 * Makes the vDSO of another kernel a way into this one's: each function that `old` exports begins from
 * now on with a jump to the same of `now`, which will lie at now_at, or, if that has none of the name,
 * with the system call. now_size 0: there is none. missing: a function that is neither there nor a system
 * call, and answers ENOSYS; "" if there is none.
 */
int arch_vdso_redirect(void *old, size_t size, const void *now, size_t now_size, uint64_t now_at,
		       char missing[64], struct error *e) must_check;
/* Whether an exported function begins at this offset. */
bool arch_vdso_is_begin(const void *image, size_t size, uint64_t at);

/* Whether a thread holds extended state that no frame can bring back: AMX tiles. */
bool arch_has_tiles(const uint8_t *xstate, uint32_t xstate_size);

/* XCR0 mask and size that the extended state of NT_X86_XSTATE tells; of this machine by cpuid. */
uint64_t arch_xsave_mask(const uint8_t *xstate, uint32_t xstate_size);
void arch_xsave_host(uint64_t *mask, uint32_t *size);

/*
 * Makes the extended state of an image one for a machine with this mask and size: components that are in their
 * initial state are left out if it lacks them. Refused: one in use that it lacks, or has at another place.
 */
int arch_xstate_fit(uint8_t *xstate, uint32_t *size, uint64_t host_mask, uint32_t host_size,
		    struct error *e) must_check;

/* Names of what this processor has and another may lack, with blanks between, as in /proc/cpuinfo;
 * xsave_mask: what the kernel has switched on. */
void arch_cpu_features(uint64_t xsave_mask, struct buf *out);

/* Ends of user space: lowest address after the last that mmap can give. */
uint64_t arch_user_end(void);

/* Segment bases, as operations of a plan: the number of the system call and its first argument. */
struct plan;
void arch_emit_bases(struct plan *p, uint64_t fs_base, uint64_t gs_base);

#endif
