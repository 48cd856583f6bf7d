// SPDX-License-Identifier: Apache-2.0
// Owned tensors and the 16-bit conversions. All bit work is on integers, so the floating-point environment has no say.
#include "array.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace zeta::app {

namespace {

constexpr size_t kAlignment = 64; // a cache line, and the widest vector

uint32_t bits_of(float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

float float_of(uint32_t bits) {
    float value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// x / 2^shift rounded to nearest even, 1 <= shift <= 31.
uint32_t shift_nearest_even(uint32_t x, int shift) {
    const uint32_t half = uint32_t{1} << (shift - 1);
    const uint32_t kept = x >> shift;
    const uint32_t rest = x & ((half << 1) - 1);
    return kept + (rest > half || (rest == half && (kept & 1)) ? 1 : 0);
}

} // namespace

std::string shape_text(const Shape &shape) {
    constexpr size_t kMost = 8; // a file may claim any number
    std::string text = "[";
    for (size_t axis = 0; axis < std::min(shape.size(), kMost); ++axis)
        text += (axis ? ", " : "") + std::to_string(shape[axis]);
    return text + (shape.size() > kMost ? ", ... " + std::to_string(shape.size()) + " extents]" : "]");
}

const char *dtype_name(int32_t dtype) {
    switch (dtype) {
    case ZETA_F32:
        return "float32";
    case ZETA_BF16:
        return "bfloat16";
    case ZETA_F16:
        return "float16";
    case ZETA_I32:
        return "int32";
    case ZETA_U64:
        return "uint64";
    default:
        return "unknown";
    }
}

Array::Array(int32_t dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)), size_(1) {
    for (int64_t extent : shape_)
        if (extent < 0 || __builtin_mul_overflow(size_, extent, &size_)) throw std::bad_alloc();
    const size_t element = zeta_dtype_size(dtype);
    if (static_cast<uint64_t>(size_) > (uint64_t{1} << 62) / element) throw std::bad_alloc();
    if (size_ == 0) return;
    const size_t padded = (bytes() + kAlignment - 1) / kAlignment * kAlignment;
    memory_.reset(std::aligned_alloc(kAlignment, padded));
    if (!memory_) throw std::bad_alloc();
}

int64_t Array::extent(int from_end) const {
    const int axis = rank() + from_end;
    return axis < 0 ? 1 : shape_[static_cast<size_t>(axis)];
}

zeta_tensor Array::view(int rank) const {
    int64_t padded[ZETA_MAX_RANK] = {1, 1, 1, 1};
    for (int axis = 0; axis < rank; ++axis) padded[axis] = extent(axis - rank);
    return zeta_tensor_contiguous(memory_.get(), dtype_, rank, padded);
}

float bf16_to_f32(uint16_t bits) {
    return float_of(static_cast<uint32_t>(bits) << 16);
}

float f16_to_f32(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    uint32_t exponent = (bits >> 10) & 31u;
    uint32_t fraction = bits & 0x3ffu;
    if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) {
        if (fraction == 0) return float_of(sign);
        exponent = 1;
        while (!(fraction & 0x400u)) { // a denormal becomes normal in float32
            fraction <<= 1;
            --exponent;
        }
        fraction &= 0x3ffu;
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t f32_to_bf16(float value) {
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
    return static_cast<uint16_t>(shift_nearest_even(bits, 16));
}

uint16_t f32_to_f16(float value) {
    const uint32_t bits = bits_of(value);
    const uint32_t sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u); // 2^16 and above
    if (magnitude >= 0x38800000u) // 2^-14 and above: normal; rounding up may carry into infinity, as it should
        return static_cast<uint16_t>(sign | shift_nearest_even(magnitude - (112u << 23), 13));
    const int shift = 126 - static_cast<int>(magnitude >> 23); // denormal: units of 2^-24
    if (shift > 25) return static_cast<uint16_t>(sign);
    return static_cast<uint16_t>(sign | shift_nearest_even((magnitude & 0x7fffffu) | 0x800000u, shift));
}

void widen(int32_t dtype, const void *from, float *to, size_t count) {
    const auto *halves = static_cast<const uint16_t *>(from);
    if (dtype == ZETA_F32) {
        if (count) std::memcpy(to, from, count * sizeof(float));
    } else if (dtype == ZETA_BF16) {
        for (size_t i = 0; i < count; ++i) to[i] = bf16_to_f32(halves[i]);
    } else {
        for (size_t i = 0; i < count; ++i) to[i] = f16_to_f32(halves[i]);
    }
}

void narrow(int32_t dtype, const float *from, void *to, size_t count) {
    auto *halves = static_cast<uint16_t *>(to);
    if (dtype == ZETA_F32) {
        if (count) std::memcpy(to, from, count * sizeof(float));
    } else if (dtype == ZETA_BF16) {
        for (size_t i = 0; i < count; ++i) halves[i] = f32_to_bf16(from[i]);
    } else {
        for (size_t i = 0; i < count; ++i) halves[i] = f32_to_f16(from[i]);
    }
}

Array round_to(Array array, int32_t dtype) {
    if (array.dtype() == dtype) return array;
    Array rounded(dtype, array.shape());
    narrow(dtype, array.data<float>(), rounded.data<void>(), static_cast<size_t>(array.size()));
    return rounded;
}

} // namespace zeta::app
