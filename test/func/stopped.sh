#!/bin/sh
# SPDX-License-Identifier: MIT
# A root task in a job-control stop: a dump leaves it in the stop, with nothing pending and nothing told
# to its parent, or not; and its restore is stopped, until SIGCONT.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl
[ "$(id -u)" -eq 0 ] || skip_all "needs root"

# The parent writes down how the state of its child changes.
cat >"$work/parent.pl" <<'END'
use strict;
use POSIX ':sys_wait_h';
my ($notes, @command) = @ARGV;
open(my $out, '>', $notes) or die;
my $pid = fork() // die;
if (!$pid) { POSIX::close($_) for 3 .. 1023; POSIX::setsid(); exec @command or die; }
for (;;) {
	my $got = waitpid($pid, WUNTRACED);
	last if $got < 0;
	syswrite($out, WIFSTOPPED(${^CHILD_ERROR_NATIVE}) ? 'stop ' . WSTOPSIG(${^CHILD_ERROR_NATIVE}) . "\n" : "end\n");
}
END
cat >"$work/subject.pl" <<'END'
syswrite(STDOUT, "$$\n");
for (;;) { select(undef, undef, undef, 0.005); syswrite(STDOUT, '.'); }
END

start() {
	: >"$work/out"
	perl "$work/parent.pl" "$work/notes" perl "$work/subject.pl" >"$work/out" 2>&1 </dev/null &
	started=$!
	until_true is_longer 20
	read -r pid <"$work/out"
}
finish() {
	kill -9 "$pid" 2>/dev/null
	wait $started 2>/dev/null
	until_true is_gone
	pid=
	started=
	rm -rf "$work/image"
}
notes_are() {
	[ "$(cat "$work/notes")" = "$1" ]
}
is_stopped() {
	[ "$(state)" = T ]
}
pending() {
	grep -E '^(SigPnd|ShdPnd)' "/proc/$pid/status" | grep -v 0000000000000000
}
stop() {
	kill -STOP "$pid"
	until_true notes_are "stop 19"
	size=$(wc -c <"$work/out")
}
still() {
	is_stopped || echo "state $(state)"
	[ "$(wc -c <"$work/out")" -eq "$size" ] || echo "it has run on"
	pending
}
goes_on() {
	kill -CONT "$pid"
	runs_on || echo "it does not run on: $(state)"
}
run() { # COMMAND...
	"$cr" "$@" >"$work/err" 2>&1 || cat "$work/err"
}

start
stop
report "left running, which is stopped" "$(
	run dump --leave-running "$pid" "$work/image"
	still
	notes_are "stop 19" || cat "$work/notes"
	goes_on
)"
finish

start
stop
report "left stopped" "$(
	run dump --leave-stopped "$pid" "$work/image"
	still
	notes_are "stop 19" || cat "$work/notes"
	goes_on
)"
finish

start
stop
report "restored in the background" "$(
	run dump "$pid" "$work/image"
	wait $started 2>/dev/null
	until_true is_gone
	run restore --detach "$work/image"
	still
	goes_on
)"
finish

start
stop
wrong=$(run dump "$pid" "$work/image")
wait "$started"
until_true is_gone
"$cr" restore --pidfile "$work/pid" "$work/image" 2>"$work/err" &
started=$!
until_true test -s "$work/pid"
until_true is_stopped
wrong="$wrong$(still)"
kill -CONT $started
report "restored in the foreground: a signal for cr goes to it" "$wrong$(
	runs_on || echo "it does not run on: $(state) $(cat "$work/err")"
)"
finish
finish_test
