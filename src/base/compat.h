/* SPDX-License-Identifier: MIT */
/*
 * What the kernel has and the headers of glibc 2.36 and Linux 6.1 lack, so that no other file needs
 * an #ifdef: constants under the kernel's names, structs under names of our own (a newer header may
 * be included as well), and system calls as sys_NAME, which give a result or -errno and leave errno
 * alone otherwise.
 */
#ifndef BASE_COMPAT_H
#define BASE_COMPAT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* --- constants ------------------------------------------------------------------------------- */

/* O_LARGEFILE as F_GETFL and fdinfo show it; glibc's own is 0 where all files are large. */
#ifdef __aarch64__
#define KERNEL_O_LARGEFILE 0400000
#else
#define KERNEL_O_LARGEFILE 0100000
#endif

#define MQUEUE_MAGIC 0x19800202 /* of statfs; in no header */

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9 */
#endif
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_THREAD (1UL << 0) /* 6.9 */
#define PIDFD_SIGNAL_THREAD_GROUP (1UL << 1)
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* 5.18 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* 6.1 */
#endif
#define UFFD_HAS_MOVE (1u << 16) /* UFFD_FEATURE_MOVE, 6.8; newer headers have it */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#define MADV_GUARD_REMOVE 103
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* 6.11 */
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* 6.3 */
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020 /* 6.3 */
#endif

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* 6.3 */
#define PR_MDWE_REFUSE_EXEC_GAIN (1UL << 0)
#define PR_GET_MDWE 66
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT (1UL << 1) /* 6.6 */
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* 6.4 */
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77 /* 6.15 */
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

#ifndef PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG 0x4210 /* 6.4 */
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211
#endif

/* In <linux/timerfd.h> only, which does not go together with <fcntl.h>. */
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

/* Not under its own name, which newer headers have in an enum. */
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9) /* 6.3: MEMBARRIER_CMD_... */

#ifndef SYS_arch_prctl
#define SYS_arch_prctl 0xffffu /* x86 alone has it; ENOSYS */
#endif
#ifndef ARCH_GET_CPUID
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 /* 6.10 */
#endif

/* --- structs --------------------------------------------------------------------------------- */

/* PTRACE_GET_RSEQ_CONFIGURATION (5.13); a pointer of 0: nothing registered. */
struct rseq_configuration {
	uint64_t rseq_abi_pointer;
	uint32_t rseq_abi_size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};
_Static_assert(sizeof(struct rseq_configuration) == 24, "kernel ABI");

/* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG (6.4). */
struct sud_configuration {
	uint64_t mode; /* PR_SYS_DISPATCH_OFF, _ON */
	uint64_t selector;
	uint64_t offset;
	uint64_t len;
};
_Static_assert(sizeof(struct sud_configuration) == 32, "kernel ABI");

/*
 * The kernel keeps what is exempt from the dispatch as a range that may wrap around: all but a range then,
 * which since 6.17 is a mode of its own. Gives the mode, and the range as prctl takes it.
 */
static inline uint32_t dispatch_mode(uint64_t *offset, uint64_t *length)
{
	if (!*length || *offset + *length > *offset)
		return 1; /* PR_SYS_DISPATCH_EXCLUSIVE_ON */
	*offset += *length;
	*length = -*length;
	return 2; /* PR_SYS_DISPATCH_INCLUSIVE_ON */
}

/* EPIOCGPARAMS, an ioctl on an epoll set (6.9): busy polling of network devices. */
struct epoll_busy_poll {
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer;
	uint8_t pad;
};
_Static_assert(sizeof(struct epoll_busy_poll) == 8, "kernel ABI");
#define EPOLL_GET_BUSY_POLL _IOR(0x8A, 0x02, struct epoll_busy_poll)

/* PAGEMAP_SCAN, an ioctl on /proc/PID/pagemap (6.7). */
struct pagemap_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
struct pagemap_scan {
	uint64_t size; /* of this struct */
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec; /* of struct pagemap_region */
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
_Static_assert(sizeof(struct pagemap_scan) == 96, "kernel ABI");
#define PAGEMAP_SCAN_IOCTL _IOWR('f', 16, struct pagemap_scan)
#ifndef PAGE_IS_WPALLOWED
#define PAGE_IS_WPALLOWED (1 << 0)
#define PAGE_IS_WRITTEN (1 << 1)
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE (1 << 6)
#define PM_SCAN_WP_MATCHING (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif
#ifndef PAGE_IS_SOFT_DIRTY
#define PAGE_IS_SOFT_DIRTY (1 << 7)
#endif
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8) /* 6.16 */
#endif

/* --- system calls ---------------------------------------------------------------------------- */

static inline long sys_result(long rc)
{
	return rc < 0 ? -errno : rc;
}

static inline int sys_pidfd_open(pid_t pid, unsigned int flags)
{
	return (int)sys_result(syscall(SYS_pidfd_open, pid, flags));
}

static inline int sys_pidfd_getfd(int pidfd, int fd)
{
	return (int)sys_result(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

static inline int sys_pidfd_send_signal(int pidfd, int sig, siginfo_t *info, unsigned int flags)
{
	return (int)sys_result(syscall(SYS_pidfd_send_signal, pidfd, sig, info, flags));
}

/* 0 equal, 1 less, 2 greater, 3 not equal and without order; type: KCMP_* of <linux/kcmp.h>. */
static inline int sys_kcmp(pid_t a, pid_t b, int type, unsigned long index_a, unsigned long index_b)
{
	return (int)sys_result(syscall(SYS_kcmp, a, b, type, index_a, index_b));
}

/* Only for forks: with CLONE_VM or a stack of its own the child would return through frames that
 * are not its. libc's atfork handlers do not run. */
static inline pid_t sys_clone3(struct clone_args *args)
{
	return (pid_t)sys_result(syscall(SYS_clone3, args, sizeof(*args)));
}

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	return (int)sys_result(syscall(SYS_close_range, first, last, flags));
}

static inline int sys_renameat2(int from_dir, const char *from, int to_dir, const char *to,
				unsigned int flags)
{
	return (int)sys_result(syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

struct open_how; /* <linux/openat2.h> */
static inline int sys_openat2(int dir, const char *path, const struct open_how *how, size_t size)
{
	return (int)sys_result(syscall(SYS_openat2, dir, path, how, size));
}

static inline int sys_open_tree(int dir, const char *path, unsigned int flags)
{
	return (int)sys_result(syscall(SYS_open_tree, dir, path, flags));
}

static inline int sys_move_mount(int from_dir, const char *from, int to_dir, const char *to,
				 unsigned int flags)
{
	return (int)sys_result(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}

static inline int sys_mseal(void *p, size_t n, unsigned long flags)
{
	return (int)sys_result(syscall(SYS_mseal, p, n, flags));
}

/* Regions found or -errno; arg->walk_end: how far it came. */
static inline long sys_pagemap_scan(int pagemap_fd, struct pagemap_scan *arg)
{
	return sys_result(ioctl(pagemap_fd, PAGEMAP_SCAN_IOCTL, arg));
}

#endif
