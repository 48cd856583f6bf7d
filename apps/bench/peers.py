#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zeta beside dense attention on the CPU, all in turns in one process.

    apps/bench/peers.py --build build --n 1024,4096,16384,65536 --call forward,both --threads 2

For each size: zeta (window, reranked, exact), a copy of q, k, v and out, our own dense control (forward), PyTorch's
scaled_dot_product_attention in float32 and bfloat16 (sdpa.py) and NumKong's kernel where the CPU has AMX (numkong.py).
What is not installed is named in one line and left out. Quadratic peers are run up to --limit (forward) and --limit-both
(forward and backward) positions times heads; beyond, their time is the last measured one grown as N squared, and the row
says so.
"""
import argparse
import dataclasses
import itertools
import sys

import numkong
import sdpa
from attend import add_common, listed, setup
from cases import Case, prepare
from timing import machine, measure, write


class Peers:
    """Makes the peers' timed calls; remembers the last measured time of each for extrapolation."""

    def __init__(self, limit, limit_both, tell=True):
        self.limits = {"forward": limit, "backward": limit_both, "both": limit_both}
        self.measured = {}  # (who, call, dtype, heads, threads) -> (n, ms)
        self.why = {"sdpa": sdpa.missing(), "numkong": numkong.load()[1]}
        for why in self.why.values():
            if why and tell:
                print("left out: " + why, file=sys.stderr)

    @staticmethod
    def _key(case):
        return case.who, case.call, case.dtype, case.heads, case.threads

    def cases(self, call, n, heads, threads):
        """What is there to be timed for one call."""
        base = Case(call, n, heads, "", "f32", threads=threads, dk=64)
        cases = []
        if not self.why["sdpa"]:
            cases += [dataclasses.replace(base, who="sdpa", dtype=dtype) for dtype in ("f32", "bf16")]
        if not self.why["numkong"] and call == "forward" and n % numkong.BLOCK == 0:
            cases += [dataclasses.replace(base, who="numkong", dtype="bf16")]
        return cases

    def prepare(self, case):
        """The timed call, one to extrapolate, or None where nothing smaller was measured."""
        module = {"sdpa": sdpa, "numkong": numkong}[case.who]
        if case.n * case.heads <= self.limits[case.call]:
            return module.prepare(case)
        known = self.measured.get(self._key(case))
        small = dataclasses.replace(case, n=256)
        return known and dataclasses.replace(module.prepare(small), case=case, extrapolated_from=known)

    def learn(self, rows):
        for row in rows:
            if row["who"] in self.why and row["extrapolated_from"] is None:
                self.measured[row["who"], row["call"], row["dtype"], row["heads"], row["threads"]] = row["n"], row["median_ms"]


def size_group(library, memory, budget, peers, case, selects, dense_limit):
    """Rows of one size, call and thread count."""
    memory.next_group()
    cases = [dataclasses.replace(case, select=select) for select in selects]
    cases += [dataclasses.replace(case, dtype="bf16")]
    if case.call == "forward" and case.n * case.heads <= dense_limit:
        cases += [dataclasses.replace(case, call="dense")]
    cases += [dataclasses.replace(case, call="copy", who="copy")]
    timed = [prepare(library, memory, c) for c in cases]
    timed += filter(None, map(peers.prepare, peers.cases(case.call, case.n, case.heads, case.threads)))
    rows = measure(f"{case.call} {case.heads} x {case.n}, {case.threads} threads", timed, budget)
    peers.learn(rows)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("--n", type=listed(int), default=[256, 1024, 4096, 16384, 65536], help="[256,1024,4096,16384,65536]")
    parser.add_argument("--heads", type=listed(int), default=[1], help="[1]")
    parser.add_argument("--call", type=listed(str), default=["forward", "both"], help="forward, both, backward [forward,both]")
    parser.add_argument("--select", type=listed(str), default=["window", "exact"], help="[window,exact]")
    parser.add_argument("--limit", type=int, default=32768, help="of quadratic peers, forward [32768]")
    parser.add_argument("--limit-both", type=int, default=16384, help="the same with backward [16384]")
    options = parser.parse_args()
    library, memory, budget = setup(options)
    peers = Peers(options.limit, options.limit_both)
    rows = []
    for call, heads, threads, kind, n in itertools.product(options.call, options.heads, options.threads, options.input,
                                                           sorted(options.n)):
        case = Case(call, n, heads, input=kind, threads=threads)
        rows += size_group(library, memory, budget, peers, case, options.select, options.limit)
    write(rows, machine(library), options.out)


if __name__ == "__main__":
    main()
