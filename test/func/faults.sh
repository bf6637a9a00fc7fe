#!/bin/sh
# SPDX-License-Identifier: MIT
# Every call that can fail does so once, in cr, in the holder and in the restored tasks: see test/fault.c.
# After a dump that failed the subject is what it was and runs on, after a restore that failed nothing is
# there; each ends by itself, with status 1 and a sentence, and leaves no file.
#   CR_FAULT_STEP   1: all calls; by default as many as can be tried in a moment
#   CR_FAULT_FROM   the number of the first one
#   CR_FAULT_SORT   cr, holder, plan or late: only these
# Functions are called by name.
# shellcheck disable=SC2317
set -u
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc
grep -q CR_FAULT_LOG "$cr" || {
	echo "1..0 # SKIP cr is not configured with --enable-fault"
	exit 0
}
# Its leaks are looked for by ptrace, and not in a program that ends because it has no memory.
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
UBSAN_OPTIONS=print_stacktrace=1
export ASAN_OPTIONS UBSAN_OPTIONS

# faulty SORT:N COMMAND...: sets status, and what: the call that has failed, "" if that did not come up.
# The word @pid in COMMAND is the subject of now.
faulty() {
	fault=$1
	shift
	for word; do
		shift
		[ "$word" != @pid ] || word=$pid
		set -- "$@" "$word"
	done
	rm -f "$work/log"
	CR_FAULT=$fault CR_FAULT_LOG=$work/log timeout -k 1 60 "$cr" "$@" >"$work/text" 2>"$work/err"
	status=$?
	what=$(grep -v '^total' "$work/log" 2>/dev/null)
}
# total SORT COMMAND...: sets all, how many there are of the sort; nothing fails
total() {
	sort=$1
	shift
	faulty "$sort:0" "$@"
	case $sort in
	cr) field=2 ;;
	holder) field=3 ;;
	*) field=4 ;;
	esac
	all=$(awk -v f=$field '/^total/ { print $f }' "$work/log")
}

message() {
	[ "$status" -eq 1 ] || echo "status $status: $(cat "$work/err")"
	sentence ''
}
no_image() {
	[ ! -e "$work/image" ] || echo "the image is there"
	# Who has no memory left ends at once; the next dump replaces the folder.
	[ ! -e "$work/image.partial" ] || grep -q '^cr: out of memory' "$work/err" || echo "image.partial is there"
	rm -rf "$work/image" "$work/image.partial"
}
dump_is_undone() {
	message
	no_image
	until_true no_cr_is_left "CR_FAULT=$fault" || echo "a process of cr is left"
	rich_looks >"$work/looks.now"
	cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now"
	rich_runs_on || echo "the subject does not run: $(cat "$work/out")"
}
restore_again() {
	"$cr" restore --detach "$1" 2>"$work/err" || echo "cannot be restored: $(cat "$work/err")"
	rich_runs_on || echo "the subject does not run after a restore: $(cat "$work/out")"
	rich_looks >"$work/looks"
}
# What failed did no harm.
dump_is_done() {
	"$cr" verify "$work/image" 2>&1
	case $mode in
	--leave-running)
		rich_looks >"$work/looks.now"
		cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now"
		;;
	*)
		until_true rich_is_ended || echo "the image is there, but the subject runs"
		[ -z "$started" ] || wait "$started" 2>/dev/null
		until_true rich_is_gone || echo "zombies are left"
		restore_again "$work/image"
		;;
	esac
	[ ! -e "$work/image.partial" ] || echo "image.partial is there beside image"
	rm -rf "$work/image"
}
rich_is_ended() {
	for p in $rich; do
		is_ended "$p" || return 1
	done
}

one_dump() {
	# 3: the image is there, and cr was not told that the subject has ended.
	if [ "$status" -eq 0 ] || [ "$status" -eq 3 ]; then
		dump_is_done
	else
		dump_is_undone
	fi
}
one_check() {
	[ "$status" -le 1 ] || echo "status $status: $(cat "$work/err")"
	[ "$status" -eq 0 ] || [ -s "$work/text" ] || sentence ''
	rich_runs_on || echo "the subject does not run: $(cat "$work/out")"
}
one_restore() {
	if [ "$status" -eq 0 ]; then
		rich_runs_on || echo "the subject does not run: $(cat "$work/out")"
		end_rich
	else
		message
		until_true no_cr_is_left "CR_FAULT=$fault" || echo "a process of cr is left"
		# Who has no memory left ends at once, and the tasks see that.
		! grep -q '^cr: out of memory' "$work/err" || until_true rich_is_gone
		rich_is_gone || echo "something is left: $rich"
		for p in /proc/[0-9]*; do
			[ "$(readlink "$p/exe")" != "$work/rich" ] || echo "$p is left"
		done 2>/dev/null
		end_rich
	fi
	[ "$status" -eq 0 ] || [ ! -e "$work/pidfile" ] || echo "the pidfile is left"
	rm -f "$work/pidfile"
}

# loop SORT HOW-MANY ONE TITLE COMMAND...: HOW-MANY are tried, spread over all
loop() {
	sort=$1 many=$2 one=$3 title=$4
	shift 4
	[ "${CR_FAULT_SORT:-$sort}" = "$sort" ] || return 0
	total "$sort" "$@"
	"after_$one"
	step=${CR_FAULT_STEP:-$(((all + many - 1) / many))}
	[ "$step" -gt 0 ] || step=1
	i=${CR_FAULT_FROM:-$((step / 2 + 1))}
	tried=0 harmless=0 bads=0 wrong=
	while [ "$i" -le "$all" ]; do
		faulty "$sort:$i" "$@"
		tried=$((tried + 1))
		[ $status -ne 0 ] || harmless=$((harmless + 1))
		bad=$($one)
		[ -n "$what" ] || [ $status -eq 0 ] || bad="$bad it failed without a fault: $(cat "$work/err")"
		if [ -n "$bad" ]; then
			wrong="$wrong$sort:$i ($what): $(echo "$bad" | head -20)
"
			"again_$one"
			bads=$((bads + 1))
			[ $bads -lt 4 ] || break
		fi
		i=$((i + step))
	done
	[ $tried -gt $harmless ] || wrong="$wrong none of $tried did any harm"
	report "$title: $tried of $all, $harmless did no harm" "$wrong"
}
after_one_check() { :; }
again_one_check() { :; }
after_one_dump() {
	one_dump # prints nothing
	started=
}
# With a new subject.
again_one_dump() {
	end_rich
	rm -rf "$work/image" "$work/image.partial"
	[ -z "$started" ] || wait "$started" 2>/dev/null
	start_rich
	rich_looks >"$work/looks"
}
after_one_restore() {
	end_rich
	rm -f "$work/pidfile"
}
again_one_restore() { end_rich; }

make_rich
start_rich
rich_looks >"$work/looks"

# --- must fail: nothing fails, and something is left --------------------------------------------------------
mode=--leave-running
faulty cr:0 dump --no-sync --leave-running "$pid" "$work/image"
wrong=
for text in 'status 0' 'the image is there' 'not one line'; do
	dump_is_undone | grep -q -e "$text" || [ "$text" != 'status 0' ] || wrong="$wrong; does not find '$text'"
done
report "must fail: without a fault" "$wrong"

mode=
loop cr 10 one_check "cr check" check @pid
for mode in --leave-running --no-sync; do
	loop cr 30 one_dump "cr dump $mode" dump $mode @pid "$work/image"
	loop holder 14 one_dump "the holder, cr dump $mode" dump $mode @pid "$work/image"
done

"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
[ -z "$started" ] || wait "$started" 2>/dev/null
started=
until_true rich_is_gone || give_up "the subject does not end"
set -- restore --detach --pidfile "$work/pidfile" "$work/image"
loop cr 25 one_restore "cr restore" "$@"
loop plan 25 one_restore "operations of the tasks" "$@"
loop late 25 one_restore "operations of the tasks, done all the same" "$@"
wrong=$(restore_again "$work/image")
report "after all of that the image is restored" "$wrong"
end_rich
finish_test
