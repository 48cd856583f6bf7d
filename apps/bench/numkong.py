# SPDX-License-Identifier: Apache-2.0
"""NumKong's attention kernels as timed calls.

Its source distribution is fetched by pip into a temporary folder and its headers are compiled there with numkong_attention.c;
nothing of it stays. On x86 it has attention for AMX only (bfloat16 in, float32 out), so other CPUs go without.
"""
import ctypes
import functools
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from cases import Timed

REQUIREMENT = "numkong==7.8.6"
FLAGS = ["-O3", "-march=sapphirerapids", "-fopenmp", "-shared", "-fPIC", "-std=gnu11",
         "-DNK_NATIVE_F16=0", "-DNK_NATIVE_BF16=0"]  # as in its setup.py
WIDTH = 64
BLOCK = 64  # queries; it takes lengths that are multiples of this


def _cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next((set(line.split()) for line in info if line.startswith("flags")), set())
    except OSError:
        return set()


def _compile(folder):
    """The shared library in `folder`; raises subprocess.CalledProcessError."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation", "--no-binary",
                    ":all:", "--dest", folder, REQUIREMENT], check=True, capture_output=True, text=True)
    archive = next(pathlib.Path(folder).glob("numkong-*.tar.gz"))
    with tarfile.open(archive) as tar:
        headers = [m for m in tar.getmembers() if "/include/" in m.name and m.isfile() and ".." not in m.name]
        tar.extractall(folder, headers)
    include = next(pathlib.Path(folder).glob("numkong-*/include"))
    library = pathlib.Path(folder) / "libnumkong-attention.so"
    source = pathlib.Path(__file__).with_name("numkong_attention.c")
    subprocess.run(["cc", *FLAGS, f"-I{include}", str(source), "-o", str(library)], check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(library))


@functools.lru_cache(maxsize=None)
def load():
    """(library, None), or (None, why there is none)."""
    if not {"amx_tile", "amx_bf16", "avx512_fp16"} <= _cpu_flags():
        return None, "NumKong's x86 attention kernels need AMX with bfloat16 (and AVX-512 FP16), which this CPU lacks"
    try:
        with tempfile.TemporaryDirectory() as folder:
            library = _compile(folder)
    except (subprocess.CalledProcessError, StopIteration, OSError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return None, f"NumKong could not be fetched and built: {said[-1] if said else error}"
    library.bench_numkong_create.restype = ctypes.c_void_p
    library.bench_numkong_create.argtypes = [ctypes.c_int64] * 3
    library.bench_numkong_run.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.bench_numkong_destroy.argtypes = [ctypes.c_void_p]
    return library, None


class _Problem:
    def __init__(self, library, case):
        self.library = library
        self.handle = library.bench_numkong_create(case.heads, case.n, WIDTH)
        if not self.handle:
            raise MemoryError("NumKong: no memory, or no permission to use AMX")

    def __del__(self):
        self.library.bench_numkong_destroy(self.handle)


def prepare(case):
    """`case.call` is forward, `case.dtype` bf16."""
    library, why = load()
    assert library, why
    problem = _Problem(library, case)
    return Timed(case, lambda: library.bench_numkong_run(problem.handle, case.threads), family="openmp", keep=problem,
                 version=REQUIREMENT.replace("==", " "))
