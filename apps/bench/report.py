#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Markdown tables and SVG plots from what tables.py measured.

    apps/bench/report.py tables.json --markdown tables.md --plots docs

Times are medians in ms. Extrapolated ones are marked ≈. Every table and plot names the machine. Plots need matplotlib (pip
install matplotlib, or Debian's python3-matplotlib); without --plots it is not used.
"""
import argparse
import pathlib
import sys

from rows import find, load, one, values

ZETA = {"who": "zeta", "heads": 1, "select": "window", "dtype": "f32", "input": "gaussian", "neighbours": 32, "dv": 64}


def number(milliseconds):
    """Three significant digits."""
    if milliseconds is None:
        return ""
    if milliseconds >= 100:
        return f"{milliseconds:,.0f}"
    return f"{milliseconds:.{2 if milliseconds >= 1 else 3}f}" if milliseconds < 10 else f"{milliseconds:.1f}"


def cell(row):
    if row is None:
        return ""
    return ("≈ " if row["extrapolated_from"] else "") + number(row["median_ms"])


def table(title, heads, lines):
    """A Markdown table; columns without any entry are left out, and a table without lines is nothing."""
    kept = [i for i in range(len(heads)) if i == 0 or any(line[i] for line in lines)]
    if not lines or len(kept) < 2:
        return ""
    parts = [f"**{title}**", "", "| " + " | ".join(heads[i] for i in kept) + " |", "|" + "---:|" * len(kept)]
    return "\n".join(parts + ["| " + " | ".join(line[i] for i in kept) + " |" for line in lines]) + "\n"


def by_length(rows, title, base, columns):
    """One line per N; `columns` are (heading, criteria on top of base)."""
    lines = []
    for n in values(find(rows, **base), "n"):
        lines.append([f"{n:,}"] + [cell(one(rows, **{**base, **wanted, "n": n})) for _, wanted in columns])
    return table(title, ["N"] + [heading for heading, _ in columns], lines)


def forward_columns(call):
    """Columns of the tables by length: ours, then what they are compared with."""
    ours = [(f"{name}, {threads} t", {**ZETA, "call": call, "select": select, "dtype": dtype, "threads": threads})
            for name, select, dtype in (("window", "window", "f32"), ("window bf16", "window", "bf16"),
                                        ("reranked", "reranked", "f32"), ("exact", "exact", "f32")) for threads in (1, 2)]
    peers = [("copy, 1 t", {"who": "copy", "threads": 1, "dtype": "f32"}),
             ("copy, 2 t", {"who": "copy", "threads": 2, "dtype": "f32"}),
             ("dense control, 2 t", {**ZETA, "call": "dense", "threads": 2}),
             ("SDPA f32, 2 t", {"who": "sdpa", "call": call, "dtype": "f32", "threads": 2}),
             ("SDPA bf16, 2 t", {"who": "sdpa", "call": call, "dtype": "bf16", "threads": 2}),
             ("NumKong bf16, 2 t", {"who": "numkong", "call": call, "threads": 2})]
    return ours + peers


def inputs_table(rows):
    kinds = ["gaussian", "clustered", "drift", "equal", "sorted", "crowded", "outlier"]
    lines = []
    for call in "forward", "backward":
        for select in "window", "exact":
            for n in values(find(rows, who="zeta", call=call, select=select, input="drift"), "n"):
                group = one(rows, who="zeta", call=call, select=select, input="drift", n=n)["group"]
                wanted = {**ZETA, "call": call, "select": select, "n": n, "threads": 1, "group": group}
                found = [one(rows, **{**wanted, "input": kind}) for kind in kinds]
                lines.append([f"{call} {select}, {n:,}"] + [cell(row) for row in found])
    return table("Inputs: one head, 1 thread, ms", ["call, N"] + kinds, lines)


def sweep_table(rows, title, group, field, selects):
    found = find(rows, group=group)
    lines = [[str(value)] + [cell(one(found, select=select, **{field: value})) for select in selects]
             for value in values(found, field)]
    return table(title, [{"neighbours": "K"}.get(field, field)] + selects, lines)


def isa_table(rows):
    found = find(rows, group="isa")
    lines = [[f"{call} {select}"] + [cell(one(found, call=call, select=select, isa=isa)) for isa in ("avx512", "avx2")]
             for call, select in (("forward", "window"), ("forward", "exact"), ("backward", "window"))]
    return table("Instruction sets: one head, 1 thread, ms", ["call", "avx512", "avx2"], lines if found else [])


def encode_table(rows):
    found = find(rows, call="encode")
    rate = lambda row: f"{row['n'] / row['median_ms'] / 1e3:,.0f}" if row else ""  # noqa: E731
    lines = [[str(dk)] + [rate(one(found, dk=dk, threads=threads)) for threads in (1, 2)] for dk in values(found, "dk")]
    return table("Codes alone, million a second", ["dk", "1 thread", "2 threads"], lines)


def neighbours_table(rows, kind):
    columns = [("zeta exact", {"who": "zeta", "select": "exact", "causal": True}),
               ("k-d tree, filter", {"who": "kdtree filter"}), ("k-d tree, forest", {"who": "kdtree forest"}),
               ("brute force", {"who": "faiss", "causal": True}),
               ("no mask: zeta exact", {"who": "zeta", "select": "exact", "causal": False}), ("k-d tree", {"who": "kdtree"}),
               ("brute force", {"who": "faiss", "causal": False})]
    return by_length(rows, f"K nearest keys (selection alone), {kind} inputs, 2 threads, ms",
                     {"call": "select", "input": kind, "threads": 2}, columns)


def stages_table(rows):
    """Stages of forward and backward, in ms, of every length that has them at one thread."""
    lines, names = [], []
    for call in "forward", "backward":
        for select in "window", "exact":
            for n in values(find(rows, **{**ZETA, "call": call, "select": select, "threads": 1}), "n"):
                row = one(rows, **{**ZETA, "call": call, "select": select, "threads": 1, "n": n})
                if n >= 65536 and row.get("stages"):
                    names += [name for name in row["stages"] if name not in names]
                    lines.append((f"{call} {select}, {n:,}", row["stages"]))
    filled = [[title] + [number(stages.get(name)) for name in names] for title, stages in lines]
    return table("Stages: one head, 1 thread, ms", ["call, N"] + names, filled)


def footer(about, rows):
    peers = sorted({row["peer_version"] for row in rows if row["peer_version"]})
    return (f"{about['cpu']}, {about['system']}; zeta {about['version']}, OpenBLAS {about['blas_core']}"
            + "".join(", " + peer for peer in peers) + f"; {about['date']}; `apps/bench/{about['command']}`."
            " One head, dk 3, dv 64, K 32, causal, mean on, unless said; SDPA and NumKong: 64 channels for q, k and v."
            " Medians of calls that took turns in one process; ≈ grown as N² from the longest that was measured.\n")


def markdown(about, rows):
    heads = {"heads": 16, "threads": 2}
    sixteen = [(heading, {**wanted, **heads}) for heading, wanted in forward_columns("forward") if wanted.get("threads") == 2]
    single = [row for row in rows if row["heads"] == 1 and row["dv"] == 64 and row["neighbours"] == 32]
    of = lambda call: [row for row in single if row["group"].startswith(call + " 1 x ")]  # noqa: E731
    return "\n".join(filter(None, [
        by_length(of("forward"), "Forward, one head, ms (t: threads)", {"input": "gaussian"}, forward_columns("forward")),
        by_length(of("both"), "Forward and backward, one head, ms", {"input": "gaussian"}, forward_columns("both")),
        by_length(of("backward"), "Backward, one head, ms", {"input": "gaussian"}, forward_columns("backward")),
        by_length(find(rows, heads=16), "Forward, 16 heads, 2 threads, ms", {"threads": 2}, sixteen),
        inputs_table(rows), stages_table(rows),
        sweep_table(rows, "Neighbours: one head, 1 thread, ms", "neighbours", "neighbours", ["window", "exact"]),
        sweep_table(rows, "Channels: one head, 1 thread, ms", "channels", "dv", ["window"]),
        isa_table(rows), encode_table(rows)] + [neighbours_table(rows, kind) for kind in ("gaussian", "drift")] + [footer(about, rows)]))


def plot_lines(axes, rows, base, series):
    """Time against N; the extrapolated part of a line is dashed. False if there is nothing to draw."""
    for label, wanted, style in series:
        points = sorted({row["n"]: row for row in find(rows, **{**base, **wanted})}.items())
        measured = [(n, row["median_ms"]) for n, row in points if not row["extrapolated_from"]]
        guessed = measured[-1:] + [(n, row["median_ms"]) for n, row in points if row["extrapolated_from"]]
        if measured:
            drawn = axes.plot(*zip(*measured), style, label=label)[0]
            if len(guessed) > 1:
                axes.plot(*zip(*guessed), "--", color=drawn.get_color())
    if not axes.lines:
        return False
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel="N", ylabel="ms")
    axes.grid(True, alpha=0.3)
    axes.legend(fontsize=8)
    return True


def plots(about, rows, folder):
    try:
        import matplotlib
    except ImportError:
        sys.exit("matplotlib is not installed (pip install matplotlib, or apt-get install python3-matplotlib)")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "zeta"  # the same file for the same figures
    from matplotlib import pyplot
    single = {"heads": 1, "threads": 2, "input": "gaussian"}
    dense = [("PyTorch SDPA f32", {"who": "sdpa", "dtype": "f32"}, "s-"),
             ("PyTorch SDPA bf16", {"who": "sdpa", "dtype": "bf16"}, "^-"),
             ("NumKong bf16", {"who": "numkong"}, "v-")]
    ours = [(f"zeta {select}", {**ZETA, "select": select}, "o-") for select in ("window", "exact")]
    trees = [("zeta exact", {**ZETA, "select": "exact", "causal": True}, "o-"),
             ("k-d tree, filter", {"who": "kdtree filter"}, "s-"),
             ("k-d tree, forest", {"who": "kdtree forest"}, "^-"), ("brute force", {"who": "faiss", "causal": True}, "v-")]
    copy = [("copy of q, k, v, out", {"who": "copy", "call": "copy"}, "k:")]
    for name, title, call, series in (
            ("forward", "Forward, one head, 2 threads", "forward", ours + dense),
            ("both", "Forward and backward, one head, 2 threads", "both", ours + dense),
            ("neighbours", "K nearest earlier keys, 2 threads", "select", trees)):
        figure, axes = pyplot.subplots(figsize=(7, 4.5))
        chosen = [(label, {"call": call, **wanted}, style) for label, wanted, style in series]
        chosen += copy if name != "neighbours" else []
        group_rows = [row for row in rows if row["group"].startswith((f"{call} 1 x", "neighbours "))]
        if plot_lines(axes, group_rows, single, chosen):
            note = f"{about['cpu']}, zeta {about['version']}, {about['date']}; dashed: extrapolated"
            axes.set_title(f"{title}\n{note}", fontsize=9)
            figure.tight_layout()
            figure.savefig(pathlib.Path(folder) / f"bench-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", help="what tables.py, peers.py or neighbours.py wrote")
    parser.add_argument("--markdown", metavar="FILE", help="tables [the standard output]")
    parser.add_argument("--plots", metavar="FOLDER", help="writes bench-{forward,both,neighbours}.svg there")
    options = parser.parse_args()
    about, rows = load(options.json)
    text = markdown(about, rows)
    if options.markdown:
        pathlib.Path(options.markdown).write_text(text, encoding="utf-8")
    else:
        print(text)
    if options.plots:
        plots(about, rows, options.plots)


if __name__ == "__main__":
    main()
