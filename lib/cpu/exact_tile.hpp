// SPDX-License-Identifier: Apache-2.0
// The search of exact selection for a tile of queries (exact.cpp) and the bounds it guesses (exact_guess.cpp).
#pragma once

#include "exact_search.hpp"

#include <limits>

namespace zeta::cpu {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr uint32_t kSmallLevel = 256; // keys: searched whole
constexpr float kReach = 4.0f;        // for this many times K keys blocks are listed before the guess is refined

struct Tile {
    uint32_t count = 0;              // queries
    const uint32_t *query = nullptr; // [count] rows
    alignas(64) uint32_t limits[kTile];
    alignas(64) float bounds[kTile]; // of the search
    alignas(64) float reach[kTile];  // of the blocks listed, not less
    alignas(64) float sure[kTile];   // bounds that hold K keys, or infinity
    alignas(64) float mean[kTile];   // guesses before they were refined
    float blocks[kTile];             // logarithms of how many blocks these reached
    uint32_t windowed = 0;           // queries whose sure bound is known
    uint32_t refined = 0;            // queries whose guess was refined
};

class TileSearch : public ExactSearch {
public:
    TileSearch(const ExactKeys &keys, const ExactLevel &level, uint32_t neighbours, ExactWork &work, Lists &lists)
        : ExactSearch(keys, level, neighbours, work), lists_(lists) {}

    void run(Tile &tile, uint32_t active, const uint32_t *hints);
    void take_last(const Tile &tile, uint32_t i, uint32_t count, const float *q);

private:
    uint32_t attempt(Tile &tile, uint32_t active, bool refining, uint32_t *few);
    bool collect(const Tile &tile, uint32_t active, const uint32_t **blocks, uint32_t *n);
    void refine(Tile &tile, uint32_t active, uint32_t n);
    uint32_t search(const Tile &tile, uint32_t active, const uint32_t *blocks, uint32_t n, uint32_t *few);
    uint32_t grow(Tile &tile, uint32_t few) const;
    void window(Tile &tile, uint32_t active);
    enum class First { guessed, refinable, sure };
    First guess(Tile &tile, uint32_t active, const uint32_t *hints);
    void finish_alone(Tile &tile, uint32_t alone);
    void emit(uint32_t i);
    void learn(const Tile &tile, uint32_t done);
    float share(const Tile &tile, uint32_t i) const {
        return float(tile.limits[i] - keys_.first()) / float(level_.count);
    }

    Lists &lists_;
};

} // namespace zeta::cpu
