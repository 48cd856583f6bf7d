// SPDX-License-Identifier: Apache-2.0
// Prefix levels of one key head: level 0 holds all searchable keys in curve order, each next level those with position
// below a cap that halves, down to about 128 keys. A query uses the smallest level that holds every key below its
// limit, so at least half of it is searchable: O(M) memory and time, whatever the input. Levels hold positions and
// coordinates, never values.
#pragma once

#include "../scratch.hpp"
#include "sort.hpp"

namespace zeta::cpu {

class Levels {
public:
    static constexpr int kMaxLevels = 20;
    static constexpr uint32_t kSmallest = 128; // keys: smaller levels cost more passes than they save

    void take(Scratch &scratch, uint32_t m, int dk, uint32_t first, bool causal);
    // k [m, dk]. Afterwards words() are the sorted words of the searchable keys, until the next build.
    void encode_keys(const Executor &executor, const Axes &axes, const float *k);
    void sort_keys(const Executor &executor);
    void build(const Executor &executor, const float *k);

    int count() const { return count_; }
    const simd::Level &level(int i) const { return storage_[i].view; }
    uint32_t cap(int i) const { return storage_[i].cap; }
    const uint64_t *words() const { return words_; }
    // Keys of level i that are also in level i + 1, among its first `rank`.
    uint32_t rank_below(int i, uint32_t rank) const {
        const Storage &s = storage_[i];
        const uint64_t bits = s.kept[rank / 64] & ((uint64_t{1} << (rank % 64)) - 1);
        return s.before[rank / 64] + uint32_t(__builtin_popcountll(bits));
    }
    // The smallest level that holds all keys below limit.
    int level_for(uint32_t limit) const {
        int i = 0;
        while (i + 1 < count_ && storage_[i + 1].cap >= limit) ++i;
        return i;
    }

private:
    struct Storage {
        uint32_t cap;
        simd::Level view;
        uint32_t *position;
        float *coordinate;
        uint32_t *minimum[simd::kMaxHeights];
        uint64_t *kept;   // one bit per key: also in the next level
        uint32_t *before; // kept keys before each block of 64
    };
    void finish(const Executor &executor, Storage &storage);

    int dk_ = 0, count_ = 0;
    uint32_t first_ = 0, keys_ = 0;
    uint64_t *words_ = nullptr, *temporary_ = nullptr;
    Storage storage_[kMaxLevels];
};

} // namespace zeta::cpu
