#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that nobody here wrote, started by a preloader: they do what they do without it, and whoever looks
# (ps, gdb, /proc) takes the process for them. As root, as an ordinary user in a user namespace of his, as one
# without any right, and where the kernel permits nothing at all. And the other way round: a preloaded
# program is dumped and restored with the ranges that are kept free for it.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs perl gcc readlink

built=${builddir:-.}/test/preloader/preloader
[ -x "$built" ] || give_up "there is no $built"
chmod 755 "$work"
preloader=$work/preloader
cp "$built" "$preloader" || exit 99
ranges="0x10000-0x110000 0x7ff00000-0x82000000 110000000-140000000"
reserve=
for range in $ranges; do
	reserve="$reserve --reserve $range"
done

# --- what is started -----------------------------------------------------------------------------------
cat >"$work/deep.c" <<'END'
#include <stdio.h>
#include <unistd.h>
volatile int marker;
__attribute__((noinline)) void innermost(int n)
{
	marker = n;
	usleep(5000);
}
__attribute__((noinline)) void middle(int n)
{
	innermost(n + 1);
	marker++;
}
int main(void)
{
	for (int n = 0;; n++) {
		middle(n);
		putchar('.');
		fflush(stdout);
	}
}
END
# compile NAME FLAG...
compile() {
	name=$1
	shift
	gcc -g -O0 -w "$@" -o "$work/$name" "$work/deep.c" || give_up "$name does not compile"
}
compile deep
compile fixed -no-pie
compile open-stack -z execstack
gcc -g -O0 -w -static -no-pie -o "$work/static" "$work/deep.c" 2>/dev/null

# refuse COMMAND...: runs it where PR_SET_MM is not permitted at all
cat >"$work/refuse.c" <<'END'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_MM, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 99;
	execv(argv[1], argv + 1);
	return 99;
}
END
gcc -w -o "$work/refuse" "$work/refuse.c" || give_up "the filter does not compile"
python=$(readlink -f "$(command -v /usr/bin/python3 || command -v python3)")

# --- looking -------------------------------------------------------------------------------------------
# free_ranges PID: what is wrong with the ranges that are kept free. Where the brk may not be set, it begins at
# random above the preloader: whatever lies there is called [heap], though nothing of a heap is.
free_ranges() {
	# shellcheck disable=SC2016,SC2086 # perl's
	perl -e 'no warnings "portable"; my @maps;
		open(my $f, "<", "/proc/$ARGV[0]/maps") or die; shift;
		while (<$f>) {
			/^(\w+)-(\w+) (....) \w+ (\S+) (\d+) *(.*)/ or die;
			push @maps, [hex $1, hex $2, $3, $5, $6];
		}
		for my $range (@ARGV) {
			my ($from, $to) = map { hex } split /-/, $range;
			my $bytes = 0;
			for my $m (@maps) {
				next if $m->[1] <= $from || $m->[0] >= $to;
				print "in $range: $m->[2] $m->[4]\n" if $m->[2] ne "---p" || $m->[3] || $m->[4] !~ /^(\[heap\])?$/;
				$bytes += $m->[1] - $m->[0];
			}
			printf "%s is kept as %x bytes\n", $range, $bytes if $bytes != $to - $from;
		}' "$1" $ranges
}

# start WAY...: sets pid; runs when it has written something
start() {
	: >"$work/out"
	bare setsid "$@" </dev/null >"$work/out" 2>"$work/err" &
	pid=$!
	until_true is_longer 3
}
stop() {
	kill -9 "$pid" && wait "$pid" 2>/dev/null
	pid=
}

# looks_like PROGRAM WORD...: what is wrong about what others see of $pid
looks_like() {
	exe=$(readlink "/proc/$pid/exe")
	[ "$exe" = "$1" ] || echo "exe is $exe, not $1"
	words_and_name "$@"
}
words_and_name() {
	[ "$(tr '\0' '|' <"/proc/$pid/cmdline")" = "$(printf '%s|' "$@")" ] || tr '\0' '|' <"/proc/$pid/cmdline"
	[ "$(ps -o args= -p "$pid")" = "$*" ] || ps -o args= -p "$pid"
	comm_is "$1"
	tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "MARK=of the test" || echo "environ has not what it should have"
}
comm_is() {
	[ "$(ps -o comm= -p "$pid")" = "${1##*/}" ] || ps -o comm= -p "$pid"
}

# gdb_sees PROGRAM: what is wrong about it
gdb_sees() {
	timeout 60 gdb -nx -batch -p "$pid" -ex 'info proc exe' -ex 'break innermost' -ex continue -ex bt \
		-ex 'print marker' >"$work/gdb" 2>&1
	for text in "exe = '$1'" "Breakpoint 1, innermost (n=" "#0  innermost (n=" "in middle (n=" "in main ()"; do
		grep -qF "$text" "$work/gdb" || echo "gdb does not say: $text"
	done
	# shellcheck disable=SC2016
	grep -q '^\$1 = [0-9]' "$work/gdb" || echo "gdb does not find the variable"
}

# same WHAT WHO PROGRAM ARGUMENT...: with the preloader it prints and returns what it does without
same() {
	title=$1
	how=$2
	shift 2
	# shellcheck disable=SC2086 # words
	MARK="of the test" $how "$@" >"$work/want" 2>/dev/null </dev/null
	want=$?
	# shellcheck disable=SC2086
	MARK="of the test" $how "$preloader" $reserve "$@" >"$work/got" 2>"$work/err" </dev/null
	got=$?
	wrong=$(diff "$work/want" "$work/got" | head -5)
	[ $got -eq $want ] || wrong="$wrong status $got, not $want $(cat "$work/err")"
	[ -s "$work/want" ] || wrong="$wrong it prints nothing"
	report "$title" "$wrong"
}

programs() { # WHO COMMAND...: words in front of the preloader
	who=$1
	shift
	same "$who: ls" "$*" /bin/ls -la /usr /bin/sh
	# shellcheck disable=SC2016
	same "$who: bash" "$*" /bin/bash -c 'echo "$0" "$@" "$MARK" | cat; (exit 7)' zero "a b" ""
	if [ -x "$python" ] && "$@" "$python" -c '' 2>/dev/null; then
		same "$who: python3" "$*" "$python" -c 'import os, sys, json, threading, subprocess
t = threading.Thread(target=lambda: print(len(bytearray(1 << 26))))
t.start(); t.join()
print(sys.argv, os.environ["MARK"], subprocess.check_output(["/bin/echo", "hi"]), os.sysconf("SC_PAGESIZE"))
sys.exit(5)' one "two words"
	else
		missing "$who: python3" "python3 for this user"
	fi
}

# taken_over WHO WAY-REGEX COMMAND...: the process is taken for the program, by this way
taken_over() {
	who=$1
	way=$2
	shift 2
	for program in deep fixed static; do
		[ -x "$work/$program" ] || { missing "$who: $program" "a static libc"; continue; }
		# shellcheck disable=SC2086
		MARK="of the test" start "$@" "$preloader" $options --tell $reserve "$work/$program" a "b  c"
		rc=$?
		wrong=$(looks_like "$work/$program" a "b  c")
		[ $rc -eq 0 ] || wrong="$wrong it does not run: $(cat "$work/err")"
		grep -qx "preloader: way $way by PR_SET_MM_[A-Z_]*" "$work/err" || wrong="$wrong $(cat "$work/err")"
		report "$who: $program is what others see" "$wrong"
		report "$who: $program has its ranges kept free" "$(free_ranges "$pid")"
		if command -v gdb >/dev/null; then
			report "$who: gdb finds $program by its pid" "$(gdb_sees "$work/$program")"
		else
			missing "$who: gdb finds $program by its pid" gdb
		fi
		stop
	done
}

# not_taken_over WHO NAMES COMMAND...: the link stays and that is said, all else is as far as NAMES says
not_taken_over() {
	who=$1
	names=$2
	shift 2
	# shellcheck disable=SC2086
	MARK="of the test" start "$@" "$preloader" $reserve "$work/deep" a b
	rc=$?
	wrong=$($names "$work/deep" a b)
	[ $rc -eq 0 ] || wrong="$wrong it does not run"
	[ "$(readlink "/proc/$pid/exe")" = "$preloader" ] || wrong="$wrong the link is another"
	grep -q '^preloader: /proc/self/exe stays that of the preloader: no right to that .*; the program runs all the same$' \
		"$work/err" || wrong="$wrong not said: $(cat "$work/err")"
	report "$who: the program runs, and what is missing is said" "$wrong"
	report "$who: the ranges are kept free" "$(free_ranges "$pid")"
	stop
}

# --- who ------------------------------------------------------------------------------------------------
options=
user="env" # words that make an ordinary user
if [ "$(id -u)" -eq 0 ]; then
	programs root env
	taken_over root "[12]" env
	options="--ways 4"
	taken_over "root, by copies" 4 env
	options=
	if can_be_nobody; then
		user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	else
		user=
		missing "an ordinary user" "setpriv, or a way to this folder,"
	fi
fi
if [ -n "$user" ]; then
	# shellcheck disable=SC2086 # words
	{
		programs "an ordinary user" $user
		not_taken_over "an ordinary user" words_and_name $user
		if $user unshare -Ur true 2>/dev/null; then
			programs "in a user namespace" $user unshare -Ur
			taken_over "in a user namespace" "[14]" $user unshare -Ur
		else
			missing "in a user namespace" "a right to make one"
		fi
	}
fi
programs "where nothing is permitted" "$work/refuse"
not_taken_over "where nothing is permitted" comm_is "$work/refuse"
grep -q '^preloader: arguments and addresses in /proc stay .*; the program runs all the same$' "$work/err"
result $? "where nothing is permitted: the fields are told too"

# --- gdb and a program without debugging information, by the names that it exports -------------------------
if command -v gdb >/dev/null && nm -D /bin/bash 2>/dev/null | grep -q ' T execute_command$'; then
	# shellcheck disable=SC2086
	start env "$preloader" $reserve /bin/bash -c 'while echo -n .; do read -r -t 0.01 word </dev/zero; done'
	timeout 60 gdb -nx -batch -p "$pid" -ex 'info proc exe' -ex 'break execute_command' -ex continue \
		-ex bt >"$work/gdb" 2>&1
	wrong=
	for text in "exe = '$(readlink -f /bin/bash)'" "in execute_command ()" "in main ()"; do
		grep -qF "$text" "$work/gdb" || wrong="$wrong gdb does not say: $text"
	done
	if [ "$(id -u)" -eq 0 ]; then
		report "gdb finds bash by its pid" "$wrong"
	else
		missing "gdb finds bash by its pid" "a right to the exe link"
	fi
	stop
else
	missing "gdb finds bash by its pid" "gdb, or a bash with names,"
fi

# --- what the program wants of its stack -----------------------------------------------------------------
for program in deep open-stack; do
	# shellcheck disable=SC2086
	start env "$preloader" $reserve "$work/$program"
	want=rw-p
	[ $program = deep ] || want=rwxp
	grep -q " $want .*\[stack\]" "/proc/$pid/maps"
	result $? "the stack of $program is $want"
	stop
done

# --- what cannot be -------------------------------------------------------------------------------------
# refused STATUS REGEX WORD...
refused() {
	want=$1
	regex=$2
	shift 2
	timeout 20 "$preloader" "$@" >"$work/got" 2>"$work/err" </dev/null
	got=$?
	wrong=
	[ $got -eq "$want" ] || wrong="status $got, not $want"
	grep -q -e "$regex" "$work/err" && [ "$(wc -l <"$work/err")" -eq 1 ] || wrong="$wrong $(cat "$work/err")"
	[ ! -s "$work/got" ] || wrong="$wrong it has run"
	report "refused: $*" "$wrong"
}
printf '#!/bin/sh\necho no\n' >"$work/script"
chmod 755 "$work/script"
head -c 1000 "$work/deep" >"$work/short"
chmod 755 "$work/short"
refused 2 '^usage: preloader'
refused 2 '^usage: preloader' --reserve
refused 2 '^usage: preloader' --reserve 10000 /bin/true
refused 2 '^usage: preloader' --reserve 10000-20000x /bin/true
refused 2 '^usage: preloader' --ways 8z /bin/true
refused 2 '^usage: preloader' --other /bin/true
refused 125 '^preloader: 10001-20000: a number is wrong' --reserve 10001-20000 /bin/true
refused 125 '^preloader: 7d000000-7e000000: something is mapped there$' --reserve 7d000000-7e000000 /bin/true
refused 125 '^preloader: 20000-40000: something is mapped' --reserve 10000-30000 --reserve 20000-40000 /bin/true
refused 125 '^preloader: .*/fixed: something is mapped there$' --reserve 400000-500000 "$work/fixed"
refused 125 '^preloader: /nonexistent: no such file$' /nonexistent
refused 125 '^preloader: --tell: no such file$' -- --tell
refused 125 '/script: no executable of this machine$' "$work/script"
refused 125 '/short: a number is wrong' "$work/short"
refused 125 '/tmp: ' /tmp

# --- dumped and restored ---------------------------------------------------------------------------------
# cycle TITLE PROGRAM OPTION...
cycle() {
	title=$1
	program=$2
	shift 2
	# shellcheck disable=SC2086
	MARK="of the test" start env "$preloader" "$@" $reserve "$work/$program" a b
	rm -rf "$work/image"
	cp "/proc/$pid/maps" "$work/maps"
	if ! "$cr" dump "$pid" "$work/image" 2>"$work/err"; then
		report "dumped and restored: $title" "$(cat "$work/err")"
		stop
		return
	fi
	wait "$pid" 2>/dev/null
	until_true is_gone "$pid"
	wrong=$("$cr" restore --detach "$work/image" 2>&1)
	runs_on || wrong="$wrong it does not run on"
	wrong="$wrong$(diff "$work/maps" "/proc/$pid/maps")$(looks_like "$work/$program" a b)$(free_ranges "$pid")"
	if command -v gdb >/dev/null; then
		wrong="$wrong$(gdb_sees "$work/$program")"
	fi
	report "dumped and restored: $title" "$wrong"
	kill -9 "$pid"
	pid=
}
if [ "$(id -u)" -eq 0 ]; then
	cycle "by whatever way" deep
	cycle "by copies" deep --ways 4
	cycle "at its own addresses" fixed
else
	missing "dumped and restored" "root"
fi
finish_test
