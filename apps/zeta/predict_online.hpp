// SPDX-License-Identifier: Apache-2.0
// Prediction with a cache of keys and values, byte after byte or in pieces, without end: the same figures as one pass
// over the whole text (predict_run.hpp) as long as nothing is forgotten. Position t is appended and asked before byte t
// is looked at. Memory is bounded by `keep`; a cache that has reached its longest length starts again with the
// positions kept.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "predict_mixer.hpp"
#include "predict_run.hpp"
#include "session.hpp"
#include "zeta/cache.h"

namespace zeta::app {

struct OnlinePlan {
    std::string select = "window";
    int64_t keep = 0;              // positions that stay searchable at least, and at most a sixteenth more; 0: all
    int64_t renew = ZETA_MAX_KEYS; // length at which the cache starts again; more than keep and a sixteenth
};

// What goes on from one run to the next beside the cache.
struct OnlineState {
    int64_t bytes = 0; // predicted so far
    double bits = 0;
    int64_t origin = 0;         // of the text, where position 0 of the cache is
    Text history;               // the last bytes: what can still be asked for
    std::vector<float> learned; // the mixer's
};

class OnlinePredictor {
public:
    // The most bytes one call of predict() attends at once.
    static constexpr int64_t kPiece = 32768;

    OnlinePredictor(const Context &context, const PredictModel &model, const OnlinePlan &plan);
    OnlinePredictor(const OnlinePredictor &) = delete;
    OnlinePredictor &operator=(const OnlinePredictor &) = delete;

    // Predicts `count` bytes, 1 .. kPiece, then learns them. Throws CommandError where a text without `keep` becomes
    // too long.
    void predict(const uint8_t *bytes, int64_t count);

    int64_t bytes() const { return state_.bytes; }
    double bits() const { return state_.bits; }
    double recent() const { return recent_; } // bits of a byte, over the last thousand or so; 0 at the start
    size_t cache_bytes() const { return zeta_cache_bytes(cache_.get()); }
    int64_t cache_length() const { return zeta_cache_length(cache_.get(), 0); }
    int64_t cache_first() const { return zeta_cache_first(cache_.get(), 0); }

    OnlineState state() const;
    std::vector<uint8_t> save_cache() const;
    // Takes over what another predictor of the same model and plan gave; for a new predictor. Throws CommandError.
    void load(const OnlineState &state, const uint8_t *cache, size_t size);

private:
    struct DestroyCache {
        void operator()(zeta_cache *cache) const { zeta_cache_destroy(&cache); }
    };

    int64_t position() const { return state_.bytes - state_.origin; }        // of the next byte, in the cache
    int64_t stride() const { return plan_.keep > 16 ? plan_.keep / 16 : 1; } // between evictions
    void predict_piece(const uint8_t *bytes, int64_t count);
    void fill_rows(int64_t begin, int64_t count, const uint8_t *at, int64_t known);
    void attend(int64_t count);
    void mix(int64_t row, int64_t count);
    void forget();
    void renew();

    PredictModel model_;
    OnlinePlan plan_;
    OnlineState state_; // learned: empty
    Mixer mixer_;
    std::unique_ptr<zeta_cache, DestroyCache> cache_;
    int64_t room_ = 0; // rows of the arrays below
    Array q_, k_, v_, out_, normaliser_;
    std::vector<const float *> head_rows_;
    std::vector<float> closeness_;
    double recent_ = 0;
};

} // namespace zeta::app
