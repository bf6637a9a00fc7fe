# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2317
# What the scripts of this folder share; read by `. "${srcdir:-.}/test/func/lib.sh"`. Gives $cr and a
# private folder $work, ends what $pid and $started name when the script ends, and prints TAP.
set -u
LC_ALL=C
export LC_ALL

cr=${CR:-${builddir:-.}/cr}

# skip_all WHY: ends the script
skip_all() {
	if [ -n "${CR_MUST_WORK:-}" ]; then
		echo "1..1"
		echo "not ok 1 - cannot test here: $1"
		exit 1
	fi
	echo "1..0 # SKIP $1"
	exit 0
}
# give_up WHY: ends the script; what is wrong is not the machine's
give_up() {
	echo "1..1"
	echo "not ok 1 - $1" | tr '\n' ' '
	echo
	exit 1
}
# needs PROGRAM...
needs() {
	for program; do
		command -v "$program" >/dev/null || skip_all "$program is not there"
	done
}
needs "$cr"

work=$(mktemp -d "${TMPDIR:-/tmp}/cr-func.XXXXXX") || exit 99
# Whoever a test starts has this in its environment, and still has it when it has been restored. The number
# of one that has ended may be that of somebody else by now.
CR_TEST_WORK=$work
export CR_TEST_WORK
is_ours() { # [PID]
	tr '\0' '\n' 2>/dev/null <"/proc/${1:-$pid}/environ" | grep -qx "CR_TEST_WORK=$work"
}
end_ours() { # PID...
	for p; do
		! is_ours "$p" || kill -9 "$p" 2>/dev/null
	done
}
pid=     # the subject
started= # what the shell waits for
end_of_test() {
	# shellcheck disable=SC2086 # numbers
	end_ours $pid $started
	end_all_rich
	rm -rf "$work"
}
trap end_of_test EXIT
trap 'exit 99' HUP INT TERM

# --- TAP -----------------------------------------------------------------------------------------------
n=0
failed=0
report() { # TITLE WRONG: it has passed if nothing is wrong
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		failed=1
		echo "not ok $n - $1"
		echo "$2" | sed 's/^/# /'
	fi
}
result() { # RC TITLE: what stands in $work/err is told if RC is not 0
	if [ "$1" -eq 0 ]; then
		report "$2" ""
	else
		report "$2" "status $1 $(cat "$work/err" 2>/dev/null)"
	fi
}
skip() { # TITLE WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
missing() { # TITLE [PROGRAM]
	[ -z "${CR_MUST_WORK:-}" ] || { report "$1" "${2:-it} is not there"; return; }
	skip "$1" "${2:-it} is not there"
}
finish_test() {
	echo "1..$n"
	exit $failed
}

# --- waiting -------------------------------------------------------------------------------------------
# until_true COMMAND...: for 20 seconds and more
until_true() {
	turns=0
	until "$@"; do
		turns=$((turns + 1))
		[ $turns -lt 1000 ] || return 1
		sleep 0.02
	done
}
is_longer() { # THAN [FILE]: what the subject has written
	[ -e "${2:-$work/out}" ] && [ "$(wc -c <"${2:-$work/out}")" -gt "$1" ]
}
has_lines() { # N
	[ "$(wc -l <"$work/out")" -ge "$1" ]
}
runs_on() { # [FILE]
	until_true is_longer "$(wc -c <"${1:-$work/out}")" "${1:-$work/out}"
}
is_gone() { # [PID]: and its number is free
	[ ! -e "/proc/${1:-$pid}" ]
}
state() { # [PID]: a letter; nothing when it is not there
	sed 's/.*) //; s/ .*//' "/proc/${1:-$pid}/stat" 2>/dev/null
}
is_ended() { # [PID]: a zombie at most
	case $(state "${1:-$pid}") in '' | Z | X) return 0 ;; esac
	return 1
}

# --- processes and messages -------------------------------------------------------------------------------
# What must be the same after a dump that was refused or failed.
looks() { # [PID]
	cat "/proc/${1:-$pid}/maps"
	grep -E '^(TracerPid|Threads|Sig[^Q]|Shd)' "/proc/${1:-$pid}/status"
	ls "/proc/${1:-$pid}/fd"
}

# bare COMMAND...: in place of the shell; without a descriptor but 0, 1 and 2
bare() {
	# shellcheck disable=SC2016 # perl expands it
	exec perl -MPOSIX -e 'POSIX::close($_) for 3 .. 1023; exec @ARGV or die' "$@"
}

# no_cr_is_left NAME=VALUE: no cr and no holder that has this in its environment
no_cr_is_left() {
	for comm in /proc/[0-9]*/comm; do
		read -r name <"$comm" || continue
		case $name in
		cr | cr-holder)
			! tr '\0' '\n' <"${comm%comm}environ" | grep -qx "$1" || return 1
			;;
		esac
	done 2>/dev/null
}

# one_sentence FILE REGEX...: prints what is wrong with a message of cr
one_sentence() {
	file=$1
	shift
	lines=0
	while IFS= read -r line; do
		lines=$((lines + 1))
		case $line in 'cr: '*) ;; 'cr '*': '*) ;; *) [ $lines -gt 1 ] || echo "does not begin with cr:" ;; esac
	done <"$file"
	[ $lines -eq 1 ] || echo "not one line but $lines:"
	for regex; do
		grep -q -E -e "$regex" "$file" || echo "does not match '$regex':"
	done
}
# sentence REGEX...: of $work/err, which is shown if something is wrong
sentence() {
	not=$(one_sentence "$work/err" "$@")
	[ -z "$not" ] || { echo "$not"; cat "$work/err"; }
}

# --- an ordinary user -----------------------------------------------------------------------------------------
# as_nobody COMMAND...; $work/cr-of-all is a cr that anybody may run
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}
can_be_nobody() {
	[ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || return 1
	chmod 755 "$work"
	[ -e "$work/cr-of-all" ] || cp "$cr" "$work/cr-of-all"
	as_nobody "$work/cr-of-all" --help >/dev/null 2>&1
}

# --- a rich subject --------------------------------------------------------------------------------------------
# make_rich: $work/rich DIR runs three processes, two threads each, that hold something of all that can be
# saved and check it all the time; each adds a dot to DIR/log.0, 1 or 2 for each round, and dies when
# something is wrong. The last one of them is an ordinary user, if the first is root.
make_rich() {
	cat >"$work/rich.c" <<'END_OF_C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (64 * 4096)
#define NEED(x)                                                                    \
	do {                                                                       \
		if (!(x)) {                                                        \
			dprintf(2, "process %d, line %d: %s\n", me, __LINE__, #x); \
			kill(0, SIGKILL);                                          \
		}                                                                  \
	} while (0)

static int me, out, uid;
static int ring[3][2], full[2], set, event, data;
static pid_t pid;
static unsigned char *anon, *private, *shared;
static _Atomic unsigned int rounds;

static void fill(unsigned char *p, unsigned int seed)
{
	for (int i = 0; i < SIZE; i++)
		p[i] = (unsigned char)(seed + i % 251);
}
static int is_filled(const unsigned char *p, unsigned int seed)
{
	for (int i = 0; i < SIZE; i += 509)
		if (p[i] != (unsigned char)(seed + i % 251))
			return 0;
	return 1;
}
static void look(unsigned int seed)
{
	struct epoll_event ev[2];
	int n;

	NEED(is_filled(anon, seed));
	NEED(is_filled(private, seed + 1));
	NEED(is_filled(shared, 7));
	NEED(epoll_wait(set, ev, 2, 0) == 1 && ev[0].data.u64 == 4711);
	NEED(ioctl(full[0], 0x541b, &n) == 0 && n == 300);
	NEED(lseek(data, 0, SEEK_CUR) == 100);
	NEED(getpid() == pid && getuid() == (uid_t)uid && geteuid() == (uid_t)uid);
}
static void *thread(void *arg)
{
	unsigned int seed = 40 + me;
	sigset_t s, now;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1 + me % 2);
	pthread_sigmask(SIG_SETMASK, &s, NULL);
	prctl(PR_SET_NAME, "second");
	for (;;) {
		usleep(1000);
		look(10 * me);
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		NEED(!memcmp(&s, &now, sizeof(long)));
		rounds++;
	}
	return arg;
}
static void handler(int sig) { (void)sig; }

int main(int argc, char **argv)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 4711 } };
	char name[64];
	pthread_t t;
	char c = 0;

	(void)argc;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	uid = getuid();
	NEED(chdir(argv[1]) == 0);
	for (int i = 0; i < 3; i++)
		NEED(pipe(ring[i]) == 0);
	NEED(pipe2(full, O_NONBLOCK) == 0 && write(full[1], name, 64) == 64);
	for (int i = 0; i < 4; i++)
		NEED(write(full[1], name, 59) == 59);
	event = eventfd(3, EFD_SEMAPHORE);
	set = epoll_create1(0);
	NEED(epoll_ctl(set, EPOLL_CTL_ADD, event, &ev) == 0);
	data = open("data", O_RDWR | O_CREAT, 0666);
	NEED(ftruncate(data, SIZE) == 0 && lseek(data, 100, SEEK_SET) == 100);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
	fill(shared, 7);
	anon = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, data, 0);
	signal(SIGHUP, handler);
	while (me < 2 && !fork())
		if (++me == 1)
			NEED(setsid() > 0);
	pid = getpid();
	if (me == 2 && !uid)
		NEED(setresgid(65534, 65534, 65534) == 0 && setresuid(uid = 65534, 65534, 65534) == 0);
	fill(anon, 10 * me);
	fill(private, 10 * me + 1);
	NEED(pthread_create(&t, NULL, thread, NULL) == 0);
	snprintf(name, sizeof(name), "log.%d", me);
	out = open(name, O_WRONLY | O_APPEND | O_CREAT, 0666);
	NEED(out >= 0);
	if (me == 0)
		NEED(write(ring[0][1], "x", 1) == 1);
	for (unsigned int before = 0;; before = rounds) {
		NEED(read(ring[me][0], &c, 1) == 1 && c == 'x');
		usleep(2000);
		look(10 * me);
		NEED(write(out, ".", 1) == 1);
		NEED(write(ring[(me + 1) % 3][1], "x", 1) == 1);
	}
}
END_OF_C
	gcc -O1 -w -pthread -o "$work/rich" "$work/rich.c" || give_up "the rich subject does not compile"
}

# start_rich: sets pid, and rich to the numbers of all three
start_rich() {
	end_all_rich
	rm -rf "$work/rich.dir"
	mkdir "$work/rich.dir"
	chmod 777 "$work/rich.dir"
	# A job in the background of a script ignores the first two.
	setsid env --default-signal=INT,QUIT "$work/rich" "$work/rich.dir" </dev/null >"$work/out" 2>&1 &
	pid=$!
	started=$pid
	until_true is_longer 1 "$work/rich.dir/log.2" || give_up "the rich subject does not run: $(cat "$work/out")"
	rich=$pid
	for child in 1 2; do # only counted
		rich="$rich $(cat "/proc/${rich##* }/task/${rich##* }/children")"
		rich=${rich% }
	done
}
# measure_rich: makes and starts one; sets whole to the time of a dump, the second, in microseconds. What it
# looks like is in $work/looks, and the image of the dump is there.
measure_rich() {
	make_rich
	start_rich
	rich_looks >"$work/looks"
	for turn in 1 2; do
		rm -rf "$work/image"
		begin=$(date +%s%N)
		"$cr" dump --no-sync --leave-running "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
		whole=$((($(date +%s%N) - begin) / 1000))
	done
	echo "# a whole dump takes $whole us"
}
rich_looks() {
	for p in $rich; do
		looks "$p"
		cat "/proc/$p/smaps" "/proc/$p/limits" "/proc/$p/task/"*/comm | grep -E '^[0-9a-f]+-|^VmFlags|^Max|^[a-z]+$'
	done 2>&1
}
# What each thread looks like, and every page that is mapped, since mappings side by side become one.
rich_pages() {
	for p in $rich; do
		perl -ne '/^(\w+)-(\w+) (\S+) \w+ (\S+) \S+ *(.*)/ or next;
			for (my $at = hex $1; $at < hex $2; $at += 4096) {
				printf "%x %s %s %s\n", $at, $3, $4, $5;
			}' "/proc/$p/maps"
		grep -E '^(TracerPid|Threads|Sig[^Q]|Shd)' "/proc/$p/status" "/proc/$p/task/"*/status
		ls "/proc/$p/fd"
		grep '^Max' "/proc/$p/limits"
		cat "/proc/$p/task/"*/comm
	done 2>&1
}
# but_new_mappings BEFORE NOW: what else is different in two of these, some lines of it. The questions of a dump
# are in a mapping of code beside one of data.
but_new_mappings() {
	diff "$1" "$2" | grep '^[<>]' | grep -v -E '^> [0-9a-f]+ (r-x|rw-)p 00:00 $' | head -5
}
# The processes pass a byte around, so if one grows all do.
rich_runs_on() {
	runs_on "$work/rich.dir/log.0"
}
rich_is_gone() {
	for p in $rich; do
		is_gone "$p" || return 1
	done
}
# Whatever was started or restored; a number may be somebody else's by now.
end_all_rich() {
	[ -x "$work/rich" ] || return 0
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe")" != "$work/rich" ] || kill -9 "${p#/proc/}"
	done 2>/dev/null
}
end_rich() {
	for p in $rich; do
		kill -9 "$p"
	done 2>/dev/null
	until_true rich_is_gone
}

# --- kills at a moment -------------------------------------------------------------------------------------
# make_kill_at: `kill_at SIGNALS MICROSECONDS COMMAND...` runs a cr, waits for its holder, and then that long;
# sends signals, words like cr:INT, holder:KILL, subject:INT ($pid); prints the status of cr, whose messages
# are in $work/err.
make_kill_at() {
	cat >"$work/kill-at.pl" <<'END_OF_PERL'
use strict;
use Time::HiRes qw(usleep time);
my ($whom, $us, @command) = @ARGV;
my %pid = (subject => $ENV{SUBJECT});
$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP QUIT);
$pid{cr} = fork() // die;
if (!$pid{cr}) {
	exec @command or die;
}
my $end = time + 10;
until ($pid{holder} || time > $end) {
	open(my $f, '<', "/proc/$pid{cr}/task/$pid{cr}/children") or last;
	($pid{holder}) = split / /, <$f> // '';
	open(my $s, '<', "/proc/$pid{cr}/stat") or last;
	last if <$s> =~ /\) Z /;
}
usleep($us);
for my $word (split / /, $whom) {
	my ($who, $signal) = split /:/, $word;
	kill($signal, $pid{$who}) if $pid{$who};
}
waitpid($pid{cr}, 0);
print $? & 127 ? 128 + ($? & 127) : $? >> 8, "\n";
END_OF_PERL
}
kill_at() {
	SUBJECT=$pid perl "$work/kill-at.pl" "$@" 2>"$work/err"
}
