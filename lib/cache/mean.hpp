// SPDX-License-Identifier: Apache-2.0
// The history mean (spec section 4) of one head while it grows: float64 sums of the keys and values before the present
// block and inside it, added as lib/cpu/mean.cpp adds them, so that means have the bits of a full-sequence call. Sums
// at block starts lie beside the rows (rows.hpp), those at the position up to which rows were evicted in an anchor:
// from there the sums at any position follow by adding less than a block of rows again.
#pragma once

#include "rows.hpp"

namespace zeta::cache {

// Sums over rows 0 .. position - 1: keys [dk], then values [dv].
struct MeanSums {
    double *before = nullptr;  // of whole blocks
    double *running = nullptr; // of the block of row position - 1
    uint32_t position = 0;
};

// The sums and the latest mean of a head. Without the mean it holds nothing, and nothing but on() is called.
class Mean {
public:
    // Throws Error(ZETA_ERROR_MEMORY).
    void take(const Context &context, const RowShape &shape);
    bool on() const { return block_.data() != nullptr; }
    size_t bytes() const { return block_.size(); }
    void copy(const Mean &other); // of the same shape
    void clear();                 // no rows, none evicted

    // Adds rows position() .. end - 1 and notes the sums at block starts beside them. room: mean_room() floats.
    void advance(const simd::Kernels &kernels, Rows &rows, uint32_t end, float *room);
    // Back to `position`, not before the anchor.
    void rewind(const simd::Kernels &kernels, const Rows &rows, uint32_t position, float *room);
    // Moves the anchor on to `position` <= position(). The rows between them are still there.
    void raise_anchor(const simd::Kernels &kernels, const Rows &rows, uint32_t position, float *room);

    uint32_t position() const { return now_.position; }
    const float *latest() const { return latest_; } // [dk + dv] causal: the mean at the last row
    void overall(float *mean) const;                // [dk + dv] not causal: of all rows, of which there are some
    // The sums that evicted rows left, [dk + dv] each: to be saved, and loaded (then advance() from its position on).
    const MeanSums &anchor() const { return anchor_; }
    void load_anchor(const double *before, const double *running, uint32_t position);

private:
    void set(MeanSums &to, const MeanSums &from) const;

    Allocation block_;
    size_t channels_ = 0;
    MeanSums now_, anchor_;
    float *latest_ = nullptr;
};

// Floats that running through rows takes: converted rows. None without the mean.
size_t mean_room(const RowShape &shape);

// Runs through the rows of a head and gives the mean at each.
class MeanWalk {
public:
    // sums: [dk + dv] each, which the walk changes. room: mean_room() floats.
    MeanWalk(const simd::Kernels &kernels, const Rows &rows, const MeanSums &sums, float *room);
    // Goes to `position`, not before the anchor of `mean`.
    void seek(const Mean &mean, uint32_t position);
    // Adds n rows. keys: NULL, or where their mean keys go [n, dk]; values likewise [n, dv].
    void add(uint32_t n, float *keys, float *values);

private:
    friend class Mean;
    uint32_t nearest(const Mean &mean, uint32_t position, size_t begin, size_t channels);
    void fold(uint32_t row, size_t begin, size_t channels);
    void add_keys(uint32_t begin, uint32_t end, float *means);
    void add_values(uint32_t begin, uint32_t end, float *means);

    const simd::Kernels &kernels_;
    const Rows &rows_;
    MeanSums sums_;
    float *room_;
    Rows *noted_ = nullptr; // where sums at block starts are noted, or NULL
};

} // namespace zeta::cache
