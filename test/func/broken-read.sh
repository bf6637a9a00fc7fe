#!/bin/sh
# SPDX-License-Identifier: MIT
# What goes wrong while much memory is read, and checked beside that: a block that is damaged, a page store that
# becomes shorter, a reader that is killed. It is told in one sentence, nothing is left behind, and when the
# image is whole again the program goes on.
# Functions are called by name.
# shellcheck disable=SC2317
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc perl

# 192 MiB, and 16 MiB shared; for each round a line with a checksum.
cat >"$work/large.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define OWN (192ul << 20)
#define SHARED (16ul << 20)
static uint64_t sum(const uint64_t *p, unsigned long n)
{
	uint64_t s = n;

	for (unsigned long i = 0; i < n / 8; i += 16)
		s = (s ^ p[i]) * 0x9e3779b97f4a7c15ull;
	return s;
}
int main(int argc, char **argv)
{
	uint64_t *own = mmap(0, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int id = argc > 1 ? shmget(IPC_PRIVATE, SHARED, 0600) : -1;
	uint64_t *shared = id >= 0 ? shmat(id, 0, 0)
				   : mmap(0, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (unsigned long i = 0; i < OWN / 8; i++)
		own[i] = i * 0x9e3779b97f4a7c15ull;
	for (unsigned long i = 0; i < SHARED / 8; i++)
		shared[i] = ~i;
	if (id >= 0)
		dprintf(2, "%d\n", id);
	for (;;) {
		dprintf(1, "%llx %llx\n", (unsigned long long)sum(own, OWN), (unsigned long long)sum(shared, SHARED));
		usleep(50000);
	}
}
END
gcc -O1 -w -o "$work/large" "$work/large.c" || give_up "the subject does not compile"
: >"$work/out"
bare setsid "$work/large" </dev/null >>"$work/out" 2>&1 &
pid=$!
started=$pid
until_true has_lines 1 || give_up "the program does not run"
"$cr" dump --no-sync --jobs 2 "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$started" 2>/dev/null
until_true is_gone

# hunt WHAT [FILE]: in the background, as soon as there is something to be hunted
#   cut      the root: cr is stopped, FILE is cut in the middle, cr goes on
#   kill     its first child: a reader
cat >"$work/hunt.pl" <<'END'
use Time::HiRes qw(time);
my ($root, $what, $file) = @ARGV;
sub text { open(my $f, '<', $_[0]) or return ''; local $/; return <$f> // ''; }
for (my $end = time + 20; time < $end;) {
	if ($what eq 'kill') {
		my ($child) = split ' ', text("/proc/$root/task/$root/children");
		next unless $child && kill 9, $child;
		print "$child\n";
		exit;
	}
	my ($above) = text("/proc/$root/stat") =~ /\) . (\d+)/ or next;
	kill 'STOP', $above;
	truncate $file, (-s $file) / 2 or die;
	kill 'CONT', $above;
	print "$above\n";
	exit;
}
END
# What is left of a restore that has failed.
nothing_is_left() {
	is_gone || echo "task $pid is there"
	no_cr_is_left "CR_TEST_WORK=$work" || echo "a cr is there"
	for left in /proc/[0-9]*/exe; do
		[ "$(readlink "$left")" != "$work/large" ] || echo "$left is a reader"
	done
}
# fails WHAT FILE REGEX...: a restore while that happens; again if it was done before it happened
fails() {
	what=$1
	file=$2
	shift 2
	for _ in 1 2 3 4 5 6 7 8; do
		hunter=
		if [ -n "$what" ]; then
			perl "$work/hunt.pl" "$pid" "$what" "$work/image/$file" >"$work/hunted" &
			hunter=$!
		fi
		"$cr" restore --detach --jobs 2 "$work/image" </dev/null >"$work/told" 2>"$work/err"
		status=$?
		# shellcheck disable=SC2086 # empty or a number
		[ -z "$hunter" ] || wait $hunter
		[ ! -e "$work/whole" ] || cp "$work/whole" "$work/image/$file"
		[ "$status" -eq 0 ] || break
		end_ours "$pid"
		until_true is_gone
	done
	[ "$status" -eq 1 ] || echo "status $status"
	sentence "$@"
	nothing_is_left
}

store=pages-0
size=$(stat -c %s "$work/image/$store")
cp "$work/image/$store" "$work/whole"
for at in 0 $((size - 1)); do
	printf X | dd of="$work/image/$store" bs=1 seek="$at" conv=notrunc 2>/dev/null
	wrong=$(fails '' $store "^cr: $work/image/$store: block $((at / 1048576)) at 0x[0-9a-f]+: checksum differs: the image is damaged" \
		"[(](memory of task $pid|shared memory [0-9]+) at [0-9a-f]+ and more[)]")
	report "a damaged byte at $at is told with its store and block" "$wrong"
done
wrong=$(fails cut $store "^cr: $work/image/$store: block [0-9]+ at 0x[0-9a-f]+: read: No data available")
report "a page store that becomes shorter while it is read is named" "$wrong"
rm "$work/whole"
wrong=$(fails kill $store "^cr: task $pid: a reader of its memory: ")
report "a reader that is killed ends the restore" "$wrong"

"$cr" restore --detach --jobs 2 "$work/image" </dev/null >"$work/told" 2>"$work/err"
wrong=$(cat "$work/err")
[ -n "$wrong" ] || runs_on || wrong="it does not go on"
[ "$(sort -u "$work/out" | wc -l)" -eq 1 ] || wrong="$wrong its memory has changed"
report "after all that it goes on as it was" "$wrong"
end_ours "$pid"
until_true is_gone

# --- a segment outlives its tree, and is used again ---------------------------------------------------------
: >"$work/out"
bare setsid "$work/large" segment </dev/null >>"$work/out" 2>"$work/segment" &
pid=$!
started=$pid
until_true has_lines 1 || give_up "the program does not run: $(cat "$work/segment")"
id=$(cat "$work/segment")
rm -rf "$work/image"
"$cr" dump --no-sync --jobs 2 "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$started" 2>/dev/null
until_true is_gone
segment() {
	perl -e 'shmread($ARGV[0], my $all, 0, 16 << 20) or die "shmread: $!"; print unpack("%32L*", $all), "\n"' "$id" 2>&1
}
before=$(segment)
# The store in which its pages are, and where they begin.
place=$(perl -0777 -ne 'my $at = index($_, pack("Q<4", map { ~$_ } 0 .. 3)); print "$ARGV $at\n" if $at >= 0' \
	"$work"/image/pages-*)
store=$(basename "${place% *}")
cp "$work/image/$store" "$work/whole"
printf X | dd of="$work/image/$store" bs=1 seek="${place#* }" conv=notrunc 2>/dev/null
wrong=$(fails '' "$store" "^cr: $work/image/$store: block $((${place#* } / 1048576)) at 0x[0-9a-f]+: checksum differs: the image is damaged")
[ "$(segment)" = "$before" ] || wrong="$wrong the segment was $before, is $(segment)"
report "a damaged image leaves a segment that is there as it is" "$wrong"
"$cr" restore --detach --jobs 2 "$work/image" </dev/null >"$work/told" 2>"$work/err"
wrong=$(cat "$work/err")
[ -n "$wrong" ] || runs_on || wrong="it does not go on"
report "... and the whole image is restored with it" "$wrong"
end_ours "$pid"
until_true is_gone
perl -e 'shmctl($ARGV[0], 0, 0)' "$id"
finish_test
