// SPDX-License-Identifier: Apache-2.0
// Exact selection (spec section 4, `exact`): the K nearest of all searchable keys. Keys lie on a Hilbert curve of a
// grid fitted to them, in prefix levels (each holds the first half of the one before), with a tree of boxes over blocks
// of 16. Sixteen queries that are neighbours on the curve walk a tree together. The fit and the guessed bounds cost or
// save time; the set chosen depends on neither. About O(log N) per query for few coordinates; for many, a scan with a
// bound.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../scratch.hpp"
#include "exact_order.hpp"
#include "lists.hpp"

namespace zeta::cpu {

constexpr uint32_t kExactWide = 16;   // keys of a block, boxes of a group
constexpr uint32_t kExactLevels = 24; // 2^24 keys, halved
constexpr uint32_t kExactHeights = 6; // 16^6 = 2^24
constexpr int kTreeDk = 4; // more coordinates: boxes tell little apart, and a query alone scans rather than climbs
constexpr uint32_t kExactShares = 64; // steps of the table of bounds by searchable share

// The keys with first <= position < first + count.
struct ExactLevel {
    uint32_t count = 0;
    float *keys = nullptr; // [blocks][dk + 1][16] coordinates, then positions (bits)
    int heights = 0;
    uint32_t nodes[kExactHeights]; // boxes of a height: over blocks, over 16 blocks, ...; at most 16 of the last
    float *boxes[kExactHeights];   // [nodes / 16][2 dk + 2][16] corners, smallest and largest position (bits)

    uint32_t blocks() const { return (count + kExactWide - 1) / kExactWide; }
};

// Keys of one key head, prepared.
class ExactKeys {
public:
    // m keys; those before `first` are left out. Not causal: one level only.
    void take(Scratch &scratch, uint32_t m, int dk, uint32_t first, bool causal);
    // k [m, dk], which must stay as it is while the keys are searched.
    void build(const Executor &executor, const float *k);

    int dk() const { return dk_; }
    uint32_t first() const { return first_; }
    const float *rows() const { return rows_; }
    const simd::Kernels &kernels() const { return *kernels_; }
    const ExactGrid &grid() const { return grid_; }
    uint32_t levels() const { return levels_; }
    const ExactLevel &level(uint32_t i) const { return level_[i]; }
    // The smallest level that holds `searchable` keys from first.
    uint32_t level_of(uint32_t searchable) const;
    // How the K-th distance grows when only this share of a level is searchable.
    float spread(float share) const { return spread_[uint32_t(share * kExactShares)]; }

private:
    void gather(const Executor &executor, const float *k);
    void filter(const Executor &executor, const ExactLevel &from, ExactLevel &to) const;
    void raise(const Executor &executor, ExactLevel &level) const;

    int dk_ = 0;
    uint32_t m_ = 0, first_ = 0, levels_ = 0;
    uint64_t *words_ = nullptr; // [count] code << 24 | position
    const float *rows_ = nullptr;
    const simd::Kernels *kernels_ = nullptr;
    ExactLevel level_[kExactLevels];
    ExactGrid grid_;
    float spread_[kExactShares + 1];
};

// What one thread needs to search. One work serves any keys and queries of its dk and K.
struct ExactWork {
    static constexpr uint32_t kGroups = 1024; // groups of boxes a tile may open at one height

    uint32_t *nodes[2] = {};    // [16 kGroups + 32]
    float *gaps = nullptr;      // [listed + 1][16] squared distances from the queries of a tile to each block listed
    uint16_t *masks = nullptr;  // [listed + 32] the queries that want each block
    uint32_t *picked = nullptr; // [listed + 32] the blocks one query wants
    uint32_t listed = 0;        // blocks that a tile may list; beyond, ties or geometry make lists useless
    uint32_t *ids = nullptr;    // [16][slot()] keys found by a query; one slot unless queries scan together
    float *distances = nullptr; // [16][slot()]
    uint32_t room = 0;
    uint32_t slot() const { return room + 32; }
    uint64_t *words = nullptr; // [K + 128] for sorting more than 64 of them
    float *tile = nullptr;     // [dk][16] queries side by side
    float *query = nullptr;    // [16][dk] the same, one after another

    // Learned from the tiles before: guesses, on which no result depends.
    const ExactLevel *level = nullptr;
    float scale = 0; // mean of the K-th distance, as if all of the level were searchable; 0: unknown
    // How the K-th distance relates to how many blocks the mean reaches, both as logarithms: moments over some tiles.
    float mean_x = 0, mean_y = 0, mean_xx = 0, mean_xy = 0, mean_yy = 0;
    bool related = false;
    uint32_t crowded = 0; // tiles since lists overflowed, 0: they did not

    void take(Scratch &scratch, uint32_t neighbours, int dk);
};

// Queries of one query head, in tiles of at most 16 of one level.
class ExactQueries {
public:
    void take(Scratch &scratch, uint32_t n, int dk);
    // q [n, dk], which must stay as it is. limits [n]: query i searches keys first <= j < limits[i] <= m.
    void count(uint32_t n) { n_ = n; } // queries from now on, at most as many as were taken for
    void build(const Executor &executor, const ExactKeys &keys, const float *q, const uint32_t *limits);
    size_t tiles() const { return tiles_; }
    // Fills lists: count min(K, searchable), ids ascending, hint_a the bits of the largest distance kept (~0: none).
    // hints: NULL, or [n] such bits of each query row, from which the search then starts.
    void select(const ExactKeys &keys, size_t tile, uint32_t neighbours, const uint32_t *hints, ExactWork &work,
                Lists &lists) const;

private:
    uint32_t n_ = 0;
    size_t tiles_ = 0;
    const float *rows_ = nullptr;
    uint64_t *words_ = nullptr;                // [n]
    uint32_t *order_ = nullptr;                // [n] query rows, level by level, in curve order; then limit_
    uint32_t *limit_ = nullptr;                // [n] their limits
    uint32_t begin_[kExactLevels + 1] = {};    // of each level in order
    size_t first_tile_[kExactLevels + 1] = {}; // of each level
};

} // namespace zeta::cpu
