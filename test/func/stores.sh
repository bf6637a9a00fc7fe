#!/bin/sh
# SPDX-License-Identifier: MIT
# A program with so much memory that several workers save it: what it has comes back whatever their number, and
# what goes wrong in one of them is told and leaves the program as it was.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl
# A mount namespace of its own, so that nobody else sees what is mounted.
[ -n "${CR_OWN_MOUNTS:-}" ] || ! unshare -m true 2>/dev/null || CR_OWN_MOUNTS=1 exec unshare -m "$0" "$@"

# 48 MiB of its own, some of it zeros, and 24 MiB shared; for each byte it is sent it answers with checksums.
cat >"$work/large.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define OWN (48ul << 20)
#define SHARED (24ul << 20)
static uint64_t sum(const uint64_t *p, unsigned long n)
{
	uint64_t s = n;

	for (unsigned long i = 0; i < n / 8; i++)
		s = (s ^ p[i]) * 0x9e3779b97f4a7c15ull;
	return s;
}
int main(void)
{
	uint64_t *own = mmap(0, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *shared = mmap(0, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 88172645463325252ull;
	struct timespec t = { 0, 10000000 };

	for (unsigned long i = 0; i < OWN / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (i % 65536 < 60000 || i < OWN / 16) /* behind the first half holes of pages in between */
			own[i] = i % 512 < 256 ? x : i;
		if (i < SHARED / 8 && i % 8192 < 6000)
			shared[i] = i % 512 < 256 ? ~x : i;
	}
	for (;;) {
		dprintf(1, "%llx %llx\n", (unsigned long long)sum(own, OWN), (unsigned long long)sum(shared, SHARED));
		for (int i = 0; i < 5; i++)
			nanosleep(&t, 0);
	}
}
END
sed -i '1i #include <time.h>' "$work/large.c"
gcc -O1 -w -o "$work/large" "$work/large.c" || give_up "the subject does not compile"
start() {
	: >"$work/out"
	bare setsid "$work/large" </dev/null >>"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true has_lines 1 || give_up "the program does not run"
}
stop() {
	end_ours "$pid"
	wait "$started" 2>/dev/null
	until_true is_gone
}
# What has been told so far is always the same, and something comes.
goes_on() {
	runs_on || echo "it does not go on"
	[ "$(sort -u "$work/out" | wc -l)" -eq 1 ] || echo "its memory has changed"
	grep -q TracerPid:.0 "/proc/$pid/status" || echo "it is still traced"
}
dump() { # NAME OPTION...
	name=$1
	shift
	"$cr" dump --no-sync "$@" "$pid" "$work/$name" 2>"$work/err"
}
restore() { # NAME OPTION...
	image=$work/$1
	shift
	"$cr" restore --detach "$@" "$image" </dev/null >"$work/told" 2>"$work/err" || cat "$work/err" "$work/told"
}
# both_ways TITLE OPTION...: dumped, and restored
both_ways() {
	title=$1
	shift
	rm -rf "$work/image"
	if dump image "$@"; then
		wait "$started" 2>/dev/null
		wrong=$(restore image)
		[ -n "$wrong" ] || wrong=$(goes_on)
	else
		wrong=$(cat "$work/err")
	fi
	report "$title" "$wrong"
}
stores() { # IMAGE
	set -- "$work/$1"/pages-*
	echo $#
}

start
both_ways "one worker" --jobs 1
[ "$(stores image)" -eq 1 ] || report "one worker writes one store" "there are $(stores image)"
both_ways "four workers" --jobs 4
wrong=
[ "$(stores image)" -gt 1 ] || wrong="there is one"
report "... write several stores" "$wrong"

# What is read by the task itself or by readers, moved as huge pages or put in place.
rss() {
	sed -n 's/^Rss: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup"
}
flags() {
	grep -E '^VmFlags' "/proc/$pid/smaps"
}
# Once more all of it has been looked at, which makes pages of holes.
runs_on && runs_on
has_been=$(rss)
flags=$(flags)
for options in "--jobs 1" "--jobs 3" "--jobs 16" --in-place "--in-place --jobs 1" "--in-place --jobs 5"; do
	stop
	# shellcheck disable=SC2086 # several words
	wrong=$(restore image $options)
	[ -n "$wrong" ] || wrong=$(goes_on)
	[ -n "$wrong" ] || [ "$(rss)" -le $((has_been * 105 / 100)) ] || wrong="$(rss) kB are there, $has_been kB were"
	[ "$(flags)" = "$flags" ] || wrong="$wrong other flags in smaps"
	[ -z "$(cat "/proc/$pid/task/$pid/children")" ] || wrong="$wrong it has children"
	report "restored with $options" "$wrong"
done
"$cr" restore --explain --jobs 3 "$work/image" >"$work/told" 2>"$work/err" </dev/null
wrong=
[ "$(grep -c '^reader of task' "$work/told")" -ge 3 ] || wrong="no readers"
grep -q ' move(' "$work/told" || wrong="$wrong nothing is moved"
"$cr" restore --explain --in-place "$work/image" 2>"$work/err" </dev/null | grep -q ' move(' && wrong="$wrong in place, and moved"
report "... as the plan says" "$wrong"
"$cr" restore --jobs 17 "$work/image" 2>"$work/err" </dev/null
wrong=$(sentence 'jobs 17: at most 16')
report "... and not by more than there can be" "$wrong"

raw=$(cat "$work"/image/pages-* | wc -c)
for way in zstd lz4:3; do
	both_ways "compressed by $way" --compress $way
	wrong=
	[ "$(cat "$work"/image/pages-* | wc -c)" -lt "$((raw * 9 / 10))" ] || wrong="not less than $raw bytes"
	"$cr" show "$work/image" | grep -q "(${way%:*})" || wrong="$wrong cr show does not tell"
	"$cr" verify "$work/image" 2>"$work/err" || wrong="$wrong $(cat "$work/err")"
	report "... is smaller, whole, and shown" "$wrong"
done

# In the middle of a block: who has a page of it is told.
printf X | dd of="$work/image/pages-0" bs=1 seek=1500000 conv=notrunc 2>/dev/null
"$cr" verify "$work/image" 2>"$work/err"
wrong=$(sentence 'pages-0: block [0-9]+ at 0x[0-9a-f]+: checksum differs: the image is damaged' \
	'(memory of task|shared memory) [0-9]+ at [0-9a-f]+')
report "a damaged block is named by verify" "$wrong"
"$cr" restore --detach "$work/image" >"$work/told" 2>"$work/err" </dev/null
wrong=$(sentence 'pages-0: block [0-9]+ at 0x[0-9a-f]+: checksum differs')
report "... and by restore" "$wrong"
truncate -s -4096 "$work/image/pages-1"
"$cr" restore --detach "$work/image" >"$work/told" 2>"$work/err" </dev/null
wrong=$(sentence 'pages-1: [0-9]+ bytes, not [0-9]+: the image is damaged')
report "a page store that is too short is named" "$wrong"
dump none --compress gzip
wrong=$(sentence "compress: 'gzip' is no compression: zstd or lz4")
report "another way to compress is refused" "$wrong"

dump none --jobs 17
wrong=$(sentence 'jobs 17: at most 16')
report "too many workers are refused" "$wrong"

rm -rf "$work/image"
wrong=
"$cr" dump --no-sync --leave-running --json "$pid" "$work/image" >"$work/json" 2>"$work/err" || wrong=$(cat "$work/err")
[ -n "$wrong" ] || wrong=$(perl -0777 -ne '
	/"pause_ns": (\d+)/ && $1 > 0 or print "no pause";
	/\],.*"pages": (\d+)/s && $1 * 4096 > 40 << 20 && $1 * 4096 < 80 << 20 or print " a wrong number of pages";
	/"bytes_stored": (\d+)/ && $1 > 30 << 20 or print " too few bytes";
	my ($list, $whole) = /"phases": \[(.*)\],(.*)/s;
	for my $what ("ns", "pages", "bytes_read", "calls") {
		my ($sum, $all) = (0, $whole =~ /"$what": (\d+)/);
		next if $what eq "calls" && !defined $all && !-r "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id";
		$sum += $1 while $list =~ /"$what": (\d+)/g;
		$sum == $all && $all > 0 or print " $what: the phases have $sum, all have $all";
	}' "$work/json")
report "a timeline of a dump" "$wrong"
stop
wrong=
"$cr" restore --detach --timeline "$work/image" >"$work/told" 2>"$work/err" </dev/null || wrong=$(cat "$work/err")
[ -n "$wrong" ] || wrong=$(goes_on)
for phase in 'wait for the check of the pages' 'make the tree' 'let the tasks go' all; do
	grep -q "^$phase *[0-9.]* ms" "$work/told" || wrong="$wrong no line '$phase'"
done
grep -Eq '^make the tree .* ms +[1-9][0-9]* calls|^system calls: not counted' "$work/told" || wrong="$wrong no calls"
grep -Eq '^wait until all tasks are ready .* [1-9][0-9]* pages$' "$work/told" || wrong="$wrong no pages"
report "... and of a restore" "$wrong"

# --- what goes wrong -----------------------------------------------------------------------------
small=$work/small
mkdir "$small"
# full TITLE BYTES WORDS OPTION...: a disk of that size is full, which the sentence tells in these words
full() {
	title="a disk that is full is told, and the program runs on: $1"
	size=$2
	words=$3
	shift 3
	if [ -z "${CR_OWN_MOUNTS:-}" ] || ! mount -t tmpfs -o size="$size" none "$small" 2>/dev/null; then
		skip "$title" "needs to mount"
		return
	fi
	"$cr" dump "$@" "$pid" "$small/image" 2>"$work/err"
	status=$?
	wrong=$(sentence "$words" 'No space left')
	[ $status -eq 1 ] || wrong="$wrong status $status"
	[ -z "$(ls "$small")" ] || wrong="$wrong something is left: $(ls "$small")"
	report "$title" "$wrong$(goes_on)"
	umount "$small"
}
full "by several workers" 20m 'pages-[0-9]*: write' --no-sync --jobs 4
full "by one" 20m 'pages-0: write' --jobs 1
full "in a block that was compressed" 20m 'pages-[0-9]*: write' --compress lz4 --jobs 4
# The shared memory comes last of all pages, and has 14 MiB and more that are not zeros.
full "in shared memory" $((raw - (8 << 20))) '/dev/zero .*pages-0: write' --jobs 1
full "behind all pages" $((raw / 4096 * 4096)) 'write objects' --jobs 1

# One of several workers, by its own number: they are threads, so all of cr ends, and the holder puts everything back.
in_the_middle() { # workers are there, and some page is
	[ "$(find "/proc/$dump/task" -mindepth 1 -maxdepth 1 | wc -l)" -gt 2 ] && [ -e "$work/image.partial/pages-0" ]
}
rm -rf "$work/image"
CR_WORKERS=$work "$cr" dump --no-sync --jobs 4 --compress zstd:19 "$pid" "$work/image" 2>"$work/err" &
dump=$!
wrong=
until_true in_the_middle || wrong="no workers"
worker=$(find "/proc/$dump/task" -mindepth 1 -maxdepth 1 | sed 's|.*/||' | sort -n | tail -n 1)
[ "$worker" -ne "$dump" ] || wrong="$wrong no worker"
kill -9 "$worker"
wait "$dump" 2>/dev/null
status=$?
[ $status -eq 137 ] || wrong="$wrong status $status"
until_true no_cr_is_left "CR_WORKERS=$work" || wrong="$wrong a process of cr is left"
[ ! -e "$work/image" ] || wrong="$wrong there is an image"
report "a worker that is killed takes cr with it, and the program runs on" "$wrong$(goes_on)"
both_ways "... and can be dumped again" --jobs 4
[ ! -e "$work/image.partial" ] || report "what was left is replaced" "image.partial is there"
stop
finish_test
