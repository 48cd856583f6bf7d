// SPDX-License-Identifier: Apache-2.0
// Elementwise mathematics of dense attention (spec sections 4 and 5) over a run of keys whose coordinates lie apart:
// distances, products and weights of one query, through xsimd. What a key gets depends on that key alone.
//
// Runs are worked in whole vectors: inputs are readable and outputs writable for kDensePad elements past their end.
#pragma once

#include <cstddef>

namespace zeta::cpu {

constexpr size_t kDensePad = 16;

// Squared distances from q [dk] to n keys, coordinates [dk, stride]; each step rounded. The padding becomes infinity.
void dense_distances(const float *q, const float *keys, size_t stride, int dk, size_t n, float *distances);
// Dot products likewise.
void dense_dots(const float *q, const float *keys, size_t stride, int dk, size_t n, float *dots);
// Smallest argument of the exponential scores: of D, or of -x (dot) where D is finite. Infinity if there is none. The
// distances are padded with infinity.
float dense_minimum(int score, const float *distances, const float *dots, size_t n);
// Weights s, exponentials relative to `minimum`, the smallest over the attended set.
void dense_weights(int score, float gamma, float minimum, const float *distances, const float *dots, size_t n,
                   float *weights);

} // namespace zeta::cpu
