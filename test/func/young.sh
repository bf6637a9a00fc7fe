#!/bin/sh
# SPDX-License-Identifier: MIT
# A restore in a young pid namespace, where the kernel's next numbers are those of the tree: whatever cr starts
# for a while, as the threads that check many pages, must not take one of them.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl unshare
unshare -p --fork --mount-proc true 2>/dev/null || skip_all "no pid namespaces"

# 24 processes of 3 MiB each: too little in each for readers, enough in all for threads that check it beside.
cat >"$work/many.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define N 24
#define BYTES (3ul << 20)
int main(void)
{
	uint64_t *p, first = 0;

	for (int i = 1; i < N && !first; i++)
		first = fork() ? 0 : i;
	p = mmap(0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint64_t i = 0; i < BYTES / 8; i++)
		p[i] = (i + (first << 32)) * 0x9e3779b97f4a7c15ull;
	for (;;) {
		int wrong = 0;

		for (uint64_t i = 0; i < BYTES / 8; i += 64)
			wrong |= p[i] != (i + (first << 32)) * 0x9e3779b97f4a7c15ull;
		if (write(1, wrong ? "x" : ".", 1) != 1)
			return 1;
		usleep(20000);
	}
}
END
gcc -O1 -w -o "$work/many" "$work/many.c" || give_up "the subject does not compile"

cat >"$work/dump.sh" <<'END'
i=0
while [ $i -lt 12 ]; do i=$((i + 1)); /bin/true; done
perl -MPOSIX -e 'POSIX::close($_) for 3 .. 1023; exec @ARGV or die' setsid "$work/many" </dev/null >>"$work/out" 2>&1 &
pid=$!
turns=0
until [ "$(wc -c <"$work/out")" -ge 100 ] || [ $turns -ge 1000 ]; do turns=$((turns + 1)); sleep 0.02; done
echo "$pid" >"$work/pid"
"$cr" dump --no-sync "$pid" "$work/image"
END
cat >"$work/restore.sh" <<'END'
"$cr" restore --detach --jobs 16 "$work/image" || exit
want=$(($(wc -c <"$work/out") + 100))
turns=0
until [ "$(wc -c <"$work/out")" -ge $want ] || [ $turns -ge 1000 ]; do turns=$((turns + 1)); sleep 0.02; done
[ $turns -lt 1000 ] || echo "it does not run" >&2
kill -9 -"$(cat "$work/pid")"
END
export cr work
: >"$work/out"
unshare -p --fork --mount-proc sh "$work/dump.sh" >"$work/told" 2>"$work/err"
result $? "a tree of 24 processes is dumped"
for turn in 1 2 3; do
	unshare -p --fork --mount-proc sh "$work/restore.sh" >"$work/told" 2>"$work/err"
	status=$?
	wrong=$(cat "$work/err")
	[ $status -eq 0 ] || wrong="$wrong status $status"
	! grep -q x "$work/out" || wrong="$wrong its memory is another"
	report "restored where its numbers are the next ones, $turn" "$wrong"
done
finish_test
