# SPDX-License-Identifier: MIT
# bash completion for cr(1)

# Options of a command; of cr itself without one.
_cr_options() {
	case $1 in
	dump) echo --leave-running --leave-stopped --force --no-sync --compress --dedup --jobs --timeline --json --timeout ;;
	restore) echo --detach --pidfile --explain --any-cpu --jobs --timeline --json --timeout ;;
	show) echo --json ;;
	check) echo --json ;;
	verify) ;;
	help) return ;;
	*) echo --version ;;
	esac
	echo --verbose --log --help
}

_cr_commands() {
	echo dump restore show check verify help
}

# The command on the line before the word that is completed.
_cr_command() {
	local i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--log) ((i++)) ;;
		-*) ;;
		*)
			echo "${COMP_WORDS[i]}"
			return
			;;
		esac
	done
}

# How many operands of the command stand before the word that is completed.
_cr_operands() {
	local i n=-1
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--log | --pidfile | --compress | --jobs | --timeout) ((i++)) ;;
		-*) ;;
		*) ((n++)) ;;
		esac
	done
	echo "$n"
}

_cr_pids() {
	local dir
	for dir in /proc/[0-9]*; do
		[ -e "$dir/exe" ] && echo "${dir#/proc/}"
	done
}

# Names of files (-f) or folders (-d); the shell adds the slashes.
_cr_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
}

_cr() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command
	command=$(_cr_command)
	COMPREPLY=()
	case $before in
	--log | --pidfile)
		_cr_files -f "$word"
		return
		;;
	--compress)
		mapfile -t COMPREPLY < <(compgen -W "zstd lz4" -- "$word")
		return
		;;
	--jobs | --timeout)
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_cr_options "$command")" -- "$word")
		return
	fi
	case $command:$(_cr_operands) in
	:*) mapfile -t COMPREPLY < <(compgen -W "$(_cr_commands)" -- "$word") ;;
	help:0) mapfile -t COMPREPLY < <(compgen -W "$(_cr_commands)" -- "$word") ;;
	dump:0 | check:0) mapfile -t COMPREPLY < <(compgen -W "$(_cr_pids)" -- "$word") ;;
	dump:1 | restore:0 | show:0 | verify:0) _cr_files -d "$word" ;;
	esac
}

complete -F _cr cr
