// SPDX-License-Identifier: Apache-2.0
// Prefix levels of one key head: level 0 holds all searchable keys in curve order, each next level those with position
// below a cap that halves, down to about 128 keys. A query uses the smallest level that holds every key below its
// limit, so at least half of it is searchable: O(M) memory and time, whatever the input. Levels hold positions and
// coordinates, never values.
#pragma once

#include "../scratch.hpp"
#include "sort.hpp"

namespace zeta::cpu {

// Long arrays cut for the threads at multiples of the block, at most one piece each.
class Pieces {
public:
    static constexpr size_t kMost = 64, kSmallest = 1 << 14;

    Pieces(const Executor &executor, uint32_t n) : n_(n), count_(std::min(size_t(executor.workers()), kMost)) {
        count_ = std::max<size_t>(1, std::min(count_, n / kSmallest));
    }
    size_t count() const { return count_; }
    uint32_t edge(size_t i) const { return i == count_ ? n_ : uint32_t(n_ * i / count_ / simd::kBlock * simd::kBlock); }

private:
    uint32_t n_;
    size_t count_;
};

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
    // One bit per key of level i: also in level i + 1; and how many of them before each block of 64.
    const uint64_t *kept(int i) const { return storage_[i].kept; }
    const uint32_t *before(int i) const { return storage_[i].before; }

private:
    struct Storage {
        uint32_t cap;
        simd::Level view;
        uint32_t *position;
        float *coordinate;
        uint32_t *minimum[simd::kMaxHeights];
        uint64_t *kept;
        uint32_t *before;
    };
    void filter(const Executor &executor, Storage &from, const Storage &to) const;
    void finish(const Executor &executor, Storage &storage);

    int dk_ = 0, count_ = 0;
    uint32_t first_ = 0, keys_ = 0;
    uint64_t *words_ = nullptr, *temporary_ = nullptr;
    Storage storage_[kMaxLevels];
};

} // namespace zeta::cpu
