# SPDX-License-Identifier: Apache-2.0
"""What zeta means to reach on its reference machine (2 cores with AVX-512), and whether rows of tables.py reach it.

One head, dk 3, dv 64, K 32, causal, mean on, float32 unless said. Every ratio is of two calls of one group, so they took turns.
"""
import dataclasses

from rows import find, one, ratio, values


@dataclasses.dataclass
class Target:
    name: str
    floor: float  # to pass; None: the figure is there for comparison
    aim: float  # None: the floor is all
    measure: object  # (rows, sizes) -> number, or None where it was not measured
    larger: bool = False  # whether more is better

    def line(self, rows, sizes):
        value = self.measure(rows, sizes)
        digits = 0 if (self.floor or 0) >= 50 else 2
        floor, aim, measured = ("-" if x is None else f"{x:,.{digits}f}" for x in (self.floor, self.aim, value))
        relation = "≥" if self.larger else "≤"
        return f"{self.name:66} floor {relation} {floor:>6}  aim {aim:>6}  measured {measured:>8}  {self.verdict(value)}"

    def verdict(self, value):
        if value is None:
            return "not measured"
        if self.floor is None:
            return ""
        sign = 1 if self.larger else -1
        if sign * value < sign * self.floor:
            return "NOT MET"
        return "met, and the aim" if self.aim is not None and sign * value >= sign * self.aim else "met"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes that targets speak of: 65,536 and 1,048,576, less in a quick run."""
    large: int
    huge: int


def zeta(n, call="forward", **more):
    return {"who": "zeta", "call": call, "n": n, "heads": 1, "select": "window", "dtype": "f32", "input": "gaussian",
            "threads": 1, "neighbours": 32, "dv": 64, **more}


def peer(who, n, **more):
    return {"who": who, "n": n, "heads": 1, **more}


def inputs_worst(kinds, select="window"):
    """Largest ratio of an input's time to that of Gaussian inputs, at either size."""
    def measure(rows, sizes):
        ratios = [ratio(rows, zeta(n, input=kind, select=select), zeta(n, select=select))
                  for n in (sizes.large, sizes.huge) for kind in kinds]
        known = [r for r in ratios if r is not None]
        return max(known) if known else None
    return measure


def pair(above, below):
    """Ratio of two rows told as functions of the sizes."""
    return lambda rows, sizes: ratio(rows, above(sizes), below(sizes))


def crossover(call):
    """The smallest measured N from which on zeta is faster, each with the number of threads of the group that suits it."""
    def measure(rows, sizes):
        answer = None
        for n in reversed(values(find(rows, who="sdpa", call=call, heads=1, dtype="f32", extrapolated_from=None), "n")):
            for group in values(find(rows, who="sdpa", call=call, n=n, heads=1), "group"):
                ours, theirs = (min(row["median_ms"] for row in find(rows, who=who, call=call, dtype="f32", group=group))
                                for who in ("zeta", "sdpa"))
                if ours >= theirs:
                    return answer
            answer = n
        return answer
    return measure


def encode_rate(rows, sizes):
    row = one(rows, who="zeta", call="encode", threads=1, dk=3)
    return row and row["n"] * row["heads"] / row["median_ms"] / 1e3


def neighbours_growth(rows, sizes):
    """Largest (t(K) / t(32)) / (K / 32) of K > 32."""
    ratios = [(k, ratio(rows, zeta(sizes.large, neighbours=k, group="neighbours"), zeta(sizes.large, group="neighbours")))
              for k in (64, 128, 256)]
    known = [r * 32 / k for k, r in ratios if r is not None]
    return max(known) if known else None


def channel_rate(rows, sizes):
    """Smallest value bytes per second of dv = 32 ... 512, against 64."""
    ratios = [(dv, ratio(rows, zeta(sizes.large, dv=dv, group="channels"), zeta(sizes.large, group="channels")))
              for dv in (32, 128, 256, 512)]
    known = [dv / 64 / r for dv, r in ratios if r is not None]
    return min(known) if known else None


def threads_gain(**what):
    def measure(rows, sizes):
        return ratio(rows, {**what, "threads": 1}, {**what, "threads": 2})
    return measure


def many_heads(call):
    return threads_gain(who="zeta", call=call, heads=16, select="window", dtype="f32", group="threads " + call)


TARGETS = [
    Target("SDPA / forward window, 65,536, 2 threads", 1000, 2000,
           pair(lambda s: peer("sdpa", s.large, call="forward", dtype="f32", threads=2, extrapolated_from=None),
                lambda s: zeta(s.large, threads=2)),
           larger=True),
    Target("forward window / copy, 65,536, 1 thread", 4, 2.5,
           pair(lambda s: zeta(s.large), lambda s: peer("copy", s.large, threads=1, dtype="f32"))),
    Target("forward window / copy, 1,048,576, 1 thread", 4, 3,
           pair(lambda s: zeta(s.huge), lambda s: peer("copy", s.huge, threads=1, dtype="f32"))),
    Target("window, worst of drift, equal, sorted / Gaussian", 2, 1.4, inputs_worst(("drift", "equal", "sorted"))),
    Target("smallest N that beats SDPA, forward", 256, 128, crossover("forward")),
    Target("smallest N that beats SDPA, forward and backward", 256, 128, crossover("both")),
    Target("forward exact / window, 65,536, 1 thread", 5, 3,
           pair(lambda s: zeta(s.large, select="exact"), lambda s: zeta(s.large))),
    Target("forward exact / window, 1,048,576, 1 thread", 5, 3,
           pair(lambda s: zeta(s.huge, select="exact"), lambda s: zeta(s.huge))),
    Target("exact, worst of drift, clustered, crowded, outlier / Gaussian", 2, 1.2,
           inputs_worst(("drift", "clustered", "crowded", "outlier"), "exact")),
    Target("forward reranked (W = 4K) / window, 65,536, 1 thread", 2, 1.5,
           pair(lambda s: zeta(s.large, select="reranked"), lambda s: zeta(s.large))),
    Target("backward window / copy, 65,536, 1 thread", 12, 8,
           pair(lambda s: zeta(s.large, "backward"), lambda s: peer("copy", s.large, threads=1, dtype="f32"))),
    Target("backward window / forward, 65,536, 1 thread", 3, 2,
           pair(lambda s: zeta(s.large, "backward"), lambda s: zeta(s.large))),
    Target("backward, equal keys: 2 threads gain, 65,536", 1.5, None,
           lambda rows, s: threads_gain(who="zeta", call="backward", n=s.large, input="equal", select="window")(rows, s),
           larger=True),
    Target("forward, 16 heads: 2 threads gain", 1.9, None, many_heads("forward"), larger=True),
    Target("backward, 16 heads: 2 threads gain", 1.9, None, many_heads("backward"), larger=True),
    Target("forward, one head of 65,536: 2 threads gain", 1.6, None,
           lambda rows, s: threads_gain(**{**zeta(s.large), "group": "threads forward"})(rows, s), larger=True),
    Target("forward, one head of 1,048,576: 2 threads gain", 1.6, None,
           lambda rows, s: threads_gain(**{**zeta(s.huge), "group": "threads forward"})(rows, s), larger=True),
    Target("  the memory-bound limit: a copy of its bytes by 2 threads gains", None, None,
           lambda rows, s: ratio(rows, {**peer("copy", s.huge, threads=1), "group": "threads forward"},
                                 {**peer("copy", s.huge, threads=2), "group": "threads forward"}), larger=True),
    Target("encode, dk 3, million codes a second, 1 thread", 300, 450, encode_rate, larger=True),
    Target("forward window, bf16 v and out / f32, 65,536, 1 thread", 1, 0.7,
           pair(lambda s: zeta(s.large, dtype="bf16v"), lambda s: zeta(s.large))),
    Target("K = 64, 128, 256: growth of the cost from 32 / growth of K", 1, None, neighbours_growth),
    Target("dv = 32 ... 512: value bytes a second against dv 64, least", 1, None, channel_rate, larger=True),
    Target("avx2 / avx512, forward window, 65,536, 1 thread", 2, None,
           pair(lambda s: zeta(s.large, isa="avx2", group="isa"), lambda s: zeta(s.large, isa="avx512", group="isa"))),
    Target("avx2 / avx512, forward exact, 65,536, 1 thread", 2, None,
           pair(lambda s: zeta(s.large, isa="avx2", select="exact", group="isa"),
                lambda s: zeta(s.large, isa="avx512", select="exact", group="isa"))),
    Target("avx2 / avx512, backward window, 65,536, 1 thread", 2, None,
           pair(lambda s: zeta(s.large, "backward", isa="avx2", group="isa"),
                lambda s: zeta(s.large, "backward", isa="avx512", group="isa"))),
]


def report(rows, sizes):
    """One line for each target."""
    return [target.line(rows, sizes) for target in TARGETS]
