#!/bin/sh
# SPDX-License-Identifier: MIT
# The session of the root task: that of a daemon, whose leader is gone and is made again; one whose leader
# lives outside the tree.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl

# daemon FOLDER [GROUP]: counts in FOLDER/out, its number stands in FOLDER/pid. GROUP: it is in a process group of
# that session whose leader has ended, too.
cat >"$work/daemon.pl" <<'END'
use POSIX ();
my ($dir, $group) = @ARGV;
fork and exit;
POSIX::setsid();
fork and POSIX::_exit(0);
chdir "/";
open STDIN, "<", "/dev/null";
open STDOUT, ">>", "$dir/out";
open STDERR, ">&STDOUT";
POSIX::close($_) for 3 .. 200;
if ($group) {
	my $leader = fork;
	sleep 100 if !$leader;
	POSIX::setpgid($leader, $leader);
	POSIX::setpgid(0, $leader);
	kill 9, $leader;
	waitpid $leader, 0;
}
$| = 1;
open my $f, ">", "$dir/pid.new";
print $f "$$\n";
close $f;
rename "$dir/pid.new", "$dir/pid";
for (my $i = 0; ; $i++) {
	print "$i\n";
	select undef, undef, undef, 0.02;
}
END
relations() { # PID: group and session
	sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 3,4
}
start() { # [GROUP]
	rm -rf "$work/image" "$work/pid" "$work/out"
	(bare perl "$work/daemon.pl" "$work" "$@")
	until_true [ -s "$work/pid" ] || exit 1
	pid=$(cat "$work/pid")
	until_true has_lines 3 || exit 1
	told=$(relations "$pid")
}
dump() {
	"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" && until_true is_gone "$pid"
}
goes_on() {
	[ "$(relations "$pid")" = "$told" ] || {
		echo "group and session: $(relations "$pid"), before: $told" >"$work/err"
		return 1
	}
	until_true has_lines $(($(wc -l <"$work/out") + 3))
}
end() {
	kill -9 "$pid"
	until_true is_gone "$pid"
	pid=
}

for how in "" group; do
	# shellcheck disable=SC2086 # none, or one word
	start $how
	for turn in 1 2; do
		dump && "$cr" restore --detach "$work/image" 2>"$work/err" && goes_on
		result $? "a daemon${how:+ whose process group has no leader either}, restored time $turn"
		rm -rf "$work/image"
	done
	end
done

# In the foreground: cr waits for it and ends as it does, though the daemon has a session of its own.
start
dump
"$cr" restore "$work/image" 2>"$work/err" &
waits=$!
until_true has_lines $(($(wc -l <"$work/out") + 3)) && goes_on
rc=$?
kill -TERM "$pid"
pid=
wait "$waits"
[ $? -eq 143 ] || rc=1
result $rc "a daemon whose parent is cr"

# Others of the session live on outside the tree: its number cannot be made again.
cat >"$work/join.pl" <<'END'
use POSIX ();
fork and exit;
POSIX::setsid();
my $dir = shift;
for my $name ("pid", "pid.other") {
	next if fork;
	POSIX::close($_) for 3 .. 200;
	open my $f, ">", "$dir/$name";
	print $f "$$\n";
	close $f;
	sleep 1000;
	POSIX::_exit(0);
}
POSIX::_exit(0);
END
rm -rf "$work/pid" "$work/image"
(bare perl "$work/join.pl" "$work") </dev/null >/dev/null 2>&1
until_true [ -s "$work/pid" ] && until_true [ -s "$work/pid.other" ]
pid=$(cat "$work/pid")
other=$(cat "$work/pid.other")
told=$(relations "$pid")
session=${told#* }
dump
CR_SESSIONS=$$ "$cr" restore --detach "$work/image" 2>"$work/err"
rc=$?
[ $rc -eq 1 ] && [ -z "$(sentence "number $session is taken: it lives on as a process group or session")" ] &&
	is_gone "$pid" && no_cr_is_left "CR_SESSIONS=$$"
result $? "a session that lives on in others is not made again"
kill -9 "$other"
until_true is_gone "$other"
"$cr" restore --detach "$work/image" 2>"$work/err" && [ "$(relations "$pid")" = "$told" ]
result $? "... until they are gone"
end

# The leader lives, outside the tree, without a terminal that cr could give.
# shellcheck disable=SC2016 # sh expands it
bare setsid sh -c 'sleep 1000 & echo $! >"$0/pid"; wait' "$work" </dev/null >/dev/null 2>&1 &
leader=$!
rm -rf "$work/pid" "$work/image"
until_true [ -s "$work/pid" ]
pid=$(cat "$work/pid")
"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err"
[ $? -eq 1 ] && [ -z "$(sentence "its session is that of 'sh' .pid [0-9]*., outside the tree")" ] && ! [ -e "$work/image" ] &&
	! is_gone "$pid"
result $? "a session that is led from outside is refused"
kill -9 "$pid" "$leader"
pid=
finish_test
