// SPDX-License-Identifier: Apache-2.0
// Prefix sums of blocks. On one thread, or where threads share the columns, one pass makes both a block's sum and the
// running sums inside it; else threads take blocks, some at a time: their sums, then the prefix of these, then, while
// caches may still hold the rows, the running sums. The additions, and so the bits, are the same.
#include "mean.hpp"

#include <cstring>

namespace zeta::cpu {
namespace {

constexpr size_t kColumns = 64;     // channels that a thread takes at least: a core fetches lines around those it reads
constexpr size_t kCached = 1 << 20; // bytes of blocks that a thread takes at a time, if that is one or more
constexpr size_t kFew = 1 << 16;    // elements that one thread adds up sooner than two begin
constexpr size_t kVisited = 16;     // mean rows handed out at a time
constexpr size_t kKept = 4 << 20;   // bytes of mean rows that a cache may still hold when they are read

using PrefixKernel = void (*)(const simd::MeanPrefix &);

PrefixKernel prefix_kernel(const simd::Kernels &kernels, int32_t dtype) {
    switch (dtype) {
    case ZETA_BF16:
        return kernels.mean_prefix_bf16;
    case ZETA_F16:
        return kernels.mean_prefix_f16;
    default:
        return kernels.mean_prefix_f32;
    }
}

// Rows that are many are read from memory again anyway, and writing them through a cache reads them first.
bool streams(const Unit &unit, size_t channels) {
    return size_t(unit.n) * channels * sizeof(float) >= kKept;
}

} // namespace

void MeanRows::take(Scratch &scratch, const Executor &executor, const View &view, const Unit &unit, bool causal,
                    bool checkpoints) {
    channels_ = size_t(view.channels);
    block_ = mean_block(channels_);
    spacing_ = (channels_ + 15) / 16; // a checkpoint of 8 dv bytes each dv/16 positions: at most 128 bytes a position
    before_ = scratch.take<double>(((unit.m + block_ - 1) / block_ + 1) * channels_);
    inside_ = causal && checkpoints ? scratch.take<double>((size_t(unit.n) / spacing_ + 2) * channels_) : nullptr;
    mean_ = scratch.take<float>(size_t(executor.workers()) * channels_ * kVisited);
    running_ = scratch.take<double>(size_t(executor.workers()) * channels_);
}

void MeanRows::start(const View &view, const Unit &unit, bool causal) {
    view_ = view;
    unit_ = unit;
    causal_ = causal;
    origin_ = causal ? size_t(position_of(unit, 0)) : 0;
    blocks_ = (unit.m + block_ - 1) / block_;
}

// Adds rows [begin, end), all of one block, to `running`.
void MeanRows::add(const Executor &executor, size_t begin, size_t end, Columns columns, const double *before,
                   double *running, const Target &target) const {
    if (begin >= end) return;
    const void *row = row_pointer(view_, unit_.batch, unit_.key_head, unit_.k_start + int64_t(begin));
    prefix_kernel(executor.kernels(), view_.dtype)(
        {static_cast<const char *>(row) + columns.begin * float_size(view_.dtype), size_t(view_.row_stride),
         end - begin, columns.end - columns.begin, before + columns.begin, running + columns.begin, double(begin + 1),
         target.means == nullptr ? nullptr : target.means + columns.begin, target.stride, target.shares, target.apart,
         target.stream});
}

// Sums of all blocks; queries(begin, end, columns, before, running, worker) adds the rows of a block that are queries'
// positions and does with them what it wants.
template <class Queries> void MeanRows::sweep(const Executor &executor, bool by_columns, Queries queries) {
    const size_t workers = size_t(executor.workers()), m = unit_.m;
    const auto run_block = [&](size_t b, Columns columns, int worker) {
        double *running = running_ + size_t(worker) * channels_;
        const double *before = before_ + b * channels_;
        std::fill(running + columns.begin, running + columns.end, 0.0);
        const size_t begin = b * block_, end = std::min(m, begin + block_);
        const size_t split = std::min(std::max(causal_ ? origin_ : m, begin), end);
        add(executor, begin, split, columns, before, running, {});
        if (split < end) queries(split, end, columns, before, running, worker);
        return running;
    };
    std::fill_n(before_, channels_, 0.0);
    const size_t shares = by_columns ? std::max<size_t>(channels_ / kColumns, 1) : 1;
    const bool few = m * channels_ <= kFew;
    if (workers == 1 || few || shares >= workers) {
        const size_t parts = few ? 1 : std::min(shares, workers);
        executor.parallel_for(parts, 1, [&](size_t first, size_t last, int worker) {
            for (size_t part = first; part < last; ++part) {
                const Columns columns{shares * part / parts * kColumns,
                                      part + 1 == parts ? channels_ : shares * (part + 1) / parts * kColumns};
                for (size_t b = 0; b < blocks_; ++b) {
                    const double *running = run_block(b, columns, worker), *before = before_ + b * channels_;
                    for (size_t c = columns.begin; c < columns.end; ++c)
                        before_[(b + 1) * channels_ + c] = before[c] + running[c];
                }
            }
        });
        return;
    }
    const Columns all{0, channels_};
    const size_t bytes = block_ * channels_ * float_size(view_.dtype),
                 share = std::min(std::max<size_t>(1, kCached / bytes), (blocks_ + workers - 1) / workers);
    for (size_t from = 0; from < blocks_; from += share * workers) {
        const size_t to = std::min(blocks_, from + share * workers);
        const auto each = [&](auto visit) {
            executor.parallel_for(to - from, share, [&](size_t first, size_t last, int worker) {
                for (size_t b = from + first; b < from + last; ++b) visit(b, worker);
            });
        };
        each([&](size_t b, int) {
            double *sum = before_ + (b + 1) * channels_;
            std::fill_n(sum, channels_, 0.0);
            add(executor, b * block_, std::min(m, (b + 1) * block_), all, sum, sum, {});
        });
        for (size_t b = from + 1; b <= to; ++b)
            for (size_t c = 0; c < channels_; ++c) before_[b * channels_ + c] += before_[(b - 1) * channels_ + c];
        if (causal_) each([&](size_t b, int worker) { run_block(b, all, worker); });
    }
}

void MeanRows::build(const Executor &executor, const View &view, const Unit &unit, bool causal) {
    start(view, unit, causal);
    sweep(executor, true, [&](size_t begin, size_t end, Columns columns, const double *before, double *running, int) {
        for (size_t j = begin; j < end;) { // up to each checkpoint
            const size_t i = j - origin_, step = std::min(spacing_ - i % spacing_, end - j);
            if (i % spacing_ == 0)
                std::copy(running + columns.begin, running + columns.end,
                          inside_ + i / spacing_ * channels_ + columns.begin);
            add(executor, j, j + step, columns, before, running, {});
            j += step;
        }
    });
}

void MeanRows::build_into(const Executor &executor, const View &view, const Unit &unit, float *rows, size_t stride) {
    start(view, unit, true);
    const bool stream = streams(unit, channels_);
    sweep(executor, true, [&](size_t begin, size_t end, Columns columns, const double *before, double *running, int) {
        add(executor, begin, end, columns, before, running,
            {rows + (begin - origin_) * stride, stride, nullptr, nullptr, stream});
    });
}

void MeanRows::build_mixed(const Executor &executor, const View &view, const Unit &unit, const float *shares,
                           uint8_t *apart, float *rows, size_t stride) {
    start(view, unit, true);
    std::fill_n(apart, unit.n, uint8_t{0});
    const bool stream = streams(unit, channels_);
    sweep(executor, true, [&](size_t begin, size_t end, Columns columns, const double *before, double *running, int) {
        const size_t i = begin - origin_;
        add(executor, begin, end, columns, before, running,
            {rows + i * stride, stride, shares + 2 * i, apart + i, stream});
    });
    restore(executor, apart, rows, stride);
}

// Mean rows again, where threads that share the columns may each have written over a part of them.
void MeanRows::restore(const Executor &executor, const uint8_t *apart, float *rows, size_t stride) const {
    const Columns all{0, channels_};
    executor.parallel_for(blocks_, 16, [&](size_t first, size_t last, int worker) {
        double *running = running_ + size_t(worker) * channels_;
        for (size_t b = first; b < last; ++b) {
            const size_t end = std::min<size_t>(unit_.m, (b + 1) * block_), begin = std::max(b * block_, origin_);
            if (begin >= end || std::memchr(apart + (begin - origin_), 1, end - begin) == nullptr) continue;
            const double *before = before_ + b * channels_;
            std::fill_n(running, channels_, 0.0);
            size_t next = b * block_; // to be added
            for (size_t j = begin; j < end; ++j) {
                const size_t i = j - origin_;
                if (apart[i] == 0) continue;
                add(executor, next, j, all, before, running, {});
                add(executor, j, j + 1, all, before, running, {rows + i * stride, stride});
                next = j + 1;
            }
        }
    });
}

void MeanRows::build_visit(const Executor &executor, const View &view, const Unit &unit, Visit visit) {
    start(view, unit, true);
    const auto queries = [&](size_t begin, size_t end, Columns columns, const double *before, double *running,
                             int worker) {
        float *means = mean_ + size_t(worker) * channels_ * kVisited;
        for (size_t j = begin; j < end; j += kVisited) {
            const size_t n = std::min(kVisited, end - j);
            add(executor, j, j + n, columns, before, running, {means, channels_});
            visit(j - origin_, n, means, worker);
        }
    };
    sweep(executor, false, queries);
}

void MeanRows::row(const Executor &executor, uint32_t i, int worker, float *mean) const {
    if (!causal_) {
        for (size_t c = 0; c < channels_; ++c) mean[c] = float(before_[blocks_ * channels_ + c] / double(unit_.m));
        return;
    }
    double *running = running_ + size_t(worker) * channels_;
    const size_t t = origin_ + i, block_begin = t / block_ * block_;
    size_t j = origin_ + i / spacing_ * spacing_;
    if (j < block_begin) { // the checkpoint lies in an earlier block: this block's running sum starts at zero
        j = block_begin;
        std::fill_n(running, channels_, 0.0);
    } else {
        std::copy_n(inside_ + i / spacing_ * channels_, channels_, running);
    }
    finish_row(executor, j, t, worker, mean);
}

void MeanRows::row_of_block(const Executor &executor, uint32_t i, int worker, float *mean) const {
    const size_t t = origin_ + i;
    std::fill_n(running_ + size_t(worker) * channels_, channels_, 0.0);
    finish_row(executor, t / block_ * block_, t, worker, mean);
}

// The mean row at position t: the worker's running sum is that before position j of the same block.
void MeanRows::finish_row(const Executor &executor, size_t j, size_t t, int worker, float *mean) const {
    double *running = running_ + size_t(worker) * channels_;
    const double *before = before_ + t / block_ * channels_;
    add(executor, j, t, {0, channels_}, before, running, {});
    add(executor, t, t + 1, {0, channels_}, before, running, {mean, channels_});
}

} // namespace zeta::cpu
