#!/bin/sh
# SPDX-License-Identifier: MIT
# Pages that a tree shares copy-on-write, dumped by a cr that may not see page frames: the image has each once
# all the same, and they are shared again. And what a dump leaves of a tree that runs on: what it shared.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl setpriv

# 16 MiB that ten children share; each has written a hundredth of it, and so has their parent since.
cat >"$work/family.pl" <<'END'
my $size = 16 << 20;
my $memory = "\0";
vec($memory, $size - 1, 8) = 1;
substr($memory, $_ * 4096, 8) = pack('Q', $_ + 1) for 0 .. 4095; # no page is of zeros
sub touch { substr($memory, (($_ * 97 + $_[0] * 31) % 4096) * 4096 + 2048, 8) = pack('Q', $_[0]) for 1 .. 40 }
pipe(my $r, my $w);
for my $i (1 .. 10) {
	next if fork;
	touch($i + 1000);
	syswrite($w, 'r');
	close $r;
	close $w;
	sleep 1000 while 1;
}
touch(999);
sysread($r, my $byte, 1) for 1 .. 10;
close $r;
close $w;
syswrite(STDOUT, "ready\n");
sleep 1000 while 1;
END
start() {
	bare setsid perl "$work/family.pl" </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true has_lines 1 || give_up "the family does not come up: $(cat "$work/out")"
}
stop() {
	pkill -9 -s "$pid"
	wait "$started" 2>/dev/null
	until_true is_gone
}
family() {
	echo "$pid"
	cat "/proc/$pid/task/$pid/children"
}
pss() { # of all, KiB, but for the pages of programs and libraries, which come when they are used
	sum=0
	for p in $(family); do
		sum=$((sum + $(sed -n 's/^Pss_Anon: *\([0-9]*\).*/\1/p' "/proc/$p/smaps_rollup")))
	done
	echo $sum
}
near() { # BEFORE AFTER: the same within 3 %
	[ $(($2 * 100)) -le $(($1 * 103)) ] && [ $(($2 * 100)) -ge $(($1 * 97)) ]
}
pages() {
	echo $(($(cat "$work"/image/pages-* | wc -c) / 4096))
}
check() { # TITLE BEFORE AFTER MOST
	wrong=
	near "$2" "$3" || wrong="they take $3 KiB, and took $2"
	[ "$(pages)" -le "$4" ] || wrong="$wrong the image has $(pages) pages, more than $4"
	report "$1" "$wrong"
}
# 4096 pages, 11 * 40 of somebody's own, and what perl has besides.
most=$((4096 + 440 + 2500))

start
before=$(pss)
if ! "$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>"$work/err"; then
	case $(cat "$work/err") in
	*'not permitted'*) skip_all "$(cat "$work/err")" ;;
	esac
	result 1 "a dump that leaves it running"
else
	check "what runs on shares what it shared" "$before" "$(pss)" $most
fi
seen=$(pages)

# Without the right to see frames: by contents.
without="setpriv --bounding-set -sys_admin --inh-caps -sys_admin"
if $without true 2>/dev/null; then
	$without "$cr" dump --no-sync --force "$pid" "$work/image" 2>"$work/err"
	result $? "a dump without CAP_SYS_ADMIN"
	wait "$started" 2>/dev/null
	[ "$(pages)" -le $((seen + 20)) ]
	result $? "... stores as much: $(pages) pages, $seen with it"
	until_true is_gone
	"$cr" restore --detach "$work/image" 2>"$work/err"
	result $? "a restore of it"
	check "... shares what was shared" "$before" "$(pss)" $most
else
	skip "a dump without CAP_SYS_ADMIN" "cannot give it up here"
fi
"$cr" show "$work/image" | grep -q '; it shares with its parent [0-9.]* '
result $? "cr show tells what is shared"
stop
finish_test
