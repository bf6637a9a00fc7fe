/* SPDX-License-Identifier: MIT */
#include "remote/memory.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

int memory_read(int pid, uint64_t address, void *p, size_t n)
{
	struct iovec to = { p, n }, from = { (void *)(uintptr_t)address, n };
	ssize_t got;

	/* By the kernel's own account never, but where a listener of seccomp looks at each call. */
	do
		got = process_vm_readv(pid, &to, 1, &from, 1, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == n ? 0 : -EFAULT;
}

int memory_write(int pid, uint64_t address, const void *p, size_t n)
{
	struct iovec from = { (void *)(uintptr_t)p, n }, to = { (void *)(uintptr_t)address, n };
	ssize_t put;

	do
		put = process_vm_writev(pid, &from, 1, &to, 1, 0);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	return (size_t)put == n ? 0 : -EFAULT;
}

int memory_read_shared(int mem, const struct iovec *run, void *p, struct error *e)
{
	uint64_t at = (uint64_t)(uintptr_t)run->iov_base;
	int rc = fd_pread_full(mem, p, run->iov_len, (off_t)at);

	if (rc == -EIO)
		return fail(
			e, -rc,
			"read %zu bytes of memory at 0x%llx, which the program itself may not read; "
			"perhaps the kernel shows that to a tracer alone: boot it with "
			"proc_mem.force_override=always",
			run->iov_len, (unsigned long long)at);
	if (rc < 0)
		return fail(e, -rc, "read %zu bytes of memory at 0x%llx", run->iov_len,
			    (unsigned long long)at);
	return 0;
}

int64_t memory_read_runs(int pid, int mem, const struct iovec *runs, size_t n, void *p,
			 struct error *e)
{
	size_t total = 0, done = 0;
	struct iovec to;
	ssize_t got;
	int rc;

	for (size_t i = 0; i < n; i++)
		total += runs[i].iov_len;
	to = (struct iovec){ p, total };
	got = process_vm_readv(pid, &to, 1, runs, n, 0);
	if (got == (ssize_t)total)
		return (int64_t)total;
	if (got < 0 && errno != EFAULT)
		return fail(e, errno, "read memory of process %d", pid);
	for (size_t i = 0; i < n; done += runs[i].iov_len, i++) {
		if (got > 0 && done + runs[i].iov_len <= (size_t)got)
			continue;
		rc = memory_read_shared(mem, &runs[i], (char *)p + done, e);
		if (rc < 0)
			return rc;
	}
	return (int64_t)total;
}

uint64_t memory_find(int pid, uint64_t start, uint64_t end, const void *bytes, size_t n)
{
	const size_t chunk = 65536;
	auto_free char *p = mem_alloc(chunk);

	while (start + n <= end) {
		size_t want = end - start < chunk ? end - start : chunk;
		const char *hit;

		if (memory_read(pid, start, p, want) < 0)
			return 0;
		hit = memmem(p, want, bytes, n);
		if (hit)
			return start + (uint64_t)(hit - p);
		start += want > n - 1 ? want - (n - 1) : want;
		if (want < chunk)
			return 0;
	}
	return 0;
}
