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
    REQUIRE(kernels.levels_count(level.position, level.count, cap) == n);
    // In two pieces, the later one first: neither may write where the other does.
    const auto edge =
        static_cast<uint32_t>(count / 64 == 0 ? 0 : pick(random, 0, static_cast<int64_t>(count / 64)) * 64);
    const uint32_t first = kernels.levels_count(level.position, edge, cap);
    const auto filter = [&](uint32_t begin, uint32_t end, uint32_t out, uint32_t out_end) {
        kernels.levels_filter(level.position, level.coordinate, level.stride, begin, end, dk, cap, positions,
                              coordinates, out_stride, out, out_end, kept, before);
    };
    filter(edge, level.count, first, static_cast<uint32_t>(n + kPad));
    filter(0, edge, 0, first);
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

void check_descend(const Kernels &kernels, Random &random, size_t n, size_t keys) {
    const auto threshold = static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(n) + 1));
    std::vector<uint64_t> kept(keys / 64 + 1);
    std::vector<uint32_t> before(keys / 64 + 1), below(keys + 1);
    for (size_t i = 0; i < keys; ++i) {
        const bool keep = pick(random, 0, 1) == 0;
        if (keep) kept[i / 64] |= uint64_t{1} << i % 64;
        below[i + 1] = below[i] + (keep ? 1 : 0);
    }
    for (size_t b = 0; b < before.size(); ++b) before[b] = below[b * 64];
    std::vector<uint32_t> queries(n), ranks(n);
    std::vector<uint32_t> expected[4]; // stay, their ranks, down, their ranks
    for (size_t i = 0; i < n; ++i) {
        queries[i] = static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(n)));
        ranks[i] = static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(keys)));
        const bool down = queries[i] < threshold;
        expected[down ? 2 : 0].push_back(queries[i]);
        expected[down ? 3 : 1].push_back(down ? below[ranks[i]] : ranks[i]);
    }
    const size_t stay = expected[0].size(), down = expected[2].size();
    const Array<uint32_t> out[4] = {Array<uint32_t>(stay), Array<uint32_t>(stay), Array<uint32_t>(down),
                                    Array<uint32_t>(down)};
    const Array<uint32_t> query_list(queries), rank_list(ranks);
    kernels.levels_descend(query_list, rank_list, static_cast<uint32_t>(n), threshold, kept.data(), before.data(),
                           out[0], out[1], out[2], out[3]);
    for (int i = 0; i < 4; ++i) {
        CHECK(out[i].values() == expected[i]);
        CHECK(out[i].intact());
    }
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

TEST_CASE("queries stay in a level or go down with their ranks") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t n : {0, 1, 2, 15, 16, 17, 100})
            for (const size_t keys : {0, 1, 63, 64, 65, 300}) check_descend(kernels, random, n, keys);
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
