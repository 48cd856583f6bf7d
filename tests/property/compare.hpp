// SPDX-License-Identifier: Apache-2.0
// Compares results with the oracle: selections bit for bit, values within the promised tolerances.
#pragma once

#include "harness.hpp"

namespace property {

// Each returns "" or a sentence about the first difference.
std::string compare_neighbours(const std::vector<int32_t> &got, const std::vector<std::vector<int64_t>> &expected,
                               int64_t slots);

// One row of the output and, if normaliser is given, its normaliser. `type` is the output's.
std::string compare_row(const float *out, const float *normaliser, const oracle::Row &expected, int32_t type);

// All rows; `lists` holds the keys each row attends besides its local positions.
std::string compare_rows(const Case &problem, const Result &got, const std::vector<std::vector<int64_t>> &lists);

// Gradients of a tame case.
std::string compare_gradients(const Case &problem, const Result &got, const oracle::Gradients &expected);

// Everything: status, gaps, neighbours, rows, and gradients if `backward`.
std::string compare(const Case &problem, const Result &got, bool backward);

// grad_out in float64.
std::vector<double> widened(const std::vector<float> &x);

} // namespace property
