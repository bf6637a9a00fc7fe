#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs tests of a build inside kernels of Debian, in a virtual machine without a disk.
#
#   run.sh CR TEST...       paths below the build folder (scripts: below srcdir)
#
#   KERNELS="SUITE..."      whose kernels; bookworm, bookworm-backports and bookworm-open if unset; SUITE-open is
#                           built from the suite's source, without a restriction (open.sh)
#   KERNEL_FILES="..."    paths below the build folder, of what the tests run
#   KERNEL_FLAVOUR=NAME     cloud-amd64
#   KERNEL_ARGUMENTS=TEXT   more of the kernel's command line, as proc_mem.force_override=ptrace
#   KERNEL_DEADLINE=SEC     for one kernel; 1200
#   CR_KERNEL_CACHE=DIR     where kernels are kept; ~/.cache/cr-kernels
#   QEMU, QEMU_ACCEL, QEMU_CPU    qemu-system-x86_64, tcg, max without cmpxchg16b
#   QEMU_SMP=N              processors; 2. Linux 6.12 and newer may not boot with two emulated ones
#   CR_TEST_DEADLINE (120 if unset) and those named below are passed on to the tests
set -eu
here=$(cd "$(dirname "$0")" && pwd)
srcdir=${srcdir:-$here/../..}
kernels=${KERNELS:-bookworm bookworm-backports bookworm-open}
cache=${CR_KERNEL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cr-kernels}
qemu=${QEMU:-qemu-system-x86_64}
passed="CR_TEST_MODES CR_TEST_KILLS CR_MUST_WORK CR_KEEP"
machine=${QEMU_ACCEL:-tcg}
# Emulated by qemu 7.2, cmpxchg16b now and then leaves garbage in the flags: Linux 6.12 dies of it.
processor=${QEMU_CPU:-max,cx16=off}

die() {
	echo "run.sh: $*" >&2
	exit 1
}

for tool in "$qemu" busybox cpio dpkg-deb ldd; do
	command -v "$tool" >/dev/null || die "$tool is needed"
done
! ldd "$(command -v busybox)" >/dev/null 2>&1 || die "busybox has to be a static one (busybox-static)"
[ $# -ge 2 ] || die "usage: run.sh CR TEST..."
cr=$1
shift
image_of() { # SUITE
	case $1 in
	*-open) "$here/open.sh" "$cache" "${1%-open}" ;;
	*) "$here/debs.sh" "$cache" "$1" kernel "${KERNEL_FLAVOUR:-cloud-amd64}" ;;
	esac
}
for kernel in $kernels; do # first of all: it may ask the network
	image_of "$kernel" >/dev/null
done

work=$(mktemp -d "${TMPDIR:-/tmp}/cr-kernels-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root

# put FILE PLACE: a program, and the libraries that it needs under the paths it asks for
put() {
	mkdir -p "$root/$(dirname "$2")"
	cp -L "$1" "$root/$2"
	ldd "$1" 2>/dev/null | sed -n 's/.*=> not found/missing/p; s/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' |
		while read -r library; do
			[ "$library" != missing ] || die "$1 lacks a library"
			[ ! -e "$root$library" ] || continue
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
}

mkdir -p "$root/bin" "$root/etc" "$root/t" "$root/usr"
put "$(command -v busybox)" bin/busybox
put "$(readlink -f /bin/sh)" bin/sh # busybox's own answers 'command -v' otherwise
put "$cr" t/cr
for test; do
	case $test in
	*.sh)
		mkdir -p "$root/t/$(dirname "$test")"
		cp "$srcdir/$test" "$root/t/$test"
		mkdir -p "$root/t/test/func"
		cp "$srcdir/test/tap.sh" "$root/t/test/"
		cp "$srcdir/test/func/lib.sh" "$root/t/test/func/"
		[ ! -x "${test%.sh}" ] || put "${test%.sh}" "t/${test%.sh}"
		;;
	*) put "$test" "t/$test" ;;
	esac
	echo "$test"
done >"$root/t/list"
for program in ${KERNEL_FILES-}; do
	put "$program" "t/$program"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
cp "$here/init" "$root/init"
chmod +x "$root/init"
{
	echo "CR_TEST_DEADLINE=${CR_TEST_DEADLINE:-120}"
	for name in $passed; do
		eval "value=\${$name-}"
		# shellcheck disable=SC2154 # eval sets it
		[ -z "$value" ] || echo "$name='$value'"
	done
	echo "export CR_TEST_DEADLINE $passed"
} >"$root/t/environment"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs"

result=0
for kernel in $kernels; do
	image=$(image_of "$kernel")
	echo "== $kernel"
	status=0
	timeout --foreground -k 5 "${KERNEL_DEADLINE:-1200}" \
		"$qemu" -nodefaults -no-user-config -display none -no-reboot -m 2G -smp "${QEMU_SMP:-2}" \
		-cpu "$processor" -accel "$machine" -kernel "$image" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 ${KERNEL_ARGUMENTS-}" -serial stdio \
		</dev/null >"$work/console" 2>&1 || status=$?
	awk -v wanted=$# -f "$here/judge.awk" "$work/console" || {
		result=1
		[ "$status" = 0 ] || echo "$qemu ended with $status (124: after ${KERNEL_DEADLINE:-1200} seconds)"
		cp "$work/console" "console-$kernel.log"
		echo "the whole console: console-$kernel.log"
	}
done
exit $result
