# SPDX-License-Identifier: Apache-2.0
"""Interleaved timing, and the rows it gives.

All calls of a group take turns in one process, each round beginning one further on; a row holds the median over rounds.
Short calls are repeated within a sample (at least 4 ms) after one that is not timed. When the turn passes between thread pools
there is a short pause, since the workers of one spin for a while after their last call and would slow down the other.
"""
import csv
import dataclasses
import gc
import json
import math
import pathlib
import platform
import statistics
import sys
import time

SAMPLE = 0.004  # seconds a sample takes at least
SLOW = 1.5      # a call of so many seconds may be timed once only, and a peer's first call counts
PAUSE = 0.01    # between thread pools


@dataclasses.dataclass
class Budget:
    seconds: float = 10  # of a whole group, about
    rounds: int = 15     # at most
    least: int = 3       # rounds of a call that is not slow


class Turn:
    """The samples of one call."""

    def __init__(self, timed):
        self.timed, self.samples, self.stages, self.spent, self.inner = timed, [], [], 0.0, 1

    def warm_up(self):
        seconds = self._run(1)
        if seconds < SLOW:
            seconds = self._run(1)
            self.inner = max(1, math.ceil(SAMPLE / max(seconds, 1e-7)))
        elif self.timed.family != "zeta":
            self._keep(seconds)
        self.single = seconds

    def sample(self):
        if self.single < 0.05:
            self.timed.call()
        self._keep(self._run(self.inner) / self.inner)

    def done(self, budget, share):
        count = len(self.samples)
        least = 1 if self.single >= SLOW else budget.least
        return count >= budget.rounds or (count >= least and self.spent >= share)

    def _run(self, times):
        call = self.timed.call
        begin = time.perf_counter()
        for _ in range(times):
            call()
        seconds = time.perf_counter() - begin
        self.spent += seconds
        return seconds

    def _keep(self, seconds):
        self.samples.append(seconds)
        if self.timed.stages:
            self.stages.append(self.timed.stages())


def interleave(timed, budget):
    """Times the calls of a group in turns: a list of Turn in their order."""
    turns = [Turn(t) for t in timed]
    share = budget.seconds / max(1, len(turns))
    family = None
    gc.collect()
    gc.disable()
    try:
        for turn in turns:
            turn.warm_up()
        for round_ in range(budget.rounds):
            first = round_ % max(1, len(turns))
            for turn in turns[first:] + turns[:first]:
                if turn.done(budget, share):
                    continue
                if turn.timed.family != family:
                    time.sleep(PAUSE)
                    family = turn.timed.family
                turn.sample()
    finally:
        gc.enable()
    return turns


def _row(group, timed, samples, stages):
    case = timed.case
    row = {"group": group, "who": case.who}
    row.update((name, value) for name, value in dataclasses.asdict(case).items() if name != "who")
    row["isa"] = timed.isa
    median = statistics.median(samples)
    row["median_ms"], row["min_ms"] = 1e3 * median, 1e3 * min(samples)
    row["spread"] = (max(samples) - min(samples)) / median if len(samples) > 1 else None
    row["rounds"] = len(samples)
    row["extrapolated_from"] = None
    row["peer_version"] = timed.version if case.who not in ("zeta", "copy") else ""
    if stages:
        row["stages"] = stages[min(range(len(samples)), key=lambda i: abs(samples[i] - median))]
    return row


def measure(group, timed, budget, progress=True):
    """Rows of the group's calls. One with `extrapolated_from` = (n, milliseconds) is not run: its time grows as n squared."""
    run = [t for t in timed if t.extrapolated_from is None]
    turns = {id(turn.timed): turn for turn in interleave(run, budget)}
    rows = []
    for t in timed:
        if t.extrapolated_from is None:
            row = _row(group, t, turns[id(t)].samples, turns[id(t)].stages)
        else:
            n, milliseconds = t.extrapolated_from
            row = _row(group, t, [1e-3 * milliseconds * (t.case.n / n) ** 2], [])
            row["rounds"], row["extrapolated_from"] = 0, n
        rows.append(row)
        if progress:
            print(describe(row), file=sys.stderr, flush=True)
    return rows


def describe(row):
    """One line for people."""
    what = [row["who"]] + [row["call"]] * (row["call"] != row["who"])
    if row["who"] == "zeta" and row["call"] in ("forward", "backward", "both", "select"):
        what.append(row["select"])
    if not row["causal"]:
        what.append("all")
    shape = f"{row['heads']} x {row['n']:,}" if row["heads"] > 1 else f"{row['n']:,}"
    note = f"extrapolated from {row['extrapolated_from']:,}" if row["extrapolated_from"] else f"{row['rounds']} rounds"
    return (f"{' '.join(what):28} {shape:>14} {row['input']:9} {row['dtype']:5} K {row['neighbours']:<4} dv {row['dv']:<4}"
            f"{row['isa']:7} {row['threads']} threads {row['median_ms']:12.3f} ms  {note}")


def machine(library):
    """What every row is to be read with."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            name = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), name)
    except OSError:
        pass
    return {"cpu": name, "system": f"{platform.system()} {platform.machine()}", "version": library.version,
            "blas_core": library.blas_core, "date": time.strftime("%Y-%m-%d"),
            "command": " ".join([pathlib.Path(sys.argv[0]).name] + sys.argv[1:])}


def write(rows, about, prefix):
    """PREFIX.json (rows with their stages) and PREFIX.csv; every row names the machine."""
    rows = [{**row, **{name: about[name] for name in ("cpu", "version", "date")}} for row in rows]
    with open(f"{prefix}.json", "w", encoding="utf-8") as file:
        json.dump({"about": about, "rows": rows}, file, indent=1)
    with open(f"{prefix}.csv", "w", encoding="utf-8", newline="") as file:
        names = [name for name in rows[0] if name != "stages"] if rows else []
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
