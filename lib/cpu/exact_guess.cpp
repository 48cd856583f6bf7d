// SPDX-License-Identifier: Apache-2.0
// Guessed bounds of exact selection: from the tiles before or the caller's hints, refined by how many blocks they
// reach, enlarged where they hold too few keys.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "exact_tile.hpp"

namespace zeta::cpu {
namespace {

constexpr float kAim = 1.5f;     // a guess aims at this many times K keys: fewer misses, longer lists
constexpr float kMargin = 1.0f;  // a refined guess exceeds the expectation by this many deviations
constexpr float kForget = 0.15f; // weight of the last tile in what refines
constexpr float kLearn = 0.8f;   // weight of the last tile in the guess

// About the logarithm to base 2 of x > 0: no more than 0.09 off, and its inverse takes it back exactly.
float log_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return float(bits - 0x3f800000) * 0x1p-23f;
}

float raise(float x, float log) { // x times about 2^log
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += int32_t(log * 0x1p23f);
    memcpy(&x, &bits, sizeof bits);
    return x;
}

bool valid_hint(uint32_t bits) {
    return bits < 0x7f800000u;
}

} // namespace

// First bounds.
TileSearch::First TileSearch::guess(Tile &tile, uint32_t active, const uint32_t *hints) {
    if (level_.count <= kSmallLevel) {
        std::fill_n(tile.bounds, kTile, kInfinity);
        return First::sure;
    }
    const bool learnt = work_.level == &level_ && work_.scale > 0;
    uint32_t missing = active;
    if (hints != nullptr) {
        for (uint32_t i = 0; i < tile.count; ++i) {
            if ((active >> i & 1) == 0 || !valid_hint(hints[tile.query[i]])) continue;
            memcpy(&tile.bounds[i], &hints[tile.query[i]], sizeof(float));
            missing &= ~(1u << i);
        }
    }
    if (missing == 0) return First::guessed;
    if (!learnt) window(tile, active);
    const float aim = learnt ? std::pow(kAim, 2.0f / float(dk_)) : 0;
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((missing >> i & 1) == 0) continue;
        if (learnt) tile.mean[i] = work_.scale * keys_.spread(share(tile, i));
        tile.bounds[i] = learnt ? tile.mean[i] * aim : tile.sure[i];
    }
    if (!learnt && hints == nullptr) return First::sure;
    return learnt && missing == active && dk_ <= kTreeDk ? First::refinable : First::guessed;
}

// Moves the bounds of the active queries to where the blocks that their guesses reach let expect the K-th key.
void TileSearch::refine(Tile &tile, uint32_t active, uint32_t n) {
    alignas(64) uint32_t reached[kTile];
    kernels_.exact_count(work_.gaps, n, tile.mean, reached);
    tile.refined |= active;
    float slope = 0, at = 0, margin = log_of(kAim) * 2 / float(dk_);
    const float xx = work_.mean_xx - work_.mean_x * work_.mean_x, xy = work_.mean_xy - work_.mean_x * work_.mean_y,
                yy = work_.mean_yy - work_.mean_y * work_.mean_y;
    if (work_.related && xx > 1e-3f) {
        slope = xy / xx;
        at = work_.mean_y - slope * work_.mean_x;
        margin = kMargin * std::sqrt(std::max(yy - slope * xy, 1e-3f));
    }
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((active >> i & 1) == 0) continue;
        tile.blocks[i] = log_of(float(reached[i]) + 0.5f) - 0.25f * float(dk_) * log_of(keys_.spread(share(tile, i)));
        const float more = std::min(std::max(-8.0f, at + slope * tile.blocks[i] + margin), 8.0f);
        tile.bounds[i] = std::min(raise(tile.mean[i], more), tile.reach[i]);
    }
}

// Larger bounds for queries that found too few keys. Returns those whose bound is still within reach.
uint32_t TileSearch::grow(Tile &tile, uint32_t few) const {
    uint32_t within = 0;
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((few >> i & 1) == 0) continue;
        const float more = 1.5f * float(neighbours_) / float(lists_.count[i] + 1);
        tile.bounds[i] *= std::pow(std::min(more, 16.0f), 2.0f / float(dk_));
        if (tile.bounds[i] <= tile.reach[i]) within |= 1u << i;
        if (tile.bounds[i] > tile.reach[i]) tile.reach[i] = tile.bounds[i];
    }
    return within;
}

void TileSearch::learn(const Tile &tile, uint32_t done) {
    if (work_.level != &level_) work_.scale = 0, work_.related = false;
    work_.level = &level_;
    if (level_.count <= kSmallLevel) return;
    float sum = 0, count = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0, pairs = 0;
    for (uint32_t i = 0; i < tile.count; ++i) {
        if ((done >> i & 1) == 0) continue;
        float kth;
        memcpy(&kth, &lists_.hint_a[i], sizeof kth);
        const float whole = kth / keys_.spread(share(tile, i));
        if (!(whole > 1e-30f && whole < 1e30f)) continue;
        sum += log_of(whole);
        ++count;
        if ((tile.refined >> i & 1) == 0) continue;
        const float xi = tile.blocks[i], yi = log_of(kth) - log_of(tile.mean[i]);
        x += xi, y += yi, xx += xi * xi, xy += xi * yi, yy += yi * yi;
        ++pairs;
    }
    if (count == 0) return;
    const float mean = raise(1.0f, sum / count);
    work_.scale = work_.scale > 0 ? work_.scale + kLearn * (mean - work_.scale) : mean;
    if (pairs == 0) return;
    const float weight = work_.related ? kForget : 1;
    const auto follow = [&](float &moment, float total) { moment += weight * (total / pairs - moment); };
    follow(work_.mean_x, x), follow(work_.mean_y, y);
    follow(work_.mean_xx, xx), follow(work_.mean_xy, xy), follow(work_.mean_yy, yy);
    work_.related = true;
}

} // namespace zeta::cpu
