// SPDX-License-Identifier: Apache-2.0
// Filtering a level by position, and the minimum of each block of 64.
#include <doctest/doctest.h>

#include "levels.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;
using zeta::simd::kPad;

namespace {

void check_filter(const Kernels &kernels, Random &random, size_t count, int dk, Order order) {
    const auto width = static_cast<size_t>(dk);
    const TestLevel source(random, some_positions(random, count, order), dk, 10);
    const auto cap = static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(2 * count) + 2));
    std::vector<uint32_t> kept_positions, expected_before;
    std::vector<size_t> kept_keys;
    std::vector<uint64_t> expected_kept((count + 63) / 64);
    for (size_t i = 0; i < count; ++i) {
        if (i % 64 == 0) expected_before.push_back(static_cast<uint32_t>(kept_keys.size()));
        if (source.position(i) >= cap) continue;
        expected_kept[i / 64] |= uint64_t{1} << i % 64;
        kept_keys.push_back(i);
    }
    const size_t n = kept_keys.size(), out_stride = n + kPad;
    const Array<uint32_t> positions(n, Place::end, kPad);
    const Array<float> coordinates(width * out_stride, Place::end);
    const Array<uint64_t> kept(expected_kept.size());
    const Array<uint32_t> before(expected_before.size());
    const zeta::simd::Level &level = source.level();
    const uint32_t result = kernels.levels_filter(level.position, level.coordinate, level.stride, level.count, dk, cap,
                                                  positions, coordinates, out_stride, kept, before);
    REQUIRE(result == n);
    CHECK(kept.values() == expected_kept);
    CHECK(before.values() == expected_before);
    bool equal = true;
    for (size_t i = 0; i < n; ++i) {
        equal = equal && positions[i] == source.position(kept_keys[i]);
        for (size_t e = 0; e < width; ++e) {
            equal = equal && bits_of(coordinates[e * out_stride + i]) == bits_of(source.coordinate(kept_keys[i], e));
        }
    }
    CHECK(equal);
    CHECK(positions.intact());
    CHECK(coordinates.intact());
    CHECK(kept.intact());
    CHECK(before.intact());
}

void check_minimum(const Kernels &kernels, Random &random, size_t count) {
    std::vector<uint32_t> source(count), expected((count + 63) / 64, ~uint32_t{0});
    for (size_t i = 0; i < count; ++i) {
        source[i] = static_cast<uint32_t>(random());
        if (pick(random, 0, 9) == 0) source[i] = pick(random, 0, 1) == 0 ? 0 : ~uint32_t{0};
        expected[i / 64] = std::min(expected[i / 64], source[i]);
    }
    source.resize(expected.size() * 64, ~uint32_t{0});
    const Array<uint32_t> in(source), minimum(expected.size());
    kernels.levels_minimum(in, static_cast<uint32_t>(count), minimum);
    CHECK(minimum.values() == expected);
    CHECK(minimum.intact());
}

} // namespace

TEST_CASE("a filtered level holds the keys below the cap, in order") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 5, 8, 32}) {
            CAPTURE(dk);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const Order order : kOrders) check_filter(kernels, random, n, dk, order);
            }
        }
    }
}

TEST_CASE("minimum of each block") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t n : sizes()) {
            CAPTURE(n);
            check_minimum(kernels, random, n);
        }
        check_minimum(kernels, random, 5000);
    }
}
