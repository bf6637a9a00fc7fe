#!/bin/sh
# SPDX-License-Identifier: MIT
# Options of cr restore: each way to the exe link forced once, --pidfile, --explain, --detach, the
# exit status of the program, a number that is taken.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl

# Lives until a file "end" is there, whose text is its exit status; KILL ends it by that signal.
cat >"$work/subject.pl" <<'END'
$| = 1;
my $dir = shift;
for (my $i = 0; ; $i++) {
	print "$i\n";
	select(undef, undef, undef, 0.02);
	next unless open(my $f, "<", "$dir/end");
	my $text = <$f>;
	kill(15, $$), sleep(10) if $text eq "KILL";
	exit $text;
}
END

start()
{
	rm -rf "$work/end" "$work/image"
	bare setsid perl "$work/subject.pl" "$work" </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true has_lines 3 && "$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || exit 1
	wait "$pid" 2>/dev/null
	before=$(wc -l <"$work/out")
}

# end: of a restored program that nobody waits for
end()
{
	kill -9 "$pid"
	until_true is_gone "$pid"
	pid=
}

perl=$(readlink -f "$(command -v perl)")

for way in mount copy; do
	start
	"$cr" restore --detach --exe-way $way "$work/image" 2>"$work/err"
	rc=$?
	until_true has_lines $((before + 5)) || rc=1
	[ "$(readlink "/proc/$pid/exe")" = "$perl" ] || rc=1
	# nothing of cr is mapped
	! grep -F "$(readlink -f "$cr")" "/proc/$pid/maps" >"$work/err" || rc=1
	result $rc "the exe link, way: $way"
	end
done

# EBUSY on every released kernel; where the restriction is gone, it is right as well.
start
if "$cr" restore --detach --exe-way plain "$work/image" 2>"$work/err"; then
	until_true has_lines $((before + 5)) && [ "$(readlink "/proc/$pid/exe")" = "$perl" ]
	result $? "the exe link, way: plain (this kernel allows it)"
	end
else
	grep -q 'set_mm.*busy' "$work/err" && is_gone "$pid" && [ ! -e "/proc/$pid" ]
	result $? "the exe link, way: plain (refused by this kernel), and nothing is left"
	pid=
fi

start
"$cr" restore --explain "$work/image" >"$work/plan" 2>"$work/err" && is_gone "$pid" &&
	grep -q "^task $pid:" "$work/plan" && grep -q 'readv(' "$work/plan" &&
	grep -q 'leave(' "$work/plan" && [ "$(wc -l <"$work/out")" -eq "$before" ]
result $? "--explain prints the plan and runs nothing"

"$cr" restore --detach --pidfile "$work/pidfile" "$work/image" 2>"$work/err" &&
	[ "$(cat "$work/pidfile")" = "$pid" ] && until_true has_lines $((before + 5))
result $? "--detach and --pidfile"

"$cr" restore --detach "$work/image" 2>"$work/err"
[ $? -eq 1 ] && grep -q "number $pid is taken by 'perl'" "$work/err" && until_true has_lines $((before + 10))
result $? "a number that is taken, and by whom"
end

start
"$cr" restore --detach --pidfile "$work/nowhere/pidfile" "$work/image" 2>"$work/err"
[ $? -eq 1 ] && grep -q 'nowhere/pidfile' "$work/err" && [ ! -e "/proc/$pid" ]
result $? "a pidfile that cannot be written: nothing is restored"

# The same image again and again: it is not used up.
"$cr" restore "$work/image" 2>"$work/err" &
parent=$!
until_true has_lines $((before + 5)) && echo 7 >"$work/end.new" && mv "$work/end.new" "$work/end"
wait $parent
[ $? -eq 7 ]
result $? "cr ends with the status of the program"

rm "$work/end"
before=$(wc -l <"$work/out")
"$cr" restore "$work/image" 2>"$work/err" &
parent=$!
sleep 0.3
kill -TERM $parent
wait $parent
[ $? -eq 143 ] && is_gone "$pid"
result $? "a signal for cr goes to the program, and cr ends by it too"
pid=

finish_test
