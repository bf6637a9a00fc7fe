#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a kernel without the restriction that an executable cannot be exchanged while it is mapped: Debian's
# source of a suite with open.config, and the check cut out of replace_mm_exe_file(). Some minutes, once.
#
#   open.sh CACHE SUITE      prints the path of the kernel image
#
# OPEN_SOURCE: linux-source-6.1. Needs gcc, make, bc, flex, bison, xz, perl and libelf-dev.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=${OPEN_SOURCE:-linux-source-6.1}

die() {
	echo "open.sh: $*" >&2
	exit 1
}

[ $# = 2 ] || die "usage: open.sh CACHE SUITE"
image=$1/$2-open/$package/image
# Another configuration or another edit is another kernel.
made_of=$(cat "$here/open.config" "$0" | cksum)
if [ "$(cat "$image.made-of" 2>/dev/null)" != "$made_of" ]; then
	for tool in gcc make bc flex bison xz perl; do
		command -v $tool >/dev/null || die "$tool is needed"
	done
	[ -e /usr/include/libelf.h ] || die "libelf-dev is needed"
	archive=$("$here/debs.sh" "$1" "$2" source "$package")
	work=$(mktemp -d "${TMPDIR:-/tmp}/cr-open-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	tar -C "$work" -xf "$archive" --strip-components=1
	perl -0pi -e '
		s{(\nint replace_mm_exe_file\([^{]*\{.*?)\t/\* Forbid mm->exe_file change.*?\n\t\}\n\n(?=\t/\* set the new file)}{$1}s
			or die "replace_mm_exe_file is not what it was\n"' "$work/kernel/fork.c" || die "the source cannot be changed"
	make -s -C "$work" ARCH=x86_64 KCONFIG_ALLCONFIG="$here/open.config" allnoconfig >&2
	grep '=y$' "$here/open.config" | while read -r option; do
		grep -qx "$option" "$work/.config" || echo "open.sh: warning: this source has no $option" >&2
	done
	make -s -C "$work" ARCH=x86_64 LOCALVERSION=-open -j"$(nproc)" bzImage >&2
	mkdir -p "${image%/*}"
	cp "$work/arch/x86_64/boot/bzImage" "$image"
	echo "$made_of" >"$image.made-of"
fi
echo "$image"
