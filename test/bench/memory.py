# SPDX-License-Identifier: MIT
"""Rows of bench.py for much memory: cr and criu beside what plain calls can do (plain.c), in one run and with as
many threads. Before each measurement as much memory as it will take is touched and given back: where the host
of a virtual machine takes back what is free, that would be measured else."""

import os
import shutil
import subprocess

SUBJECTS = {
    "mem-4k": (["memory", "SIZE"], "small", 1),
    "mem-huge": (["memory", "SIZE", "huge"], "huge", 1),
    "vmas-65000": (["vmas", "65000"], None, 65000 / 256),
    "sparse-1t": (["sparse", "1024"], None, 1024),
}


def default_size():
    """MiB: 4 GiB, or what fits several times over."""
    free = [int(line.split()[1]) // 1024 for line in open("/proc/meminfo") if line.startswith("MemAvailable:")]
    return max(64, min(4096, free[0] // 5 // 64 * 64))


class Plain:
    def __init__(self, program, how):
        self.program, self.how = program, how
        self.times = {}

    def call(self, *args):
        return subprocess.check_output([self.program, *map(str, args)], text=True)

    def warm(self, size):
        self.call("warm", size)

    def round(self, folder, size, threads):
        for name, args in (("pwrite from memory", ("write", self.how)),
                           ("pread, populated", ("read", "populated")),
                           ("pread, fresh small pages", ("read", "small")),
                           ("pread, fresh huge pages", ("read", "huge"))):
            self.warm(2 * size)
            taken = float(self.call(args[0], folder, size, threads, args[1]))
            self.times.setdefault(name, []).append(taken)
        for i in range(threads):
            os.unlink(f"{folder}/plain-{i}")


def one_round(bench, tool, subject, folder, warm):
    """False: the tool cannot."""
    image = os.path.join(folder, "image")
    pid = bench.start_subject(subject, folder)
    before = bench.identity(pid)
    if tool.needs_folder:
        os.mkdir(image)
    try:
        for operation in ("dump", "restore"):
            warm()
            tool.times[operation].append(bench.run(tool, operation, pid, image) * 1e3)
            if operation == "dump":
                bench.reap()
        bench.end_restored(tool, pid, before)
        return True
    except SystemExit:
        bench.reap()
        return False
    finally:
        shutil.rmtree(image, ignore_errors=True)


def table(tools, plain, mib):
    best = {}
    if plain:
        best = {"dump": min(plain.times["pwrite from memory"]),
                "restore": min(plain.times["pread, fresh huge pages"])}
    print("| tool | operation | min ms | GB/s | of the limit | criu/tool |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, times in plain.times.items() if plain else ():
        print(f"| plain | {name} | {min(times):.0f} | {mib * 1.048576 / min(times):.2f} | | |")
    criu = tools[0].times
    for operation in ("dump", "restore"):
        for tool in tools:
            if operation == "restore" and tool.syncs:  # the same command once more
                continue
            if not tool.times[operation]:
                print(f"| {tool.name} | {operation} | it cannot | | | |")
                continue
            least = min(tool.times[operation])
            limit = f"{best[operation] / least:.2f}" if best else ""
            ratio = f"{min(criu[operation]) / least:.1f}" if criu[operation] else ""
            print(f"| {tool.name} | {operation} | {least:.0f} | {mib * 1.048576 / least:.2f} | {limit} | {ratio} |")


def measure(bench, name, folder, tools, helpers, rounds, size):
    words, how, scale = SUBJECTS[name]
    mib = int(size if "SIZE" in words else scale)
    command = [helpers["sleeper"]] + [str(size) if w == "SIZE" else w for w in words]
    plain = Plain(helpers["plain"], how)
    threads = len(os.sched_getaffinity(0))
    able = list(tools)
    for i in range(rounds):
        if how:
            plain.round(folder, mib, threads)
        for tool in tools[i % len(tools):] + tools[:i % len(tools)]:
            if tool in able and not one_round(bench, tool, command, folder, lambda: plain.warm(2 * mib)):
                able.remove(tool)
    table(tools, plain if how else None, mib)
