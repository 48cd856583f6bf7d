// SPDX-License-Identifier: Apache-2.0
// Cells and codes against spec section 2 written out: every operation rounded, borders of cells, numbers that hurt.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "support.hpp"

using namespace kernel_tests;
using zeta::simd::GridAxis;
using zeta::simd::isa_name;

namespace {

uint32_t expected_cell(float x, const GridAxis &axis, int bits, bool range) {
    float share = 0;
    if (range) {
        const float above = x - axis.lo;
        share = above / axis.width;
    } else {
        float t = x / axis.scale;
        if (t > FLT_MAX) t = FLT_MAX;
        if (t < -FLT_MAX) t = -FLT_MAX;
        const float divisor = 1.0f + std::fabs(t);
        const float u = t / divisor;
        const float half = u * 0.5f;
        share = half + 0.5f;
    }
    const float place = std::floor(share * static_cast<float>(1u << bits));
    if (std::isnan(place) || place < 0) return 0;
    const float last = static_cast<float>((1u << bits) - 1);
    return static_cast<uint32_t>(place > last ? last : place);
}

GridAxis some_axis(Random &random) {
    GridAxis axis{};
    const float scales[] = {1.0f, 0.3f, 1e-30f, 1e30f, 7.0f};
    axis.scale = scales[pick(random, 0, 4)];
    axis.lo = -3.0f + normal(random);
    axis.width = pick(random, 0, 5) == 0 ? FLT_MIN : 5.5f + std::fabs(normal(random));
    return axis;
}

// A coordinate, often at the border of a cell or one float beside it.
float some_coordinate(Random &random, const GridAxis &axis, int bits, bool range) {
    if (pick(random, 0, 9) == 0) return floats(random, 1, 1)[0];
    if (pick(random, 0, 1) == 0) return normal(random) * (range ? 2.0f : axis.scale);
    const double share = static_cast<double>(pick(random, 0, int64_t{1} << bits)) / std::ldexp(1.0, bits);
    const double u = 2 * share - 1;
    const double border =
        range ? double(axis.lo) + share * double(axis.width) : u / (1 - std::fabs(u)) * double(axis.scale);
    auto x = static_cast<float>(border);
    for (int64_t step = pick(random, 0, 2); step > 0; --step)
        x = std::nextafter(x, pick(random, 0, 1) ? HUGE_VALF : -HUGE_VALF);
    return x;
}

void check_cells(const Kernels &kernels, Random &random, size_t n, int dk, bool range, Place place) {
    const int bits = std::min(20, 40 / dk);
    const auto width = static_cast<size_t>(dk);
    const size_t gap = pick(random, 0, 1) == 0 ? 0 : static_cast<size_t>(pick(random, 1, 5));
    const size_t stride = pick(random, 0, 15) == 0 ? 0 : width + gap; // zero: one row for all
    std::vector<GridAxis> axes;
    for (int e = 0; e < dk; ++e) axes.push_back(some_axis(random));
    std::vector<float> x(n == 0 ? 0 : (n - 1) * stride + width, std::nanf(""));
    for (size_t i = 0; i < n; ++i) {
        for (size_t e = 0; e < width; ++e) x[i * stride + e] = some_coordinate(random, axes[e], bits, range);
    }
    const size_t cell_stride = n + static_cast<size_t>(pick(random, 0, 3));
    const Array<float> in(x, place);
    const Array<uint32_t> cells(n == 0 ? 0 : (width - 1) * cell_stride + n, place);
    std::vector<uint32_t> expected = cells.values(); // gaps keep their canaries
    for (size_t i = 0; i < n; ++i) {
        for (size_t e = 0; e < width; ++e) {
            expected[e * cell_stride + i] = expected_cell(x[i * stride + e], axes[e], bits, range);
        }
    }
    kernels.codes_cells(in, static_cast<ptrdiff_t>(stride), n, dk, bits, range, axes.data(), cells, cell_stride);
    CHECK(cells.values() == expected);
    CHECK(cells.intact());
}

uint64_t expected_code(const std::vector<uint32_t> &cells, size_t cell_stride, size_t i, int dk, int bits) {
    uint64_t code = 0;
    for (int b = bits - 1; b >= 0; --b) {
        for (int e = 0; e < dk; ++e) code = code << 1 | (cells[static_cast<size_t>(e) * cell_stride + i] >> b & 1);
    }
    return code;
}

void check_words(const Kernels &kernels, Random &random, size_t n, int dk, Place place) {
    const int bits = std::min(20, 40 / dk);
    const size_t cell_stride = n + static_cast<size_t>(pick(random, 0, 3));
    std::vector<uint32_t> cells(n == 0 ? 0 : static_cast<size_t>(dk - 1) * cell_stride + n);
    for (uint32_t &cell : cells) {
        const int64_t last = (int64_t{1} << bits) - 1;
        cell = static_cast<uint32_t>(pick(random, 0, 7) == 0 ? last : pick(random, 0, last));
    }
    const auto first = static_cast<uint64_t>(pick(random, 0, (1 << 24) - 2000));
    const Array<uint32_t> in(cells, place);
    const Array<uint64_t> words(n, place);
    std::vector<uint64_t> expected;
    for (size_t i = 0; i < n; ++i)
        expected.push_back(expected_code(cells, cell_stride, i, dk, bits) << 24 | (first + i));
    kernels.codes_interleave(in, cell_stride, n, dk, bits, first, words);
    CHECK(words.values() == expected);
    CHECK(words.intact());
}

} // namespace

TEST_CASE("cells are those of the specification, to the bit") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 5, 7, 8, 16, 32}) {
            CAPTURE(dk);
            for (const size_t n : sizes()) {
                if (n > 300 && dk > 8) continue;
                CAPTURE(n);
                check_cells(kernels, random, n, dk, n % 2 == 1, kPlaces[n % 3]);
                check_cells(kernels, random, n, dk, n % 2 == 0, kPlaces[(n + 1) % 3]);
            }
        }
    }
}

TEST_CASE("codes interleave bits, most significant first, coordinate 0 first") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int dk = 1; dk <= 32; ++dk) {
            CAPTURE(dk);
            for (const size_t n : sizes()) {
                if (n > 65 && dk > 8) continue;
                CAPTURE(n);
                check_words(kernels, random, n, dk, kPlaces[n % 3]);
            }
        }
    }
}
