#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dump and restore of sleeping processes by cr and by criu, side by side in one run.

The tools take turns in every round, each with a subject of its own. Wall time is from the start
of the tool to its end, as a caller sees it; the system calls of all processes of the tool are
counted in a run apart (count.c). criu keeps what it finds out about the kernel in a tmpfs on /run,
so it gets one where there is none. Everything happens in a private mount namespace, as root."""

import argparse
import ctypes
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import memory as much

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, PR_SET_CHILD_SUBREAPER = 0x20000, 0x4000, 1 << 18, 36
SUBJECTS = {
    "sleep": ["SLEEPER"],
    "threads-100": ["SLEEPER", "100"],
    "threads-1000": ["SLEEPER", "1000"],
    "tree-100": ["SLEEPER", "tree", "100"],
    "tree-1000": ["SLEEPER", "tree", "1000"],
    "python3": [sys.executable, "-c", "import os, signal; os.write(1, b'ready\\n'); signal.pause()"],
}
# Of these only calls of kcmp are counted: what there is to compare, and the command.
COMPARED = {
    "100 processes with 100 descriptors each, from one parent": (100 * 100, ["SLEEPER", "inherited", "100", "100"]),
    "one process with 10000 different files": (10000, ["SLEEPER", "files", "10000"]),
}


def check(result, what):
    if result != 0:
        sys.exit(f"bench: {what}: {os.strerror(ctypes.get_errno())}")


def is_tmpfs(path):
    return subprocess.check_output(["stat", "-f", "-c", "%T", path], text=True).strip() == "tmpfs"


def private_mounts(folder):
    check(LIBC.unshare(CLONE_NEWNS), "unshare (to be run as root)")
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    for place in [folder] + ([] if is_tmpfs("/run") else ["/run"]):
        check(LIBC.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"mode=700"), f"mount {place}")


class Tool:
    """A row of the table: how the tool is called, and what was measured."""

    def __init__(self, name, dump, restore):
        self.name = name
        self.needs_folder = name == "criu"
        self.syncs = name == "cr"
        self.command = {"dump": dump, "restore": restore}
        self.times = {"dump": [], "restore": []}
        self.calls = {"dump": None, "restore": None}
        self.kcmp = {"dump": None, "restore": None}


def criu(tree):
    lib = f"{tree}/usr/lib/{platform.machine()}-linux-gnu"
    start = [f"{lib}/ld-linux-x86-64.so.2", "--library-path", lib, f"{tree}/usr/sbin/criu"]
    version = subprocess.run(start + ["--version"], capture_output=True, text=True, check=True)
    return Tool(
        "criu",
        lambda pid, d: start + ["dump", "-t", str(pid), "-D", d, "-o", "dump.log"],
        lambda pid, d: start + ["restore", "-d", "-D", d, "-o", "restore.log"],
    ), "criu " + version.stdout.split()[1]


def cr(path, name, *options):
    return Tool(
        name,
        lambda pid, d: [path, "dump", *options, str(pid), d],
        lambda pid, d: [path, "restore", "--detach", d],
    )


def start_subject(command, folder):
    out = os.path.join(folder, "out")
    with open(out, "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder,
            start_new_session=True, env={"PATH": os.environ["PATH"]})
    while open(out, "rb").read() != b"ready\n":
        if process.poll() is not None:
            sys.exit(f"bench: the subject {command} failed")
        time.sleep(0.002)
    time.sleep(0.005)
    return process.pid


def run(tool, operation, pid, image, before=()):
    command = list(before) + tool.command[operation](pid, image)
    log = image + ".out"
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    begin = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    status = os.waitpid(child, 0)[1]
    taken = time.perf_counter() - begin
    if status != 0:
        print(f"bench: {' '.join(command)}: status {os.waitstatus_to_exitcode(status)}")
        for name in (log, f"{image}/{operation}.log"):
            if os.path.exists(name):
                print(open(name, errors="replace").read()[-3000:])
        os.kill(pid, signal.SIGKILL) if operation == "dump" else None
        sys.exit(1)
    return taken


def reap():
    """Whoever has lost its parent is a child of this process (a subreaper)."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def end_children():
    """Whatever was started, when the benchmark itself is ended."""
    for pid in open(f"/proc/self/task/{os.getpid()}/children").read().split():
        os.kill(int(pid), signal.SIGKILL)
    reap()


def end_restored(tool, pid, before):
    after = identity(pid)
    if after:
        os.killpg(pid, signal.SIGKILL)
        reap()
    if after != before:
        sys.exit(f"bench: {tool.name}: process {pid} was {before}, is {after}")


def identity(pid):
    try:
        lines = open(f"/proc/{pid}/status").read().splitlines()
    except FileNotFoundError:
        return None
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    members = sum(1 for name in names if group_of(name) == pid)
    return [line for line in lines if line.split(":")[0] in ("Name", "Threads", "PPid")] + [f"{members} processes"]


def group_of(pid):
    try:
        return os.getpgid(int(pid))
    except ProcessLookupError:
        return None


def one_round(tool, subject, folder, counter=None):
    image = os.path.join(folder, "image")
    pid = start_subject(subject, folder)
    before = identity(pid)
    if tool.needs_folder:
        os.mkdir(image)
    for operation in ("dump", "restore"):
        count = [counter, os.path.join(folder, "count")] if counter else []
        taken = run(tool, operation, pid, image, count)
        if operation == "dump":
            reap()  # the numbers must be free again
        if counter:
            tool.calls[operation], tool.kcmp[operation] = map(int, open(count[1]).read().split())
        else:
            tool.times[operation].append(taken * 1e3)
    end_restored(tool, pid, before)
    shutil.rmtree(image)


def empty_start(sleeper):
    """What starting and reaping a program that does nothing takes: no tool can be below that."""
    times = []
    for _ in range(100):
        begin = time.perf_counter()
        os.waitpid(os.posix_spawn(sleeper, [sleeper, "0"], os.environ), 0)
        times.append((time.perf_counter() - begin) * 1e3)
    return f"an empty program: min {min(times):.2f} ms, median {statistics.median(times):.2f} ms"


def table(tools, tasks):
    print("| tool | operation | min ms | median ms | us a task | system calls | criu/tool: min | median | calls |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for operation in ("dump", "restore"):
        base = tools[0]
        for tool in tools:
            a, b = base.times[operation], tool.times[operation]
            if operation == "restore" and tool.syncs:  # the same command once more
                continue
            ratios = (min(a) / min(b), statistics.median(a) / statistics.median(b),
                      base.calls[operation] / tool.calls[operation])
            print(f"| {tool.name} | {operation} | {min(b):.2f} | {statistics.median(b):.2f} "
                  f"| {min(b) * 1e3 / tasks:.0f} | {tool.calls[operation]} | {' | '.join(f'{r:.1f}' for r in ratios)} |")


def compare(program, helpers, folder):
    """How often the kernel was asked whether two are the same."""
    print("\n| compared by kcmp | n | calls | n log2 n |\n| --- | ---: | ---: | ---: |")
    for name, (n, command) in COMPARED.items():
        tool = cr(program, "cr", "--no-sync")
        one_round(tool, [helpers["sleeper"] if w == "SLEEPER" else w for w in command], folder, helpers["count"])
        print(f"| {name} | {n} | {tool.kcmp['dump']} | {n * math.log2(n):.0f} |")


def machine():
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if "model name" in line]
    return f"{cpu[0] if cpu else 'unknown CPU'}, {len(cpu)} cores, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cr", help="the program; without it criu is measured alone")
    parser.add_argument("--criu", required=True, help="the folder that criu was unpacked to")
    parser.add_argument("--tools", default=".", help="where sleeper and count are (default: .)")
    parser.add_argument("--disk", default=".", help="a folder on a disk (default: .)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=much.default_size(),
                        help="MiB of mem-4k and mem-huge (default: 4096, or what fits)")
    usual = [name for name in SUBJECTS if name != "python3"]
    parser.add_argument("subject", nargs="*", default=usual + ["kcmp"],
                        help=f"{' '.join(SUBJECTS)} kcmp {' '.join(much.SUBJECTS)} (default: all but python3 and those "
                        "of much memory, which are measured three times at most)")
    args = parser.parse_args()
    names = args.subject
    if args.rounds < 1 or args.size < 4 or set(names) - set(SUBJECTS) - set(much.SUBJECTS) - {"kcmp"}:
        parser.error("unknown subject, or no rounds")
    helpers = {name: os.path.abspath(os.path.join(args.tools, name)) for name in ("sleeper", "count", "plain")}
    tree = os.path.abspath(args.criu)
    program = os.path.abspath(args.cr) if args.cr else None
    disk = tempfile.mkdtemp(prefix="cr-bench-", dir=args.disk)
    memory = tempfile.mkdtemp(prefix="cr-bench-")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(f"bench: ended by signal {number}"))
    try:
        private_mounts(memory)
        check(LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
        versions = [criu(tree)[1]]
        if program:
            versions += [subprocess.check_output([program, "--version"], text=True).splitlines()[0]]
        print(f"{machine()}; {', '.join(versions)}; {args.rounds} rounds; {empty_start(helpers['sleeper'])}")
        for name in (n for n in names if n in SUBJECTS):
            command = [helpers["sleeper"] if w == "SLEEPER" else w for w in SUBJECTS[name]]
            for place, folder in (("tmpfs", memory), ("disk", disk)):
                tools = [criu(tree)[0]]
                if program:
                    tools += [cr(program, "cr --no-sync", "--no-sync"), cr(program, "cr")]
                for tool in tools:  # warm, and counted
                    one_round(tool, command, folder)
                    tool.times = {"dump": [], "restore": []}
                    one_round(tool, command, folder, helpers["count"])
                for i in range(args.rounds):
                    for tool in tools[i % len(tools):] + tools[:i % len(tools)]:
                        one_round(tool, command, folder)
                print(f"\n{name}, images on {place}:\n")
                table(tools, int(command[-1]) if "-" in name else 1)
                sys.stdout.flush()
        for name in (n for n in names if n in much.SUBJECTS):
            for place, folder in (("tmpfs", memory), ("disk", disk)):
                tools = [criu(tree)[0]]
                if program:
                    tools += [cr(program, "cr --no-sync", "--no-sync"), cr(program, "cr")]
                print(f"\n{name}, images on {place}:\n")
                much.measure(sys.modules[__name__], name, folder, tools, helpers, min(args.rounds, 3), args.size)
                sys.stdout.flush()
        if "kcmp" in names and program:
            compare(program, helpers, memory)
    finally:
        end_children()
        LIBC.umount2(os.fsencode(memory), 2)
        shutil.rmtree(memory, ignore_errors=True)
        shutil.rmtree(disk, ignore_errors=True)


if __name__ == "__main__":
    main()
