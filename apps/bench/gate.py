#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says whether one build is slower than another, beyond the noise.

    apps/bench/gate.py --gate build-before build-after [--cases backward] [--tolerance 0.03]

Both libraries are loaded into one process and called on the same memory. A pair of a case is four blocks of calls in the order
before, after, after, before (every other pair the other way round), so that a drift of the machine cancels; its ratio is the
time of the after blocks to that of the before blocks. Pairs come from several fresh processes, which load the builds in
turned order, since where memory lies can be worth a per cent or two.

Rule: over all pairs of a case, the median ratio and its bootstrap interval (2,000 resamples, fixed seed; 99 % of them).
A case is slower if the median exceeds 1 + tolerance and the whole interval lies above 1; faster likewise below 1. The exit
code is 1 if any case is slower, 2 if they could not be measured, else 0. One of the builds needs -Dbenchmarks=enabled; both are best built with the same
options and compiler, --buildtype=release.
"""
import argparse
import json
import random
import statistics
import subprocess
import sys
import time

from binding import Library, load_helper
from cases import Case, prepare
from memory import Memory

CASES = {
    "forward window, 1,024": Case(n=1024),
    "forward window, 65,536": Case(n=65536),
    "forward window, 65,536, 2 threads": Case(n=65536, threads=2),
    "forward window, drift, 65,536": Case(n=65536, input="drift"),
    "forward window, bf16, 65,536": Case(n=65536, dtype="bf16"),
    "forward reranked, 16,384": Case(n=16384, select="reranked"),
    "forward exact, 16,384": Case(n=16384, select="exact"),
    "forward window, 16 heads of 4,096, 2 threads": Case(n=4096, heads=16, threads=2),
    "encode, 65,536": Case(call="encode"),
    "backward window, 16,384": Case(call="backward", n=16384),
    "backward window, equal, 65,536, 2 threads": Case(call="backward", input="equal", threads=2),
    "backward exact, 16,384": Case(call="backward", n=16384, select="exact"),
}
BLOCK = 0.008  # seconds of a block of calls, at least
RESAMPLES = 2000
CONFIDENCE = 0.99


def timed_block(call, count):
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin


def pairs_of(before, after, pairs):
    """Ratios after : before of one case."""
    for call in (before, after, before, after):
        single = timed_block(call, 1)
    count = max(1, int(BLOCK / single))
    ratios = []
    for pair in range(pairs):
        outer, inner = (before, after) if pair % 2 == 0 else (after, before)
        times = [timed_block(call, count) for call in (outer, inner, inner, outer)]
        ratio = (times[1] + times[2]) / (times[0] + times[3])
        ratios.append(ratio if pair % 2 == 0 else 1 / ratio)
    return ratios


def measure(builds, names, pairs):
    """{case: ratios} of this process."""
    libraries = [Library(build) for build in builds]
    memory = Memory(load_helper(builds))
    ratios = {}
    for name in names:
        memory.next_group()
        before, after = (prepare(library, memory, CASES[name]).call for library in libraries)
        ratios[name] = pairs_of(before, after, pairs)
    return ratios


def interval(ratios):
    """Bootstrap interval of the median."""
    generator = random.Random(1)
    medians = sorted(statistics.median(generator.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[tail], medians[-1 - tail]


def verdict(ratios, tolerance):
    """(word, median, low, high) by the rule above."""
    median, (low, high) = statistics.median(ratios), interval(ratios)
    if median > 1 + tolerance and low > 1:
        return "slower", median, low, high
    if median < 1 / (1 + tolerance) and high < 1:
        return "faster", median, low, high
    return "no difference", median, low, high


def in_processes(options, names):
    """Ratios of all processes, each told to measure and print."""
    total = {name: [] for name in names}
    for process in range(options.processes):
        turned = process % 2 == 1
        builds = options.gate[::-1] if turned else options.gate
        command = [sys.executable, "-B", __file__, "--gate", *builds, "--pairs", str(options.pairs), "--measure"]
        done = subprocess.run(command + ["--cases", options.cases], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(2)  # it has said why
        for name, ratios in json.loads(done.stdout).items():
            total[name] += [1 / ratio for ratio in ratios] if turned else ratios
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", nargs=2, required=True, metavar=("BEFORE", "AFTER"), help="two build folders")
    parser.add_argument("--cases", default="", help="only those whose name has this text")
    parser.add_argument("--pairs", type=int, default=12, help="per case and process [12]")
    parser.add_argument("--processes", type=int, default=4, help="[4]")
    parser.add_argument("--tolerance", type=float, default=0.03, help="ratio less 1 that counts as no difference [0.03]")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # a process of in_processes
    options = parser.parse_args()
    names = [name for name in CASES if options.cases in name]
    if not names:
        parser.error(f"no case has '{options.cases}' in its name: {'; '.join(CASES)}")
    if options.measure:
        print(json.dumps(measure(options.gate, names, options.pairs)))
        return 0
    slower = 0
    for name, ratios in in_processes(options, names).items():
        word, median, low, high = verdict(ratios, options.tolerance)
        slower += word == "slower"
        print(f"{name:46} {word:13} {100 * (median - 1):+6.1f} %  ({100 * (low - 1):+.1f} to {100 * (high - 1):+.1f})")
    print(f"{slower} of {len(names)} cases slower" if slower else "no case is slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
