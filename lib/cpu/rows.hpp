// SPDX-License-Identifier: Apache-2.0
// Rows of any type and stride as contiguous float32, converted exactly and only when they are not that already.
#pragma once

#include <limits>

#include "../scratch.hpp"
#include "unit.hpp"

namespace zeta::cpu {

// A result as it is given out. Which NaN comes of several depends on the kernel, and so on the number of threads, or on
// whether it is decode's: one stands for all.
inline float rounded(double x) {
    return x == x ? float(x) : std::numeric_limits<float>::quiet_NaN();
}

// Element size of the three floating types.
inline size_t float_size(int32_t dtype) {
    return dtype == ZETA_F32 ? 4 : 2;
}

// n elements of `dtype` at `in` to float32.
inline void widen(const simd::Kernels &kernels, int32_t dtype, const void *in, size_t n, float *out) {
    if (dtype == ZETA_F32) {
        std::copy_n(static_cast<const float *>(in), n, out);
    } else {
        (dtype == ZETA_BF16 ? kernels.convert_from_bf16 : kernels.convert_from_f16)(static_cast<const uint16_t *>(in),
                                                                                    n, out);
    }
}

// n float32 to `dtype`, rounded to nearest even.
inline void narrow(const simd::Kernels &kernels, int32_t dtype, const float *in, size_t n, void *out) {
    if (dtype == ZETA_F32) {
        std::copy_n(in, n, static_cast<float *>(out));
    } else {
        (dtype == ZETA_BF16 ? kernels.convert_to_bf16 : kernels.convert_to_f16)(in, n, static_cast<uint16_t *>(out));
    }
}

inline const void *row_pointer(const View &v, int64_t b, int64_t h, int64_t i) {
    return static_cast<const char *>(v.data) +
           (b * v.batch_stride + h * v.head_stride + i * v.row_stride) * int64_t(float_size(v.dtype));
}
inline void *row_pointer_out(const View &v, int64_t b, int64_t h, int64_t i) {
    return const_cast<void *>(row_pointer(v, b, h, i));
}

// The rows of one head as float32 [n, channels].
class Rows {
public:
    void take(Scratch &scratch, const View &view, size_t n) {
        copied_ = view.dtype != ZETA_F32 || (view.row_stride != view.channels && n > 1);
        buffer_ = copied_ ? scratch.take<float>(n * size_t(view.channels)) : nullptr;
    }
    void load(const Executor &executor, const View &view, int64_t b, int64_t h, int64_t start, size_t n) {
        data_ = n == 0 ? nullptr : static_cast<const float *>(row_pointer(view, b, h, start));
        if (!copied_) return;
        data_ = buffer_;
        const size_t channels = size_t(view.channels);
        executor.parallel_for(n, 4096, [&](size_t begin, size_t end, int) {
            for (size_t i = begin; i < end; ++i)
                widen(executor.kernels(), view.dtype, row_pointer(view, b, h, start + int64_t(i)), channels,
                      buffer_ + i * channels);
        });
    }
    const float *data() const { return data_; }

private:
    bool copied_ = false;
    float *buffer_ = nullptr;
    const float *data_ = nullptr;
};

} // namespace zeta::cpu
