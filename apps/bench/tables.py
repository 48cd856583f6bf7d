#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs everything the performance document shows, and prints whether zeta's targets are met.

    apps/bench/tables.py --build build --out results        (about a quarter of an hour on an idle machine)
    apps/bench/tables.py --build build --quick              (about a minute: small sizes, which say little)

Writes PREFIX.csv, PREFIX.json and PREFIX-targets.txt; report.py makes tables and plots from the JSON. --only picks parts by
name. PyTorch, FAISS and matplotlib are used where Python has them, NumKong where it can be fetched and the CPU has AMX.
"""
import argparse
import dataclasses
import itertools
import os
import sys
import time

import neighbours
import targets
from attend import setup
from cases import Case, prepare
from peers import Peers, size_group
from timing import Budget, machine, measure, write


class Run:
    """What the parts share: the library, the peers and the rows so far."""

    def __init__(self, options):
        self.library, self.memory, self.budget = setup(options)
        self.quick, self.threads = options.quick, 2
        self.sizes = targets.Sizes(4096, 16384) if options.quick else targets.Sizes(65536, 1 << 20)
        limit = (4096, 1024) if options.quick else (65536, 16384)
        self.peers = Peers(*limit)
        self.rows = []

    def seconds(self, full):
        return Budget(full / 12 if self.quick else full, self.budget.rounds)

    def cut(self, sizes, most=16384):
        """The sizes of a part: all, or the small ones of a quick run."""
        return [n for n in sizes if n <= most or not self.quick]

    def measure(self, group, cases, seconds):
        self.memory.next_group()
        timed = [prepare(self.library, self.memory, case) for case in dict.fromkeys(cases)]
        self.rows += measure(group, timed, self.seconds(seconds))


def copy_of(case):
    return dataclasses.replace(case, who="copy", call="copy", select="window", neighbours=32, isa="", input="gaussian")


def part_small(run):
    """From which length on zeta is faster than SDPA: both with 1 and 2 threads."""
    for call, n in itertools.product(("forward", "both"), (32, 64, 128, 256, 512)):
        run.memory.next_group()
        base = Case(call, n)
        timed = []
        for threads in 1, 2:
            timed.append(prepare(run.library, run.memory, dataclasses.replace(base, threads=threads)))
            timed += [run.peers.prepare(case) for case in run.peers.cases(call, n, 1, threads) if case.who == "sdpa"]
        run.rows += measure(f"small {call} {n}", timed, run.seconds(3))


def part_forward(run):
    """One head, every length, beside the copy, SDPA and our dense control."""
    for threads, n in itertools.product((2, 1), run.cut([256, 1024, 4096, 16384, 65536, 262144, 1 << 20, 1 << 22])):
        if n > 1 << 20 and threads == 1:
            continue
        selects = ["window", "exact"] if n > 1 << 20 else ["window", "reranked", "exact"]
        case = Case(n=n, threads=threads)
        if threads == run.threads:
            run.rows += size_group(run.library, run.memory, run.seconds(6), run.peers, case, selects, 16384)
        else:
            cases = [dataclasses.replace(case, select=select) for select in selects]
            run.measure(f"forward 1 x {n}, 1 threads", cases + [dataclasses.replace(case, dtype="bf16"), copy_of(case)], 5)


def part_both(run):
    """One head, forward and backward, beside SDPA."""
    for n in run.cut([256, 1024, 4096, 16384, 65536, 262144, 1 << 20]):
        case = Case("both", n, threads=run.threads)
        run.rows += size_group(run.library, run.memory, run.seconds(6), run.peers, case, ["window", "exact"], 0)


def part_backward(run):
    """Backward beside forward and the copy, one thread."""
    for n in (run.sizes.large, run.sizes.huge):
        cases = [Case(call, n, select=select) for call in ("backward", "forward") for select in ("window", "reranked", "exact")]
        run.measure(f"backward 1 x {n}", cases + [copy_of(cases[0])], 12)


def part_inputs(run):
    """The seven inputs; bfloat16 values beside float32."""
    for n in (run.sizes.large, run.sizes.huge):
        kinds = ("gaussian", "clustered", "drift", "equal", "sorted", "crowded", "outlier")
        for select in "window", "exact":
            cases = [Case(n=n, select=select, input=kind) for kind in kinds]
            if select == "window":
                cases += [dataclasses.replace(cases[0], dtype=dtype) for dtype in ("bf16v", "bf16")]
            run.measure(f"inputs {select} {n}", cases + [copy_of(cases[0])], 12)
    run.measure("inputs backward", [Case("backward", run.sizes.large, input=kind, threads=threads)
                                    for kind in ("gaussian", "clustered", "drift", "equal", "sorted")
                                    for threads in (1, 2)], 12)


def part_heads(run):
    """16 heads, both directions, beside SDPA, and what two threads gain."""
    for n in run.cut([1024, 4096, 16384, 65536, 262144], 1024):
        case = Case(n=n, heads=16, threads=run.threads)
        run.rows += size_group(run.library, run.memory, run.seconds(8), run.peers, case, ["window", "exact"], 16384)
    n = 1024 if run.quick else 16384
    for call in "forward", "backward":
        cases = [Case(call, n, 16, threads=threads) for threads in (1, 2)]
        if call == "forward":
            cases += [Case(call, n, threads=threads) for n in (run.sizes.large, run.sizes.huge) for threads in (1, 2)]
            cases += [copy_of(case) for case in cases[-2:]]
        run.measure(f"threads {call}", cases, 15)


def part_sweeps(run):
    """K, dv, instruction sets, and the codes alone."""
    n = run.sizes.large
    run.measure("neighbours", [Case(n=n, neighbours=k, select=select) for select in ("window", "exact")
                               for k in (8, 16, 32, 64, 128, 256)], 15)
    run.measure("channels", [Case(n=n, dv=dv) for dv in (32, 64, 128, 256, 512)], 8)
    run.measure("isa", [Case(call, n, select=select, isa=isa) for isa in run.library.isas() if isa in ("avx512", "avx2")
                        for call, select in (("forward", "window"), ("forward", "exact"), ("backward", "window"))], 10)
    run.measure("encode", [Case("encode", run.sizes.huge, dk=dk, threads=threads)
                           for dk in (1, 2, 3, 4, 8) for threads in (1, 2)], 3)


def part_neighbours(run):
    """Exact selection beside k-d trees and brute force."""
    absent, measured = neighbours.missing(run.memory.helper), {}
    for reason in absent.values():
        print("left out: " + reason, file=sys.stderr)
    limits = {"faiss": 2048 if run.quick else 16384, "tree": 262144}
    for kind, n in itertools.product(("gaussian", "drift"), run.cut([1024, 4096, 16384, 65536, 262144], 4096)):
        run.memory.next_group()
        base = Case("select", n, select="", input=kind, threads=run.threads)
        timed = neighbours.group(run.library, run.memory, base, absent, limits, measured)
        rows = measure(f"neighbours {n}, {kind}", timed, run.seconds(8))
        neighbours.learn(measured, rows)
        run.rows += rows


PARTS = {name[5:]: part for name, part in list(globals().items()) if name.startswith("part_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build folder with -Dbenchmarks=enabled [build]")
    parser.add_argument("--out", default="tables", metavar="PREFIX", help="of the files [tables]")
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    parser.add_argument("--rounds", type=int, default=15, help="at most [15]")
    parser.add_argument("--only", default="", help="parts, comma-separated: " + ", ".join(PARTS))
    options = parser.parse_args()
    options.seconds = 0
    chosen = options.only.split(",") if options.only else list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--only: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    run = Run(options)
    begin = time.monotonic()
    for name in chosen:
        print(f"-- {name}, after {time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        PARTS[name](run)
        about = machine(run.library)
        write(run.rows, about, options.out)  # after every part, so that a run cut short leaves what it has
    lines = targets.report(run.rows, run.sizes)
    heading = f"{about['cpu']}, zeta {about['version']}, {about['date']}"
    if options.quick:
        heading += (f"; quick: {run.sizes.large:,} stands for 65,536 and {run.sizes.huge:,} for 1,048,576, "
                    "so no target is decided")
    with open(f"{options.out}-targets.txt", "w", encoding="utf-8") as file:
        file.write("\n".join([heading] + lines) + "\n")
    print("\n".join([heading] + lines))
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
