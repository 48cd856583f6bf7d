// SPDX-License-Identifier: Apache-2.0
// Rows on their way into pages: converted to the cache's types, rounded to nearest even. int8 rows have one float32
// scale, max |v| / 127, and integers v / scale.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../cpu/rows.hpp"
#include "rows.hpp"

namespace zeta::cache {
namespace {

constexpr size_t kChunk = 256; // channels converted at a time

// Calls use(begin, values, n) for chunks of a row as float32.
template <class Use> void in_chunks(const simd::Kernels &kernels, int32_t type, const void *row, size_t n, Use use) {
    if (type == ZETA_F32) return use(0, static_cast<const float *>(row), n);
    float values[kChunk];
    for (size_t c = 0; c < n; c += kChunk) {
        const size_t width = std::min(kChunk, n - c);
        cpu::widen(kernels, type, static_cast<const uint16_t *>(row) + c, width, values);
        use(c, values, width);
    }
}

float largest(const simd::Kernels &kernels, int32_t type, const void *row, size_t n) {
    uint32_t most = 0; // sizes of numbers are ordered as their bits
    in_chunks(kernels, type, row, n, [&](size_t, const float *x, size_t width) {
        for (size_t i = 0; i < width; ++i) {
            uint32_t bits;
            std::memcpy(&bits, &x[i], sizeof bits);
            most = std::max(most, bits & 0x7fffffffu);
        }
    });
    float size;
    std::memcpy(&size, &most, sizeof size);
    return size;
}

// max / 127; where float32 ends, the next number for which every integer is at most 127 and its product finite.
float scale_of(float most) {
    float scale = most / 127.0f;
    if (scale * 127.5f < most) scale = std::nextafter(scale, std::numeric_limits<float>::max());
    if (scale * 127.0f > std::numeric_limits<float>::max()) scale = std::nextafter(scale, 0.0f);
    return scale;
}

void quantise(const float *x, size_t n, float scale, int8_t *out) {
    constexpr float kRound = 12582912.0f; // 1.5 * 2^23: adding it leaves the nearest integer, ties to even
    for (size_t i = 0; i < n; ++i) {
        const float whole = (x[i] / scale + kRound) - kRound;
        out[i] = int8_t(std::min(std::max(whole, -127.0f), 127.0f));
    }
}

} // namespace

void Rows::store(const simd::Kernels &kernels, uint32_t row, int32_t k_type, const void *k, int32_t v_type,
                 const void *v) {
    cpu::widen(kernels, k_type, k, size_t(shape_->dk), key(row));
    const size_t dv = size_t(shape_->dv);
    const int32_t type = shape_->value_type;
    void *to = value(row);
    if (type == v_type) {
        std::memcpy(to, v, shape_->value_bytes);
    } else if (type == ZETA_F32) {
        cpu::widen(kernels, v_type, v, dv, static_cast<float *>(to));
    } else if (type == ZETA_I8) {
        const float step = *scale(row) = scale_of(largest(kernels, v_type, v, dv));
        if (step == 0) {
            std::memset(to, 0, dv);
            return;
        }
        in_chunks(kernels, v_type, v, dv, [&](size_t begin, const float *x, size_t n) {
            quantise(x, n, step, static_cast<int8_t *>(to) + begin);
        });
    } else {
        in_chunks(kernels, v_type, v, dv, [&](size_t begin, const float *x, size_t n) {
            cpu::narrow(kernels, type, x, n, static_cast<uint16_t *>(to) + begin);
        });
    }
}

bool any_not_finite(int32_t type, const void *v, size_t n) {
    bool found = false;
    if (type == ZETA_F32) {
        for (size_t i = 0; i < n; ++i) {
            uint32_t bits;
            std::memcpy(&bits, static_cast<const float *>(v) + i, sizeof bits);
            found |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        return found;
    }
    const uint16_t exponent = type == ZETA_BF16 ? 0x7f80 : 0x7c00;
    for (size_t i = 0; i < n; ++i) found |= (static_cast<const uint16_t *>(v)[i] & exponent) == exponent;
    return found;
}

} // namespace zeta::cache
