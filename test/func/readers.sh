#!/bin/sh
# SPDX-License-Identifier: MIT
# Readers of much memory beside all that a process keeps open meanwhile: any number of mapped files, with children
# that share the memory and without, by one reader and by several.
. "${srcdir:-.}/test/tap.sh"
cr=${CR:-$(pwd)/cr}

cat >"$work/subject.c" <<'END'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (40ul << 20)
static char path[4200];
static const char *in(const char *folder, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}
int main(int argc, char **argv)
{
	int n = atoi(argv[1]), children = atoi(argv[2]), signal, bad = 0;
	int *file[64];
	pid_t child[4];
	char name[16];
	sigset_t set;
	size_t *all;

	for (int i = 0; i < n; i++) {
		int fd;

		snprintf(name, sizeof(name), "file.%d", i);
		fd = open(in(argv[3], name), O_RDWR | O_CREAT, 0600);
		ftruncate(fd, 8192);
		pwrite(fd, &i, sizeof(i), 0);
		file[i] = mmap(0, 8192, PROT_READ, i & 1 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		close(fd);
	}
	all = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < SIZE / sizeof(*all); i += 512)
		all[i] = i * 7 + 1;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	for (int i = 0; i < children; i++) {
		child[i] = fork();
		if (!child[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	close(creat(in(argv[3], "ready"), 0600));
	sigwait(&set, &signal);
	for (int i = 0; i < n; i++)
		bad |= *file[i] != i;
	for (size_t i = 0; i < SIZE / sizeof(*all); i += 512)
		bad |= (all[i] != i * 7 + 1) << 1;
	for (int i = 0; i < children; i++) {
		kill(child[i], SIGKILL);
		waitpid(child[i], 0, 0);
	}
	close(creat(in(argv[3], bad ? "bad" : "good"), 0600));
	return 0;
}
END
gcc -O1 -w -o "$work/subject" "$work/subject.c" || {
	say 1 "the subject compiles"
	finish_test
}

await() { # FILE...: one of them is there
	turns=0
	until [ $turns -ge 1000 ]; do
		for file; do
			[ ! -e "$file" ] || return 0
		done
		turns=$((turns + 1))
		sleep 0.02
	done
	return 1
}
# bare COMMAND...: without the descriptors of this script, in a session of its own
bare() {
	exec perl -MPOSIX -e 'POSIX::close($_) for 3 .. 1023; POSIX::setsid(); exec @ARGV or die' "$@"
}
# once FILES CHILDREN OPTION...: of the restore
once() {
	dir=$work/dir
	rm -rf "$dir"
	mkdir "$dir"
	(bare "$work/subject" "$1" "$2" "$dir" </dev/null >/dev/null 2>&1) &
	pid=$!
	await "$dir/ready" || echo "it does not run"
	"$cr" dump --no-sync "$pid" "$dir/image" 2>&1 || echo "the dump of $1 files, $2 children"
	wait "$pid" 2>/dev/null
	numbers="$1 files, $2 children"
	shift 2
	"$cr" restore --detach "$@" "$dir/image" 2>&1 || {
		echo "the restore of $numbers $*"
		return
	}
	kill -USR1 "$pid"
	await "$dir/good" "$dir/bad" || kill -9 "$pid"
	[ -e "$dir/good" ] || echo "not as it was: $numbers $*"
}

for children in 0 2; do
	for jobs in 1 3; do
		for files in 0 1 2 3 4 5 6 7 8 9 10 12 16 24; do
			once $files $children --jobs $jobs
		done >"$work/out" 2>"$work/told" # there the shell tells who was killed
		[ ! -s "$work/out" ]
		say $? "any number of mapped files, $children children, $jobs readers"
	done
done
finish_test
