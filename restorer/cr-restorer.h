/* SPDX-License-Identifier: MIT */
/*
 * The restorer: a freestanding library with two faces.
 *
 *   Run a plan       an interpreter of fixed-width operations, nearly all of them plain system
 *                    calls, that rebuilds a task from inside itself. `cr restore` compiles one plan
 *                    for each task; `cr dump` uses the same interpreter to ask a stopped task what
 *                    only the task can tell.
 *   Act on myself    for preloaders: read my own layout, take over another executable's mm fields
 *                    and /proc/PID/exe link, without ever unmapping the code that runs.
 *
 * The library has no libc symbol, no writable data, no relocation and no TLS; its section
 * `cr_restorer`, which holds the first face and cr_rst_set_mm() and cr_rst_replace() of the second,
 * may be copied to any address and run there. It holds no text: a failure is the
 * index of an operation and a negative errno value.
 *
 * Everything here has a fixed width, sizes are asserted, and no pointer crosses the border: places
 * inside a plan are offsets from the plan's own header, places in the task are 64-bit addresses.
 */
#ifndef CR_RESTORER_H
#define CR_RESTORER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define CR_RST_PINNED static_assert
extern "C" {
#else
#define CR_RST_PINNED _Static_assert
#endif

/* Changes whenever a struct below or the meaning of an operation changes. */
#define CR_RST_ABI 2u

/* What an operation does. Arguments that are not named are not looked at. */
enum cr_rst_code {
	/* The system call `nr` with arg[0..5]. */
	CR_RST_CALL = 1,
	/* pread(arg0 = fd, arg1 = address, arg2 = length, arg3 = file offset) until complete;
	 * end of file before that is -ENODATA. Result: the length. */
	CR_RST_READ = 2,
	/* preadv(arg0 = fd, arg1 = address of an array of struct iovec, arg2 = how many (up to
	 * 1024), arg3 = file offset) until complete; the array is used up on the way. Result: the number of bytes. */
	CR_RST_READV = 3,
	/* Copies arg2 bytes from address arg1 to address arg0, upwards: where they overlap and arg0 is the
	 * higher, what lies between them is repeated. Result: 0. */
	CR_RST_COPY = 4,
	/* clone3: arg0 = flags, arg1 = exit signal, arg2 = wanted pid or tid (0: any; it is wanted in
	 * the innermost pid namespace), arg3 = offset of the child's plan from this plan's header.
	 * The child goes on in that plan, on that plan's stack. Result: the child's number. */
	CR_RST_CLONE = 5,
	/* Waits until the 32-bit word at address arg0 is >= arg1 (unsigned); arg2 != 0: spins, makes
	 * no system call. Where the word is not there yet: -ECANCELED as soon as another task has reported
	 * a failure or, but for spinning, the process that the report names is not there any more. */
	CR_RST_WAIT = 6,
	/* Adds arg1 to the 32-bit word at address arg0 and, if it is then >= arg2, wakes all who wait there.
	 * Where it cannot be, no system call is made. Result: the new value. */
	CR_RST_POST = 7,
	/* PR_SET_MM_MAP with an exe link. arg0 = address of a struct cr_rst_mm_map, arg1 = address of
	 * an array of struct cr_rst_range (own mappings of the running executable), arg2 = how many,
	 * arg3 = ways allowed (CR_RST_WAY_*, 0: all), arg4 = a descriptor of the running executable
	 * opened through a detached mount, or -1. Result: the way taken. See cr_rst_set_mm(). */
	CR_RST_SET_MM = 8,
	/* Leaves for good: stack pointer = arg0, then rt_sigreturn with the signal frame there. As
	 * after a handler's `ret`: on x86-64 arg0 is the address of the frame's struct ucontext.
	 * arg1: the address of an instruction that makes a system call, which makes this one; 0: any. */
	CR_RST_LEAVE = 9,
	/* The plan ends here and cr_rst_run() returns 0. */
	CR_RST_END = 10,
	/* munmap(arg0 = address, arg1 = length) of memory that holds this very code and stack: the
	 * task dies at the next instruction, by a SIGSEGV that is arranged to leave neither a core
	 * file nor a kernel log line (by the operation itself, which sets the action of SIGSEGV and
	 * RLIMIT_CORE first: the task shares neither signal actions nor a thread group with another
	 * that lives on). The last act of a helper. */
	CR_RST_VANISH = 11,
	/* Stores the low arg2 (4 or 8) bytes of the value arg1 at address arg0. Result: 0. For structs in
	 * the plan's data that hold addresses or results of earlier operations. */
	CR_RST_STORE = 12,
	/* Waits until the task whose file "status" in /proc has the path at address arg0 has another signal
	 * mask than arg1, or has ended: it is past the rt_sigreturn of CR_RST_LEAVE, if it had that mask
	 * before and the frame has another. -ETIMEDOUT after some ten seconds. */
	CR_RST_LEFT = 13,
	/* UFFDIO_MOVE (6.8) on the userfaultfd arg0, to address arg1, from address arg2, arg3 bytes, until complete;
	 * what is not there is left out. Result: 0. */
	CR_RST_MOVE = 14,
	/* XXH3 (64 bits, no seed) of bytes that come in pieces of whole KiB: arg0 = address of 64 bytes, aligned to 8,
	 * in which it is kept from one to the next; arg1 = address of the piece, arg2 = its length (below 4 GiB), arg3 =
	 * CR_RST_HASH_*, arg4 = the length of the whole, which the last one needs. Result: of the
	 * last one the hash, of others 0. */
	CR_RST_HASH = 15,
};

#define CR_RST_HASH_FIRST 1u
#define CR_RST_HASH_LAST 2u

/* How `want` is compared with the result. */
enum cr_rst_want {
	CR_RST_WANT_EXACT = 0, /* result == want */
	CR_RST_WANT_OK = 1,    /* result >= 0 */
	CR_RST_WANT_ANY = 2,   /* never a failure */
	/* result >= 0, or result == want (a negative errno value that does no harm here) */
	CR_RST_WANT_OK_OR = 3,
};

/* What an argument is: two bits each in cr_rst_op.how, argument 0 lowest. */
enum cr_rst_arg {
	CR_RST_CONST = 0,  /* the value itself */
	CR_RST_RESULT = 1, /* the result of the operation with this index in the same plan */
	CR_RST_DATA = 2,   /* the address of this offset into the plan's own data */
	CR_RST_REGION = 3, /* the address of this (signed) offset from the plan's header */
};

struct cr_rst_op {
	uint8_t code;     /* enum cr_rst_code */
	uint8_t want_how; /* enum cr_rst_want */
	uint16_t how;     /* enum cr_rst_arg of every argument, two bits each */
	uint32_t nr;      /* CR_RST_CALL: the system call's number */
	uint64_t arg[6];
	int64_t want;
};
CR_RST_PINNED(sizeof(struct cr_rst_op) == 64, "ABI");

/*
 * The header of a plan. All offsets are in bytes from the header's own address, so that a plan can
 * be copied as a whole; ops and results are 8-byte aligned, the stack's top is 16-byte aligned.
 */
struct cr_rst_plan {
	uint32_t abi;  /* CR_RST_ABI */
	uint32_t task; /* told in the report; the meaning is the caller's (cr: the tid) */
	uint32_t n_ops;
	uint32_t reserved; /* 0 */
	int64_t ops;       /* struct cr_rst_op [n_ops] */
	int64_t results;   /* int64_t [n_ops], written by the interpreter */
	int64_t data;      /* what CR_RST_DATA arguments are relative to */
	int64_t stack_top; /* end of the stack for a task that is started into this plan */
	int64_t report;    /* struct cr_rst_report, shared by all tasks of a restore */
};
CR_RST_PINNED(sizeof(struct cr_rst_plan) == 56, "ABI");

/* The first failure of a group of tasks. The one who changes `state` from 0 to 1 may fill in the
 * rest and then sets it to 2 and wakes all waiters (futex, shared). */
struct cr_rst_report {
	uint32_t state;
	uint32_t task;  /* cr_rst_plan.task */
	uint32_t index; /* of the operation that failed */
	/* 0, or the number of a process without which nobody goes on: when it has ended, whoever waits
	 * (CR_RST_WAIT) gives up as if another task had reported a failure. */
	uint32_t watched;
	int64_t result; /* what it gave: -errno, or a value that was not the wanted one */
};
CR_RST_PINNED(sizeof(struct cr_rst_report) == 24, "ABI");

/*
 * Runs a plan in the calling task, which keeps its stack. Result: 0 at CR_RST_END or after the last
 * operation; -EINVAL for another ABI or an unknown code; -ECANCELED when the plan failed (the
 * report tells what). Every operation's result is stored in the plan's results. Needs no right but those of
 * the calls in it, and a kernel that has these. On failure what the operations before have done stays done.
 */
int64_t cr_rst_run(struct cr_rst_plan *plan);

/* The ABI that the library was built with: CR_RST_ABI of its own header. */
uint32_t cr_rst_abi(void);

/* The head of a file that holds a plan, which lies behind it. Numbers are in the machine's order. */
#define CR_RST_PLAN_MAGIC "cr plan" /* with its 0 */
struct cr_rst_plan_file {
	char magic[8];
	uint32_t abi;      /* CR_RST_ABI */
	uint32_t reserved; /* 0 */
	uint64_t size;     /* of what follows, a struct cr_rst_plan with all it refers to */
	uint64_t sum;      /* cr_rst_sum() of that */
};
CR_RST_PINNED(sizeof(struct cr_rst_plan_file) == 32, "ABI");

/* A checksum: finds what was damaged, not what was forged. */
uint64_t cr_rst_sum(const void *bytes, size_t n);

/*
 * Whether a plan of `size` bytes in memory is whole: its ABI; operations, results, data, stack and
 * report within these bytes and aligned; each operation known, with results of earlier ones only;
 * plans that it starts (CR_RST_CLONE) likewise, behind it. What the system calls do is not looked
 * at: a plan can do all that its task can, so it must come from somebody who is trusted. Result: 0,
 * or -EOPNOTSUPP for another ABI, -E2BIG for plans that start plans more than 16 times over,
 * -EINVAL for anything else.
 */
int64_t cr_rst_plan_check(const struct cr_rst_plan *plan, size_t size);

/*
 * Reads a plan from a file into memory that is aligned to 16 bytes, and checks it: it is ready for
 * cr_rst_run() then. Result: its size, or -errno: EBADF if fd is not open or no regular file;
 * ENOEXEC if that holds no plan; EOPNOTSUPP for another ABI; E2BIG if it is larger than `room`;
 * ENODATA if it ends too early; EBADMSG for a wrong checksum; those of cr_rst_plan_check() and
 * pread(2). On failure something may lie in `to`, which must not be run.
 */
int64_t cr_rst_plan_read(int fd, void *to, size_t room);

/*
 * Entry for a task that has nothing else to run: rdi (first argument) = the plan; switches to the
 * plan's stack and runs it. If the plan fails the task group exits with status 127; if it ends, it
 * exits with 0 (only the thread, by exit(2)). Not to be called as a C function: it never returns.
 */
void cr_rst_enter(struct cr_rst_plan *plan);

/* The library's bytes: copy [cr_rst_begin(), +cr_rst_size()) anywhere executable; a function's new
 * address is its old one plus the distance. */
const void *cr_rst_begin(void);
size_t cr_rst_size(void);

/* --- act on myself --------------------------------------------------------------------------- */

/*
 * All of these act on the calling process and on nothing else. Results are 0, a count or what is
 * said, or a negative errno value; there is no errno. Sizes are in bytes, addresses and lengths of
 * mappings in whole pages. None allocates, none keeps a descriptor but those that it returns. Where
 * /proc is named it must be mounted, for the pid namespace of the caller: else -ENOENT. What is not
 * said to be changed on failure is as it was. No two may run at the same time in one process.
 */

/* Same layout as the kernel's struct prctl_mm_map (<linux/prctl.h>, since 3.18); all addresses are
 * of the calling task, auxv_size in bytes, exe_fd an open regular executable file or (uint32_t)-1. */
struct cr_rst_mm_map {
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end, auxv;
	uint32_t auxv_size, exe_fd;
};
CR_RST_PINNED(sizeof(struct cr_rst_mm_map) == 104, "kernel ABI");

/* One mapping of a task: what /proc/self/maps says. Whole pages. */
struct cr_rst_range {
	uint64_t start, end; /* end: one past the last byte */
	uint64_t offset;     /* into the file; 0 for anonymous memory */
	uint32_t prot;       /* PROT_* */
	uint32_t flags;      /* MAP_PRIVATE or MAP_SHARED */
};
CR_RST_PINNED(sizeof(struct cr_rst_range) == 32, "ABI");

/*
 * The ways to get around EBUSY, which every released kernel up to 7.2 answers while any mapping has
 * the path (mount and dentry) of the executable that the link shows now:
 *   PLAIN  just do it: a kernel without the restriction, or nothing is mapped;
 *   MOUNT  map the same file again through a detached mount, in place: another path; needs
 *          CAP_SYS_ADMIN (open_tree); what is writable or differs from the file is copied as below;
 *   COPY   copy each mapping to anonymous memory, move that over the original.
 */
#define CR_RST_WAY_PLAIN 1u
#define CR_RST_WAY_MOUNT 2u
#define CR_RST_WAY_COPY 4u

/*
 * Sets the mm fields and the exe link of the calling process by PR_SET_MM_MAP, replacing the n own
 * mappings of the running executable in place where that is needed; no page of them is unmapped at
 * any time, and their contents stay. `ways`: CR_RST_WAY_* that may be tried, in that order; 0 =
 * all. mount_fd: the running executable opened through open_tree(OPEN_TREE_CLONE), or -1.
 * Result: the way taken (one CR_RST_WAY_* value) or -errno: EBUSY if no allowed way helped, EPERM
 * without CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the task's user namespace (a map without
 * exe_fd needs none), EINVAL for fields out of range or order, for what is no regular file, or without
 * CONFIG_CHECKPOINT_RESTORE, EBADF, EACCES for a file that may not be executed; those of cr_rst_replace(). On
 * failure fields and link are as they were, and `own` may have been replaced, in part or whole.
 */
int64_t cr_rst_set_mm(const struct cr_rst_mm_map *map, const struct cr_rst_range *own, size_t n,
		      uint32_t ways, int mount_fd);

/*
 * Replaces what is behind n own mappings in place: `way` is CR_RST_WAY_MOUNT (mount_fd: the same
 * file by another path, see cr_rst_open_again()) or CR_RST_WAY_COPY (mount_fd is not looked at).
 * Addresses, contents and protection stay, and no page is missing at any time. The stack in use
 * must not lie in one, no other thread may write to them meanwhile. Once the link is another,
 * CR_RST_WAY_MOUNT with a descriptor of the file itself has it mapped again under its own path,
 * after either way.
 * Result: 0, or -errno with the ranges before the one that failed replaced: EINVAL for another way
 * or a range that is not of whole pages, ENOMEM (RLIMIT_AS, RLIMIT_DATA, vm.max_map_count), EPERM
 * for sealed mappings, EACCES where memory that was written may not be executed.
 */
int64_t cr_rst_replace(uint32_t way, const struct cr_rst_range *own, size_t n, int mount_fd);

/*
 * Opens a file to read by another path: through a mount that is attached nowhere,
 * open_tree(OPEN_TREE_CLONE).
 * Result: a descriptor, close-on-exec, or -errno: EPERM without CAP_SYS_ADMIN in the user namespace
 * that owns the mount namespace, EINVAL for a file of a mount that may not be cloned (of another
 * mount namespace), and those of open(2). Needs /proc.
 */
int64_t cr_rst_open_again(const char *path);

/* How the exe link was set (cr_rst_told.by): by PR_SET_MM_MAP or by PR_SET_MM_EXE_FILE. */
#define CR_RST_BY_MAP 1u
#define CR_RST_BY_EXE_FILE 2u
#define CR_RST_NOT_TRIED 1

/* What each way gave: 0, -errno or CR_RST_NOT_TRIED. */
struct cr_rst_told {
	uint32_t way;     /* CR_RST_WAY_* that was taken, or 0 */
	uint32_t by;      /* CR_RST_BY_*, or 0 */
	int64_t plain;    /* CR_RST_WAY_PLAIN */
	int64_t mount;    /* CR_RST_WAY_MOUNT: of replacing, or of setting the link after it */
	int64_t copy;     /* CR_RST_WAY_COPY, likewise */
	int64_t exe_file; /* the last answer of PR_SET_MM_EXE_FILE */
};
CR_RST_PINNED(sizeof(struct cr_rst_told) == 40, "ABI");

/*
 * Makes exe_fd, an open regular file, what /proc/self/exe shows; the fields stay. own: the mappings
 * of the file that is shown now (cr_rst_file_ranges()), n = 0 if there is none; ways and mount_fd
 * as for cr_rst_set_mm(). PR_SET_MM_MAP is tried first, and where that has no right or is not there
 * PR_SET_MM_EXE_FILE (CAP_SYS_RESOURCE in the first user namespace). Needs /proc.
 * Result: the way taken, or -errno: EBUSY if no allowed way helped; EPERM without
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the user namespace of the process, or
 * CAP_SYS_RESOURCE; EACCES for a file that may not be executed (its mode, or a mount with noexec)
 * or is open to write; EBADF; EINVAL for what is no regular file, for a kernel without
 * CONFIG_CHECKPOINT_RESTORE, or for fields that no kernel would take; those of cr_rst_replace(). On
 * failure `own` may have been replaced, in part or whole; the link is as it was.
 */
int64_t cr_rst_set_exe(int exe_fd, const struct cr_rst_range *own, size_t n, uint32_t ways,
		       int mount_fd, struct cr_rst_told *told);

/* A line of /proc/self/maps. */
struct cr_rst_mapping {
	uint64_t start, end;
	uint64_t offset;
	uint64_t dev, ino; /* as maps tells them, dev in stat's form; 0: no file */
	uint32_t prot;     /* PROT_* */
	uint32_t flags;    /* MAP_PRIVATE or MAP_SHARED */
	char name[16]; /* the begin of its name, filled up with 0: "[stack]", "[vdso]", of a path */
};
CR_RST_PINNED(sizeof(struct cr_rst_mapping) == 64, "ABI");

/*
 * Reads all own mappings through maps_fd, an open /proc/self/maps, wherever that was read to. Fills
 * at most `room` entries. Result: how many there are, which may be more, or -errno of pread(2).
 */
int64_t cr_rst_mappings(int maps_fd, struct cr_rst_mapping *mappings, size_t room);

/* The one of them that `address` is in; -ENOENT if nothing is mapped there. */
int64_t cr_rst_mapping_at(int maps_fd, uint64_t address, struct cr_rst_mapping *mapping);

/*
 * Reads the calling process' own mappings of the file that /proc/self/exe shows, through maps_fd,
 * an open /proc/self/maps. Fills at most `room` entries; result: how many there are (may be more
 * than `room`), or -errno. A mapping counts if device and inode are those of exe_dev and exe_ino
 * (as stat(2) gives them), or if it is the anonymous bss that directly follows such a mapping.
 */
int64_t cr_rst_own_ranges(int maps_fd, uint64_t exe_dev, uint64_t exe_ino,
			  struct cr_rst_range *ranges, size_t room);

/*
 * The same for the file that is mapped at `address`, without a bss, by what maps alone says: so it
 * works on file systems where stat(2) gives another device. With AT_ENTRY of the own auxiliary
 * vector these are the mappings of the executable. -ENOENT if no file is mapped there.
 */
int64_t cr_rst_file_ranges(int maps_fd, uint64_t address, struct cr_rst_range *ranges, size_t room);

/*
 * Maps a list of ranges of one file (fd) or, with fd = -1, of anonymous memory, at their addresses
 * (MAP_FIXED_NOREPLACE). Needs a descriptor that can be read, and written too for a shared range with
 * PROT_WRITE. Result: 0, or -errno of the first that failed, those before it being unmapped again: EEXIST if
 * something is mapped there; EINVAL for what is empty or not of whole pages; EPERM below vm.mmap_min_addr or for
 * code on a mount with noexec; EACCES, EBADF, ENODEV for what cannot be mapped so; ENOMEM above user space or for a limit.
 */
int64_t cr_rst_map(int fd, const struct cr_rst_range *ranges, size_t n);

#define CR_RST_AUXV_ROOM 1024 /* bytes that every kernel's auxiliary vector fits into, now */

/*
 * Reads the auxiliary vector that the kernel keeps for the process (/proc/self/auxv), pairs of type
 * and value up to AT_NULL. Result: its length with AT_NULL, in bytes, or -errno: ERANGE if it is
 * longer than `size`; before 6.4 those of opening /proc/self/auxv too (EACCES for who is not
 * dumpable).
 */
int64_t cr_rst_auxv(uint64_t *auxv, size_t size);

/* One value of an auxiliary vector in memory, the first of its type; -ENOENT if it has none. */
int64_t cr_rst_auxv_get(const uint64_t *auxv, uint64_t type, uint64_t *value);
int64_t cr_rst_auxv_set(uint64_t *auxv, uint64_t type, uint64_t value);

/*
 * Reads the fields of the own address space. auxv: where the auxiliary vector goes, of auxv_size
 * bytes, and what map->auxv then is; NULL: none, and map->auxv_size is 0. map->exe_fd is
 * (uint32_t)-1. Needs /proc; no right. -errno: as cr_rst_auxv(), those of opening /proc/self/stat;
 * ENODATA if that is not as it should be.
 */
int64_t cr_rst_layout(struct cr_rst_mm_map *map, uint64_t *auxv, size_t auxv_size);

/* Fields that are set together. */
#define CR_RST_FIELD_CODE 1u
#define CR_RST_FIELD_DATA 2u
#define CR_RST_FIELD_BRK 4u   /* where brk(2) goes on; nothing is mapped or unmapped */
#define CR_RST_FIELD_STACK 8u /* start_stack */
#define CR_RST_FIELD_ARGS 16u /* what /proc/PID/cmdline, ps and top show */
#define CR_RST_FIELD_ENV 32u  /* /proc/PID/environ */
#define CR_RST_FIELD_AUXV 64u /* /proc/PID/auxv, a copy of what lies there */
#define CR_RST_FIELD_ALL 127u

/*
 * Sets those fields of the own address space that `which` names to the values in map, and leaves
 * the others; map->exe_fd is not looked at. Needs /proc and CONFIG_CHECKPOINT_RESTORE; no right.
 * -errno: EINVAL if `which` is 0 or unknown, an address is not one of user space, an end lies
 * before its start, the auxiliary vector is too long, or RLIMIT_DATA is less than data and heap;
 * those of cr_rst_layout(). Nothing is changed then.
 */
int64_t cr_rst_set_fields(const struct cr_rst_mm_map *map, uint32_t which);

/* --- load another program ---------------------------------------------------------------------- */

/*
 * Keeps a range of addresses free of anything else: maps it without any access (MAP_NORESERVE: it
 * costs nothing).
 * -errno: EINVAL if it is empty or not of whole pages; EEXIST if something is mapped in it; EPERM
 * below vm.mmap_min_addr; ENOMEM above user space, or for RLIMIT_AS and vm.max_map_count.
 */
int64_t cr_rst_reserve(uint64_t start, uint64_t end);

/* A part of an executable that is loaded. */
struct cr_rst_segment {
	uint64_t address, mem; /* in memory */
	uint64_t offset, file; /* in the file; what `mem` has more is 0 */
	uint32_t prot;         /* PROT_* */
	uint32_t reserved;     /* 0 */
};
CR_RST_PINNED(sizeof(struct cr_rst_segment) == 40, "ABI");

#define CR_RST_MAX_SEGMENTS 24

/* An executable. All addresses are those in the file until it is loaded, and those in memory then. */
struct cr_rst_elf {
	uint64_t entry;
	uint64_t phdr;       /* where the program headers are in memory; 0: nowhere */
	uint64_t start, end; /* of all segments, whole pages */
	uint64_t align;      /* of the first page, at least a page */
	uint64_t bias;       /* address in memory - address in the file */
	uint64_t start_code, end_code, start_data, end_data,
		brk;    /* as the kernel would have them */
	uint32_t fixed; /* 1: can be at its own addresses only (ET_EXEC) */
	uint32_t phnum;
	uint32_t stack; /* PROT_* that it wants its stack to have (PT_GNU_STACK) */
	uint32_t n_segments;
	char interpreter[256]; /* the path of its interpreter; empty: it has none */
	struct cr_rst_segment segment[CR_RST_MAX_SEGMENTS]; /* ascending, no two in one page */
};
CR_RST_PINNED(sizeof(struct cr_rst_elf) == 1320, "ABI");

/*
 * Reads the headers of an ELF executable or shared object of this machine, and checks all that a
 * load will use, so that nothing in the file can have it map, clear or run anything but the file's
 * own segments. PT_GNU_PROPERTY and what else is not named here is ignored. Needs a descriptor that
 * can be read, of a regular file. Maps nothing.
 * -errno: ENOEXEC if it is no such file or too short to be one; EINVAL if a number in it is wrong
 * (sizes beyond the file or user space, segments out of order or in one page, alignment that is no
 * power of two or above 1 GiB, offset and address in different places of a page, an interpreter's
 * name that is empty, too long, not ended, or there twice, a first instruction outside of the
 * code); E2BIG for more than CR_RST_MAX_SEGMENTS segments or 1024 headers; those of pread(2).
 */
int64_t cr_rst_elf_read(int fd, struct cr_rst_elf *elf);

/*
 * Maps what cr_rst_elf_read() has read of the same file: segments, and zeros behind them. Nothing
 * that is mapped is replaced. at: where elf->start is to be (with elf->fixed it is not looked at),
 * 0: anywhere. To be called once. -errno, with nothing of it mapped and elf as it was: EEXIST if
 * something is there; EINVAL if `at` has not the alignment; EPERM below vm.mmap_min_addr or on a
 * mount with noexec; ENOMEM as above; EACCES. A file that gets shorter between the two calls is a
 * SIGBUS.
 */
int64_t cr_rst_elf_load(int fd, struct cr_rst_elf *elf, uint64_t at);

/* Sets the fields of code, data and heap in map to those of a loaded program; the heap begins, empty,
 * behind it. */
void cr_rst_elf_fields(const struct cr_rst_elf *program, struct cr_rst_mm_map *map);

/*
 * Sets AT_PHDR, AT_PHENT, AT_PHNUM, AT_ENTRY, AT_BASE and AT_EXECFN in an auxiliary vector to those
 * of a loaded program, its loaded interpreter (NULL: none) and its name, which is not copied.
 * -ENOENT, with nothing set, if one is not there.
 */
int64_t cr_rst_elf_auxv(const struct cr_rst_elf *program, const struct cr_rst_elf *interpreter,
			const char *name, uint64_t *auxv);

/* How many bytes cr_rst_stack_build() needs at most. argv and envp end with NULL, auxv with AT_NULL. */
int64_t cr_rst_stack_size(const char *const *argv, const char *const *envp, const uint64_t *auxv);

/*
 * Builds what a program finds on its stack when it starts, at the upper end of the memory from low
 * to top: the words are copied, what the auxiliary vector points to is not. Sets start_stack,
 * arg_*, env_*, auxv and auxv_size in map. The memory is best some of the stack in use (alloca),
 * which then grows on from there: what is below the result is lost.
 * Result: the stack pointer, or -E2BIG if the memory is less than cr_rst_stack_size(); nothing is
 * written then.
 */
int64_t cr_rst_stack_build(uint64_t low, uint64_t top, const char *const *argv,
			   const char *const *envp, const uint64_t *auxv,
			   struct cr_rst_mm_map *map);

/*
 * Gives the mapping that holds `address`, a stack, this protection (cr_rst_elf.stack). maps_fd as
 * for cr_rst_mappings(). -errno: ENOENT if there is none, EACCES where a stack may not be executed,
 * ENOMEM.
 */
int64_t cr_rst_stack_protect(int maps_fd, uint64_t address, uint32_t prot);

/*
 * Starts: stack pointer and instruction pointer as given, all other registers 0. Does not return.
 * What the caller's own libc has registered with the kernel (rseq, robust list, thread pointer)
 * stays, so this is for callers without one.
 */
void cr_rst_jump(uint64_t stack, uint64_t entry) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif
