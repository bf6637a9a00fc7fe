/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "subject.h"

#include <signal.h>
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define PAGES 64ul
#define SPARSE (1ul << 30)

/* One page of the memory lies somewhere else in the first child, which sees the half of it. */
static char *all, *sparse, *moved, *last;
static struct peer first, second;
static sigjmp_buf back;

static bool prepare_first(void)
{
	return mprotect(all, 32 * PAGE, PROT_READ) == 0 &&
	       mremap(all + 40 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved &&
	       munmap(all + 32 * PAGE, 8 * PAGE) == 0 && munmap(all + 41 * PAGE, 23 * PAGE) == 0;
}

static bool prepare_second(void)
{
	return munmap(all, 32 * PAGE) == 0 && mlock(all + 48 * PAGE, 2 * PAGE) == 0;
}

static const char *prepare(void)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS;

	all = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	sparse = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0);
	moved = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	last = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	need(all != MAP_FAILED && sparse != MAP_FAILED && moved != MAP_FAILED);
	need(last != MAP_FAILED);
	for (unsigned int i = 0; i < PAGES; i += 2)
		all[i * PAGE] = (char)(i + 1);
	sparse[SPARSE / 2] = 'm';
	sparse[SPARSE - 1] = 'e';
	/* Longer than the memory is: what is behind the end is a bus error. */
	last = mremap(last, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
	need(last != MAP_FAILED);
	last[PAGE] = 'l';
	need(peer_start(&first, prepare_first) && peer_start(&second, prepare_second));
	/* Only the first child has these. */
	need(munmap(all + 20 * PAGE, 10 * PAGE) == 0);
	return NULL;
}

static void on_bus(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

static const char *check_contents(void)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		char want = (char)(i % 2 ? 0 : i + 1);

		if (i < 20 || i >= 30)
			need(all[i * PAGE] == want);
		if (i < 32)
			need(peer_read(&first, all + i * PAGE) == want);
		else
			need(peer_read(&second, all + i * PAGE) == want);
	}
	need(sparse[SPARSE / 2] == 'm' && sparse[SPARSE - 1] == 'e' && sparse[0] == 0);
	need(last[PAGE] == 'l');
	return NULL;
}

static const char *verify(void)
{
	struct sigaction bus = { .sa_handler = on_bus };
	unsigned char resident;

	pass_on(check_contents());
	all[3 * PAGE] = 'p';
	need(peer_read(&first, all + 3 * PAGE) == 'p');
	all[40 * PAGE] = 'q';
	need(peer_read(&first, moved) == 'q' && peer_read(&second, all + 40 * PAGE) == 'q');
	need(peer_write(&first, moved, 'f') && all[40 * PAGE] == 'f');
	need(peer_write(&second, all + 63 * PAGE, 's') && all[63 * PAGE] == 's');
	need(peer_write(&second, sparse + PAGE, 'x') && sparse[PAGE] == 'x' &&
	     peer_read(&first, sparse + PAGE) == 'x');
	need(mincore(sparse + 2 * PAGE, PAGE, &resident) == 0 && !(resident & 1));
	need(sigaction(SIGBUS, &bus, NULL) == 0);
	if (sigsetjmp(back, 1) == 0) {
		last[2 * PAGE] = 1;
		return wrong("memory behind the end of the object can be written");
	}
	need(mprotect(all, PAGE, PROT_NONE) == 0 && peer_read(&first, all) == 1);
	need(peer_end(&second) && peer_end(&first));
	return NULL;
}

const struct subject subject = {
	.about = "shared anonymous memory between three processes, in parts",
	.prepare = prepare,
	.verify = verify,
};
