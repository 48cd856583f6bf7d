# SPDX-License-Identifier: Apache-2.0
"""What is timed of zeta itself: a Case says what, `prepare` makes the call.

call: forward, backward (alone, given what forward saved), both, select (neighbours only), dense (our own
control over all keys), encode (codes of q), copy (of the bytes of q, k, v and out: the floor of a forward call).
select: window, reranked (W = 4K, the K nearest kept) or exact. dtype: f32, bf16 (all tensors) or bf16v (v and out only).
"""
import ctypes
import dataclasses
from ctypes import POINTER, byref, c_size_t, c_void_p, pointer

from binding import BF16, ELEMENT_BYTES, F32, I32, U64, BackwardArgs, ForwardArgs, Params, tensor


@dataclasses.dataclass(frozen=True)
class Case:
    call: str = "forward"
    n: int = 65536
    heads: int = 1
    select: str = "window"
    dtype: str = "f32"
    input: str = "gaussian"
    threads: int = 1
    neighbours: int = 32
    dk: int = 3
    dv: int = 64
    isa: str = ""
    causal: bool = True
    who: str = "zeta"

    def point_type(self):
        return BF16 if self.dtype == "bf16" else F32

    def value_type(self):
        return F32 if self.dtype == "f32" else BF16

    def copied_bytes(self):
        point, value = ELEMENT_BYTES[self.point_type()], ELEMENT_BYTES[self.value_type()]
        return self.heads * self.n * 2 * (self.dk * point + self.dv * value)


@dataclasses.dataclass
class Timed:
    """A call ready to be timed. `family` names the thread pool it runs on; `seconds` is what it is expected to take, if that
    is known to be long, and `extrapolate` how its time is found when it is not run at all."""
    case: Case
    call: object
    family: str = "zeta"
    stages: object = None
    keep: object = None
    isa: str = ""
    version: str = ""
    extrapolated_from: object = None


def _params(library, case):
    params = library.made(Params, "zeta_attention_params_init")
    params.neighbours = case.neighbours
    params.window = 4 * case.neighbours if case.select == "reranked" else 0
    params.select = 1 if case.select == "exact" else 0
    params.causal = case.causal
    return params


class _Call:
    """Tensors and arguments of one case; the attributes keep them alive."""

    def __init__(self, library, memory, case):
        self.library, self.memory, self.case = library, memory, case
        self.context = library.context(case.threads, case.isa)
        self.params = _params(library, case)
        q, k = memory.points(case.input, case.heads, case.n, case.dk, case.point_type())
        points, values = (1, case.heads, case.n, case.dk), (1, case.heads, case.n, case.dv)
        self.q, self.k = (tensor(data, case.point_type(), points) for data in (q, k))
        self.values_shape = values
        if case.call not in ("select", "encode"):
            self.v = tensor(memory.values(case.heads, case.n, case.dv, case.value_type()), case.value_type(), values)
            self.out = self._new("out", case.value_type(), values)

    def _new(self, key, dtype, shape):
        count = 1
        for extent in shape:
            count *= extent
        return tensor(self.memory.block((key,), count * ELEMENT_BYTES[dtype]), dtype, shape)

    def _scratch(self, args, query):
        size = c_size_t()
        self.library.check(query(self.context, byref(self.params), byref(args), byref(size)))
        args.scratch, args.scratch_size = self.memory.block(("scratch",), size.value), size.value

    def forward_args(self, saved):
        c, args = self.library.c, self.library.made(ForwardArgs, "zeta_forward_args_init")
        args.q, args.k, args.v, args.out = (pointer(t) for t in (self.q, self.k, self.v, self.out))
        if saved:
            size = c_size_t()
            self.library.check(c.zeta_saved_size(self.context, byref(self.params), byref(args), byref(size)))
            args.saved, args.saved_size = self.memory.block(("saved", id(self.library), self.case), size.value), size.value
        if self.case.call != "dense":  # has no query of its own: it takes its scratch from the context's allocator
            self._scratch(args, c.zeta_forward_scratch_size)
        return args

    def backward_args(self, forward):
        case, args = self.case, self.library.made(BackwardArgs, "zeta_backward_args_init")
        value = case.value_type()
        self.gradients = {
            "grad_q": self._new("grad q", case.point_type(), tuple(self.q.shape)),
            "grad_k": self._new("grad k", case.point_type(), tuple(self.k.shape)),
            "grad_v": self._new("grad v", value, self.values_shape),
            "grad_gamma": self._new("grad gamma", F32, (case.heads,)),
            "grad_out": tensor(self.memory.gradient(case.heads, case.n, case.dv, value), value, self.values_shape),
            "q": self.q, "k": self.k, "v": self.v}
        for name, view in self.gradients.items():
            setattr(args, name, pointer(view))
        args.saved, args.saved_size = forward.saved, forward.saved_size
        self._scratch(args, self.library.c.zeta_backward_scratch_size)
        return args


def _attention(library, call):
    """forward, backward, both and dense."""
    kind, c, check = call.case.call, library.c, library.check
    forward = call.forward_args(kind in ("backward", "both"))
    context, params, forward_ref = call.context, byref(call.params), byref(forward)
    call.forward = forward
    if kind in ("forward", "dense"):
        run = c.zeta_forward if kind == "forward" else c.zeta_dense_forward
        return lambda: check(run(context, params, forward_ref))
    call.backward = call.backward_args(forward)
    backward_ref = byref(call.backward)
    if kind == "backward":
        check(c.zeta_forward(context, params, forward_ref))
        return lambda: check(c.zeta_backward(context, params, backward_ref))

    def both():
        check(c.zeta_forward(context, params, forward_ref))
        check(c.zeta_backward(context, params, backward_ref))

    return both


def _select(library, call):
    case = call.case
    shape = (1, case.heads, case.n, case.neighbours)
    call.found = call._new("neighbours", I32, shape)
    call.distances = call._new("distances", F32, shape)
    arguments = (call.context, byref(call.params), byref(call.q), byref(call.k), byref(call.found), byref(call.distances))
    return lambda: library.check(library.c.zeta_select(*arguments))


def _encode(library, call):
    call.codes = call._new("codes", U64, (1, call.case.heads, call.case.n))
    arguments = (call.context, None, byref(call.q), byref(call.codes))
    return lambda: library.check(library.c.zeta_codes_encode(*arguments))


def _copy(memory, call):
    case = call.case
    parts = [(t, case.heads * case.n * width * ELEMENT_BYTES[t.dtype]) for t, width in (
        (call.q, case.dk), (call.k, case.dk), (call.v, case.dv), (call.out, case.dv))]
    to = (c_void_p * 4)(*(memory.block(("copy", i), size) for i, (_, size) in enumerate(parts)))
    call.copy = (to, (c_void_p * 4)(*(t.data for t, _ in parts)), (c_size_t * 4)(*(size for _, size in parts)))
    arguments = [case.threads, 4] + [ctypes.cast(x, POINTER(x._type_)) for x in call.copy]
    return lambda: memory.helper.bench_copy(*arguments)


def prepare(library, memory, case):
    """The case as a Timed call; its output buffers are shared with other cases, its inputs with those of one kind."""
    call = _Call(library, memory, case)
    run = {"select": _select, "encode": _encode}.get(case.call, _attention)
    call.run = _copy(memory, call) if case.call == "copy" else run(library, call)
    stages = (lambda: library.stages(call.context)) if case.call in ("forward", "backward") else None
    return Timed(case, call.run, stages=stages, keep=call, isa=library.isa_of(call.context), version=library.version)
