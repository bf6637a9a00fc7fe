#!/bin/sh
# SPDX-License-Identifier: MIT
# What this version cannot save is refused by name, and where that can be seen from outside, before
# anything is stopped: `cr check` lists it, `cr dump` says it in one sentence and leaves no file, and the
# subject runs on.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"

# Its programs, see there; in another kernel they are beside this one.
programs=${builddir:-.}/test/refuse
needs "$programs/subject" "$programs/no-ptrace"
cp "$programs/subject" "$programs/no-ptrace" "$work/" || exit 99
"$work/no-ptrace" true || skip_all "no seccomp filters"

# --- helpers ---------------------------------------------------------------------------------------
# What the subject has said: sets pid, or why.
# shellcheck disable=SC2317 # called by until_true
has_said() {
	while read -r word rest; do
		case $word in
		ready)
			pid=$rest
			while [ "$pid" != "${pid#0}" ]; do pid=${pid#0}; done
			return
			;;
		skip)
			why=$rest
			return
			;;
		esac
	done <"$work/out"
	return 1
}

# start PROGRAM ARGUMENT...: sets pid, or why it cannot be had
start() {
	rm -rf "$work/dir"
	mkdir -p "$work/dir"
	: >"$work/out"
	why=
	setsid "$@" </dev/null >>"$work/out" 2>&1 &
	started=$!
	until_true has_said || why="does not start: $(cat "$work/out")"
	[ -z "$why" ]
}
finish() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	[ -z "$started" ] || wait "$started" 2>/dev/null
	pid=
	started=
}

no_image() {
	[ ! -e "$work/image" ] || echo "the image is there"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there"
	rm -rf "$work/image" "$work/image.partial"
}

unharmed() {
	looks >"$work/looks.now" 2>&1
	cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now"
	runs_on || echo "the subject does not run on: $(state)"
}

dump_says() { # early|late REGEX
	if [ "$1" = late ]; then
		"$cr" dump "$pid" "$work/image" 2>"$work/err" >&2
	else
		"$work/no-ptrace" "$cr" dump "$pid" "$work/image" 2>"$work/err" >&2
	fi
	status=$?
	[ $status -eq 1 ] || echo "the status of dump is $status"
	sentence "task [0-9]+: |process [0-9]+" "$2"
	no_image
}

check_says() { # early|late REGEX
	"$cr" check "$pid" >"$work/text" 2>&1
	status=$?
	"$cr" check --json "$pid" >"$work/json" 2>&1
	both=$status-$?
	if [ "$1" = late ]; then
		[ $both = 0-0 ] || echo "check: status $both" "$(grep refused "$work/text")"
		return
	fi
	[ $both = 1-1 ] || echo "check: status $both"
	grep -q -E "^refused +[0-9]+ .*($2)" "$work/text" ||
		{ echo "check does not list '$2':"; grep refused "$work/text"; }
	grep -q '"ok": false' "$work/json" && grep -q -E "\"refusal\": .*" "$work/json" ||
		echo "check --json lists nothing refused"
}

# refused early|late TITLE REGEX: of the subject that has been started
refused() {
	looks >"$work/looks"
	report "$2" "$(check_says "$1" "$3"; dump_says "$1" "$3"; unharmed)"
	finish
}

# try early|late WHAT TITLE REGEX
try() {
	if start "$work/subject" "$2" "$work/dir"; then
		refused "$1" "$3" "$4"
	else
		finish
		skip "$3" "$why"
	fi
}

# --- must fail: without anything to refuse, the checks above find it -----------------------------------
start "$work/subject" none "$work/dir" || give_up "$why"
looks >"$work/looks"
"$cr" check "$pid" >"$work/text" 2>&1 || give_up "an ordinary subject is refused: $(grep refused "$work/text")"
wrong=
[ -n "$(check_says early tcp)" ] || wrong="check_says finds nothing"
dump_says early tcp | grep -q 'Invalid cross-device link' || wrong="$wrong; dump_says early finds no ptrace"
"$cr" dump --leave-running "$pid" "$work/image" 2>"$work/err" || wrong="$wrong; $(cat "$work/err")"
[ -n "$(one_sentence "$work/err" 'no such text')" ] || wrong="$wrong; one_sentence finds nothing"
[ -n "$(no_image)" ] || wrong="$wrong; no_image does not find an image"
sed -i 1d "$work/looks"
[ -n "$(unharmed)" ] || wrong="$wrong; unharmed finds nothing"
finish
report "must fail: an ordinary subject, which can be saved" "$wrong"

# --- descriptors -------------------------------------------------------------------------------------
try early tty_master "the master of a pseudo terminal" "fd 3: /dev/(pts/)?ptmx: is the other side.*dump the program in that"
try early tty_second "a second terminal" "fd 4: /dev/pts/[0-9]+: is not the controlling terminal.*close it"
try late tty_two "two terminals, none of them controlling" "fd 4: /dev/pts/[0-9]+: is a second terminal.*close it"
try early tty_closed "a terminal that was closed" "fd 4: /dev/pts/[0-9]+ \(deleted\): its terminal was closed.*close it"
try early tty_session "a child with a session and terminal of its own" "has a terminal in session [0-9]+.*dump process [0-9]+ alone"
try early tcp "a TCP socket" "fd 3: socket:.*close"
try early netlink "a netlink socket" "fd 3: socket:.*close"
try early unix_pair "a pair of Unix sockets" "fd 3: socket:.*close"
try early inotify "inotify" "fd 3: anon_inode:inotify.*close"
try early fanotify "fanotify" "fd 3: anon_inode:\[fanotify\].*close"
try early memfd "a memfd that a process outside has" "memory file.*shared with .subject.*outside the tree; dump"
try early uring "io_uring" "(fd 3: anon_inode:\[io_uring\].*close|io_uring)"
try early uffd "userfaultfd" "fd 3: anon_inode:\[userfaultfd\].*close"
try early perf "a performance event" "fd 3: anon_inode:\[perf_event\].*close"
try early named_mqueue "a POSIX message queue" "fd 3: /cr-refuse: .*message queue.*close"
try early mqueue "a POSIX message queue that was unlinked" "fd 3: /cr-refuse-[0-9]+ \(deleted\): .*message queue.*close"
try early pid_fd "pidfd" "fd 3: .*pidfd.*close"
try early kmsg "a device" "fd 3: /dev/kmsg.*character device.*close"
try early proc_file "a file of /proc" "fd 3: /proc/[0-9]+/maps.*close"
try early deleted_file "a deleted file" "fd 3: .*/object \(deleted\): was deleted.*close"
try early linked_file "a deleted file that has another name" "fd 3: .*/object \(deleted\): was deleted.*put this one back"
try early replaced_file "a replaced file" "fd 3: .*/object( \(deleted\))?: .*(deleted|replaced)"
try early tmpfile_fd "a file without a name" "fd 3: .*deleted.*close"
try early deleted_folder "a deleted folder" "fd 3: .*/folder \(deleted\): was deleted.*close"
try early pipe_out "a pipe whose other end is outside" "fd 4: pipe:.*subject.*outside the tree; redirect"
try early fifo "a named pipe" "fd 3: .*/object: named pipes.*use"
try early flocked "flock" "fd 3: .*/object: holds a lock.*FLOCK"
try early posix_lock "a POSIX lock" "fd 3: .*/object: holds a lock.*POSIX"
try early ofd_lock "an OFD lock" "fd 3: .*/object: holds a lock.*OFD"
try early lease "a lease" "fd 3: .*/object: holds a lock.*LEASE"
try early epoll_gone "an epoll set with a member that was closed" "fd 3: anon_inode:\[eventpoll\]"

# --- memory ------------------------------------------------------------------------------------------
memory="memory at [0-9a-f]+-[0-9a-f]+, .*"
try early memfd_map "a mapping of a memfd outside" "memory file.*shared with .subject.*outside the tree; dump"
try early shared_anon "shared anonymous memory" "shared anonymous memory: is shared with .subject.*outside the tree; dump"
try early deleted_map "a mapping of a deleted file" "$memory/object \(deleted\): was deleted"
try early uffd_map "memory with a userfaultfd" "${memory}userfaultfd"
try early sysv "System V shared memory" "System V segment [0-9]+: .*outside the tree are attached"
try early hugetlb "a System V segment of huge pages" "${memory}.*hugetlbfs"
try early secret "memfd_secret" "${memory}secret"
try early aio "a ring of asynchronous I/O" "${memory}asynchronous"

# --- tasks -------------------------------------------------------------------------------------------
try early deleted_cwd "a deleted working folder" "working folder.*was deleted|fs: .*deleted"
try early posix_timer "a POSIX timer of a thread's own processor time" "timer 0 counts the processor time of the thread that has made it"
try early timer_orphan "a POSIX timer that signals a thread that is gone" "timer 0 signals thread [0-9-]+, which is gone.*delete"
try late notify "a seccomp filter that asks a listener" "task [0-9]+: seccomp:.*SECCOMP_RET_USER_NOTIF"
try late listen_two "two seccomp filters with a listener each" "of the 2 in the tree nobody tells which"
try late listen_nobody "a listener to whom nobody listens any more" "fd 30: .*seccomp filter that nobody has any more; close it"
try late listen_filtered "a supervisor under a filter of its own" "has the listener of a seccomp filter and is under seccomp itself"
try late no_sigreturn "a seccomp filter that forbids rt_sigreturn" "forbids rt_sigreturn.*allow it"
try early traced "a traced task" "traced by process [0-9]+ \(the-tracer\); end that first"
try early leaderless_session "a session whose leader has ended" "task [0-9]+: its session [0-9]+ is neither its own.*would have to be a child of task [0-9]+ too"
try early child_socket "a socket of a child" "fd [0-9]+: socket:.*close"
try early orphans_vm "memory shared with a nephew" "task [0-9]+: it shares its memory with process [0-9]+, but not with its own parent, and is no child"
try early shares_crosswise "descriptors shared crosswise" "born with two of one sort, the descriptor table of process"
outside="with .subject. .pid [0-9]+., outside the tree; dump"
try early parent_files "descriptors shared with the parent outside" "shares its descriptor table $outside"
try early parent_fs "a working folder shared with the parent outside" "shares its working folder $outside"
try early sibling_fs "a working folder shared with a sibling outside" "shares its working folder $outside"
try early parent_io "an I/O context shared with the parent outside" "shares its I/O context $outside"
try early io_of_thread "a child with the I/O context of a thread" "shares its I/O context with task [0-9]+ .CLONE_IO., and not with the first thread of its parent"
try early parent_vfork "memory shared with the parent outside (vfork)" "shares its memory $outside"
try late far_vm "memory shared with one who is no relative" "shares its memory with a process outside the tree.*dump"
try early far_family "... and with a child" "shares its memory $outside"
try early own_files "a child with the descriptors of a thread" "has a descriptor table that is not that of its process but that"
try late segments "segments of its own" "segments of its own \(modify_ldt\)"
try late breakpoints "hardware breakpoints" "hardware breakpoints \(0x[0-9a-f]+\).*delete them"
try late restless "... asleep, where a filter kills who sleeps on" "hardware breakpoints"
try late ports "I/O ports" "I/O ports \(ioperm"
try late key_thread "a keyring of a thread" "keyring of its own \(for the thread\).*drop it"
try late key_process "a keyring of a process" "keyring of its own \(for the process\).*drop it"
try late key_session "a key in the session keyring" "keys in its session keyring \(user;.*;cr-refuse\).*keep them"
try late key_named "a session keyring with a name" "session keyring with a name of its own.*outside"
if start "$work/subject" key_empty "$work/dir"; then
	"$cr" dump --leave-running "$pid" "$work/image" 2>"$work/err" >&2
	result $? "a session keyring as a login makes it can be let go"
	rm -rf "$work/image"
	finish
else
	finish
	skip "an empty session keyring" "$why"
fi
try early own_fs "a child with the working folder of a thread" "has a working folder that is not that of its process but that"
try early own_uts "a thread with a host name of its own" "another uts namespace"
try early ns_mnt "another mount namespace" "another mnt namespace.*nsenter --target [0-9]+"
try early ns_net "another network namespace" "another net namespace.*nsenter --target [0-9]+"
try early ns_uts "another UTS namespace" "another uts namespace.*nsenter --target [0-9]+"
try early ns_ipc "another IPC namespace" "another ipc namespace.*nsenter --target [0-9]+"
try early ns_cgroup "another cgroup namespace" "another cgroup namespace.*nsenter --target [0-9]+"
try early ns_user "another user namespace" "another user namespace.*nsenter --target [0-9]+"
try early ns_time "another time namespace for children" "another time_for_children namespace"
try early ns_time_own "another time namespace" "another time namespace.*nsenter --target [0-9]+"
try early ns_pid_children "another pid namespace for children" "new pid namespace for its children"
try early ns_pid "another pid namespace" "another pid(_for_children)? namespace.*nsenter --target [0-9]+"

cp "$work/subject" "$work/gone"
if start "$work/gone" none "$work/dir"; then
	rm "$work/gone"
	refused early "a deleted executable" "executable: .*was deleted"
else
	skip "a deleted executable" "$why"
fi

if [ -s "$programs/m32" ] && start "$programs/m32"; then
	refused early "a 32-bit program" "is a 32-bit program"
else
	finish
	skip "a 32-bit program" "cannot be made or run here"
fi

# --- numbers that are no subject -------------------------------------------------------------------------

# number STATUS TITLE REGEX PID
number() {
	for command in dump check "check --json"; do
		# shellcheck disable=SC2086 # two words
		if [ "$command" = dump ]; then
			"$cr" dump "$4" "$work/image" >"$work/text" 2>"$work/err"
		else
			"$cr" $command "$4" >"$work/text" 2>"$work/err"
		fi
		status=$?
		[ $status -eq "$1" ] || echo "$command: status $status"
		[ ! -s "$work/text" ] || echo "$command: prints something"
		one_sentence "$work/err" "$3"
		[ ! -e "$work/image" ] && [ ! -e "$work/image.partial" ] || echo "$command: a folder is left"
	done >"$work/wrong"
	[ ! -s "$work/wrong" ] || cat "$work/err" >>"$work/wrong"
	report "$2" "$(cat "$work/wrong")"
}
number 2 "no number" "'abc' is not a process id" abc
number 2 "a number with something behind it" "'12x' is not a process id" 12x
number 2 "a negative number" "-5|option" -5
number 2 "number 0" "'0' is not a process id" 0
number 2 "an empty word" "empty" ""
number 2 "a number that is too large" "'99999999999999999999' is not a process id" 99999999999999999999
above=$(cat /proc/sys/kernel/pid_max)
number 1 "a number that nobody has" "process $above.*([Nn]o such process|not there)" "$above"
# This test runs below it, so cr is a part of the tree.
number 1 "number 1" "cr itself" 1
number 1 "the process that runs cr" "cr itself" $$
if [ ! -s /proc/2/cmdline ] && [ "$(sed 's/.*) . //; s/ .*//' /proc/2/stat 2>/dev/null)" = 0 ]; then
	number 1 "a kernel thread" "2 \(kthreadd\) is a kernel thread" 2
else
	skip "a kernel thread" "number 2 is none"
fi
# A shell waits for its children, sleep does not.
# shellcheck disable=SC2016 # for the other shell
sh -c '(until grep -qx sleep /proc/$$/comm || [ ! -e /proc/$$ ]; do sleep 0.02; done) & echo $!; exec sleep 1000' >"$work/number" &
pid=$!
until_true [ -s "$work/number" ]
zombie=$(cat "$work/number")
until_true is_ended "$zombie"
"$cr" dump "$zombie" "$work/image" 2>"$work/err"
status=$?
report "a zombie" "$([ $status -eq 1 ] || echo "status $status"; sentence \
	"task $zombie: is a zombie: it has ended, and its parent \($pid\) has not waited for it yet")"
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=
sh -c 'exec "$0" dump $$ "$1"' "$cr" "$work/image" 2>"$work/err"
status=$?
report "cr itself" "$([ $status -eq 1 ] || echo "status $status"; one_sentence "$work/err" 'cr itself'
	[ ! -e "$work/image.partial" ] || echo "image.partial is left")"

# --- an ordinary user ------------------------------------------------------------------------------------
mkdir -m 777 "$work/open"
if can_be_nobody && start "$work/subject" none "$work/dir"; then
	looks >"$work/looks"
	"$work/no-ptrace" setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$work/cr-of-all" dump "$pid" "$work/open/image" 2>"$work/err"
	status=$?
	wrong=$([ $status -eq 1 ] || echo "status $status"
		sentence "(task|process) $pid" "CAP_SYS_PTRACE|another user"
		no_image
		[ -z "$(ls "$work/open")" ] || echo "left: $(ls "$work/open")"
		unharmed)
	finish
	report "an ordinary user dumps a process of root" "$wrong"
else
	finish
	skip "an ordinary user dumps a process of root" "needs root and setpriv"
fi

finish_test
