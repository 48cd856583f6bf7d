// SPDX-License-Identifier: Apache-2.0
// An owned, contiguous tensor: element type, shape of any rank and 64-byte aligned memory, and its view for the
// library. Also the conversions between float32 and the two 16-bit types, rounding to nearest even.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "zeta/zeta.h"

namespace zeta::app {

using Shape = std::vector<int64_t>;

// "[2, 100, 3]".
std::string shape_text(const Shape &shape);

// "float32", "bfloat16", ...
const char *dtype_name(int32_t dtype);

class Array {
public:
    Array() = default;
    // Elements are not initialised. Throws std::bad_alloc, also when the size overflows.
    Array(int32_t dtype, Shape shape);

    int32_t dtype() const { return dtype_; }
    const Shape &shape() const { return shape_; }
    int rank() const { return static_cast<int>(shape_.size()); }
    int64_t size() const { return size_; } // elements
    size_t bytes() const { return static_cast<size_t>(size_) * zeta_dtype_size(dtype_); }

    template <class T> T *data() { return static_cast<T *>(memory_.get()); }
    template <class T> const T *data() const { return static_cast<const T *>(memory_.get()); }

    // Extent counted from the last axis (-1); axes before the first have extent 1.
    int64_t extent(int from_end) const;

    // The library's view with `rank` axes: missing leading axes have extent 1.
    zeta_tensor view(int rank) const;

private:
    struct Free {
        void operator()(void *memory) const { std::free(memory); }
    };
    int32_t dtype_ = ZETA_F32;
    Shape shape_;
    int64_t size_ = 0;
    std::unique_ptr<void, Free> memory_;
};

float bf16_to_f32(uint16_t bits);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value); // nearest even; NaN stays NaN
uint16_t f32_to_f16(float value);  // nearest even with denormals; overflow gives infinity

// Runs of values between float32 and a floating type (ZETA_F32 copies).
void widen(int32_t dtype, const void *from, float *to, size_t count);
void narrow(int32_t dtype, const float *from, void *to, size_t count);

// A float32 array rounded to `dtype`; moves it through when the type is float32 already.
Array round_to(Array array, int32_t dtype);

} // namespace zeta::app
