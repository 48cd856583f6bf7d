#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times zeta's calls over a grid of sizes and settings, each beside a copy of the bytes of q, k, v and out.

    apps/bench/attend.py --build build --n 4096,65536 --call forward,backward --select window,exact --threads 1,2

Lists give a grid. All cases of one size take turns in one process. `dense` is our own control over all keys, left out above
--dense-limit. Writes PREFIX.csv and PREFIX.json; progress goes to the standard error.
"""
import argparse
import dataclasses
import itertools
import json
import sys

from binding import Library, load_helper
from cases import Case, prepare
from memory import Memory
from timing import Budget, machine, measure, write


def listed(kind):
    return lambda text: [kind(item) for item in text.split(",")]


def add_common(parser):
    parser.add_argument("--build", default="build", help="build folder with -Dbenchmarks=enabled [build]")
    parser.add_argument("--threads", type=listed(int), default=[1, 2], help="[1,2]")
    parser.add_argument("--input", type=listed(str), default=["gaussian"],
                        help="gaussian, clustered, drift, equal, sorted, crowded, outlier [gaussian]")
    parser.add_argument("--seconds", type=float, default=10, help="of one group, about [10]")
    parser.add_argument("--rounds", type=int, default=15, help="at most [15]")
    parser.add_argument("--out", default="bench", metavar="PREFIX", help="of the .csv and .json files [bench]")


def setup(options):
    """Library, memory and budget of the common options."""
    library = Library(options.build)
    return library, Memory(load_helper([options.build])), Budget(options.seconds, options.rounds)


def of_size(options, n, heads):
    """The grid's cases of one size, and the copies beside them."""
    cases = []
    for call, select, dtype, kind, threads, neighbours, dv, isa in itertools.product(
            options.call, options.select, options.dtype, options.input, options.threads, options.neighbours, options.dv,
            options.isa):
        if call == "dense" and n > options.dense_limit:
            continue
        case = Case(call, n, heads, select, dtype, kind, threads, neighbours, options.dk, dv, isa)
        if call in ("dense", "encode"):
            case = dataclasses.replace(case, select="window")
        cases += [case, dataclasses.replace(case, who="copy", call="copy", select="window", input="gaussian",
                                            neighbours=32, isa="")]
    return list(dict.fromkeys(cases))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("--n", type=listed(int), default=[1024, 16384, 65536], help="[1024,16384,65536]")
    parser.add_argument("--heads", type=listed(int), default=[1], help="[1]")
    parser.add_argument("--call", type=listed(str), default=["forward", "backward"],
                        help="forward, backward, both, select, dense, encode [forward,backward]")
    parser.add_argument("--select", type=listed(str), default=["window", "reranked", "exact"],
                        help="[window,reranked,exact]")
    parser.add_argument("--dtype", type=listed(str), default=["f32"], help="f32, bf16, bf16v [f32]")
    parser.add_argument("--neighbours", type=listed(int), default=[32], help="[32]")
    parser.add_argument("--dk", type=int, default=3, help="[3]")
    parser.add_argument("--dv", type=listed(int), default=[64], help="[64]")
    parser.add_argument("--isa", type=listed(str), default=[""], help="instruction sets [the best]")
    parser.add_argument("--dense-limit", type=int, default=16384, help="[16384]")
    options = parser.parse_args()
    library, memory, budget = setup(options)
    rows = []
    for n, heads in itertools.product(options.n, options.heads):
        memory.next_group()
        timed = [prepare(library, memory, case) for case in of_size(options, n, heads)]
        rows += measure(f"{heads} x {n}", timed, budget)
    about = machine(library)
    write(rows, about, options.out)
    json.dump(about, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
