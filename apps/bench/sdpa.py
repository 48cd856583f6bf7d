# SPDX-License-Identifier: Apache-2.0
"""PyTorch's scaled_dot_product_attention on the CPU as timed calls: what a user would take instead.

Causal, one query, key and value head of 64 channels for each of zeta's heads (the width its kernels are made for), on
Gaussian inputs: its time does not depend on them. Forward runs in inference mode; `both` is forward and torch.autograd.grad.
"""
import functools

from cases import Timed

WIDTH = 64
_threads = None


def missing():
    """Why PyTorch cannot be timed, or None."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return "PyTorch is not installed (pip install torch, or the CPU build of pytorch.org)"
    return None


@functools.lru_cache(maxsize=None)
def _warm_up():
    """The first call of each kind in a process makes pools and tables, for seconds in some builds: not to be timed."""
    import torch
    x = torch.randn(1, 1, 64, WIDTH, requires_grad=True)
    torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).sum().backward()


def prepare(case):
    """`case.call` is forward, backward or both; `case.dtype` f32 or bf16."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attention
    _warm_up()
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[case.dtype]
    generator = torch.Generator().manual_seed(1)
    q, k, v, grad = (torch.randn(1, case.heads, case.n, WIDTH, generator=generator).to(dtype) for _ in range(4))

    def with_threads(call):
        def run():
            global _threads
            if _threads != case.threads:
                torch.set_num_threads(case.threads)
                _threads = case.threads
            return call()
        return run

    def forward():
        with torch.inference_mode():
            attention(q, k, v, is_causal=True)

    def backward():
        torch.autograd.grad(out, (q, k, v), grad, retain_graph=True)

    def both():
        torch.autograd.grad(attention(q, k, v, is_causal=True), (q, k, v), grad)

    if case.call != "forward":
        for t in (q, k, v):
            t.requires_grad_(True)
    if case.call == "backward":
        out = attention(q, k, v, is_causal=True)
    call = {"forward": forward, "backward": backward, "both": both}[case.call]
    return Timed(case, with_threads(call), family="torch", version="PyTorch " + torch.__version__)
