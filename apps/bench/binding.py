# SPDX-License-Identifier: Apache-2.0
"""The C API of a built library, and the helper library of the benchmarks, by ctypes.

Mirrors the structures of lib/include/zeta/*.h that timing needs; a header that grew is noticed by its struct_size. No
package but the standard library is used.
"""
import ctypes
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_void_p

ROOT = pathlib.Path(__file__).resolve().parents[2]
F32, BF16, I32, U64 = 0, 1, 3, 4
ELEMENT_BYTES = {F32: 4, BF16: 2, I32: 4, U64: 8}


class Tensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("dtype", c_int32), ("device", c_int32), ("rank", c_int32), ("reserved", c_int32),
                ("shape", c_int64 * 4), ("stride", c_int64 * 4)]


class ContextParams(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("threads", c_int32), ("reserved", c_int32), ("isa", c_char_p),
                ("allocator", c_void_p * 3), ("log", c_void_p), ("log_user", c_void_p)]


class Grid(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("heads", c_int32), ("scale", c_void_p), ("lo", c_void_p), ("hi", c_void_p)]


class Params(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("neighbours", c_int32), ("window", c_int32), ("select", c_int32),
                ("score", c_int32), ("causal", c_int32), ("mean", c_int32), ("chunk", c_int64), ("local", c_int64),
                ("first", c_int64), ("gamma", c_void_p), ("gamma_count", c_int64), ("grid", Grid),
                ("sequences", c_int64), ("q_lengths", c_void_p), ("k_lengths", c_void_p), ("progress", c_void_p),
                ("progress_user", c_void_p)]


class ForwardArgs(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t)] + [(name, POINTER(Tensor)) for name in (
        "q", "k", "v", "out", "normaliser", "neighbours")] + [
        ("saved", c_void_p), ("saved_size", c_size_t), ("scratch", c_void_p), ("scratch_size", c_size_t)]


class BackwardArgs(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t)] + [(name, POINTER(Tensor)) for name in (
        "q", "k", "v", "grad_out", "grad_q", "grad_k", "grad_v", "grad_gamma")] + [
        ("saved", c_void_p), ("saved_size", c_size_t), ("scratch", c_void_p), ("scratch_size", c_size_t)]


def tensor(data, dtype, shape):
    """A contiguous view of memory at the address `data`."""
    view = Tensor(data=data, dtype=dtype, rank=len(shape))
    step = 1
    for axis in reversed(range(len(shape))):
        view.shape[axis], view.stride[axis] = shape[axis], step
        step *= shape[axis]
    return view


class Failure(Exception):
    """A call that did not return ZETA_OK; the text is zeta_last_error()'s."""


class Library:
    """libzeta of a build folder, or at a path."""

    def __init__(self, build):
        self.path = pathlib.Path(build)
        if self.path.is_dir():
            self.path = self.path / "lib" / "libzeta.so"
        if not self.path.exists():
            raise SystemExit(f"{self.path} does not exist: build first (CONTRIBUTING.md says how)")
        self.c = ctypes.CDLL(str(self.path.resolve()))
        self.contexts = {}
        for name, result in (("zeta_version", c_char_p), ("zeta_last_error", c_char_p), ("zeta_blas_core", c_char_p),
                             ("zeta_context_isa", c_char_p), ("zeta_isa_present", c_char_p),
                             ("zeta_stage_name", c_char_p), ("zeta_stage_ms", c_double)):
            getattr(self.c, name).restype = result
        for name in "zeta_context_isa", "zeta_stage_name", "zeta_stage_ms":
            getattr(self.c, name).argtypes = [c_void_p] + ([c_int32] if "stage" in name else [])
        self.version = self.c.zeta_version().decode()
        self.blas_core = self.c.zeta_blas_core().decode()

    def isas(self):
        """Instruction sets present, best first."""
        names = []
        while (name := self.c.zeta_isa_present(len(names))) is not None:
            names.append(name.decode())
        return names

    def check(self, status):
        if status != 0:
            raise Failure(self.c.zeta_last_error().decode())

    def made(self, kind, init):
        """A structure with the library's defaults."""
        value = kind()
        getattr(self.c, init)(ctypes.byref(value))
        if value.struct_size != ctypes.sizeof(kind):
            raise SystemExit(f"{self.path}: {init} is for a structure of {value.struct_size} bytes, apps/bench/binding.py "
                             f"has one of {ctypes.sizeof(kind)}: use the scripts of the same source tree")
        return value

    def context(self, threads, isa=""):
        """A context with so many threads and that instruction set ('' for the best), made once."""
        if (threads, isa) not in self.contexts:
            params = self.made(ContextParams, "zeta_context_params_init")
            params.threads, params.isa = threads, isa.encode() or None
            context = c_void_p()
            self.check(self.c.zeta_context_create(ctypes.byref(context), ctypes.byref(params)))
            self.contexts[threads, isa] = context
        return self.contexts[threads, isa]

    def isa_of(self, context):
        return self.c.zeta_context_isa(context).decode()

    def stages(self, context):
        """Milliseconds of each stage of the last call."""
        stages = {}
        while (name := self.c.zeta_stage_name(context, len(stages))) is not None:
            stages[name.decode()] = self.c.zeta_stage_ms(context, len(stages))
        return stages


def load_helper(builds):
    """libzeta-bench of the first of the build folders that has it (apps/bench/helper.hpp)."""
    for build in builds:
        path = pathlib.Path(build) / "apps" / "bench" / "libzeta-bench.so"
        if path.exists():
            break
    else:
        raise SystemExit("libzeta-bench.so was not found: configure a build with -Dbenchmarks=enabled (CONTRIBUTING.md)")
    helper = ctypes.CDLL(str(path.resolve()))
    pointers = POINTER(c_void_p)
    helper.bench_fill_points.argtypes = [c_char_p] + [c_int64] * 5 + [c_void_p] * 2
    helper.bench_fill_values.argtypes = [c_int64] * 3 + [c_void_p]
    helper.bench_fill_gradient.argtypes = [c_int64] * 3 + [c_void_p]
    helper.bench_narrow.argtypes = [c_void_p, c_void_p, c_int64]
    helper.bench_copy.argtypes = [c_int, c_int, pointers, pointers, POINTER(c_size_t)]
    if hasattr(helper, "bench_kdtree"):
        helper.bench_kdtree.argtypes = [c_int, c_int, c_void_p, c_void_p, c_int64, c_int64, c_int, c_int, c_void_p, c_void_p]
    return helper


def floats(address, count):
    """A ctypes array of float32 at an address."""
    return (c_float * count).from_address(address)
