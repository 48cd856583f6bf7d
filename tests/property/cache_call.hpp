// SPDX-License-Identifier: Apache-2.0
// One call of append, attend, step or prefill with random tensors in scattered memory, and the comparison of what it
// answers with the histories of the sequences.
#pragma once

#include "cache_model.hpp"

namespace property {

// Keys of every head in an order of time that suits their kind: each is handed out once before any comes again.
class KeySource {
public:
    KeySource(const CacheSetup &setup, Random &random);

    // [B, G, n, dk]: the next n keys of each sequence.
    std::vector<float> next(int64_t batches, int64_t n);

private:
    static constexpr int64_t kRows = 4096;

    int64_t heads_, dk_, at_ = 0;
    std::vector<float> keys_; // [G, kRows, dk]
};

enum class CacheUse { append, attend, step, prefill };
const char *name_of(CacheUse use);

struct CacheCall {
    int64_t batches = 0, n = 0;
    std::vector<int64_t> counts; // [B]
    bool counted = true;         // else all are n, and counts are not given
    int32_t qk_type = ZETA_F32, v_type = ZETA_F32, out_type = ZETA_F32;
    std::vector<float> q, k, v;

    CacheCall(const CacheSetup &setup, int64_t batches, int64_t n, KeySource &source, Random &random);
};

// Makes the call, which must succeed, adds to the histories what it appends, and compares the outputs: bits with
// zeta_forward on `context`, and if `oracle` is set everything with the oracle. "" or what is wrong.
std::string check_call(zeta_context *context, zeta_cache *cache, const CacheSetup &setup,
                       std::vector<History> &histories, const CacheCall &call, CacheUse use, bool oracle,
                       Random &random);

// What the cache answers at the last positions of all sequences, at most n each, and its lengths: "" if they are those
// of the histories.
std::string check_end(zeta_context *context, zeta_cache *cache, const CacheSetup &setup,
                      std::vector<History> &histories, int64_t n, KeySource &source, Random &random);

} // namespace property
