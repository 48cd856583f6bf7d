#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's table: zeta bench beside PyTorch's scaled_dot_product_attention, one after the other on this machine.

    apps/bench/measure.py build/apps/zeta/zeta [threads]

Float32, one head, dk 3, dv 64, K 32, causal, mean on; PyTorch: one head of 64 channels, causal, if torch is installed.
Medians in ms. PyTorch is measured once above 32,768 positions: it takes half a minute there.
"""
import json
import platform
import subprocess
import sys
import time


def zeta(program, threads, **options):
    command = [program, "bench", "attend", "--json", "--dk", "3", "--dv", "64", "--neighbours", "32", "--threads", threads]
    for name, value in options.items():
        command += ["--" + name, str(value)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def sdpa(n, threads, repeat):
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(int(threads))
    q, k, v = (torch.randn(1, 1, n, 64) for _ in range(3))
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        times.append(1e3 * (time.perf_counter() - begin))
    return sorted(times)[len(times) // 2]


def main():
    program, threads = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "2"
    print("| N | input | select | forward, ms | backward, ms | PyTorch forward, ms |")
    print("|---|---|---|---|---|---|")
    about = {}
    for n in 16384, 65536, 1048576:
        repeat = 15 if n < 1000000 else 3
        peer = sdpa(n, threads, 3 if n <= 32768 else 1) if n < 1000000 else None
        for inputs, select in ("gaussian", "window"), ("gaussian", "exact"), ("drift", "window"), ("equal", "window"), ("sorted", "window"):
            about = zeta(program, threads, n=n, input=inputs, select=select, repeat=repeat)
            row = [f"{n:,}", inputs, select, f"{about['median_ms']:.1f}"]
            if inputs == "gaussian":
                backward = zeta(program, threads, n=n, input=inputs, select=select, repeat=max(3, repeat // 3), **{"pass": "backward"})
                row += [f"{backward['median_ms']:.1f}", f"{peer:,.0f}" if peer and select == "window" else ""]
            else:
                row += ["", ""]
            print("| " + " | ".join(row) + " |", flush=True)
    try:
        import torch
        peer = f", PyTorch {torch.__version__}"
    except ImportError:
        peer = ""
    print(f"\n{about['cpu']}, {about['isa']}, {threads} threads, zeta {about['version']}{peer}, "
          f"{platform.system()} {platform.machine()}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
