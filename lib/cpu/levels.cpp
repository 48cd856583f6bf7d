// SPDX-License-Identifier: Apache-2.0
// Building the prefix levels: encode, sort, gather level 0, then filter level by level.
#include "levels.hpp"

namespace zeta::cpu {
namespace {

constexpr size_t kGrain = 1 << 14;         // entries of a task; a multiple of the block
constexpr uint32_t kFuture = ~uint32_t{0}; // position of padding: never below a limit

size_t padded(size_t n) {
    return (n + simd::kBlock - 1) / simd::kBlock * simd::kBlock;
}

} // namespace

void Levels::take(Scratch &scratch, uint32_t m, int dk, uint32_t first, bool causal) {
    dk_ = dk;
    first_ = std::min(first, m);
    keys_ = m - first_;
    words_ = scratch.take<uint64_t>(keys_);
    temporary_ = scratch.take<uint64_t>(keys_);
    count_ = 0;
    for (uint32_t n = keys_;; n = (n + 1) / 2) {
        Storage &s = storage_[count_++];
        s.cap = first_ + n;
        s.view = {};
        s.view.count = n;
        s.view.stride = padded(n) + simd::kPad;
        s.view.position = s.position = scratch.take<uint32_t>(s.view.stride);
        s.view.coordinate = s.coordinate = scratch.take<float>(s.view.stride * size_t(dk));
        size_t blocks = n;
        do {
            blocks = (blocks + simd::kBlock - 1) / simd::kBlock;
            const int h = s.view.heights++;
            s.minimum[h] = scratch.take<uint32_t>(padded(blocks) + simd::kBlock);
            s.view.minimum[h] = s.minimum[h];
            s.view.minimum_count[h] = uint32_t(blocks);
        } while (blocks > simd::kBlock);
        s.kept = scratch.take<uint64_t>(n / 64 + 1);
        s.before = scratch.take<uint32_t>(n / 64 + 1);
        if (!causal || n <= kSmallest || count_ == kMaxLevels) break;
    }
}

void Levels::encode_keys(const Executor &executor, const Axes &axes, const float *k) {
    encode(executor, axes, k + size_t(first_) * size_t(dk_), keys_, dk_, first_, words_);
}

void Levels::sort_keys(const Executor &executor) {
    sort(executor, words_, temporary_, keys_);
}

void Levels::finish(const Executor &executor, Storage &s) {
    const uint32_t n = s.view.count;
    std::fill(s.position + n, s.position + s.view.stride, kFuture);
    for (int e = 0; e < dk_; ++e) {
        float *c = s.coordinate + size_t(e) * s.view.stride;
        std::fill(c + n, c + s.view.stride, 0.0f);
    }
    const uint32_t *source = s.position;
    uint32_t count = n;
    for (int h = 0; h < s.view.heights; ++h) {
        executor.parallel_for(count, kGrain, [&](size_t begin, size_t end, int) {
            executor.kernels().levels_minimum(source + begin, uint32_t(end - begin),
                                              s.minimum[h] + begin / simd::kBlock);
        });
        count = s.view.minimum_count[h];
        std::fill(s.minimum[h] + count, s.minimum[h] + padded(count) + simd::kBlock, kFuture);
        source = s.minimum[h];
    }
}

void Levels::build(const Executor &executor, const float *k) {
    Storage &top = storage_[0];
    executor.parallel_for(keys_, 1 << 14, [&](size_t begin, size_t end, int) {
        constexpr size_t kAhead = 24; // rows of k are read in curve order, that is at random: fetch ahead
        for (size_t i = begin; i < end; ++i) {
            if (i + kAhead < end) __builtin_prefetch(k + (words_[i + kAhead] & kPositionMask) * size_t(dk_));
            const uint32_t position = uint32_t(words_[i] & kPositionMask);
            top.position[i] = position;
            const float *row = k + size_t(position) * size_t(dk_);
            for (int e = 0; e < dk_; ++e) top.coordinate[size_t(e) * top.view.stride + i] = row[e];
        }
    });
    finish(executor, top);
    for (int i = 0; i + 1 < count_; ++i) {
        filter(executor, storage_[i], storage_[i + 1]);
        finish(executor, storage_[i + 1]);
    }
}

void Levels::filter(const Executor &executor, Storage &from, const Storage &to) const {
    const simd::Kernels &kernels = executor.kernels();
    const uint32_t count = from.view.count, kept_all = to.view.count;
    const Pieces pieces(executor, count);
    uint32_t first[Pieces::kMost + 1] = {}; // keys kept before each piece
    if (pieces.count() > 1)
        executor.parallel_for(pieces.count(), 1, [&](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i)
                first[i + 1] =
                    kernels.levels_count(from.position + pieces.edge(i), pieces.edge(i + 1) - pieces.edge(i), to.cap);
        });
    for (size_t i = 0; i < pieces.count(); ++i) first[i + 1] += first[i];
    executor.parallel_for(pieces.count(), 1, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) {
            const uint32_t limit = i + 1 == pieces.count() ? kept_all + uint32_t(simd::kPad) : first[i + 1];
            kernels.levels_filter(from.position, from.coordinate, from.view.stride, pieces.edge(i), pieces.edge(i + 1),
                                  dk_, to.cap, to.position, to.coordinate, to.view.stride, first[i], limit, from.kept,
                                  from.before);
        }
    });
    if (count % simd::kBlock != 0) return;
    from.kept[count / simd::kBlock] = 0; // a rank past the last key
    from.before[count / simd::kBlock] = kept_all;
}

} // namespace zeta::cpu
