#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing (Debian, as root) and builds cr in the folder build/.
#
#   setup.sh                 install and build
#   setup.sh --install-only  install
#   setup.sh --all ...       also what lint and the other compilers of .ci/run need
set -eu
cd "$(dirname "$0")/.."

build_packages="autoconf automake make gcc libc6-dev binutils pkg-config protobuf-c-compiler
	libprotobuf-c-dev libcap-dev libjansson-dev libxxhash-dev libzstd-dev liblz4-dev
	libcunit1-dev bash"
demo_packages="python3-minimal"
test_packages="python3-minimal python3-numpy perl-base gdb tmux nano less procps vim bsdutils nodejs
	openjdk-17-jdk-headless xz-utils openssl"
lint_packages="clang libclang-rt-14-dev clang-format cppcheck shellcheck mandoc codespell"

packages="$build_packages $demo_packages"
build=yes
for argument; do
	case $argument in
	--install-only) build=no ;;
	--all) packages="$packages $test_packages $lint_packages" ;;
	--tests) packages="$packages $test_packages" ;;
	*)
		echo "setup.sh: unknown argument $argument" >&2
		exit 2
		;;
	esac
done

missing=
for package in $packages; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=
	[ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update
	# shellcheck disable=SC2086 # a list of packages
	apt-get -q -y install --no-install-recommends $missing
fi

[ $build = yes ] || exit 0
mkdir -p build
log=$PWD/build/setup.log
echo "building in build/"
{
	./autogen.sh
	cd build
	[ -e Makefile ] || ../configure -q --with-cunit=yes
	make -j"$(nproc)"
} >"$log" 2>&1 || {
	tail -n 50 "$log"
	echo "setup.sh: the build failed" >&2
	exit 1
}
