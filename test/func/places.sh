#!/bin/sh
# SPDX-License-Identifier: MIT
# Places that fail: a disk that is full at any byte or file, a folder that cannot be written or replaced, names
# that are none, files for messages and numbers, and limits of processes and descriptors. cr says it in one
# sentence, the subject of a dump is what it was, nothing is left of a restore, and no file that is not cr's goes.
# Functions are called by name.
# shellcheck disable=SC2317
# Mounts are for this test alone.
[ -n "${CR_OWN_MOUNTS:-}" ] || ! unshare -m true 2>/dev/null || CR_OWN_MOUNTS=1 exec unshare -m sh "$0"
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc prlimit
[ -n "${CR_OWN_MOUNTS:-}" ] || skip_all "needs a mount namespace"

# 1 MiB of memory, 40 descriptors of one file, 30 threads, a dot from time to time.
cat >"$work/subject.c" <<'END_OF_C'
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}
int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t t;
	char *p;

	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 1 << 20; i++)
		p[i] = (char)(i * 7 + i / 4096);
	for (int i = 0; i < atoi(argv[2]); i++)
		if (open(argv[1], O_RDWR) < 0)
			return 1;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < atoi(argv[3]); i++)
		if (pthread_create(&t, &attr, sleeper, NULL))
			return 1;
	(void)argc;
	for (;;) {
		if (write(1, ".", 1) != 1)
			return 1;
		usleep(5000);
	}
}
END_OF_C
gcc -O1 -w -pthread -o "$work/subject" "$work/subject.c" || give_up "the subject does not compile"
echo data >"$work/data"

start() { # DESCRIPTORS THREADS
	: >"$work/out"
	setsid "$work/subject" "$work/data" "$1" "$2" </dev/null >>"$work/out" 2>&1 &
	pid=$!
	until_true is_longer 2 || give_up "the subject does not run: $(cat "$work/out")"
	looks >"$work/looks"
}
user=64777 # of nobody else, so that its processes can be counted
start_as_user() { # DESCRIPTORS THREADS [FILE]
	out=${3:-$work/out}
	: >"$out"
	chmod 666 "$out" "$work/data"
	# Not by a function: the number would be that of a shell.
	prlimit --nproc=40:40 setpriv --reuid $user --regid $user --clear-groups setsid "$work/subject" "$work/data" "$1" "$2" \
		</dev/null >>"$out" 2>&1 &
	pid=$!
	until_true is_longer 2 "$out" || give_up "the subject does not run: $(cat "$out")"
	looks >"$work/looks"
}
finish() {
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	until_true is_gone
	pid=
}
files() { # of the folders that are there for it
	(cd "$work" && find small other precious link* open* -exec ls -ld --time-style=+ {} + 2>/dev/null | sort)
}
unharmed() {
	looks >"$work/looks.now" 2>&1
	cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now" | head -5
	runs_on || echo "the subject does not run on: $(state)"
}
# fails REGEX COMMAND...: of a dump
fails() {
	regex=$1
	shift
	files >"$work/before"
	CR_PLACES=$$ "$@" >"$work/text" 2>"$work/err"
	status=$?
	files >"$work/after"
	[ $status -eq 1 ] || echo "status $status"
	sentence "$regex"
	cmp -s "$work/before" "$work/after" || diff "$work/before" "$work/after"
	no_cr_is_left "CR_PLACES=$$" || echo "a process of cr is left"
	unharmed
}

mkdir "$work/small" "$work/other" "$work/precious"
echo thesis >"$work/precious/thesis"
start 3 2
small=$work/small
"$cr" dump --leave-running "$pid" "$work/other/image" 2>"$work/err" || give_up "$(cat "$work/err")"
report "must fail: a dump into a good place" "$(
	[ "$(fails 'no such text' "$cr" dump --leave-running "$pid" "$work/other/image2" |
		grep -c -e 'status 0' -e 'image2' -e 'not one line')" -ge 3 ] || echo "is not found")"
rm -rf "$work/other/image2"

# --- a full disk -----------------------------------------------------------------------------------------------
mount -t tmpfs -o size=16m none "$small" || skip_all "needs tmpfs"
trap 'umount "$small"; end_of_test' EXIT
blocks=$(($(du -sB4096 "$work/other/image" | cut -f1) + 8))
full_at() { # BLOCKS OPTION...: with so many blocks left
	left=$1
	shift
	mount -o "remount,size=$((left * 4096))" "$small" || return
	CR_PLACES=$$ "$cr" dump "$@" --leave-running "$pid" "$small/image" >"$work/text" 2>"$work/err"
	status=$?
	case $status in
	0)
		"$cr" verify "$small/image" 2>&1
		[ "$left" -ge 100 ] || echo "that cannot be"
		;;
	1) sentence 'small/image.partial.*No space left' ;;
	*) echo "status $status" ;;
	esac
	[ $status -eq 0 ] || [ ! -e "$small/image" ] || echo "the image is there"
	rm -rf "$small/image"
	[ -z "$(ls "$small")" ] || echo "left: $(ls "$small")"
	rm -rf "$small/image.partial"
}
wrong='' i=0
for option in "" --no-sync; do
	left=1
	while [ $left -lt $blocks ]; do
		# shellcheck disable=SC2086 # none, or one word
		bad=$(full_at $left $option)
		[ -z "$bad" ] || wrong="$wrong$left blocks: $bad
"
		i=$((i + 1))
		[ $left -lt $((blocks - 16)) ] && left=$((left + blocks / 7)) || left=$((left + 2))
	done
done
wrong="$wrong$(unharmed)"
report "full with $i sizes" "$wrong"

mount -o "remount,size=16m" "$small"
free_inodes=$(df --output=iavail "$small" | tail -n 1)
wrong=
for left in 0 1 2 3; do
	mount -o "remount,nr_inodes=$((left + 1))" "$small" 2>"$work/err" || wrong="$wrong$(cat "$work/err")"
	bad=$(fails 'small/image.*No space left' "$cr" dump --leave-running "$pid" "$small/image")
	[ -z "$bad" ] || wrong="$wrong$left files: $bad
"
done
mount -o "remount,nr_inodes=$free_inodes" "$small"
report "no room for the folder or one of its files" "$wrong"

# --- folders and names -----------------------------------------------------------------------------------------
mount --bind -o ro "$small" "$small" && mount -o remount,bind,ro "$small"
report "a read-only file system" "$(fails 'small/image.*Read-only file system' "$cr" dump "$pid" "$small/image")"
umount "$small"
report "no folder to lie in" "$(fails 'nowhere/image.*No such file' "$cr" dump "$pid" "$work/nowhere/image")"
report "a file to lie in" "$(fails 'data/image.*Not a directory' "$cr" dump "$pid" "$work/data/image")"
for name in . .. / "$work/other/." "$work/other/.."; do
	report "the name $name" "$(fails "is no name for a new folder" "$cr" dump "$pid" "$name")"
done
long=$(printf '%0250d' 0)
report "a name that is too long with .partial behind it" \
	"$(fails 'File name too long' "$cr" dump "$pid" "$work/other/$long")"
ln -s "$work/precious" "$work/link"
ln -s "$work/other/image" "$work/link-to-image"
ln -s "$work/none" "$work/link-to-none"
for link in link link-to-image link-to-none; do
	for option in --no-sync --force; do
		report "$option onto a symbolic link: $link" \
			"$(fails "$link.*not a folder" "$cr" dump $option "$pid" "$work/$link")"
	done
done
report "--force onto a folder of others" "$(fails 'precious is not replaced' "$cr" dump --force "$pid" "$work/precious")"
cp -a "$work/other/image" "$work/other/with-more"
echo thesis >"$work/other/with-more/thesis"
report "--force onto an image with another file in it" \
	"$(fails 'with-more is not replaced.*thesis' "$cr" dump --force "$pid" "$work/other/with-more")"
cp -a "$work/other/image" "$work/other/link.partial"
rm -r "$work/other/link.partial"
ln -s "$work/precious" "$work/other/link.partial"
report "a symbolic link in the place of DIR.partial" \
	"$(fails 'link.partial is in the way' "$cr" dump "$pid" "$work/other/link")"
echo thesis >"$work/other/file.partial"
report "a file in the place of DIR.partial" \
	"$(fails 'file.partial is in the way' "$cr" dump "$pid" "$work/other/file")"
mkdir "$small/image"
mount --bind "$small/image" "$small/image"
cp -a "$work/other/image/." "$small/image/"
report "--force onto an image that is mounted" \
	"$(fails 'small/image.*(busy|Invalid)' "$cr" dump --force "$pid" "$small/image")"
umount "$small/image"
rm -r "$small/image"
[ -s "$work/precious/thesis" ] && [ -s "$work/other/with-more/thesis" ]
result $? "what is precious is still there"

if can_be_nobody; then
	finish
	mkdir -m 755 "$work/open"
	start_as_user 3 2
	report "a folder of another user" "$(fails 'open/image.*Permission denied' \
		setpriv --reuid $user --regid $user --clear-groups "$work/cr-of-all" dump "$pid" "$work/open/image")"
	finish
	start 3 2
else
	skip "a folder of another user" "needs root and setpriv"
fi

# --- messages ------------------------------------------------------------------------------------------------
report "a log that cannot be opened" "$(fails 'nowhere/log' "$cr" dump --log "$work/nowhere/log" "$pid" "$work/other/new")"
report "what is checked cannot be printed" "$(fails 'standard output: No space' sh -c "exec '$cr' check $pid >/dev/full")"
report "a log that is full" "$(
	"$cr" dump --verbose --log /dev/full --leave-running "$pid" "$work/other/new" >"$work/text" 2>"$work/err"
	status=$?
	rm -rf "$work/other/new"
	unharmed
	case $status in
	0) ;;
	1) sentence 'No space' ;;
	*) echo "status $status" ;;
	esac
)"
finish

# --- limits --------------------------------------------------------------------------------------------------
# starts_with LIMIT: one with sanitizers needs some for its libraries, before it is cr
starts_with() {
	prlimit --nofile="$1:$1" "$cr" --help >/dev/null 2>&1
}
start 40 30
for limit in 3 4 6 8 12 16 24; do
	starts_with $limit || continue
	bad=$(
		CR_PLACES=$$ prlimit --nofile=$limit:$limit "$cr" dump --leave-running "$pid" "$work/other/new" >"$work/text" 2>"$work/err"
		status=$?
		case $status in
		0) "$cr" verify "$work/other/new" ;;
		1) sentence 'Too many open files' ;;
		*) echo "status $status $(cat "$work/err")" ;;
		esac
		[ $status -eq 0 ] || [ ! -e "$work/other/new" ] || echo "the image is there"
		[ ! -e "$work/other/new.partial" ] || echo "new.partial is there"
		rm -rf "$work/other/new" "$work/other/new.partial"
		unharmed 2>&1 | head -5
	)
	report "a dump with $limit descriptors" "$bad"
done
"$cr" dump "$pid" "$work/other/many" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$pid" 2>/dev/null
until_true is_gone

# restored REGEX COMMAND...: the tree is there, or not and the sentence says REGEX
restored() {
	regex=$1
	shift
	files >"$work/before"
	CR_PLACES=$$ "$@" >"$work/text" 2>"$work/err"
	status=$?
	case $status in
	0)
		runs_on || echo "it does not run on"
		kill -9 "$pid"
		until_true is_gone || echo "it does not end"
		;;
	1) sentence "$regex" ;;
	*) echo "status $status: $(cat "$work/err")" ;;
	esac
	is_gone || { echo "process $pid is left"; kill -9 "$pid"; until_true is_gone; }
	until_true no_cr_is_left "CR_PLACES=$$" || echo "a process of cr is left"
	files >"$work/after"
	cmp -s "$work/before" "$work/after" || diff "$work/before" "$work/after"
}
# not_restored REGEX COMMAND...
not_restored() {
	restored "$@"
	[ $status -eq 1 ] || echo "status $status"
}
for limit in 3 5 8 12 24 44; do
	starts_with $limit || continue
	report "a restore with $limit descriptors" "$(restored 'Too many open files|limit of open files' \
		prlimit --nofile=$limit:$limit "$cr" restore --detach "$work/other/many")"
done
# --- the file for the number, and the number ---------------------------------------------------------------------
# shellcheck disable=SC2120 # called by others
restore() { # OPTION...
	"$cr" restore --detach "$@" "$work/other/many"
}
mount -o "remount,size=4096" "$small"
head -c 4096 /dev/zero >"$small/full"
report "the disk is full for a new file" "$(not_restored 'small/pid.*No space left' restore --pidfile "$small/pid")"
rm "$small/full"
mount -o remount,size=16m "$small"
mkdir "$small/folder"
report "a folder is in its place" "$(not_restored 'small/folder.*Is a directory' restore --pidfile "$small/folder")"
mount --bind "$small" "$small" && mount -o remount,bind,ro "$small"
report "its file system is read-only" "$(not_restored 'small/pid.*Read-only' restore --pidfile "$small/pid")"
umount "$small"
echo kept >"$small/pid"
report "what fails leaves an old one" "$(not_restored 'Too many open files' \
	prlimit --nofile=8:8 "$cr" restore --detach --pidfile "$small/pid" "$work/other/many"
	[ "$(cat "$small/pid")" = kept ] || echo "it is another now")"
rm "$small/pid"
report "a log that cannot be opened" "$(not_restored 'nowhere/log' restore --log "$work/nowhere/log")"
report "standard descriptors that are closed" "$(
	CR_PLACES=$$ "$cr" restore --detach "$work/other/many" <&- >&- 2>&-
	status=$?
	[ $status -eq 0 ] && runs_on || echo "status $status"
	kill -9 "$pid"
	until_true is_gone
)"

cat >"$work/take.pl" <<'END_OF_PERL'
# Has a number taken by a zombie, or leaves it as that of a group.
use strict;
use POSIX ();
my ($number, $what) = @ARGV;
my $set_tid = pack('L', $number);
# clone3(2): flags, pidfd, child_tid, parent_tid, exit_signal, stack, its size, tls, set_tid, how many, cgroup
my $args = pack('Q11', 0, 0, 0, 0, 17, 0, 0, 0, unpack('Q', pack('P', $set_tid)), 1, 0);
my $child = syscall(435, $args, length($args));
exit 77 if $child < 0;
if (!$child) {
	POSIX::_exit(0) if $what eq 'zombie';
	setpgrp(0, 0);
	my $member = fork() // die;
	sleep(1000) if !$member;
	POSIX::_exit(0);
}
waitpid($child, 0) if $what eq 'group';
print "ready\n";
$| = 1;
print "\n";
sleep(1000);
END_OF_PERL
has_begun() {
	is_longer 0 "$work/took" || is_ended "$started"
}
group_is_gone() {
	is_gone && ! kill -0 "-$pid" 2>/dev/null
}
for what in zombie group; do
	perl "$work/take.pl" "$pid" $what >"$work/took" &
	started=$!
	until_true has_begun
	if is_longer 0 "$work/took"; then
		regex="number $pid is taken by 'perl', which has ended, but its parent 'perl' .pid $started. has not waited"
		[ $what = zombie ] || regex="number $pid is taken: it lives on as a process group"
		wrong=$(
			CR_PLACES=$$ "$cr" restore --detach "$work/other/many" >"$work/text" 2>"$work/err"
			status=$?
			[ $status -eq 1 ] || echo "status $status"
			sentence "$regex"
		)
		report "a number that is taken by a $what" "$wrong"
	else
		skip "a number that is taken by a $what" "cannot be had here"
	fi
	kill -9 "-$pid" 2>/dev/null # the member of the group
	kill -9 "$started"
	wait "$started" 2>/dev/null
	started=
	until_true group_is_gone
done

# --- limits again -----------------------------------------------------------------------------------------------
own=$(sed -n 's/^[0-9]*:pids:/pids/p' /proc/self/cgroup)
group=/sys/fs/cgroup/${own:-$(sed -n 's/^0:://p' /proc/self/cgroup)}/cr-places.$$
if mkdir "$group" 2>/dev/null && [ -e "$group/pids.max" ]; then
	for limit in 2 3 6 20; do
		echo $limit >"$group/pids.max"
		report "a restore with $limit processes in its control group" "$(not_restored \
			'clone.*(Resource temporarily|pids)' sh -c "echo \$\$ >'$group/cgroup.procs' &&
				exec '$cr' restore --detach '$work/other/many'")"
	done
else
	skip "processes in a control group" "there is no pids controller here"
fi
rmdir "$group" 2>/dev/null
if can_be_nobody && setpriv --reuid 65534 --inh-caps +checkpoint_restore --ambient-caps +checkpoint_restore true 2>/dev/null; then
	chmod -R a+rX "$work/other"
	# Of an ordinary user: dumped once more as one.
	chmod 777 "$work/other"
	start_as_user 3 30
	setpriv --reuid $user --regid $user --clear-groups "$work/cr-of-all" dump --no-sync "$pid" "$work/other/nobody" 2>"$work/err" || give_up "$(cat "$work/err")"
	wait "$pid" 2>/dev/null
	until_true is_gone
	dumped=$pid
	# With a file of its own: the one that is dumped has to be as long as it was.
	start_as_user 3 30 "$work/other.out"
	other=$pid
	pid=$dumped
	report "a restore of 31 threads by a user who may have 9 more" "$(not_restored \
		'task [0-9]+: .*clone.*Resource temporarily unavailable' \
		prlimit --nproc=40:40 setpriv --reuid $user --regid $user --clear-groups \
		--inh-caps +checkpoint_restore --ambient-caps +checkpoint_restore \
		"$work/cr-of-all" restore --detach "$work/other/nobody")"
	kill -9 "$other"
	wait "$other" 2>/dev/null
	report "... and when that has ended" "$(restored '^$' \
		prlimit --nproc=40:40 setpriv --reuid $user --regid $user --clear-groups \
		--inh-caps +checkpoint_restore --ambient-caps +checkpoint_restore \
		"$work/cr-of-all" restore --detach "$work/other/nobody")"
else
	skip "RLIMIT_NPROC" "needs root and setpriv with ambient capabilities"
fi
finish_test
