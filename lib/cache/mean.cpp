// SPDX-License-Identifier: Apache-2.0
// Running through rows: blocks are folded where the full-sequence sums fold them, before the first row of the next.
#include "mean.hpp"

#include <algorithm>

#include "../cpu/mean.hpp"
#include "../scratch.hpp"

namespace zeta::cache {
namespace {

constexpr uint32_t kWidened = 16; // int8 rows converted at a time

// Mean rows or NULL, from row `row` on.
float *from_row(float *means, size_t row, size_t channels) {
    return means == nullptr ? nullptr : means + row * channels;
}

} // namespace

size_t mean_room(const RowShape &shape) {
    return shape.value_type == ZETA_I8 && shape.checkpoint_width > 0 ? kWidened * size_t(shape.dv) : 0;
}

// ---- a walk --------------------------------------------------------------------------------------------------------

MeanWalk::MeanWalk(const simd::Kernels &kernels, const Rows &rows, const MeanSums &sums, float *room)
    : kernels_(kernels), rows_(rows), sums_(sums), room_(room) {}

// At row `row`: the sums of the block before go to those of all blocks before, and are noted.
void MeanWalk::fold(uint32_t row, size_t begin, size_t channels) {
    double *before = sums_.before + begin, *running = sums_.running + begin;
    for (size_t c = 0; c < channels; ++c) before[c] += running[c];
    std::fill_n(running, channels, 0.0);
    if (noted_ != nullptr) std::copy_n(before, channels, noted_->checkpoint(row) + begin);
}

void MeanWalk::add_keys(uint32_t begin, uint32_t end, float *means) {
    const size_t dk = size_t(rows_.shape().dk);
    for (uint32_t row = begin; row < end;) {
        if (row % cpu::mean_block(dk) == 0) fold(row, 0, dk);
        const uint32_t n = rows_.run(row, end - row);
        kernels_.mean_prefix_f32({rows_.key(row), dk, n, dk, sums_.before, sums_.running, double(row) + 1.0,
                                  from_row(means, row - begin, dk), dk});
        row += n;
    }
}

void MeanWalk::add_values(uint32_t begin, uint32_t end, float *means) {
    const RowShape &shape = rows_.shape();
    const size_t dk = size_t(shape.dk), dv = size_t(shape.dv);
    const auto add = shape.value_type == ZETA_BF16  ? kernels_.mean_prefix_bf16
                     : shape.value_type == ZETA_F16 ? kernels_.mean_prefix_f16
                                                    : kernels_.mean_prefix_f32;
    for (uint32_t row = begin; row < end;) {
        if (row % cpu::mean_block(dv) == 0) fold(row, dk, dv);
        uint32_t n = rows_.run(row, end - row);
        const void *values = rows_.value(row);
        if (shape.value_type == ZETA_I8) {
            n = std::min(n, kWidened);
            rows_.copy_values(kernels_, row, n, {0, dv}, room_);
            values = room_;
        }
        add({values, dv, n, dv, sums_.before + dk, sums_.running + dk, double(row) + 1.0,
             from_row(means, row - begin, dv), dv});
        row += n;
    }
}

void MeanWalk::add(uint32_t n, float *keys, float *values) {
    add_keys(sums_.position, sums_.position + n, keys);
    add_values(sums_.position, sums_.position + n, values);
    sums_.position += n;
}

// The sums of some channels before row `position`, but for the rows that are to be added from the returned one on.
uint32_t MeanWalk::nearest(const Mean &mean, uint32_t position, size_t begin, size_t channels) {
    const MeanSums &anchor = mean.anchor();
    const size_t block = cpu::mean_block(channels);
    const uint32_t start = position == 0 ? 0 : uint32_t((position - 1) / block * block);
    if (start <= anchor.position) {
        std::copy_n(anchor.before + begin, channels, sums_.before + begin);
        std::copy_n(anchor.running + begin, channels, sums_.running + begin);
        return anchor.position;
    }
    std::copy_n(rows_.checkpoint(start) + begin, channels, sums_.before + begin);
    std::fill_n(sums_.running + begin, channels, 0.0);
    return start;
}

void MeanWalk::seek(const Mean &mean, uint32_t position) {
    const size_t dk = size_t(rows_.shape().dk), dv = size_t(rows_.shape().dv);
    add_keys(nearest(mean, position, 0, dk), position, nullptr);
    add_values(nearest(mean, position, dk, dv), position, nullptr);
    sums_.position = position;
}

// ---- a head's mean -------------------------------------------------------------------------------------------------

void Mean::take(const Context &context, const RowShape &shape) {
    channels_ = shape.checkpoint_width;
    if (channels_ == 0) return;
    const auto lay_out = [this](Scratch scratch) {
        for (double **sums : {&now_.before, &now_.running, &anchor_.before, &anchor_.running})
            *sums = scratch.take<double>(channels_);
        latest_ = scratch.take<float>(channels_);
        return scratch.needed();
    };
    block_ = context.allocate(lay_out(Scratch()));
    lay_out(Scratch(block_.data(), block_.size()));
    clear();
}

void Mean::set(MeanSums &to, const MeanSums &from) const {
    std::copy_n(from.before, channels_, to.before);
    std::copy_n(from.running, channels_, to.running);
    to.position = from.position;
}

void Mean::clear() {
    if (!on()) return;
    for (MeanSums *sums : {&now_, &anchor_}) {
        std::fill_n(sums->before, channels_, 0.0);
        std::fill_n(sums->running, channels_, 0.0);
        sums->position = 0;
    }
    std::fill_n(latest_, channels_, 0.0f);
}

void Mean::copy(const Mean &other) {
    if (!on()) return;
    set(now_, other.now_);
    set(anchor_, other.anchor_);
    std::copy_n(other.latest_, channels_, latest_);
}

void Mean::advance(const simd::Kernels &kernels, Rows &rows, uint32_t end, float *room) {
    if (!on() || end == now_.position) return;
    MeanWalk walk(kernels, rows, now_, room);
    walk.noted_ = &rows;
    walk.add(end - 1 - now_.position, nullptr, nullptr);
    walk.add(1, latest_, latest_ + rows.shape().dk);
    now_.position = end;
}

void Mean::rewind(const simd::Kernels &kernels, const Rows &rows, uint32_t position, float *room) {
    if (!on() || position == now_.position) return;
    MeanWalk walk(kernels, rows, now_, room);
    if (position > anchor_.position) { // the last row once more, for its mean
        walk.seek(*this, position - 1);
        walk.add(1, latest_, latest_ + rows.shape().dk);
    } else {
        walk.seek(*this, position);
    }
    now_.position = position;
}

void Mean::raise_anchor(const simd::Kernels &kernels, const Rows &rows, uint32_t position, float *room) {
    if (!on()) return;
    MeanWalk walk(kernels, rows, anchor_, room);
    walk.seek(*this, position);
    anchor_.position = position;
}

void Mean::load_anchor(const double *before, const double *running, uint32_t position) {
    set(anchor_, {const_cast<double *>(before), const_cast<double *>(running), position});
    set(now_, anchor_);
}

void Mean::overall(float *mean) const {
    for (size_t c = 0; c < channels_; ++c) mean[c] = float((now_.before[c] + now_.running[c]) / double(now_.position));
}

} // namespace zeta::cache
