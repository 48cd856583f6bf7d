# SPDX-License-Identifier: Apache-2.0
"""FAISS's brute-force search as timed calls, plain and with the causal mask.

FAISS knows no causal mask: a selector of allowed positions holds for all queries of one search. So, with the mask, queries go
in blocks of 256: faiss.knn finds the nearest of all keys before the block (half the work of the plain search), NumPy
those within the block (all distances, later keys masked), and the two lists are merged.
"""
from cases import Timed

BLOCK = 256


def missing():
    """Why FAISS cannot be timed, or None."""
    try:
        import faiss  # noqa: F401
        import numpy  # noqa: F401
    except ImportError:
        return "FAISS is not installed (pip install faiss-cpu)"
    return None


def _within(numpy, q, k, neighbours):
    """Distances and positions of the nearest earlier keys within a block, infinity and -1 where there are none."""
    square = sum((q[:, e, None] - k[None, :, e]) ** 2 for e in range(q.shape[1]))
    square[numpy.triu_indices(len(q))] = numpy.inf
    kept = min(neighbours, len(k))
    positions = numpy.argpartition(square, kept - 1, axis=1)[:, :kept]
    distances = numpy.take_along_axis(square, positions, axis=1)
    positions[numpy.isinf(distances)] = -1
    return distances, positions


def _merged(numpy, parts, neighbours):
    """The nearest of several lists of (distances, positions), with empty slots where there are fewer."""
    distances, positions = (numpy.concatenate([part[i] for part in parts], axis=1) for i in (0, 1))
    if (short := neighbours - distances.shape[1]) > 0:
        distances = numpy.pad(distances, ((0, 0), (0, short)), constant_values=numpy.inf)
        positions = numpy.pad(positions, ((0, 0), (0, short)), constant_values=-1)
    order = numpy.argsort(distances, axis=1)[:, :neighbours]
    return numpy.take_along_axis(distances, order, axis=1), numpy.take_along_axis(positions, order, axis=1)


def prepare(case, q, k):
    """q and k: addresses of float32 [n, dk]. The call's last result stays in `keep`: distances and positions."""
    import ctypes

    import faiss
    import numpy

    def view(address):
        data = (ctypes.c_float * (case.n * case.dk)).from_address(address)
        return numpy.frombuffer(data, dtype=numpy.float32).reshape(case.n, case.dk)

    queries, keys, kept, result = view(q), view(k), case.neighbours, {}

    def plain():
        faiss.omp_set_num_threads(case.threads)
        result["distances"], result["positions"] = faiss.knn(queries, keys, kept)

    def causal():
        faiss.omp_set_num_threads(case.threads)
        found = []
        for begin in range(0, case.n, BLOCK):
            block, before = slice(begin, begin + BLOCK), keys[:begin]
            parts = [_within(numpy, queries[block], keys[block], kept)]
            parts[0][1][parts[0][1] >= 0] += begin
            if begin:
                parts.append(faiss.knn(queries[block], before, kept))
            found.append(_merged(numpy, parts, kept))
        result["distances"], result["positions"] = (numpy.concatenate([part[i] for part in found]) for i in (0, 1))

    return Timed(case, causal if case.causal else plain, family="openmp", keep=result, version="FAISS " + faiss.__version__)
