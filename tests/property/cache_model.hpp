// SPDX-License-Identifier: Apache-2.0
// What a cache must answer: the whole history of each sequence as a cache keeps it, and for queries at its end the
// bits of zeta_forward over that history, checked against the oracle.
#pragma once

#include "cases.hpp"

namespace property {

// Histories of this many sequences under the shape and options of a case (whose queries, keys and data are not used).
struct CacheSetup {
    Case problem;
    int32_t value_type = ZETA_F32; // or ZETA_I8
    Data data = Data::gaussian;
};

// Everything random but few: heads, options, types, data.
CacheSetup random_setup(Random &random);
std::string describe(const CacheSetup &setup);

// The values as a cache of the setup keeps them. int8: by the definition, scale max |v| / 127, or where float32 ends
// the next number that keeps every error within half of it.
std::vector<float> kept(const std::vector<float> &values, const CacheSetup &setup);

struct CacheDeleter {
    void operator()(zeta_cache *cache) const { zeta_cache_destroy(&cache); }
};
using CachePointer = std::unique_ptr<zeta_cache, CacheDeleter>;
CachePointer make_cache(zeta_context *context, const CacheSetup &setup);

// One sequence. Rows are [G, d], one position after another, so that a history can be cut.
struct History {
    int64_t length = 0, first = 0, evicted = 0;
    std::vector<float> k, v;

    void cut(int64_t to, const oracle::Shape &shape);
};

// The case of the last queries [H, n, dk] of a history.
Case case_of(const CacheSetup &setup, const History &history, std::vector<float> q, int64_t n);

// Equal bits, or both NaN.
bool same_numbers(const float *a, const float *b, int64_t count);

} // namespace property
