// SPDX-License-Identifier: Apache-2.0
// Times decode with a cache: prefill of a context beside zeta_forward of the same tokens, then single steps, then one
// dense step over the same keys. All tensors are allocated and filled before the first call.
#pragma once

#include <string>
#include <vector>

#include "bench_inputs.hpp"
#include "session.hpp"

namespace zeta::app {

struct DecodePlan {
    int64_t context = 65536; // positions before the first step
    int64_t steps = 20000;   // timed in each run
    int64_t span = 0;        // the cache is rolled back to `context` after so many steps; 0: an eighth of the context
    int runs = 3;
    int rounds = 3; // of prefill and forward; 0: the cache is filled by append, and neither is timed
    bool dense = true;
    int32_t value_type = ZETA_F32;
    int32_t dtype = ZETA_F32; // of q, k, v and out

    int64_t roll_back() const; // span, resolved
};

struct StepTimes { // of whole steps, all heads, in microseconds
    double median = 0, p99 = 0, p999 = 0, max = 0, mean = 0;
};

struct DecodeResult {
    std::vector<StepTimes> runs;
    StepTimes best;                        // median and mean: the median over runs; the others: the least of any run
    double bytes_per_token = 0;            // of the cache: after filling it or after a run, whichever is more
    double raw_bytes = 0;                  // of a position's keys and values alone
    double prefill_ms = 0, forward_ms = 0; // medians
    double loop_us = 0, library_us = 0;    // dense: the plain loop, zeta_dense_forward; medians
};

// The inputs are of `kind` (bench_kinds()); `shape` gives heads, groups, dk and dv.
DecodeResult run_decode(const Context &context, const zeta_attention_params &params, const std::string &kind,
                        BenchShape shape, const DecodePlan &plan);

} // namespace zeta::app
