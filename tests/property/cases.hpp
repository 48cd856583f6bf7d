// SPDX-License-Identifier: Apache-2.0
// Random cases: options over their whole range, shapes small enough for the oracle, data of many kinds.
#pragma once

#include "harness.hpp"

namespace property {

enum class Data { gaussian, clustered, equal, few, drift, sorted, tiny, wild };

// rows x d values of one head, in order of position. `wild`: gaussian with NaN, infinities, huge and tiny values.
std::vector<float> draw(Random &random, Data kind, int64_t rows, int64_t d);

// Rounds to an element type.
std::vector<float> rounded(std::vector<float> x, int32_t dtype);

// Fills q, k, v and grad_out of a case with shape and types set. Drift: queries follow the keys.
void fill(Case &problem, Random &random, Data kind);

// A case with everything drawn. Small: at most about 150 rows; else one head of up to 2,000 rows.
Case random_case(Random &random, bool small = true);

// One sentence with all options and shapes.
std::string describe(const Case &problem);

// A gaussian float32 case with default options: B, H = G heads, N = M.
Case plain_case(int64_t batches, int64_t heads, int64_t length, int64_t dk, int64_t dv, uint64_t seed);

} // namespace property
