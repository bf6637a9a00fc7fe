#!/bin/sh
# SPDX-License-Identifier: MIT
# A control group that is gone, frozen or full at the restore is told once, by its name, and the process goes on in
# that of cr; and where cr is in another group than the program was, the program comes back to its own.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs sleep

# A hierarchy in which a group can be made.
group_in() { # TYPE OPTION
	while read -r _ _ _ root mount rest; do
		case $rest in *" - $1 "*"$2"*) ;; *) continue ;; esac
		[ "$root" = / ] && [ ! -e "$mount/cpuset.cpus" ] &&
			mkdir "$mount/cr-test-$$" 2>/dev/null && echo "$mount" && return
	done </proc/self/mountinfo
	return 1
}
groups=
# shellcheck disable=SC2317 # called by trap
end_groups() {
	end_of_test
	for g in $groups; do
		[ ! -d "$g" ] || until_true rmdir "$g" 2>/dev/null
	done
}
trap end_groups EXIT

dumped() { # GROUP: the program is in there, with a child
	bare setsid sh -c 'sleep 1000 & echo "$!"; wait' </dev/null >"$work/out" 2>&1 &
	pid=$!
	until_true has_lines 1
	child=$(cat "$work/out")
	echo "$pid" >"$1/cgroup.procs" && echo "$child" >"$1/cgroup.procs" || return 1
	rm -rf "$work/image"
	"$cr" dump --no-sync "$pid" "$work/image" 2>"$work/err" || return 1
	wait "$pid" 2>/dev/null
	until_true is_gone && until_true is_gone "$child"
}
# The image is restored again and again, so the numbers stay.
end() {
	kill -9 "$pid" "$child" 2>/dev/null
	until_true is_gone && until_true is_gone "$child"
}
is_in() { # PID NAME
	grep -q -E ":/$2\$" "/proc/$1/cgroup"
}

for type in cgroup2 cgroup; do
	mount=$(group_in $type freezer || group_in $type "") || {
		missing "groups of $type" "a hierarchy that can be written"
		continue
	}
	name=cr-test-$$
	g=$mount/$name
	groups="$groups $g"

	dumped "$g" && "$cr" restore --detach "$work/image" 2>"$work/err" && [ ! -s "$work/err" ] &&
		is_in "$pid" "$name" && is_in "$child" "$name"
	result $? "$type: back in the group, and not a word"
	end

	sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" restore --detach "$3"' sh "$g" "$cr" "$work/image" \
		2>"$work/err" && [ ! -s "$work/err" ] && is_in "$pid" "$name"
	result $? "$type: cr is in the group itself"
	end

	frozen=
	if [ -e "$g/cgroup.freeze" ]; then
		echo 1 >"$g/cgroup.freeze" && frozen=cgroup.freeze thawed=0
	elif [ -e "$g/freezer.state" ]; then
		echo FROZEN >"$g/freezer.state" && frozen=freezer.state thawed=THAWED
	fi
	if [ -n "$frozen" ]; then
		"$cr" restore --detach "$work/image" 2>"$work/err" && ! is_in "$pid" "$name" &&
			[ "$(wc -l <"$work/err")" -eq 1 ] && grep -q "warning: .*/$name .*is frozen; thaw it" "$work/err"
		result $? "$type: a frozen group is told once"
		end
		echo "$thawed" >"$g/$frozen"
	else
		skip "$type: a frozen group" "no freezer in this hierarchy"
	fi

	until_true rmdir "$g"
	"$cr" restore --detach "$work/image" 2>"$work/err" && ! is_in "$pid" "$name" && is_in "$pid" "" &&
		[ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -q "warning: task $pid: cgroup /$name (.*) is not there; make it before.*is in /" "$work/err"
	result $? "$type: a group that is gone is told once"
	end
done

finish_test
