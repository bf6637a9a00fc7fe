/* SPDX-License-Identifier: MIT */
#include "peer.h"
#include "subject.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define PAGE 4096ul
#define SIZE (8 * PAGE - 10) /* whole pages are attached */

/* A segment that stays, with a key, and one that goes with its last user. */
static int kept, removed, key;
static char *a, *b, *seen;
static struct peer peer;

static bool prepare_peer(void)
{
	seen = shmat(kept, NULL, SHM_RDONLY);
	return seen != (void *)-1 && munmap(b, PAGE) == 0;
}

static const char *prepare(void)
{
	key = 0x63720000 | (getpid() & 0xffff);
	kept = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0640);
	removed = shmget(IPC_PRIVATE, 4 * PAGE, 0600);
	need(kept >= 0 && removed >= 0);
	a = shmat(kept, NULL, 0);
	b = shmat(removed, NULL, 0);
	need(a != (void *)-1 && b != (void *)-1);
	need(shmctl(removed, IPC_RMID, NULL) == 0);
	seen = a; /* the child says where it has it by writing there */
	strcpy(a, "kept");
	strcpy(b + PAGE, "removed");
	need(peer_start(&peer, prepare_peer));
	/* A gap, with something else in it. */
	need(munmap(a + 3 * PAGE, 2 * PAGE) == 0);
	need(mmap(a + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	strcpy(a + 3 * PAGE, "between");
	need(mprotect(a + 6 * PAGE, PAGE, PROT_READ) == 0);
	return NULL;
}

static const char *verify_segments(void)
{
	struct shmid_ds ds;

	need(shmget(key, 0, 0) == kept && shmctl(kept, IPC_STAT, &ds) == 0);
	need(ds.shm_segsz == SIZE && (ds.shm_perm.mode & 0777) == 0640);
	need(strcmp(a, "kept") == 0 && strcmp(b + PAGE, "removed") == 0);
	need(strcmp(a + 3 * PAGE, "between") == 0);
	need(shmctl(removed, IPC_STAT, &ds) == 0 && ds.shm_perm.mode & SHM_DEST);
	return NULL;
}

static const char *verify(void)
{
	struct shmid_ds ds;

	pass_on(verify_segments());
	a[2 * PAGE] = 'p';
	need(peer_read(&peer, a + 2 * PAGE) == 'p');
	need(peer_write(&peer, a + PAGE, 'c') && a[PAGE] == 'c');
	need(peer_write(&peer, b + 2 * PAGE, 'd') && b[2 * PAGE] == 'd');
	need(peer_end(&peer) && shmdt(b) == 0);
	/* Nobody else is attached to the one, so it is gone; the other stays. */
	need(shmctl(removed, IPC_STAT, &ds) < 0 && shmctl(kept, IPC_STAT, &ds) == 0);
	need(munmap(a, 3 * PAGE) == 0 && munmap(a + 5 * PAGE, 3 * PAGE) == 0);
	need(shmctl(kept, IPC_STAT, &ds) == 0 && ds.shm_nattch == 0);
	need(shmctl(kept, IPC_RMID, NULL) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "System V shared memory of two processes: number, key, gaps, removed or not",
	.prepare = prepare,
	.verify = verify,
};
