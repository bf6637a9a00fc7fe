#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that has as many mappings as vm.max_map_count allows: it can be dumped, by borrowing its
# memory, and runs on unharmed; why it cannot be restored is said. With room for some more it is restored.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl
most=$(cat /proc/sys/vm/max_map_count)
[ "$most" -le 200000 ] || skip_all "vm.max_map_count is $most: that takes too long"

# mmap (9) of memory that cannot be read, mprotect (10) of every other page: all that there can be, or so many.
cat >"$work/subject.pl" <<'END'
use strict;
use POSIX ();
my ($log, $most, $pages) = @ARGV;
POSIX::close($_) for 3 .. 1023;
open(my $out, '>>', $log) or die;
my $at = syscall(9, 0, ($most + 2) * 4096, 0, 0x4022, -1, 0);
for (my $i = 0; (!$pages || $i < $pages) && syscall(10, $at + $i * 8192, 4096, 1) == 0; $i++) { }
syscall(9, 0, 4096, 1, 0x22, -1, 0); # where an odd one is left
die "not full" if !$pages && syscall(9, 0, 4096, 5, 0x22, -1, 0) != -1;
for (;;) {
	select(undef, undef, undef, 0.01);
	syswrite($out, '.') == 1 or die;
}
END

start_subject() {
	: >"$work/log"
	setsid perl "$work/subject.pl" "$work/log" "$most" "$@" </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true is_longer 1 "$work/log" || exit 99
}
# Executable memory that is no file's any more, in kilobytes.
copied_code() {
	awk '/^[0-9a-f]+-/ { code = $2 ~ /x/ } code && /^Anonymous:/ { n += $2 } END { print n }' \
		"/proc/$pid/smaps"
}

start_subject
looks "$pid" >"$work/looks"
copied=$(copied_code)
"$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>"$work/err"
result $? "dumped, left running"
runs_on "$work/log"
result $? "it runs on"
report "its code is the file's" "$([ "$(copied_code)" = "$copied" ] || echo "copies: $(copied_code) kB, were $copied")"
looks "$pid" >"$work/looks.now"
report "it looks as before" "$(cmp "$work/looks" "$work/looks.now")"

kill -9 "$pid"
wait "$pid" 2>/dev/null
until_true is_gone "$pid"
"$cr" restore --detach "$work/image" 2>"$work/err"
report "why it is not restored is said" "$(sentence "^cr: task $pid: has [0-9]+ mappings" "vm.max_map_count \($most\)" "sysctl")"
report "nothing is left of it" "$([ ! -e "/proc/$pid" ] || echo "process $pid is there")"

# 200 less: those of perl, and those that cr needs on the way.
start_subject $(((most - 200) / 2))
looks "$pid" >"$work/looks"
"$cr" dump --no-sync "$pid" "$work/image" --force 2>"$work/err"
result $? "with some less: dumped"
wait "$pid" 2>/dev/null
"$cr" restore --detach "$work/image" 2>"$work/err"
result $? "restored"
runs_on "$work/log"
result $? "it runs on"
looks "$pid" >"$work/looks.now"
report "it looks as before" "$(cmp "$work/looks" "$work/looks.now")"
kill -9 "$pid"
until_true is_gone "$pid"
pid=
finish_test
