// SPDX-License-Identifier: Apache-2.0
// Lists of keys, and value rows of each type with NaN in the gaps between them, the last row against the end of its
// memory.
#pragma once

#include <cmath>

#include "support.hpp"

namespace kernel_tests {

enum class RowType { f32, bf16, f16 };
constexpr RowType kRowTypes[] = {RowType::f32, RowType::bf16, RowType::f16};

inline std::vector<uint32_t> some_ids(Random &random, size_t n, size_t keys) {
    std::vector<uint32_t> ids(n);
    for (uint32_t &id : ids) id = static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(keys) - 1));
    return ids;
}

class Rows {
public:
    Rows(Random &random, RowType type, size_t rows, size_t channels, Place place)
        : stride_(channels + static_cast<size_t>(pick(random, 0, 5))),
          values_((rows - 1) * stride_ + channels, std::nanf("")),
          wide_(type == RowType::f32 ? values_.size() : 0, place),
          narrow_(type == RowType::f32 ? 0 : values_.size(), place), type_(type) {
        for (size_t row = 0; row < rows; ++row) {
            for (size_t c = 0; c < channels; ++c) values_[row * stride_ + c] = normal(random);
        }
        const Kernels &scalar = zeta::simd::kernels(Isa::scalar); // conversions have a test of their own
        if (type == RowType::f32 && !values_.empty()) std::memcpy(wide_.data(), values_.data(), values_.size() * sizeof(float));
        if (type == RowType::bf16) {
            scalar.convert_to_bf16(values_.data(), values_.size(), narrow_);
            scalar.convert_from_bf16(narrow_, values_.size(), values_.data());
        }
        if (type == RowType::f16) {
            scalar.convert_to_f16(values_.data(), values_.size(), narrow_);
            scalar.convert_from_f16(narrow_, values_.size(), values_.data());
        }
    }
    const void *data() const {
        return type_ == RowType::f32 ? static_cast<const void *>(wide_.data())
                                     : static_cast<const void *>(narrow_.data());
    }
    size_t stride() const { return stride_; }
    float value(size_t row, size_t channel) const { return values_[row * stride_ + channel]; }

private:
    size_t stride_;
    std::vector<float> values_;
    Array<float> wide_;
    Array<uint16_t> narrow_;
    RowType type_;
};

} // namespace kernel_tests
