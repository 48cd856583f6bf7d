// SPDX-License-Identifier: Apache-2.0
// Prefix sums in three steps: sums of blocks in parallel, their prefix in order, running sums inside blocks in
// parallel. At one thread the first step is folded into the third; the additions, and so the bits, are the same.
#include "mean.hpp"

namespace zeta::cpu {
namespace {

// Rows per block: a constant of the number of channels alone, since the sums depend on it.
size_t block_rows(size_t channels) {
    return 512 * ((channels + 4095) / 4096);
}

} // namespace

void MeanRows::take(Scratch &scratch, const Executor &executor, const View &view, const Unit &unit, bool causal,
                    bool checkpoints) {
    channels_ = size_t(view.channels);
    block_ = block_rows(channels_);
    blocks_ = (unit.m + block_ - 1) / block_;
    spacing_ = (channels_ + 15) / 16; // a checkpoint of 8 dv bytes each dv/16 positions: at most 128 bytes a position
    before_ = scratch.take<double>((blocks_ + 1) * channels_);
    inside_ = causal && checkpoints ? scratch.take<double>((unit.n / spacing_ + 2) * channels_) : nullptr;
    row_ = scratch.take<float>(size_t(executor.workers()) * channels_);
    mean_ = scratch.take<float>(size_t(executor.workers()) * channels_);
    running_ = scratch.take<double>(size_t(executor.workers()) * channels_);
}

void MeanRows::build(const Executor &executor, const View &view, const Unit &unit, bool causal, Each each) {
    view_ = view;
    unit_ = unit;
    causal_ = causal;
    origin_ = causal ? unit.m - unit.n : 0;
    blocks_ = (unit.m + block_ - 1) / block_;
    const simd::Kernels &kernels = executor.kernels();
    const auto load = [&](size_t j, int worker) -> const float * {
        const void *p = row_pointer(view, unit.batch, unit.key_head, unit.k_start + int64_t(j));
        if (view.dtype == ZETA_F32) return static_cast<const float *>(p);
        float *row = row_ + size_t(worker) * channels_;
        widen(kernels, view.dtype, p, channels_, row);
        return row;
    };
    const bool sums_first = executor.workers() > 1 || !causal;
    std::fill_n(before_, channels_, 0.0);
    if (sums_first) {
        executor.parallel_for(blocks_, 1, [&](size_t begin, size_t end, int worker) {
            for (size_t b = begin; b < end; ++b) {
                double *sum = before_ + (b + 1) * channels_;
                std::fill_n(sum, channels_, 0.0);
                for (size_t j = b * block_; j < std::min<size_t>(unit.m, (b + 1) * block_); ++j)
                    kernels.mean_add(load(j, worker), channels_, sum);
            }
        });
        for (size_t b = 1; b <= blocks_; ++b)
            for (size_t c = 0; c < channels_; ++c) before_[b * channels_ + c] += before_[(b - 1) * channels_ + c];
    }
    if (!causal) return;
    executor.parallel_for(blocks_, sums_first ? 1 : blocks_, [&](size_t begin, size_t end, int worker) {
        double *running = running_ + size_t(worker) * channels_;
        for (size_t b = begin; b < end; ++b) {
            const double *before = before_ + b * channels_;
            std::fill_n(running, channels_, 0.0);
            for (size_t j = b * block_; j < std::min<size_t>(unit.m, (b + 1) * block_); ++j) {
                if (j < origin_) {
                    kernels.mean_add(load(j, worker), channels_, running);
                    continue;
                }
                const size_t i = j - origin_;
                if (i % spacing_ == 0 && !each) std::copy_n(running, channels_, inside_ + i / spacing_ * channels_);
                if (!each) {
                    kernels.mean_add(load(j, worker), channels_, running);
                    continue;
                }
                float *mean = mean_ + size_t(worker) * channels_;
                kernels.mean_step(load(j, worker), channels_, before, running, double(j + 1), mean);
                each(uint32_t(i), mean);
            }
            if (!sums_first)
                for (size_t c = 0; c < channels_; ++c) before_[(b + 1) * channels_ + c] = before[c] + running[c];
        }
    });
}

void MeanRows::row(const Executor &executor, uint32_t i, int worker, float *mean) const {
    double *running = running_ + size_t(worker) * channels_;
    if (!causal_) {
        for (size_t c = 0; c < channels_; ++c) mean[c] = float(before_[blocks_ * channels_ + c] / double(unit_.m));
        return;
    }
    const simd::Kernels &kernels = executor.kernels();
    const size_t t = origin_ + i, block_begin = t / block_ * block_;
    size_t j = origin_ + i / spacing_ * spacing_;
    if (j < block_begin) { // the checkpoint lies in an earlier block: this block's running sum starts at zero
        j = block_begin;
        std::fill_n(running, channels_, 0.0);
    } else {
        std::copy_n(inside_ + i / spacing_ * channels_, channels_, running);
    }
    float *row = row_ + size_t(worker) * channels_;
    for (; j <= t; ++j) {
        const void *p = row_pointer(view_, unit_.batch, unit_.key_head, unit_.k_start + int64_t(j));
        const float *v = static_cast<const float *>(p);
        if (view_.dtype != ZETA_F32) {
            widen(kernels, view_.dtype, p, channels_, row);
            v = row;
        }
        if (j == t)
            kernels.mean_step(v, channels_, before_ + t / block_ * channels_, running, double(t + 1), mean);
        else
            kernels.mean_add(v, channels_, running);
    }
}

void mean_keys(const Executor &executor, MeanRows &means, const View &k, const Unit &unit, bool causal,
               float *mean_key) {
    const size_t dk = size_t(k.channels);
    if (causal) {
        const auto keep = [&](uint32_t i, const float *mean) { std::copy_n(mean, dk, mean_key + i * dk); };
        means.build(executor, k, unit, true, keep);
    } else {
        means.build(executor, k, unit, false, {});
        if (unit.m > 0) means.row(executor, 0, 0, mean_key);
    }
}

} // namespace zeta::cpu
