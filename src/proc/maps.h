/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/maps and smaps. Takes a directory descriptor of /proc/PID or /proc/PID/task/TID, so
 * that captured snapshots can be parsed in tests without rights or subjects.
 */
#ifndef PROC_MAPS_H
#define PROC_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* VmFlags of smaps (Documentation/filesystems/proc.rst), two letters each; bit = index in the table
 * in maps.c. One the table does not know sets VMF_UNKNOWN, and `unknown` holds its letters. */
#define VMF(name) (1ull << VMF_##name)
enum vmf {
	VMF_rd,
	VMF_wr,
	VMF_ex,
	VMF_sh,
	VMF_mr,
	VMF_mw,
	VMF_me,
	VMF_ms,
	VMF_gd,
	VMF_pf,
	VMF_dw,
	VMF_lo,
	VMF_io,
	VMF_sr,
	VMF_rr,
	VMF_dc,
	VMF_de,
	VMF_ac,
	VMF_nr,
	VMF_ht,
	VMF_sf,
	VMF_nl,
	VMF_ar,
	VMF_wf,
	VMF_dd,
	VMF_sd,
	VMF_mm,
	VMF_hg,
	VMF_nh,
	VMF_mg,
	VMF_bt,
	VMF_mt,
	VMF_um,
	VMF_uw,
	VMF_ui,
	VMF_ss,
	VMF_sl,
	VMF_lf,
	VMF_dp,
	VMF_gu,
	VMF_UNKNOWN
};

struct vma {
	uint64_t start, end; /* end: one past */
	uint64_t offset;     /* file offset in bytes */
	uint32_t prot;       /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;         /* MAP_SHARED */
	uint64_t dev;        /* makedev(major, minor) as stat(2) gives it */
	uint64_t inode;      /* 0: no file */
	const char *name;    /* path, "[heap]", ... or ""; newlines, which come as \012, undone */
	/* Of shared anonymous memory: the name that it was given by PR_SET_VMA (6.2); `name` is that of
	 * its file then. Else NULL. */
	const char *given;
	/* Only from smaps_read: */
	uint64_t flags; /* VMF(..) bits */
	char unknown[4];
	uint64_t rss, swap; /* bytes */
	uint64_t huge;      /* bytes in huge pages that the kernel has made of itself */
	uint64_t page_size; /* 4096, or that of hugetlbfs */
	bool has_key;       /* the processor has protection keys */
	uint8_t key;        /* 0: that of all memory */
};
struct maps {
	vec(struct vma) list; /* by address; names are in the arena */
};

/* -ESRCH with text when the task has no memory (exited, kernel thread). */
int maps_read(int proc, struct arena *a, struct maps *out, struct error *e) must_check;
int smaps_read(int proc, struct arena *a, struct maps *out, struct error *e) must_check;
void maps_free(struct maps *m);
/* The parsers alone, for tests and fuzzing: text is NUL-terminated. */
int maps_parse(const char *text, bool smaps, struct arena *a, struct maps *out,
	       struct error *e) must_check;
/* The VMA that holds the address, or NULL. */
const struct vma *maps_find(const struct maps *m, uint64_t address);

#endif
