// SPDX-License-Identifier: Apache-2.0
// The table of row kernels, one function pointer per kernel, chosen once per context (dispatch.cpp). Kernels take raw
// pointers and sizes, allocate nothing and start no threads. kernels.inc lists them; tests and benchmarks read the same list.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zeta::simd {

constexpr size_t kBlock = 64;      // keys of a level handled as one 64-bit mask
constexpr size_t kPad = 128;       // unused entries (position ~0) after every level array
constexpr size_t kListPad = 32;    // entries a list may be overwritten past its end
constexpr size_t kMaxHeights = 5;  // of the tree of minimum positions: 64^4 = 2^24 keys, and one more

// Sorted keys with position below some cap: positions and coordinates, never values.
struct Level {
    uint32_t count;                    // keys
    const uint32_t *position;          // [count + kPad], padded with ~0
    const float *coordinate;           // [dk, stride]
    size_t stride;                     // >= count + kPad
    const uint32_t *minimum[kMaxHeights]; // minimum position of each block of 64, of 64 blocks, ...; padded with ~0 to 64
    uint32_t minimum_count[kMaxHeights];
    int32_t heights;
};

// A few queries of a level: what they look for, and the lists of their neighbours, `stride` entries apart. [queries]
// each: ranks, limits, rows of q [., dk], counts of the lists and windows [lo, hi). search: false if lo and hi are given,
// which may be anything.
struct WindowTile {
    uint32_t queries, window;
    bool search;
    int dk;
    const float *q;
    const uint32_t *rows, *ranks, *limits;
    size_t stride; // >= window + kListPad
    uint32_t *ids;
    float *distances;
    uint32_t *counts, *lo, *hi;
};

// Lists of candidates of which each keeps its `keep` nearest: rows of ids and distances, stride >= the largest found +
// kListPad apart, a multiple of 16. Rows of the outputs have room for keep + kListPad.
struct NearestLists {
    static constexpr size_t kMost = 16; // lists
    uint32_t lists, keep;
    const uint32_t *found; // [lists]
    uint32_t *ids;
    float *distances;
    size_t stride;
    int32_t *columns; // [lists, a multiple of four, stride], working memory, aligned to 64 bytes
    uint32_t *kept_ids;
    float *kept_distances;
    size_t kept_stride;
    uint32_t *counts; // [lists] min(found, keep)
};

// Lists of candidates to be weighed: counts, smallest arguments (attend_minimum) and sums [lists]; rows of distances, dots
// and weights, with room for kListPad more than a list holds.
struct WeightLists {
    int score; // as zeta_score
    float gamma;
    uint32_t lists;
    const uint32_t *counts;
    const float *minima, *distances;
    size_t distance_stride;
    const float *dots;
    float *weights;
    size_t stride; // of dots and weights
    float *sums;
};

// Rows v [n, channels] and what running through them makes: running[c] += v[r][c], and if means is not NULL
// means[r][c] = float32((before[c] + running[c]) * (1 / (first + r))). With shares [n, 2] that is mixed with the row of v
// itself: shares[r][0] v[r][c] + shares[r][1] mean, and apart[r] is set to 1 if a channel is not finite.
// Strides in elements.
struct MeanPrefix {
    const void *v;
    size_t stride, n, channels;
    const double *before;
    double *running, first;
    float *means;
    size_t mean_stride;
    const float *shares = nullptr;
    uint8_t *apart = nullptr;
    bool stream = false; // means go around the caches where they are whole cache lines
};

// One coordinate of a grid: squash t = x / scale, or range (x - lo) / width with width = hi - lo (float32).
struct GridAxis {
    float scale, lo, width;
};

// Elements from one key's row to the next for the slopes_ kernels: whole vectors of four.
constexpr size_t slope_stride(size_t dk) {
    return (dk + 3) / 4 * 4;
}

// What the slopes of one query's candidates have in common.
struct SlopeShape {
    int score; // as zeta_score
    float gamma, minimum, normaliser;
    double mean_product; // <g, v - reference>, averaged by weight
};

struct Kernels {
#define ZETA_KERNEL(result, name, arguments) result(*name) arguments;
#include "kernels.inc"
#undef ZETA_KERNEL
};

enum class Isa : int { scalar, sse4, avx2, avx512, neon, sve };
constexpr int kIsaCount = 6;

const char *isa_name(Isa isa);
bool isa_from_name(const char *name, Isa *isa);
bool isa_present(Isa isa);      // compiled in, and this CPU has it
Isa isa_best();
const Kernels &kernels(Isa isa); // isa must be present

} // namespace zeta::simd
