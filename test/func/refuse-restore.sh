#!/bin/sh
# SPDX-License-Identifier: MIT
# An image that is damaged, or whose files or number are not there any more: `cr restore` says in one
# sentence what is wrong, and leaves neither a process nor a file. `cr dump` replaces nothing that is
# not an image.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc

# Lives in DIR/cwd, has DIR/data open and DIR/mapped mapped, and writes a dot from time to time. A child shares folder
# and descriptors.
cat >"$work/subject.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	volatile char *p;
	int fd;

	(void)argc;
	for (fd = 3; fd < 1024; fd++)
		close(fd);
	if (chdir(argv[1]) || open("data", O_RDWR) != 3 || lseek(3, 4096, SEEK_SET) != 4096)
		return 1;
	fd = open("mapped", O_RDONLY);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED || chdir("cwd") || *p != 'm')
		return 1;
	close(fd);
	if (!syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0)) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	for (;;) {
		write(1, ".", 1);
		usleep(10000);
	}
}
END
mkdir "$work/dir" "$work/dir/cwd"
gcc -O1 -w -Wl,--build-id -o "$work/dir/exe" "$work/subject.c" || give_up "the subject does not compile"
dd if=/dev/zero bs=4096 count=2 2>/dev/null | tr '\0' 'd' >"$work/dir/data"
dd if=/dev/zero bs=4096 count=1 2>/dev/null | tr '\0' 'm' >"$work/dir/mapped"

files() {
	(cd "$work" && find dir image* copy* open -exec ls -ld --time-style=+ {} + 2>/dev/null | sort)
}

# refused REGEX [COMMAND...]: of a restore
refused() {
	regex=$1
	shift
	files >"$work/before"
	[ $# -gt 0 ] || set -- timeout 30 "$cr" restore --detach --pidfile "$work/dir/pidfile" "$work/image"
	"$@" >"$work/text" 2>"$work/err"
	status=$?
	files >"$work/after"
	[ $status -eq 1 ] || echo "status $status"
	sentence "$regex"
	[ ! -s "$work/text" ] || echo "prints something"
	cmp -s "$work/before" "$work/after" || diff "$work/before" "$work/after"
	if [ "${taken:-}" != "$pid" ] && is_ours; then
		echo "process $pid is there"
		kill -9 "$pid"
		until_true is_gone
	fi
}

# --- dump: what is replaced -----------------------------------------------------------------------------
: >"$work/out"
setsid "$work/dir/exe" "$work/dir" </dev/null >>"$work/out" 2>&1 &
pid=$!
until_true is_longer 3 || give_up "the subject does not run"

dump_refused() { # REGEX ARGUMENT...
	regex=$1
	shift
	files >"$work/before"
	"$cr" dump "$@" "$pid" "$work/image" 2>"$work/err"
	status=$?
	files >"$work/after"
	[ $status -eq 1 ] || echo "status $status"
	sentence "$regex"
	cmp -s "$work/before" "$work/after" || diff "$work/before" "$work/after"
	runs_on || echo "the subject does not run on"
}

mkdir "$work/image"
report "dump into a folder that is there" "$(dump_refused 'image .*--force')"
echo precious >"$work/image/thesis"
report "dump --force into a folder that is no image" "$(dump_refused 'image.*not.* image' --force)"
rm -r "$work/image"
echo precious >"$work/image"
report "dump --force onto a file" "$(dump_refused 'image.*(not.* image|(Not|not) a (directory|folder))' --force)"
rm "$work/image"
mkdir "$work/image.partial"
echo precious >"$work/image.partial/thesis"
report "dump beside a folder IMAGE.partial that is no image" \
	"$(dump_refused 'image.partial')"
rm -r "$work/image.partial"

"$cr" dump "$pid" "$work/image" 2>"$work/err" || give_up "$(cat "$work/err")"
wait "$pid" 2>/dev/null
until_true is_gone || give_up "the subject does not end"

# --- must fail: an image that can be restored is ------------------------------------------------------
found=$(refused 'no such text')
wrong=
for text in 'status 0' 'process [0-9]+ is there' 'pidfile'; do
	echo "$found" | grep -q -E "$text" || wrong="$wrong; does not find '$text'"
done
rm -f "$work/dir/pidfile"
report "must fail: an image that can be restored" "$wrong"

# --- the image -----------------------------------------------------------------------------------------
mv "$work/image" "$work/copy"
report "no folder" "$(refused 'image')"
mkdir "$work/image"
report "an empty folder" "$(refused 'image.*manifest')"
rmdir "$work/image"
echo text >"$work/image"
report "a file, not a folder" "$(refused 'image')"
rm "$work/image"

fresh() {
	rm -rf "$work/image"
	cp -a "$work/copy" "$work/image"
}
# flip FILE OFFSET
flip() {
	old=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -to1 | tr -d ' ')
	new=$(printf '%03o' $((0$old ^ 1)))
	# shellcheck disable=SC2059 # an octal escape
	printf "\\$new" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for file in manifest objects pages-0; do
	size=$(stat -c %s "$work/copy/$file")
	fresh
	rm "$work/image/$file"
	report "no $file" "$(refused "$file")"
	for to in 0 1 $((size / 2)) $((size - 1)); do
		fresh
		truncate -s "$to" "$work/image/$file"
		report "$file cut to $to bytes" "$(refused "$file")"
	done
	fresh
	echo more >>"$work/image/$file"
	report "$file with something behind it" "$(refused "$file")"
	fresh
	rm "$work/image/$file"
	mkfifo "$work/image/$file"
	report "a named pipe for $file" "$(refused "$file")"
	fresh
	rm "$work/image/$file"
	ln -s /dev/zero "$work/image/$file"
	report "a link for $file" "$(refused "$file")"
	# Checksums of pages are for cr verify.
	[ $file != pages-0 ] || continue
	for at in 0 5 17 $((size / 3)) $((size / 2)) $((size - 1)); do
		fresh
		flip "$work/image/$file" "$at"
		report "$file with another bit in byte $at" "$(refused "$file")"
	done
done
fresh

# --- files -----------------------------------------------------------------------------------------------
# changed NAME TITLE REGEX COMMAND...: with NAME changed by the command
changed() {
	cp -a "$work/dir/$1" "$work/kept"
	name=$1
	title=$2
	regex=$3
	shift 3
	"$@"
	report "$title" "$(refused "$regex")"
	rm -rf "$work/dir/$name"
	cp -a "$work/kept" "$work/dir/$name"
	rm -rf "$work/kept"
}
# shellcheck disable=SC2317 # called by changed
append() {
	echo x >>"$1"
}
# shellcheck disable=SC2317 # called by changed
put() { # COMMAND NAME: what the command makes, in place of what is there
	rm -r "$2" && "$1" "$2"
}
changed mapped "a mapped file is missing" "dir/mapped.*No such file" rm "$work/dir/mapped"
changed mapped "a mapped file is longer" "dir/mapped: has 4098 bytes, had 4096.*put the old" \
	append "$work/dir/mapped"
changed mapped "a mapped file was touched" "dir/mapped: was changed.*put the old" touch "$work/dir/mapped"
changed mapped "a mapped file is a named pipe" "dir/mapped" \
	put mkfifo "$work/dir/mapped"
changed exe "the executable is missing" "dir/exe.*No such file" rm "$work/dir/exe"
changed exe "the executable is another" "dir/exe: (has|was changed).*put the old" \
	cp /bin/true "$work/dir/exe"
# Another build has the same size and, by chance, the same time.
# shellcheck disable=SC2317 # called by changed
other_build() {
	id=$(readelf -n "$1" | sed -n 's/.*Build ID: //p')
	time=$(stat -c %y "$1")
	perl -e 'local $/; open F, "+<", $ARGV[0]; my $t = <F>; my $id = pack "H*", $ARGV[1];
		my $at = index $t, $id; die if $at < 0; seek F, $at, 0; print F "x"' "$1" "$id" &&
		touch -d "$time" "$1"
}
if command -v readelf >/dev/null && command -v perl >/dev/null && readelf -n "$work/dir/exe" | grep -q "Build ID"; then
	changed exe "the executable is another build" "dir/exe: was changed.*build id.*put the old" \
		other_build "$work/dir/exe"
else
	skip "the executable is another build" "it has no build id"
fi
changed data "an open file is missing" "dir/data.*put it back: No such file" rm "$work/dir/data"
changed data "an open file is shorter than its position" "dir/data.*(bytes|short|size|position)" \
	truncate -s 100 "$work/dir/data"
changed data "an open file is a folder" "dir/data" put mkdir "$work/dir/data"
changed data "an open file is a named pipe" "dir/data.*not a regular file" \
	put mkfifo "$work/dir/data"
changed cwd "the working folder is gone" "dir/cwd.*No such file" rmdir "$work/dir/cwd"
changed cwd "the working folder is a file" "dir/cwd.*(Not|not) a (directory|folder)" \
	put touch "$work/dir/cwd"
report "the pidfile cannot be written" "$(refused '/no-such-folder/x' \
	"$cr" restore --detach --pidfile "$work/no-such-folder/x" "$work/image")"

# --- the number, and rights --------------------------------------------------------------------------------
# What has a build id may have another time.
touch "$work/dir/exe"
"$cr" restore --detach "$work/image" 2>"$work/err"
result $? "the executable was touched, and has the build id that it had"
taken=$pid
report "the number is taken" "$(refused "number $pid is taken by 'exe' \(parent [0-9]+\)")"
report "who has taken it runs on" "$(runs_on || echo "it does not run on")"
taken=
kill -9 "$pid"
until_true is_gone || exit 99

if can_be_nobody; then
	report "an ordinary user may not read the image" "$(refused 'image.*Permission denied' \
		as_nobody "$work/cr-of-all" restore --detach "$work/image")"
	chmod -R a+rX "$work/image"
	report "an ordinary user may not restore what root was" "$(refused 'CAP_CHECKPOINT_RESTORE|run cr with it' \
		as_nobody "$work/cr-of-all" restore --detach "$work/image")"
else
	skip "an ordinary user" "needs root and setpriv"
fi

# --- after all of that ---------------------------------------------------------------------------------------
rm -rf "$work/image"
cp -a "$work/copy" "$work/image"
wrong=$("$cr" restore --detach "$work/image" 2>&1)
[ -n "$wrong" ] || runs_on || wrong="it does not run on"
report "the same image, with all in its place" "$wrong"
[ -z "$wrong" ] || is_gone || echo "# process $pid: $(cat "/proc/$pid/comm")"
kill -9 "$pid" 2>/dev/null

finish_test
