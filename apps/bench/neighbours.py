#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""zeta's exact selection beside k-d trees and brute force, in turns in one process.

    apps/bench/neighbours.py --build build --n 4096,65536 --input gaussian,drift --threads 2

The task: the K nearest keys of every query, as positions and squared distances, without a mask (`all`) and of the keys before
the query's own position (`causal`). nanoflann: kdtree.cpp describes its two causal ways, `filter` and `forest`. FAISS:
brute force, faiss_flat.py. Building trees is part of the time. Beyond --limit keys FAISS is extrapolated, and `filter` and
`forest` are left out beyond --tree-limit. --check compares the distances found by all of them first and stops if they differ.
"""
import argparse
import dataclasses
import itertools
import sys

import faiss_flat
from attend import add_common, listed, setup
from binding import floats
from cases import Case, Timed, prepare
from timing import machine, measure, write

MODES = {"kdtree": 0, "kdtree filter": 1, "kdtree forest": 2}


def prepare_kdtree(memory, case):
    """A search by nanoflann; `keep` is the address of its distances."""
    helper = memory.helper
    q, k = memory.points(case.input, 1, case.n, case.dk, 0)
    count = case.n * case.neighbours
    positions, distances = memory.block(("tree positions",), 4 * count), memory.block(("tree distances",), 4 * count)
    arguments = (MODES[case.who], case.threads, q, k, case.n, case.n, case.dk, case.neighbours, positions, distances)

    def call():
        if helper.bench_kdtree(*arguments) != 0:
            raise MemoryError("bench_kdtree failed")

    number = helper.bench_kdtree_version()
    return Timed(case, call, keep=distances, version=f"nanoflann {number >> 8}.{number >> 4 & 15}.{number & 15}")


def missing(helper):
    """Peers that are not there, each with the reason."""
    why = {"faiss": faiss_flat.missing()}
    if not hasattr(helper, "bench_kdtree"):
        why["kdtree"] = "nanoflann was not found when the helper was built (Debian: apt-get install libnanoflann-dev)"
    return {who: reason for who, reason in why.items() if reason}


def group(library, memory, base, absent, limits, measured):
    """Timed calls of one size, input and thread count. `measured`: FAISS's last times, for extrapolation."""
    timed = []
    for causal in True, False:
        case = dataclasses.replace(base, causal=causal)
        timed.append(prepare(library, memory, dataclasses.replace(case, call="select", select="exact")))
        if "kdtree" not in absent and case.n <= limits["tree"]:
            timed += [prepare_kdtree(memory, dataclasses.replace(case, who=who)) for who in MODES if causal == (MODES[who] > 0)]
        if "faiss" not in absent:
            case = dataclasses.replace(case, who="faiss")
            t = faiss_flat.prepare(case, *memory.points(case.input, 1, case.n, case.dk, 0))
            if case.n > limits["faiss"]:
                t.extrapolated_from = measured.get((causal, case.input, case.threads))
            if case.n <= limits["faiss"] or t.extrapolated_from:
                timed.append(t)
    return timed


def sums(timed, causal):
    """Sum of all finite distances that each call of one kind finds; they agree up to rounding."""
    found = {}
    for t in timed:
        if t.case.causal != causal or t.extrapolated_from:
            continue
        t.call()
        count = t.case.n * t.case.neighbours
        if t.case.who == "faiss":
            values = t.keep["distances"].ravel()
        else:
            address = t.keep.distances.data if t.case.who == "zeta" else t.keep
            values = floats(address, count)
        found[t.case.who] = sum(value for value in values if value < 1e30)
    return found


def check(timed):
    for causal in True, False:
        found = sums(timed, causal)
        for who, value in found.items():
            if abs(value - found["zeta"]) > 1e-4 * abs(found["zeta"]) + 1e-3:
                raise SystemExit(f"{who} and zeta disagree (causal: {causal}): sums of distances {value} and {found['zeta']}")


def learn(measured, rows):
    for row in rows:
        if row["who"] == "faiss" and row["extrapolated_from"] is None:
            measured[row["causal"], row["input"], row["threads"]] = row["n"], row["median_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("--n", type=listed(int), default=[4096, 16384, 65536], help="[4096,16384,65536]")
    parser.add_argument("--neighbours", type=int, default=32, help="[32]")
    parser.add_argument("--dk", type=int, default=3, help="[3]")
    parser.add_argument("--limit", type=int, default=16384, help="of FAISS [16384]")
    parser.add_argument("--tree-limit", type=int, default=1 << 20, help="of nanoflann [1048576]")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    library, memory, budget = setup(options)
    absent = missing(memory.helper)
    for reason in absent.values():
        print("left out: " + reason, file=sys.stderr)
    limits, measured, rows = {"faiss": options.limit, "tree": options.tree_limit}, {}, []
    for kind, threads, n in itertools.product(options.input, options.threads, sorted(options.n)):
        memory.next_group()
        base = Case("select", n, select="", input=kind, threads=threads, neighbours=options.neighbours, dk=options.dk)
        timed = group(library, memory, base, absent, limits, measured)
        if options.check:
            check(timed)
        rows += measure(f"neighbours {n}, {kind}, {threads} threads", timed, budget)
        learn(measured, rows)
    write(rows, machine(library), options.out)


if __name__ == "__main__":
    main()
