#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decode: steps of zeta's cache beside dense decode, over contexts, heads, selections and inputs.

    apps/bench/decode.py --build build --out decode        (about ten minutes on an idle machine)
    apps/bench/decode.py --build build --quick              (small contexts, which say little)

Runs `zeta bench decode` for each case; of each context and number of heads also our dense float32 step (the faster of a
vectorised loop and zeta_dense_forward, dk 3) and, where Python has torch, PyTorch's scaled_dot_product_attention of one query
of 64 channels. Writes PREFIX.csv, PREFIX.json, PREFIX.md (tables) and PREFIX-targets.txt. What would not fit into memory is
left out and named.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import sdpa
from attend import listed
from binding import Library
from report import number, table
from rows import find, one, values
from targets import Target
from timing import machine, write

KINDS = ["gaussian", "clustered", "drift", "equal", "sorted"]
SELECTS = {"window": ["--select", "window"], "reranked": ["--select", "window", "--window", "128"], "exact": ["--select", "exact"]}
FIGURES = ["median_us", "p99_us", "p999_us", "max_us", "tokens_per_second", "bytes_per_token", "bytes_of_raw", "prefill_ms",
           "forward_ms", "prefill_of_forward"]


def row_of(who, context, heads, threads, **more):
    row = {"who": who, "context": context, "heads": heads, "threads": threads, "select": "", "input": "", "value_type": "f32",
           "isa": "", "steps": 0, **{name: None for name in FIGURES}, "peer_version": ""}
    row.update(more)
    print(describe(row), file=sys.stderr, flush=True)
    return row


def describe(row):
    """One line for people."""
    text = (f"{row['who']:6} {row['heads']:>3} x {row['context']:>9,} {row['select']:9} {row['input']:9} {row['threads']} threads"
            f" {row['median_us']:12.2f} us")
    if row["who"] == "zeta":
        text += f"  99.9 % {row['p999_us']:9.1f}  slowest {row['max_us']:9.1f}  {row['bytes_per_token'] / row['heads']:6.1f} bytes"
    return text + (f"  prefill {row['prefill_of_forward']:.2f} of forward" if row["prefill_of_forward"] else "")


class Run:
    """The program, the options and the rows so far."""

    def __init__(self, options):
        self.program = pathlib.Path(options.build) / "apps" / "zeta" / "zeta"
        self.options, self.rows = options, []
        self.why = sdpa.missing()
        if self.why:
            print("left out: " + self.why, file=sys.stderr)

    def fits(self, size, what):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size < 0.8 * memory:
            return True
        print(f"left out: {what} needs {size / 2**30:.0f} GiB", file=sys.stderr)
        return False

    def zeta(self, context, heads, select, kind, full):
        """Rows of one case; `full`: with prefill and dense."""
        steps = self.options.steps if heads == 1 else max(1, self.options.steps // 4)
        row = context * heads * 4 * (3 + 64)
        if not self.fits(row * (4 if full else 2.4), f"zeta, {heads} x {context:,}"):
            return
        words = ["--context", context, "--heads", heads, "--threads", self.options.threads, "--steps", steps, "--input", kind]
        words += ["--repeat", self.options.repeat, "--json"] + SELECTS[select]
        words += [] if full else ["--rounds", 0, "--no-dense"]
        done = subprocess.run([self.program, "bench", "decode", *map(str, words)], stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            print(f"left out: {heads} x {context:,} {select} {kind}: exit code {done.returncode}", file=sys.stderr)
            return
        found = json.loads(done.stdout)
        shared = {"isa": found["isa"], "steps": steps}
        self.rows.append(row_of("zeta", context, heads, found["threads"], select=select, input=kind, **shared,
                                **{name: found[name] for name in FIGURES}))
        if found["dense_us"] is not None and not find(self.rows, who="dense", context=context, heads=heads):
            self.rows.append(row_of("dense", context, heads, found["threads"], median_us=found["dense_us"]))

    def torch(self, context, heads):
        """One query against keys and values of 64 channels, float32."""
        if self.why or not self.fits(context * heads * 4 * 128 * 1.2, f"SDPA, {heads} x {context:,}"):
            return
        import torch
        torch.set_num_threads(self.options.threads)
        generator = torch.Generator().manual_seed(1)
        q = torch.randn(1, heads, 1, sdpa.WIDTH, generator=generator)
        k, v = (torch.randn(1, heads, context, sdpa.WIDTH, generator=generator) for _ in range(2))
        times, begin = [], time.perf_counter()
        with torch.inference_mode():
            torch.nn.functional.scaled_dot_product_attention(q, k, v)
            while len(times) < 3 or (time.perf_counter() - begin < 0.5 and len(times) < 1000):
                start = time.perf_counter()
                torch.nn.functional.scaled_dot_product_attention(q, k, v)
                times.append(1e6 * (time.perf_counter() - start))
        self.rows.append(row_of("sdpa", context, heads, self.options.threads, median_us=statistics.median(times),
                                peer_version="PyTorch " + torch.__version__))

    def group(self, context, heads):
        for select in self.options.select:
            for kind in self.options.input:
                if kind != "gaussian" and heads > 1 and context > self.options.inputs_limit:
                    continue
                self.zeta(context, heads, select, kind, full=kind == "gaussian" and select == "window")
        self.torch(context, heads)


def zeta_row(rows, context, heads=1, select="window", kind="gaussian"):
    return one(rows, who="zeta", context=context, heads=heads, select=select, input=kind)


def cell(row, name, per_head=True):
    if row is None or row[name] is None:
        return ""
    return number(row[name] / (row["heads"] if per_head else 1))


def context_table(rows, heads, threads):
    """Steps on Gaussian input by context, beside what they are compared with."""
    lines = []
    for context in values(find(rows, heads=heads), "context"):
        window, reranked, exact = (zeta_row(rows, context, heads, select) for select in SELECTS)
        dense, torch = (one(rows, who=who, context=context, heads=heads) for who in ("dense", "sdpa"))
        rate = f"{window['tokens_per_second']:,.0f}" if window else ""
        lines.append([f"{context:,}", *(cell(window, name) for name in ("median_us", "p99_us", "p999_us", "max_us")),
                      cell(reranked, "median_us"), cell(reranked, "p999_us"), cell(exact, "median_us"), cell(exact, "p999_us"),
                      cell(dense, "median_us"), cell(torch, "median_us"), rate])
    heading = "1 head" if heads == 1 else f"{heads} heads"
    return table(f"Steps, us per head: {heading}, {threads} thread{'s' * (threads > 1)}, gaussian", [
        "context", "window, median", "99 %", "99.9 %", "slowest", "reranked, median", "99.9 %", "exact, median", "99.9 %",
        "dense, ours", "SDPA", "tokens/s, window"], lines)


def input_table(rows, context):
    """Median, 99.9 % and slowest of every input."""
    lines = []
    for select in SELECTS:
        for name, title in (("median_us", "median"), ("p999_us", "99.9 %"), ("max_us", "slowest")):
            found = [zeta_row(rows, context, 1, select, kind) for kind in KINDS]
            if any(found):
                lines.append([f"{select}, {title}"] + [cell(row, name) for row in found])
    return table(f"Inputs, us: 1 head, context {context:,}", ["step"] + KINDS, lines)


def memory_table(rows, heads):
    lines = []
    for context in values(find(rows, who="zeta", heads=heads, select="window"), "context"):
        found = [zeta_row(rows, context, heads, "window", kind) for kind in KINDS]
        gaussian = found[0]
        worst = max((row["bytes_of_raw"] for row in found if row), default=None)
        lines.append([f"{context:,}", cell(gaussian, "bytes_per_token"), cell(gaussian, "bytes_of_raw", False), number(worst),
                      cell(gaussian, "prefill_ms", False), cell(gaussian, "forward_ms", False),
                      cell(gaussian, "prefill_of_forward", False)])
    heading = "1 head" if heads == 1 else f"{heads} heads"
    return table(f"Memory and prefill: {heading}", ["context", "bytes a token and head", "of raw", "of raw, worst input",
                                                    "prefill, ms", "forward, ms", "prefill / forward"], lines)


def figure(name):
    def measure(rows, context):
        row = zeta_row(rows, context)
        return row and row[name]
    return measure


def beside(who):
    def measure(rows, context):
        ours, theirs = zeta_row(rows, context), one(rows, who=who, context=context, heads=1)
        return theirs["median_us"] / ours["median_us"] if ours and theirs else None
    return measure


def memory_worst(rows, context):
    return max((row["bytes_of_raw"] for row in find(rows, who="zeta", context=context, heads=1)), default=None)


TARGETS = [
    Target("step, median, us per head", 6, None, figure("median_us")),
    Target("step, 99.9th percentile, us", 60, None, figure("p999_us")),
    Target("step, slowest of the best run, us", 1000, None, figure("max_us")),
    Target("dense step, ours / step", 1000, None, beside("dense"), larger=True),
    Target("  PyTorch SDPA, one query / step", None, None, beside("sdpa"), larger=True),
    Target("prefill / forward of as many tokens", 1.5, None, figure("prefill_of_forward")),
    Target("memory / raw keys and values, worst of all inputs and selections", 1.3, None, memory_worst),
]


def heading_of(about, context, options):
    threads = f"{options.threads} thread" + "s" * (options.threads > 1)
    text = (f"{about['cpu']}, zeta {about['version']}, {about['date']}; 1 head, {threads}, context {context:,}, dv 64, K 32, "
            f"float32, gaussian, best of {options.repeat} runs of {options.steps:,} steps")
    if context != 1 << 20 or options.threads != 1 or options.steps < 20000:
        text += "; targets speak of 1,048,576, one thread and 20,000 steps, so none is decided"
    return text


def save(run, about, context):
    """All files, from the rows so far."""
    options = run.options
    write(run.rows, about, options.out)
    heads = values(run.rows, "heads")
    parts = [context_table(run.rows, h, options.threads) for h in heads] + [input_table(run.rows, context)]
    parts += [memory_table(run.rows, h) for h in heads]
    peers = "".join(", " + name for name in values(run.rows, "peer_version") if name)
    note = f"{about['cpu']}, {about['system']}; zeta {about['version']}{peers}; {about['date']}; `apps/bench/{about['command']}`.\n"
    pathlib.Path(f"{options.out}.md").write_text("\n".join(filter(None, parts + [note])), encoding="utf-8")
    lines = [heading_of(about, context, options)] + [target.line(run.rows, context) for target in TARGETS]
    pathlib.Path(f"{options.out}-targets.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="build folder [build]")
    parser.add_argument("--out", default="decode", metavar="PREFIX", help="of the files [decode]")
    parser.add_argument("--context", type=listed(int), default=[1 << x for x in range(10, 21, 2)], help="[1024,4096,...,1048576]")
    parser.add_argument("--huge", action="store_true", help="4,194,304 too")
    parser.add_argument("--heads", type=listed(int), default=[1, 16], help="[1,16]")
    parser.add_argument("--threads", type=int, default=1, help="[1]")
    parser.add_argument("--select", type=listed(str), default=list(SELECTS), help="[window,reranked,exact]")
    parser.add_argument("--input", type=listed(str), default=KINDS, help=f"[{','.join(KINDS)}]")
    parser.add_argument("--inputs-limit", type=int, default=65536,
                        help="the longest context of several heads with inputs other than gaussian [65536]")
    parser.add_argument("--steps", type=int, default=20000, help="of each run; of several heads a quarter [20000]")
    parser.add_argument("--repeat", type=int, default=3, help="runs [3]")
    parser.add_argument("--quick", action="store_true", help="contexts of 1,024 and 16,384, 2,000 steps")
    options = parser.parse_args()
    if unknown := (set(options.select) - set(SELECTS)) | (set(options.input) - set(KINDS)):
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.quick:
        options.context, options.steps = [1024, 16384], 2000
    if options.huge:
        options.context.append(1 << 22)
    return options


def main():
    options = parse()
    run, about = Run(options), machine(Library(options.build))
    begin, context = time.monotonic(), min(max(options.context), 1 << 20)
    lines = []
    for heads in options.heads:
        for size in options.context:
            print(f"-- {heads} x {size:,}, after {time.monotonic() - begin:.0f} s, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
            run.group(size, heads)
            lines = save(run, about, context) if run.rows else lines  # so that a run cut short leaves what it has
    print("\n".join(lines))


if __name__ == "__main__":
    main()
