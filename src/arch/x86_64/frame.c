/* SPDX-License-Identifier: MIT */
/* The signal frame of x86-64, as rt_sigreturn reads it (arch/x86/kernel/signal_64.c). */
#include "arch/arch.h"

#include <asm/sigcontext.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/user.h>

#define ERESTART_RESTARTBLOCK 516 /* the kernel's own */

#define REGS (sizeof(struct user_regs_struct) / 8)

/* Sizes and places of the XSAVE area, from the Intel manual, volume 1, chapter 13. */
#define XSAVE_LEGACY 512u
#define XSAVE_HEADER 64u
#define TILE_DATA_BIT 18
#define TILE_DATA (1ull << TILE_DATA_BIT)
#define XSAVE_MXCSR_AT 24u
#define XSAVE_MXCSR_BITS 0x2ffffu /* all that any processor has; 17 is AMD's */
#define XSAVE_SW_AT 464u          /* bytes 464..511 are the software's */

/*
 * What lies at the stack pointer when rt_sigreturn is called: the handler's return address has been
 * popped, so the stack pointer is at uc itself. struct ucontext of the kernel: flags, link, stack,
 * sigcontext, mask.
 */
struct frame {
	uint64_t uc_flags;
	uint64_t uc_link;
	uint64_t ss_sp;
	uint32_t ss_flags, ss_pad;
	uint64_t ss_size;
	struct sigcontext_64 sc;
	uint64_t sigmask;
};

#define UC_FP_XSTATE 1u /* the extended state is an xsave area with the software's bytes */
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u /* take ss as it is */

static size_t frame_head(void)
{
	return (sizeof(struct frame) + 63) & ~63ul;
}

const uint32_t arch_audit = AUDIT_ARCH_X86_64;

uint32_t arch_n_regs(void)
{
	return REGS;
}

size_t arch_frame_size(uint32_t xstate_size)
{
	return frame_head() + xstate_size + FP_XSTATE_MAGIC2_SIZE;
}

uint64_t arch_frame_place(uint64_t below, uint32_t xstate_size)
{
	/* xrstor wants 64-byte alignment; the frame begins aligned, so its head's end is aligned too. */
	return (below - arch_frame_size(xstate_size)) & ~63ull;
}

static const struct user_regs_struct *as_user(const uint64_t *regs)
{
	return (const struct user_regs_struct *)regs;
}

uint64_t arch_sp(const uint64_t *regs)
{
	return as_user(regs)->rsp;
}

uint64_t arch_ip(const uint64_t *regs)
{
	return as_user(regs)->rip;
}

void arch_set_ip(uint64_t *regs, uint64_t ip)
{
	((struct user_regs_struct *)regs)->rip = ip;
}

uint64_t arch_fs_base(const uint64_t *regs)
{
	return as_user(regs)->fs_base;
}

uint64_t arch_gs_base(const uint64_t *regs)
{
	return as_user(regs)->gs_base;
}

bool arch_is_native(const uint64_t *regs)
{
	/* 0x33 is __USER_CS, 64-bit mode; 0x23 is compat mode; data selectors other than 0 and
	 * __USER_DS would point into an LDT or the TLS slots of the GDT. */
	const struct user_regs_struct *r = as_user(regs);
	const uint64_t x32_call = 0x40000000;

	if (r->cs != 0x33 || r->ss != 0x2b)
		return false;
	if ((r->ds && r->ds != 0x2b) || (r->es && r->es != 0x2b) || r->fs || r->gs)
		return false;
	return (int64_t)r->orig_rax < 0 || !(r->orig_rax & x32_call);
}

bool arch_is_broken_off(const uint64_t *regs)
{
	static const uint64_t calls[] = { SYS_epoll_wait,      SYS_epoll_pwait,  SYS_epoll_pwait2,
					  SYS_rt_sigtimedwait, SYS_semop,        SYS_semtimedop,
					  SYS_io_getevents,    SYS_io_pgetevents };
	const struct user_regs_struct *r = as_user(regs);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (r->orig_rax == calls[i])
			return (int64_t)r->rax == -EINTR;
	}
	/* Before 6.6 who waits for a request is told; since then that goes on by itself. */
	return r->orig_rax == SYS_ioctl && (uint32_t)r->rsi == SECCOMP_IOCTL_NOTIF_RECV &&
	       (int64_t)r->rax == -EINTR;
}

void arch_begin_anew(uint64_t *regs)
{
	struct user_regs_struct *r = (struct user_regs_struct *)regs;

	r->rax = r->orig_rax;
	r->rip -= 2; /* the length of `syscall` */
	r->orig_rax = ~0ull;
}

bool arch_is_nameless(const uint64_t *regs)
{
	const struct user_regs_struct *r = as_user(regs);

	return r->orig_rax == SYS_restart_syscall && (int64_t)r->rax == -ERESTART_RESTARTBLOCK;
}

bool arch_is_asleep(const uint64_t *regs)
{
	const struct user_regs_struct *r = as_user(regs);

	return (int64_t)r->orig_rax >= 0 && (int64_t)r->rax == -ERESTART_RESTARTBLOCK;
}

/* There are four of that sort; the first argument of clock_nanosleep is a clock and no address. */
void arch_name_call(uint64_t *regs, const char *sleeps_in)
{
	struct user_regs_struct *r = (struct user_regs_struct *)regs;

	if (strstr(sleeps_in, "poll"))
		r->orig_rax = SYS_poll;
	else if (strstr(sleeps_in, "futex"))
		r->orig_rax = SYS_futex;
	else if (r->rdi < 4096 || (int32_t)r->rdi == (int64_t)r->rdi)
		r->orig_rax = SYS_clock_nanosleep;
	else
		r->orig_rax = SYS_nanosleep;
}

void arch_restart(uint64_t *regs)
{
	struct user_regs_struct *r = (struct user_regs_struct *)regs;

	if ((int64_t)r->orig_rax < 0)
		return;
	switch (-(int64_t)r->rax) {
	case 512: /* ERESTARTSYS */
	case 513: /* ERESTARTNOINTR */
	case 514: /* ERESTARTNOHAND */
	case 516: /* ERESTART_RESTARTBLOCK */
		r->rax = r->orig_rax;
		r->rip -= 2; /* the length of `syscall` */
		break;
	default:
		break;
	}
	r->orig_rax = ~0ull;
}

static void fill_registers(struct sigcontext_64 *sc, const struct user_regs_struct *r)
{
	sc->r8 = r->r8;
	sc->r9 = r->r9;
	sc->r10 = r->r10;
	sc->r11 = r->r11;
	sc->r12 = r->r12;
	sc->r13 = r->r13;
	sc->r14 = r->r14;
	sc->r15 = r->r15;
	sc->di = r->rdi;
	sc->si = r->rsi;
	sc->bp = r->rbp;
	sc->bx = r->rbx;
	sc->dx = r->rdx;
	sc->ax = r->rax;
	sc->cx = r->rcx;
	sc->sp = r->rsp;
	sc->ip = r->rip;
	sc->flags = r->eflags;
	sc->cs = (uint16_t)r->cs;
	sc->ss = (uint16_t)r->ss;
}

bool arch_has_tiles(const uint8_t *xstate, uint32_t xstate_size)
{
	uint64_t present = 0;

	if (xstate_size >= XSAVE_LEGACY + XSAVE_HEADER)
		memcpy(&present, xstate + XSAVE_LEGACY, 8);
	return present & TILE_DATA;
}

/*
 * What rt_sigreturn or arch_prctl would refuse, which at that point is the end of the program. (A base that
 * wrgsbase has set to an address of the kernel's half is among it.)
 */
static int check_registers(const struct user_regs_struct *r, struct error *e)
{
	if (r->rip >= arch_user_end())
		return fail(e, 0, "its instruction pointer %#llx is not in user space",
			    (unsigned long long)r->rip);
	if (r->fs_base >= arch_user_end() || r->gs_base >= arch_user_end())
		return fail(e, 0, "its segment bases %#llx and %#llx are not in user space",
			    (unsigned long long)r->fs_base, (unsigned long long)r->gs_base);
	return 0;
}

static int check_xstate(const uint8_t *xstate, uint32_t size, struct error *e)
{
	static const uint8_t zeros[XSAVE_HEADER - 8];
	uint32_t mxcsr;

	if (size < XSAVE_LEGACY + XSAVE_HEADER || size % 8)
		return fail(e, 0, "the extended state has %u bytes, which no processor makes",
			    size);
	memcpy(&mxcsr, xstate + XSAVE_MXCSR_AT, sizeof(mxcsr));
	if (mxcsr & ~XSAVE_MXCSR_BITS || memcmp(xstate + XSAVE_LEGACY + 8, zeros, sizeof(zeros)))
		return fail(e, 0, "the extended state is not one that a processor takes");
	return 0;
}

/*
 * AMX tile data are there for a program that has asked for them. For any other the kernel takes a
 * frame without their 8 KiB only, and would forget all beyond SSE if it found a larger one (5.16).
 */
static int leave_out_tiles(const uint8_t *xstate, struct _fpx_sw_bytes *sw, struct error *e)
{
	unsigned int a, b, c, d;
	uint64_t mask, present;

	memcpy(&mask, xstate + XSAVE_SW_AT, 8);
	memcpy(&present, xstate + XSAVE_LEGACY, 8);
	sw->xfeatures = mask;
	if (!(mask & TILE_DATA))
		return 0;
	if (present & TILE_DATA)
		return fail(e, 0, "it uses AMX tiles, which cannot be brought back yet");
	__cpuid_count(0xd, TILE_DATA_BIT, a, b, c, d);
	if (b < sw->xstate_size) {
		sw->xstate_size = b;
		sw->extended_size = b + FP_XSTATE_MAGIC2_SIZE;
	}
	sw->xfeatures = mask & ~TILE_DATA;
	return 0;
}

int arch_frame_build(void *out, uint64_t at, const uint64_t *regs, uint32_t n_regs,
		     const uint8_t *xstate, uint32_t xstate_size, uint64_t sigmask, uint64_t ss_sp,
		     uint64_t ss_size, uint32_t ss_flags, struct error *e)
{
	const struct user_regs_struct *r = as_user(regs);
	struct frame *f = out;
	uint8_t *fp = (uint8_t *)out + frame_head();
	struct _fpx_sw_bytes sw = {
		.magic1 = FP_XSTATE_MAGIC1,
		.extended_size = xstate_size + FP_XSTATE_MAGIC2_SIZE,
		.xstate_size = xstate_size,
	};
	const uint32_t magic2 = FP_XSTATE_MAGIC2;
	uint64_t present;
	int rc = check_xstate(xstate, xstate_size, e);

	if (rc < 0)
		return rc;
	if (n_regs != REGS)
		return fail(e, 0, "%u registers in the image, this architecture has %zu", n_regs,
			    REGS);
	if (!arch_is_native(regs))
		return fail(e, 0, "the registers are not those of a 64-bit program");
	rc = check_registers(r, e);
	if (rc < 0)
		return rc;
	memset(f, 0, frame_head());
	f->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
	f->ss_sp = ss_sp;
	f->ss_size = ss_size;
	f->ss_flags = ss_flags;
	fill_registers(&f->sc, r);
	f->sc.fpstate = at + frame_head();
	f->sigmask = sigmask;

	memcpy(fp, xstate, xstate_size);
	rc = leave_out_tiles(xstate, &sw, e);
	if (rc < 0)
		return rc;
	/* All components that the mask of the area names are taken from it; those that are in their
	 * initial state say so in xstate_bv, and xrstor initialises them. */
	memcpy(&present, xstate + XSAVE_LEGACY, 8);
	if (present & ~sw.xfeatures)
		return fail(e, 0,
			    "the extended state holds components %#llx that its mask %#llx lacks",
			    (unsigned long long)present, (unsigned long long)sw.xfeatures);
	memcpy(fp + XSAVE_SW_AT, &sw, sizeof(sw));
	memcpy(fp + sw.xstate_size, &magic2, sizeof(magic2));
	return 0;
}
