#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs started from an interactive shell in a terminal are dumped and restored there: keys, job
# control, window size, modes, exit status, and what becomes of redirections. The terminals are windows
# of a tmux server of this test's own.
# The words that bash gets are not expanded here; functions are called by until_true.
# shellcheck disable=SC2016,SC2119,SC2317
. "${srcdir:-.}/test/func/lib.sh"
needs tmux bash perl stty
[ "$(id -u)" -eq 0 ] || skip_all "needs root"

image=$work/image
end_of_terminals() {
	tm kill-server 2>/dev/null
	end_of_test
}
trap end_of_terminals EXIT

tm() {
	tmux -S "$work/tmux" -f /dev/null "$@"
}

# --- windows ---------------------------------------------------------------------------------------------
pane=
shell=
# use PANE: all below is about this one
use() {
	pane=$1
	shell=$(tm display-message -p -t "$pane" '#{pane_pid}')
}
# keys KEY...: as tmux names them
keys() {
	tm send-keys -t "$pane" "$@"
}
# line TEXT: typed, with return
line() {
	tm send-keys -t "$pane" -l "$1"
	keys Enter
}
screen() {
	tm capture-pane -p -t "$pane"
}
has() { # REGEX: on the screen
	screen | grep -q -E -e "$1"
}
shows() {
	until_true has "$1" || { echo "the screen does not show '$1':"; screen | grep .; }
}
front() { # the foreground group
	sed 's/.*) //' "/proc/$shell/stat" | cut -d' ' -f6
}
has_front() { # PID
	[ "$(front)" = "$1" ]
}
has_another() {
	! has_front "$shell"
}
to_shell() {
	until_true has_front "$shell" || echo "the shell has not the foreground"
}
# does COMMAND...: in the shell; waits for its end; what it has printed is in $work/said, its status in
# $work/done
does() {
	rm -f "$work/done"
	line "$1"' >'"$work/said"' 2>&1; echo $? >'"$work/done"
	until_true [ -s "$work/done" ] || echo "the shell does not do: $1"
}
# status: of the last job
status() {
	does "echo \$?"
	cat "$work/said"
}
modes() {
	does "stty -g"
	cat "$work/said"
}

# try TITLE FUNCTION: which prints what is wrong
try() {
	wrong=$(
		$2
		echo whole
	)
	case $wrong in
	*whole) wrong=${wrong%whole} ;;
	*) wrong="$wrong (and more: it ended in the middle)" ;;
	esac
	report "$1" "$wrong"
	# what a failure has left behind
	[ -z "$wrong" ] || keys C-c C-c
}

# begin COMMAND: a job in the foreground of a clear screen; pid is its number
begin() {
	to_shell
	tm clear-history -t "$pane"
	line 'clear'
	line "$1"
	until_true has_another || echo "# no job: $1"
	pid=$(front)
}
dump() {
	"$cr" dump --force --no-sync "$pid" "$image" 2>"$work/err" || cat "$work/err"
	until_true is_gone || echo "it does not end"
	to_shell
}
# restored: cr restore, as typed, with the program in the foreground
restored() {
	line 'reset; clear'
	line "'$cr' restore '$image'"
	until_true has_front "$pid" || echo "it has not the foreground: $(screen | grep .)"
}

cat >"$work/talk.pl" <<'END'
use POSIX;
$| = 1;
sub size { my $w = "\0" x 8; ioctl(STDIN, 0x5413, $w); join "x", unpack("SS", $w) }
$SIG{WINCH} = sub { print "window ", size(), "\n" };
my $n = 0;
print "ready\n";
for (;;) {
my $line = <STDIN>;
if (!defined $line) {
	next if $!{EINTR};
	print "no more: ", $!{EIO} ? "EIO" : "end", "\n";
	exit 3;
}
$n++;
print "$n got $line";
exit $1 if $line =~ /^exit (\d+)/;
kill $1, $$ if $line =~ /^die (\w+)/;
}
END
seq 1 1000 >"$work/numbers"
talk="perl $work/talk.pl"

# It waits for what a dump has made orphans as well (PR_SET_CHILD_SUBREAPER).
bash="exec perl -e 'syscall 157, 36, 1, 0, 0, 0; exec qw(bash --norc --noprofile)'"
tm new-session -d -x 80 -y 24 "$bash" || give_up "tmux does not run"
first=$(tm display-message -p '#{pane_id}')
other=$(tm new-window -d -P -F '#{pane_id}' "$bash")
tm set-option -g history-limit 1000
use "$first"
line "PS1='> '; cd '$work'; ulimit -S -c 0"
does true

# --- the ordinary case -----------------------------------------------------------------------------------
must_fail() {
	has 'no such text' && echo "has finds everything"
	line 'stty -icanon min 7'
	does "stty -g"
	cp "$work/said" "$work/odd"
	line 'stty sane'
	[ "$(modes)" != "$(cat "$work/odd")" ] || echo "modes sees nothing"
}
try "must fail: a screen and modes that are not so" must_fail

line 'reset'
was=$(modes)
begin "$talk"
ordinary() {
	shows '^ready'
	line first
	shows '1 got first'
	dump
	restored
	line second
	shows '2 got second'
	keys C-c
	to_shell
	status | grep -qx 130 || echo "not the status of SIGINT"
	[ "$(modes)" = "$was" ] || echo "other modes"
}
try "dumped and restored without any option; Ctrl-C" ordinary

begin "$talk"
stop_and_go() {
	shows '^ready'
	dump
	restored
	keys C-z
	to_shell
	shows 'Stopped.*restore'
	[ "$(modes)" = "$was" ] || echo "other modes while it is stopped"
	[ "$(state)" = T ] || echo "it is not stopped"
	line 'fg'
	until_true has_front "$pid" || echo "fg does not bring it to the front"
	line again
	shows '1 got again'
	keys C-z
	to_shell
	line 'fg'
	until_true has_front "$pid" || echo "the second fg does not"
	line 'exit 7'
	to_shell
	status | grep -qx 7 || echo "not its exit status"
}
try "Ctrl-Z, jobs, fg, exit status" stop_and_go

# What a job leaves behind at its end the shell would keep, but for one that it has brought back by fg.
begin "bash -c 'stty -echoctl intr %; exec $talk'"
untidy() {
	shows '^ready'
	dump
	restored
	stty -F "$(tm display-message -p -t "$pane" '#{pane_tty}')" -a | grep -q 'intr = %' ||
		echo "not the modes of the program"
	keys C-z
	to_shell
	[ "$(modes)" = "$was" ] || echo "other modes while it is stopped"
	line fg
	until_true has_front "$pid" || echo "fg does not bring it to the front"
	stty -F "$(tm display-message -p -t "$pane" '#{pane_tty}')" -a | grep -q 'intr = %' ||
		echo "not the modes of the program after fg"
	dump
	restored
	line 'exit 0'
	to_shell
	[ "$(modes)" = "$was" ] || echo "other modes at the end"
}
try "the modes of the program, and those from before" untidy

begin "perl -e '\$| = 1; for (;;) { print STDERR \"x\"; select undef, undef, undef, 0.1 }' 2>$work/out"
background() {
	runs_on || echo "it does not run"
	dump
	restored
	runs_on || echo "it does not run after the restore"
	keys C-z
	to_shell
	line 'bg'
	runs_on || echo "it does not run in the background"
	has_front "$shell" || echo "the shell has lost the foreground"
	line 'fg'
	shows '^.*restore.*image'
	keys C-c
	to_shell
	until_true is_gone || echo "Ctrl-C does not end a job that was in the background"
}
try "bg, and Ctrl-C after fg of a running job" background

begin "$talk"
is_stopped() {
	[ "$(state)" = T ]
}
read_in_background() {
	shows '^ready'
	dump
	line "'$cr' restore '$image' &"
	until_true is_stopped || echo "it does not stop when it reads"
	does 'jobs'
	grep -q 'Stopped' "$work/said" || echo "it does not stop when it reads: $(cat "$work/said")"
	line 'fg'
	until_true has_front "$pid" || echo "not in front"
	line hello
	shows '1 got hello'
	keys C-d
	to_shell
	status | grep -qx 3 || echo "not its exit status"
}
try "restored in the background, stopped by its read, fg" read_in_background

# --- signals -----------------------------------------------------------------------------------------------
begin "$talk"
death() {
	shows '^ready'
	dump
	restored
	line 'die SEGV'
	to_shell
	shows 'Segmentation fault'
	status | grep -qx 139 || echo "not the status of SIGSEGV"
	[ ! -e "$work/core" ] || echo "there is a core"
}
try "death by a signal" death

begin "$talk"
passed_on() {
	shows '^ready'
	dump
	restored
	kill -TERM "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f2)"
	to_shell
	status | grep -qx 143 || echo "not the status of SIGTERM"
	[ "$(modes)" = "$was" ] || echo "other modes"
}
try "a signal for cr goes to the program" passed_on

begin "$talk"
killed() {
	shows '^ready'
	dump
	restored
	line 'one'
	shows '1 got one'
	kill -9 "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f2)"
	to_shell
	# it lives on, in a group that no shell knows, and both read
	[ -e "/proc/$pid" ] || echo "it has ended"
	kill -9 "$pid"
	until_true is_gone || echo "it does not end"
	keys Enter
	[ "$(modes)" = "$was" ] || echo "other modes"
}
try "cr is killed" killed

begin "less $work/numbers"
failed_restore() {
	shows '^15$'
	"$cr" dump --leave-running --no-sync --force "$pid" "$image" 2>"$work/err" || cat "$work/err"
	use "$other"
	line "PS1='> '; cd '$work'; reset"
	before=$(modes)
	does "'$cr' restore '$image'"
	grep -q "number $pid is taken" "$work/said" || cat "$work/said"
	has_front "$shell" || echo "it keeps the foreground"
	[ "$(modes)" = "$before" ] || echo "it leaves other modes"
	use "$first"
	keys -l q
	to_shell
	[ "$(modes)" = "$was" ] || echo "other modes where the program ran"
}
try "a restore that fails" failed_restore

# --- windows -------------------------------------------------------------------------------------------------
begin "$talk"
sizes() {
	shows '^ready'
	dump
	tm resize-window -t "$pane" -x 70 -y 20
	restored
	shows 'window 20x70'
	tm resize-window -t "$pane" -x 90 -y 30
	shows 'window 30x90'
	line 'exit 0'
	to_shell
}
try "a window of another size, and one that changes it" sizes
tm resize-window -t "$pane" -x 80 -y 24

begin "$talk </dev/tty"
elsewhere() {
	shows '^ready'
	[ "$(readlink "/proc/$pid/fd/0")" = /dev/tty ] || echo "not /dev/tty before"
	dump
	use "$other"
	line "PS1='> '; cd '$work'"
	does true
	restored
	line there
	shows '1 got there'
	[ "$(readlink "/proc/$pid/fd/1")" = "$(tm display-message -p -t "$other" '#{pane_tty}')" ] ||
	echo "on $(readlink "/proc/$pid/fd/1")"
	[ "$(readlink "/proc/$pid/fd/0")" = /dev/tty ] || echo "not /dev/tty: $(readlink "/proc/$pid/fd/0")"
	keys C-c
	to_shell
}
try "in another terminal, and /dev/tty" elsewhere
use "$first"

# --- redirections ----------------------------------------------------------------------------------------------
begin "$talk"
redirected() {
	shows '^ready'
	dump
	does "'$cr' restore '$image' </dev/null"
	grep -qx 'no more: end' "$work/said" || { echo "said:"; cat "$work/said"; }
	[ "$(cat "$work/done")" = 3 ] || echo "not its exit status: $(cat "$work/done")"
	line "'$cr' restore '$image' | tr a-z A-Z"
	until_true has_front "$pid" || echo "it has not the foreground"
	line small
	shows '1 GOT SMALL'
	keys C-c
	to_shell
	# without any terminal
	setsid "$cr" restore "$image" </dev/null >"$work/said" 2>&1
	[ $? -eq 3 ] || echo "not its status without a terminal"
	grep -qx 'no more: end' "$work/said" || { echo "without a terminal:"; cat "$work/said"; }
}
try "redirected input and output" redirected

begin "$talk 3>/dev/tty"
detached() {
	shows '^ready'
	dump
	setsid "$cr" restore --detach "$image" </dev/null >"$work/said" 2>"$work/err"
	[ $? -eq 1 ] || echo "restored without a terminal"
	sentence "fd 3 is on a terminal, and cr has none"
	is_gone || echo "something is left"
	line "'$cr' restore --detach '$image'"
	shows "fd 0 is on the terminal, which is the shell's"
	does true
	[ "$(cat "$work/done")" = 0 ] || echo "the shell does nothing"
	is_gone || echo "something is left"
	line "'$cr' restore --detach '$image' </dev/null"
	shows 'no more: end'
	to_shell
	has_front "$shell" || echo "the shell has lost the foreground"
	until_true is_gone || echo "it is still there"
}
try "--detach: without a terminal, and in the background of one" detached

# --- modes -------------------------------------------------------------------------------------------------------
# full TITLE PROGRAM COMMAND: if the program is there; it can be saved
full() {
	wrong=
	if ! command -v "$2" >/dev/null; then
		missing "$1" "$2"
		return 1
	fi
	begin "$3"
	until_true [ "$(cat "/proc/$pid/comm")" = "$2" ]
	until_true is_drawn || line ""
	if ! "$cr" check "$pid" >"$work/said" 2>/dev/null; then
		report "$1" "$(grep -m1 refused "$work/said")"
		kill -9 "$pid"
		line ''
		return 1
	fi
}
is_drawn() {
	has "$drawn"
}

drawn='^15$'
if full "less: keys, and where it was" less "less $work/numbers"; then
	of_less() {
		keys -l '500g'
		shows '^510$'
		dump
		restored
		shows '^510$'
		keys -l 'g'
		shows '^15$'
		keys C-z
		to_shell
		[ "$(modes)" = "$was" ] || echo "other modes while it is stopped"
		line fg
		shows '^15$'
		keys -l '/777'
		keys Enter
		shows '^777$'
		keys -l 'q'
		to_shell
		status | grep -qx 0 || echo "not its exit status"
		[ "$(modes)" = "$was" ] || echo "other modes"
	}
	try "less: keys, and where it was" of_less
fi

drawn='Read|New File'
if full "nano: text that was not saved" nano "nano -I $work/letter"; then
	of_nano() {
		keys -l 'typed before, '
		shows 'typed before'
		dump
		restored
		shows 'typed before'
		keys -l 'and after'
		shows 'before, and after'
		keys C-o
		keys Enter
		until_true grep -qx 'typed before, and after' "$work/letter" || echo "not saved: $(cat "$work/letter")"
		keys C-x
		to_shell
		[ "$(modes)" = "$was" ] || echo "other modes"
	}
	try "nano: text that was not saved" of_nano
fi

drawn='^~'
if full "vim: text that was not saved, undo" vim "vim -N -u NONE $work/novel"; then
	of_vim() {
		keys -l 'ityped before'
		keys Escape
		shows 'typed before'
		dump
		restored
		shows 'typed before'
		keys -l 'a, and after'
		keys Escape
		shows 'before, and after'
		keys -l ':w'
		keys Enter
		until_true grep -qx 'typed before, and after' "$work/novel" || echo "not saved"
		keys -l 'uu'
		keys -l ':wq'
		keys Enter
		to_shell
		[ ! -s "$work/novel" ] || [ "$(cat "$work/novel")" = '' ] || echo "not undone: $(cat "$work/novel")"
		[ "$(modes)" = "$was" ] || echo "other modes"
	}
	try "vim: text that was not saved, undo" of_vim
fi

# It holds files of /proc, which are refused by name: it runs on as it was.
of_top() {
	until_true [ "$(cat "/proc/$pid/comm")" = top ]
	shows 'load average'
	! "$cr" dump --force --no-sync "$pid" "$image" 2>"$work/err" || echo "it was dumped"
	sentence "task $pid: fd [0-9]+: /proc/"
	shows 'PID USER'
	keys -l q
	to_shell
	[ "$(modes)" = "$was" ] || echo "other modes"
}
if command -v top >/dev/null; then
	begin top
	try "top: refused by name, and runs on" of_top
else
	missing "top: refused by name, and runs on" top
fi

# --- shells, sessions ------------------------------------------------------------------------------------------------
begin "bash --norc --noprofile"
inner=$pid
a_shell() {
	line "PS1='inner> '; clear"
	shows '^inner>'
	line "$talk"
	shows '^ready'
	until_true has_another
	job=$(front)
	dump
	until_true is_gone "$job" || echo "its job does not end"
	line 'reset; clear'
	line "'$cr' restore '$image'"
	until_true has_front "$job" || echo "the job of the inner shell has not the foreground"
	line below
	shows '1 got below'
	keys C-c
	until_true has_front "$inner" || echo "the inner shell has not the foreground"
	shows '^inner>'
	line 'echo $((6 * 7))'
	shows '^42'
	line "$talk"
	shows '^ready'
	keys C-z
	shows 'Stopped.*talk'
	line 'fg'
	line 'once more'
	shows '1 got once more'
	keys C-c
	line 'exit 5'
	to_shell
	status | grep -qx 5 || echo "not its exit status"
	[ "$(modes)" = "$was" ] || echo "other modes"
}
try "a shell with a job" a_shell

leader=$(tm new-window -d -P -F '#{pane_id}' "exec $talk")
use "$leader"
pid=$shell
a_leader() {
	shows '^ready'
	"$cr" dump --force --no-sync "$pid" "$image" 2>"$work/err" || cat "$work/err"
	until_true is_ended || echo "it does not end"
	# Its parent is tmux, which waits for its children when one has ended.
	tm run-shell true
	until_true is_gone || echo "tmux does not wait for it"
	use "$first"
	does "'$cr' restore '$image'"
	cp "$work/said" "$work/err"
	sentence "task $pid leads a session.*script -qec"
	use "$(tm new-window -d -P -F '#{pane_id}' "exec '$cr' restore '$image'")"
	line hello
	shows '1 got hello'
	[ "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f3,4,6)" = "$pid $(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f4) $pid" ] ||
		echo "$(cat "/proc/$pid/stat"): no leader in front"
	keys C-c
	until_true is_gone || echo "Ctrl-C does not end it"
}
try "the first program of a terminal" a_leader
use "$first"

if command -v script >/dev/null; then
	by_script() {
		line 'reset; clear'
		line "script -qec \"exec '$cr' restore '$image'\" /dev/null"
		until_true [ -e "/proc/$pid" ] || echo "it is not there"
		line hello
		shows '1 got hello'
		line 'exit 9'
		to_shell
		status | grep -qx 9 || echo "not its exit status"
		[ "$(modes)" = "$was" ] || echo "other modes"
	}
	try "... in a terminal by script(1)" by_script
else
	missing "... in a terminal by script(1)" "script"
fi

finish_test
