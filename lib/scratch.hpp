// SPDX-License-Identifier: Apache-2.0
// Working memory of a call: one block, handed out by a bump pointer. The same code that takes from a block also
// measures how large it must be: with no block, take() only counts. Nothing is freed; a mark is restored between heads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zeta {

class Scratch {
public:
    static constexpr size_t kAlignment = 64;

    Scratch() = default; // measures
    Scratch(void *block, size_t size)
        : base_(reinterpret_cast<uintptr_t>(block)), at_((base_ + kAlignment - 1) / kAlignment * kAlignment),
          end_(base_ + size) {}

    bool measuring() const { return base_ == 0; }

    // n elements of T, 64-byte aligned, uninitialised. NULL while measuring.
    template <class T> T *take(size_t n) {
        const size_t bytes = (n * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        const uintptr_t p = at_;
        at_ += bytes;
        if (at_ > peak_) peak_ = at_;
        return measuring() ? nullptr : reinterpret_cast<T *>(p);
    }

    uintptr_t mark() const { return at_; }
    void restore(uintptr_t mark) { at_ = mark; }
    // Bytes a block needs for everything taken so far, whatever its alignment.
    size_t needed() const { return size_t(peak_ - base_) + kAlignment; }
    bool overrun() const { return !measuring() && peak_ > end_; }

private:
    uintptr_t base_ = 0, at_ = 0, end_ = 0, peak_ = 0;
};

} // namespace zeta
