/* SPDX-License-Identifier: Apache-2.0 */
/* What the timing scripts cannot do fast themselves, as a shared library with a C interface that they load beside
 * libzeta: inputs, rounding, the copy that is every call's floor, and nearest neighbours by nanoflann. It does not use
 * zeta. */
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__GNUC__)
#define BENCH_API extern "C" __attribute__((visibility("default")))
#else
#define BENCH_API extern "C"
#endif

/* Inputs of `zeta bench` (apps/zeta/bench_fill.hpp): kind names the distribution of q and k. 0, or -1 without memory.
 */
BENCH_API int bench_fill_points(const char *kind, int64_t heads, int64_t groups, int64_t n, int64_t m, int64_t dk,
                                float *q, float *k);
BENCH_API int bench_fill_values(int64_t groups, int64_t m, int64_t dv, float *v);
BENCH_API int bench_fill_gradient(int64_t heads, int64_t n, int64_t dv, float *grad_out);

/* Finite float32 to bfloat16, to nearest even. */
BENCH_API void bench_narrow(const float *from, uint16_t *to, int64_t count);

/* Copies `count` blocks. One thread: memcpy of each. More: pieces of 256 KiB of each block, shared out evenly. */
BENCH_API int bench_copy(int threads, int count, void *const *to, const void *const *from, const size_t *bytes);

/* The `neighbours` nearest keys of each query, by k-d trees; the work includes building them. Keys k [m, dk], queries
 * q [n, dk]; positions [n, neighbours], -1 for empty slots, and squared distances in ascending order.
 * mode 0: among all keys. 1 and 2: query i among the keys before position i + m - n, as kdtree.cpp describes: one tree
 * whose search passes over later keys, or a forest over doubling prefixes. 0, or -1 for a mode unknown or no memory. */
BENCH_API int bench_kdtree(int mode, int threads, const float *q, const float *k, int64_t n, int64_t m, int dk,
                           int neighbours, int32_t *positions, float *distances);

/* nanoflann's version, 0x142 is 1.4.2. */
BENCH_API int bench_kdtree_version(void);
