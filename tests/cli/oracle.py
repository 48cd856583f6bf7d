# SPDX-License-Identifier: Apache-2.0
"""ZETA attention of one head in plain Python, float64, written for reading. Rows are lists of float32 values.

Codes and squared distances round every operation to float32, so that cells and selected sets are exact.
"""

import math

from formats import f32

DEFAULTS = dict(neighbours=32, window=None, select="window", chunk=1, local=None, first=0, score="cauchy", gamma=1.0,
                causal=True, mean=None, grid="squash", scale=1.0, lo=0.0, hi=1.0)


def options(**given):
    o = {**DEFAULTS, **given}
    o["window"] = o["window"] or o["neighbours"]
    o["local"] = (1 if o["causal"] else 0) if o["local"] is None else o["local"]
    o["mean"] = o["causal"] if o["mean"] is None else o["mean"]
    return o


def cell(x, o, bits):
    if math.isnan(x):
        return 0
    if o["grid"] == "squash":
        t = f32(x / o["scale"])
        u = f32(t / f32(1 + abs(t)))
        scaled = f32(f32(f32(u * 0.5) + 0.5) * 2.0**bits)
    else:
        scaled = f32(f32(f32(x - o["lo"]) / f32(o["hi"] - o["lo"])) * 2.0**bits)
    return min(max(math.floor(scaled), 0), 2**bits - 1)


def code(row, o):
    bits = min(20, 40 // len(row))
    cells = [cell(x, o, bits) for x in row]
    word = 0
    for bit in reversed(range(bits)):
        for c in cells:
            word = word << 1 | (c >> bit & 1)
    return word


def distance(a, b):
    total = 0.0
    for x, y in zip(a, b):
        d = f32(x - y)
        total = f32(total + f32(d * d))
    return total


def select(q, k, position, o):
    """Ascending positions of the neighbours of query q, and the range of searchable ones."""
    limit = len(k)
    if o["causal"]:
        limit = max(0, min(o["chunk"] * (position // o["chunk"]), position + 1 - o["local"]))
    keys = sorted(range(o["first"], limit), key=lambda j: (code(k[j], o), j))
    want, n = o["neighbours"], len(keys)
    if o["select"] == "window":
        width = o["window"]
        p = sum(code(k[j], o) <= code(q, o) for j in keys)
        below = min(width // 2, p)
        above = min(width - below, n - p)
        if above < width - below:
            below = min(width - above, p)
        keys = keys[p - below : p + above]
    keys = sorted(keys, key=lambda j: (distance(q, k[j]), -j))[:want]
    return sorted(keys)


def log_weight(q, key, o):
    D, g = distance(q, key), o["gamma"]
    if o["score"] == "cauchy":
        return -math.log(D + g * g)
    if o["score"] == "gaussian":
        return -D / (g * g)
    if o["score"] == "laplace":
        return -math.sqrt(D) / g
    if o["score"] == "inverse":
        return -math.log(math.sqrt(D) + g)
    return sum(x * y for x, y in zip(q, key)) / g


def mean_row(rows):
    return [f32(sum(column) / len(rows)) for column in zip(*rows)]


def attend(q, k, v, o, chosen=None):
    """(out rows, neighbours, normalisers) of one head; `chosen` fixes the neighbours."""
    outs, near, norms = [], [], []
    for i, query in enumerate(q):
        position = i + len(k) - len(q) if o["causal"] else i
        found = select(query, k, position, o) if chosen is None else chosen[i]
        near.append(found)
        local = range(max(o["first"], position + 1 - o["local"]), position + 1) if o["causal"] else ()
        pairs = [(k[j], v[j]) for j in [*found, *local]]
        history = position + 1 if o["causal"] else len(k)
        if o["mean"] and history:
            pairs.append((mean_row(k[:history]), mean_row(v[:history])))
        logs = [log_weight(query, key, o) for key, _ in pairs]
        top = max(logs, default=0.0)
        weights = [math.exp(x - top) for x in logs]
        total = math.fsum(weights)
        outs.append([math.fsum(w * value[c] for w, (_, value) in zip(weights, pairs)) / total if pairs else 0.0
                     for c in range(len(v[0]) if v else 0)])
        plain = o["score"] in ("cauchy", "inverse")
        if not pairs:
            norms.append(0.0 if plain else -math.inf)
        else:
            norms.append(total * math.exp(top) if plain else top + math.log(total))
    return outs, near, norms
