#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL, SIGINT and SIGTERM of `cr restore` at many moments, and of a tree of several processes with
# threads: nothing is there afterwards, no process and no file, or all of the tree runs, with nothing of
# cr in it. The image can be restored after all of that.
# shellcheck disable=SC2317 # functions that until_true calls
set -u
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc env
moments=${CR_KILL_MOMENTS:-16} # of SIGKILL; a third of it for the others

# Mappings of each process that it did not have.
nothing_of_cr() {
	for p in $rich; do
		cut -d' ' -f1-3 "/proc/$p/maps" >"$work/maps.now"
		cmp -s "$work/maps.$p" "$work/maps.now" && continue
		echo "memory of process $p: $(diff "$work/maps.$p" "$work/maps.now")"
	done
	strangers
}
# Whatever runs the subject's program or cr and is not of the tree.
strangers() {
	# shellcheck disable=SC2012 # a link of /proc has no odd characters
	ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's#.*/proc/\([0-9]*\)/exe -> \(.*/rich\|.*/cr\)$#\1 \2#p' |
		while read -r stranger exe; do
			case $exe in
			*/cr) ! grep -qz "^CR_KILL_RESTORE=$$\$" "/proc/$stranger/environ" || echo "cr is left: $stranger" ;;
			"$work/rich") case " $rich " in *" $stranger "*) ;; *) echo "process $stranger is left" ;; esac ;;
			esac
		done 2>/dev/null
}
has_no_strangers() {
	[ -z "$(strangers)" ]
}
has_nothing_of_cr() {
	[ -z "$(nothing_of_cr)" ]
}
# All or nothing, soon.
is_settled() {
	there=
	for p in $rich; do
		is_gone "$p" || there="$there$p "
	done
	case $there in
	"") has_no_strangers ;;
	"$rich ") has_nothing_of_cr ;;
	*) return 1 ;;
	esac
}

# await_cr PID: until the process that is to become cr is cr. Before that it ignores SIGINT, as anything in the
# background of a script does: one that comes then is lost, and what was to end by it goes on.
await_cr() {
	name=
	while [ "$name" != cr ] && read -r name 2>/dev/null <"/proc/$1/comm"; do :; done
}

# kill_at SIGNAL MICROSECONDS: prints what is wrong; sets no variable. At "once", as soon as it is cr.
kill_at() {
	size=$(wc -c <"$work/rich.dir/log.0")
	# In the background of a script SIGINT is ignored otherwise.
	CR_KILL_RESTORE=$$ env --default-signal=INT "$cr" restore --detach --pidfile "$work/pid.file" "$work/image" 2>"$work/err" &
	restore=$!
	await_cr $restore
	[ "$2" = once ] || sleep "$(printf '%d.%06d' $(($2 / 1000000)) $(($2 % 1000000)))"
	kill -"$1" $restore 2>/dev/null
	wait $restore 2>/dev/null
	status=$?
	until_true is_settled || { echo "left: $there"; nothing_of_cr; }
	if rich_is_gone; then
		[ $status -ne 0 ] || echo "it has ended with 0, but nothing is there"
		[ ! -e "$work/pid.file" ] || echo "the pidfile is left"
		case $1-$status in
		KILL-137 | INT-130 | TERM-143) ;;
		*) echo "status $status" ;;
		esac
		# Not where it had nothing to put back yet.
		[ ! -s "$work/err" ] || sentence "^cr: SIG$1: nothing was restored$"
		echo before >>"$work/before"
	else
		until_true is_longer "$size" "$work/rich.dir/log.0" || echo "it does not run: $(cat "$work/out")"
		# Killed behind the commit it has not told the number.
		[ $status -ne 0 ] || [ "$(cat "$work/pid.file")" = "$pid" ] || echo "the pidfile is wrong"
		end_rich
		until_true has_no_strangers || strangers
		echo behind >>"$work/behind"
	fi
	rm -f "$work/pid.file"
}

make_rich
start_rich
"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$pid" 2>/dev/null
started=
until_true rich_is_gone || give_up "the subject does not end"
begin=$(date +%s%N)
"$cr" restore --detach "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
whole=$((($(date +%s%N) - begin) / 1000))
for p in $rich; do
	cut -d' ' -f1-3 "/proc/$p/maps" >"$work/maps.$p"
done
report "must fail: what is found when the tree is there" "$(
	[ -n "$(rich=1 strangers)" ] || echo "no process is found"
	sed -i 1d "$work/maps.$pid"
	[ -n "$(nothing_of_cr)" ] || echo "no mapping is found")"
cut -d' ' -f1-3 "/proc/$pid/maps" >"$work/maps.$pid"
end_rich
echo "# a whole restore takes $whole us"

for signal in KILL TERM INT; do
	: >"$work/before"
	: >"$work/behind"
	i=0
	wrong=
	while [ $i -lt "$moments" ]; do
		us=$((whole * 5 * i / (4 * moments)))
		i=$((i + 1))
		bad=$(kill_at $signal $us)
		[ -z "$bad" ] || wrong="$wrong$us us: $bad
"
		[ "${#wrong}" -lt 1000 ] || break
	done
	moments=$((moments / 3 < 4 ? 4 : moments / 3))
	# The moments are those of a restore as slow as the first: all may have come too late.
	soon=0
	while [ ! -s "$work/before" ] && [ -z "$wrong" ] && [ $soon -lt 40 ]; do
		soon=$((soon + 1))
		wrong=$(kill_at $signal once)
	done
	i=$((i + soon))
	n_before=$(wc -l <"$work/before")
	[ "$n_before" -gt 0 ] || wrong="${wrong}only $n_before were ended before the commit"
	report "SIG$signal at $i moments: $n_before times nothing was restored" "$wrong"
done

# in_front SIGNAL MICROSECONDS: without --detach the root is gone either way, and cr ends by the signal
in_front() {
	CR_KILL_RESTORE=$$ env --default-signal=INT "$cr" restore "$work/image" 2>"$work/err" &
	restore=$!
	await_cr $restore
	sleep "$(printf '%d.%06d' $(($2 / 1000000)) $(($2 % 1000000)))"
	kill -"$1" $restore 2>/dev/null
	wait $restore 2>/dev/null
	status=$?
	# Behind the commit it has gone to the root alone.
	is_gone || echo "the root goes on"
	[ ! -s "$work/err" ] || rich_is_gone || echo "something is left"
	end_rich
	until_true has_no_strangers || strangers
	case $1-$status in
	INT-130 | TERM-143) ;;
	*) echo "status $status" ;;
	esac
	[ ! -s "$work/err" ] || sentence "^cr: SIG$1: nothing was restored$"
}
for signal in TERM INT; do
	i=0 wrong=
	while [ $i -lt 4 ]; do
		us=$((whole * i / 2))
		i=$((i + 1))
		bad=$(in_front $signal $us)
		[ -z "$bad" ] || wrong="$wrong$us us: $bad
"
	done
	report "SIG$signal at $i moments of a restore in the foreground" "$wrong"
done

wrong=$("$cr" restore --detach "$work/image" 2>&1)
[ -n "$wrong" ] || rich_runs_on || wrong="it does not run: $(cat "$work/out")"
report "after all of that the image is restored" "$wrong"
end_rich
finish_test
