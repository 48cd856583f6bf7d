// SPDX-License-Identifier: Apache-2.0
// The file of `zeta predict --save-cache`: what an OnlinePredictor needs to go on. Little-endian:
//   "ZETAPRED", uint32 version (1), uint32 0, uint64 bytes of the file, uint64 bytes of the state, uint64 hash
//   state: int32 dk, K, W; uint32 selection (0 window, 1 reranked, 2 exact); int64 keep, renew; uint64 bytes predicted;
//          float64 bits; uint64 origin; then, each after a uint64 count: float32 gammas, bytes of history, float32
//          weights of the mixer
//   the cache, as zeta_cache_save_buffer() writes it (docs/cache-format.md)
// hash: XXH3 (64 bits) of the cache, seeded with that of the state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "outputs.hpp"
#include "predict_online.hpp"

namespace zeta::app {

struct SavedRun {
    PredictModel model;
    OnlinePlan plan;
    OnlineState state;
    std::vector<uint8_t> cache;
};

// To an output announced under `option`.
void write_run(const SavedRun &run, const std::string &option, Outputs &outputs);

// Refused with a sentence that names the file: foreign, truncated, corrupt, from a newer version, or made with another
// model or plan than these. Throws CommandError (kExitInput).
SavedRun read_run(const std::string &path, const PredictModel &model, const OnlinePlan &plan);

} // namespace zeta::app
