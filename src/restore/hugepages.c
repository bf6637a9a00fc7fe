/* SPDX-License-Identifier: MIT */
/*
 * Huge pages are few: whether there are enough of them is found out before anything is started. What is
 * counted is what the tree takes in any case; the kernel reserves them when they are mapped.
 */
#include "restore/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "proc/maps.h"
#include "shmem.pb-c.h"

/* --- how many are needed; pure ------------------------------------------------------------------- */

static struct hugepages *of_size(struct host *h, uint64_t size)
{
	size_t i = 0;

	while (i < h->n_huge && h->huge[i].size != size)
		i++;
	if (i == HUGE_SIZES)
		return NULL;
	if (i == h->n_huge)
		h->huge[h->n_huge++] = (struct hugepages){ .size = size };
	return &h->huge[i];
}

/* Pages of this size that have contents in [start, end); both lists ascend. */
static uint64_t filled(Extent *const *v, size_t n, uint64_t start, uint64_t end, uint64_t size)
{
	uint64_t pages = 0, next = start;

	for (size_t i = 0; i < n && v[i]->start < end; i++) {
		uint64_t from = v[i]->start > next ? v[i]->start & ~(size - 1) : next;
		uint64_t to = v[i]->start + v[i]->length;

		if (to > end)
			to = end;
		if (from >= to)
			continue;
		next = (to + size - 1) & ~(size - 1);
		pages += (next - from) / size;
	}
	return pages;
}

static void count_mapping(struct host *h, const Mm *mm, const Mapping *m)
{
	struct hugepages *p = m->has_page_size ? of_size(h, m->page_size) : NULL;

	if (!p)
		return;
	p->needed += m->flags & VMF(nr)
			     ? filled(mm->extents, mm->n_extents, m->start, m->end, m->page_size)
			     : (m->end - m->start) / m->page_size;
}

static void count_shared(struct host *h, const SharedMemory *m)
{
	struct hugepages *p = m->has_page_size ? of_size(h, m->page_size) : NULL;

	if (p)
		p->needed += filled(m->extents, m->n_extents, 0, m->size, m->page_size);
}

void hugepages_count(struct restore *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		const Mm *mm = r->processes[i].mm;

		for (size_t k = 0; k < mm->n_mappings && !is_member(&r->processes[i]); k++)
			count_mapping(&r->host, mm, mm->mappings[k]);
	}
	vec_each(rec, &r->img.records)
		if (!strcmp(rec->type->tag, record_shmem.tag))
			count_shared(&r->host, (const SharedMemory *)rec->msg);
}

int hugepages_check(const struct restore *r, struct error *e)
{
	for (size_t i = 0; i < r->host.n_huge; i++) {
		const struct hugepages *p = &r->host.huge[i];
		unsigned long long kb = p->size >> 10;

		if (!p->is_known)
			return fail(
				e, 0,
				"its memory is of huge pages of %llu kB, which this machine does "
				"not have",
				kb);
		if (p->needed > p->free)
			return fail(
				e, 0,
				"its memory takes %llu huge pages of %llu kB, and %llu are free: "
				"reserve %llu more, by writing %llu to "
				"/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages (for the "
				"usual size, sysctl vm.nr_hugepages)",
				(unsigned long long)p->needed, kb, (unsigned long long)p->free,
				(unsigned long long)(p->needed - p->free),
				(unsigned long long)(p->total + p->needed - p->free), kb);
	}
	return 0;
}

/* --- how many there are -------------------------------------------------------------------------- */

static bool read_count(uint64_t size, const char *name, uint64_t *out)
{
	char path[128];
	auto_buf text = { 0 };
	const char *p;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/%s",
		 (unsigned long long)(size >> 10), name);
	if (fd_read_file(AT_FDCWD, path, &text) < 0)
		return false;
	p = text.p;
	return str_take_u64(&p, 10, out);
}

/* Those that others have reserved are free only by name, and the kernel may be allowed to make more. */
void hugepages_read(struct host *h)
{
	for (size_t i = 0; i < h->n_huge; i++) {
		struct hugepages *p = &h->huge[i];
		uint64_t unused, reserved, extra, surplus;

		p->is_known = read_count(p->size, "nr_hugepages", &p->total) &&
			      read_count(p->size, "free_hugepages", &unused) &&
			      read_count(p->size, "resv_hugepages", &reserved) &&
			      read_count(p->size, "nr_overcommit_hugepages", &extra) &&
			      read_count(p->size, "surplus_hugepages", &surplus);
		if (!p->is_known)
			continue;
		p->free = unused > reserved ? unused - reserved : 0;
		p->free += extra > surplus ? extra - surplus : 0;
	}
}
