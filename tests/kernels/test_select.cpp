// SPDX-License-Identifier: Apache-2.0
// Windows, lists and the nearest of a list against spec section 4 written out.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "levels.hpp"

using namespace kernel_tests;
using zeta::simd::isa_name;
using zeta::simd::kListPad;

namespace {

// Indices of the keys a window around `rank` chooses.
std::vector<size_t> chosen(const TestLevel &level, uint32_t rank, uint32_t limit, uint32_t window) {
    std::vector<size_t> searchable;
    uint32_t p = 0;
    for (size_t i = 0; i < level.count(); ++i) {
        if (level.position(i) >= limit) continue;
        searchable.push_back(i);
        if (i < rank) ++p;
    }
    const auto n = static_cast<uint32_t>(searchable.size());
    uint32_t a = std::min(window / 2, p);
    const uint32_t c = std::min(window - a, n - p);
    if (c < window - a) a = std::min(window - c, p);
    return {searchable.begin() + (p - a), searchable.begin() + (p + c)};
}

float distance_to(const TestLevel &level, size_t i, const std::vector<float> &q) {
    float sum = 0;
    for (size_t e = 0; e < q.size(); ++e) {
        const float difference = q[e] - level.coordinate(i, e);
        const float square = difference * difference;
        sum = e == 0 ? square : sum + square;
    }
    return sum;
}

void check_window(const Kernels &kernels, Random &random, const TestLevel &level, int dk, uint32_t rank, uint32_t limit,
                  uint32_t window) {
    CAPTURE(rank);
    CAPTURE(limit);
    CAPTURE(window);
    const std::vector<size_t> expected = chosen(level, rank, limit, window);
    uint32_t lo = 12345, hi = 54321;
    kernels.select_window(level.level(), rank, limit, window, &lo, &hi);
    REQUIRE(lo <= hi);
    REQUIRE(hi <= level.count());
    std::vector<size_t> inside;
    for (size_t i = lo; i < hi; ++i) {
        if (level.position(i) < limit) inside.push_back(i);
    }
    REQUIRE(inside == expected);

    const std::vector<float> point = floats(random, static_cast<size_t>(dk), 30);
    const Array<float> q(point), distances(expected.size(), Place::end, kListPad);
    const Array<uint32_t> ids(expected.size(), Place::end, kListPad);
    const uint32_t emitted = kernels.select_emit(level.level(), lo, hi, limit, window, q, dk, ids, distances);
    REQUIRE(emitted == expected.size());
    std::vector<uint32_t> expected_ids;
    std::vector<float> expected_distances;
    for (const size_t i : expected) {
        expected_ids.push_back(level.position(i));
        expected_distances.push_back(distance_to(level, i, point));
    }
    CHECK(ids.values() == expected_ids);
    CHECK(same_floats(distances.values(), expected_distances));
    CHECK(ids.intact());
    CHECK(distances.intact());
}

void check_query(const Kernels &kernels, Random &random, const TestLevel &level, int dk, uint32_t window) {
    const auto count = static_cast<int64_t>(level.count());
    const auto rank = static_cast<uint32_t>(pick(random, 0, count));
    // From no searchable key to all, often few of many.
    const int64_t most = 3 * count + 2;
    const auto limit = static_cast<uint32_t>(pick(random, 0, pick(random, 0, 2) == 0 ? most / 50 + 1 : most));
    check_window(kernels, random, level, dk, rank, limit, window);
}

// A tile of queries, by search and with the windows given, against each query by itself.
void check_tile(const Kernels &kernels, Random &random, const TestLevel &level, int dk, uint32_t window, Place place) {
    const auto queries = static_cast<size_t>(pick(random, 0, 16));
    const size_t rows = queries + 3, stride = window + kListPad, width = static_cast<size_t>(dk);
    const Array<float> q(floats(random, rows * width, 30), place);
    std::vector<uint32_t> row_values, rank_values, limit_values;
    for (size_t i = 0; i < queries; ++i) {
        row_values.push_back(static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(rows) - 1)));
        rank_values.push_back(static_cast<uint32_t>(pick(random, 0, static_cast<int64_t>(level.count()))));
        const int64_t most = 3 * static_cast<int64_t>(level.count()) + 2;
        limit_values.push_back(static_cast<uint32_t>(pick(random, 0, pick(random, 0, 3) == 0 ? most / 30 + 1 : most)));
    }
    const Array<uint32_t> row(row_values, place), rank(rank_values, place), limit(limit_values, place);
    const Array<uint32_t> counts(queries, place), lo(queries, place), hi(queries, place);
    for (const bool search : {true, false}) { // the second time with the windows of the first
        const Array<uint32_t> ids(queries * stride, Place::end);
        const Array<float> distances(queries * stride, Place::end);
        const zeta::simd::WindowTile tile{static_cast<uint32_t>(queries),
                                          window,
                                          search,
                                          dk,
                                          q,
                                          row,
                                          rank,
                                          limit,
                                          stride,
                                          ids,
                                          distances,
                                          counts,
                                          lo,
                                          hi};
        kernels.select_tile(level.level(), tile);
        for (size_t i = 0; i < queries; ++i) {
            uint32_t expected_lo, expected_hi;
            kernels.select_window(level.level(), rank[i], limit[i], window, &expected_lo, &expected_hi);
            CHECK(lo[i] == expected_lo);
            CHECK(hi[i] == expected_hi);
            std::vector<uint32_t> expected_ids(stride);
            std::vector<float> expected_distances(stride);
            const uint32_t n =
                kernels.select_emit(level.level(), expected_lo, expected_hi, limit[i], window, q + row[i] * width, dk,
                                    expected_ids.data(), expected_distances.data());
            REQUIRE(counts[i] == n);
            CHECK(std::equal(ids + i * stride, ids + i * stride + n, expected_ids.begin()));
            expected_distances.resize(n);
            CHECK(same_floats({distances + i * stride, distances + i * stride + n}, expected_distances));
        }
        CHECK(ids.intact());
        CHECK(distances.intact());
        CHECK(counts.intact());
    }
}

// Squared distances: many ties, infinity and NaN among them.
std::vector<float> some_distances(Random &random, size_t n, int kind) {
    std::vector<float> result(n);
    for (float &x : result) {
        switch (kind) {
        case 0:
            x = std::fabs(normal(random));
            break;
        case 1:
            x = static_cast<float>(pick(random, 0, 3));
            break;
        case 2:
            x = 0;
            break;
        case 3:
            x = std::fabs(floats(random, 1, 2)[0]);
            break;
        case 4:
            x = std::numeric_limits<float>::infinity();
            break;
        default:
            x = pick(random, 0, 1) == 0 ? float_of(0xFFC00001u) : std::exp(40 * normal(random));
            break;
        }
    }
    return result;
}

void check_nearest(const Kernels &kernels, Random &random, size_t n, size_t keep, int kind, Place place) {
    const std::vector<float> distance_values = some_distances(random, n, kind);
    const std::vector<uint32_t> positions = some_positions(random, n, Order::mixed);
    const auto order_of = [&](size_t i) { return std::isnan(distance_values[i]) ? HUGE_VALF : distance_values[i]; };
    std::vector<size_t> nearest(n);
    std::iota(nearest.begin(), nearest.end(), size_t{0});
    std::sort(nearest.begin(), nearest.end(), [&](size_t a, size_t b) {
        return order_of(a) != order_of(b) ? order_of(a) < order_of(b) : positions[a] > positions[b];
    });
    nearest.resize(std::min(n, keep));
    std::sort(nearest.begin(), nearest.end());
    std::vector<uint32_t> expected_ids;
    std::vector<float> expected_distances;
    float expected_kth = 0;
    for (const size_t i : nearest) {
        expected_ids.push_back(positions[i]);
        expected_distances.push_back(distance_values[i]);
        expected_kth = std::max(expected_kth, order_of(i));
    }
    const Array<uint32_t> ids(positions, place);
    const Array<float> distances(distance_values, place);
    float kth = -1;
    const uint32_t kept =
        kernels.select_nearest(ids, distances, static_cast<uint32_t>(n), static_cast<uint32_t>(keep), &kth);
    REQUIRE(kept == nearest.size());
    CHECK(ids.first(kept) == expected_ids);
    CHECK(same_floats(distances.first(kept), expected_distances));
    if (kept != 0) CHECK(kth == expected_kth);
    CHECK(ids.intact());
    CHECK(distances.intact());
}

// Lists of different lengths, some shorter than `keep`, each as select_nearest() leaves it.
void check_nearest_lists(const Kernels &kernels, Random &random, uint32_t lists, size_t most, uint32_t keep) {
    const size_t stride = (most + 63) / 64 * 64 + kListPad, kept_stride = keep + kListPad;
    std::vector<uint32_t> ids(lists * stride, 7), found(lists), counts(lists, 99);
    std::vector<float> distances(lists * stride, -1);
    for (uint32_t i = 0; i < lists; ++i) {
        found[i] = static_cast<uint32_t>(pick(random, 0, 3) == 0 ? pick(random, 0, static_cast<int64_t>(most)) : most);
        const std::vector<uint32_t> positions = some_positions(random, found[i], Order::mixed);
        const std::vector<float> values = some_distances(random, found[i], static_cast<int>(pick(random, 0, 5)));
        std::copy(positions.begin(), positions.end(), ids.begin() + static_cast<ptrdiff_t>(i * stride));
        std::copy(values.begin(), values.end(), distances.begin() + static_cast<ptrdiff_t>(i * stride));
    }
    std::vector<uint32_t> expected_ids = ids;
    std::vector<float> expected_distances = distances;
    const Array<int32_t> columns(std::vector<int32_t>(zeta::simd::NearestLists::kMost * stride), Place::start);
    const Array<uint32_t> kept_ids(std::vector<uint32_t>(lists * kept_stride), Place::end);
    const Array<float> kept_distances(std::vector<float>(lists * kept_stride), Place::end);
    kernels.select_nearest_lists({lists, keep, found.data(), ids.data(), distances.data(), stride, columns, kept_ids,
                                  kept_distances, kept_stride, counts.data()});
    for (uint32_t i = 0; i < lists; ++i) {
        CAPTURE(i);
        float kth;
        uint32_t *row = expected_ids.data() + i * stride;
        float *values = expected_distances.data() + i * stride;
        REQUIRE(kernels.select_nearest(row, values, found[i], keep, &kth) == counts[i]);
        const uint32_t *kept = kept_ids + i * kept_stride;
        const float *kept_values = kept_distances + i * kept_stride;
        CHECK(std::equal(kept, kept + counts[i], row));
        CHECK(same_floats({kept_values, kept_values + counts[i]}, {values, values + counts[i]}));
    }
    CHECK(kept_ids.intact());
    CHECK(kept_distances.intact());
}

} // namespace

TEST_CASE("a window holds the keys of the specification, and its list their distances") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const size_t count : {0, 1, 2, 15, 16, 17, 63, 64, 65, 130, 1000, 4095, 4097}) {
            CAPTURE(count);
            for (const Order order : kOrders) {
                CAPTURE(static_cast<int>(order));
                const int dks[] = {1, 2, 3, 4, 5, 8, 32};
                const int dk = dks[pick(random, 0, 6)];
                CAPTURE(dk);
                const TestLevel level(random, some_positions(random, count, order), dk, 10);
                for (int repeat = 0; repeat < 30; ++repeat) {
                    const uint32_t windows[] = {1, 2, 3, 8, 31, 32, 64, 100, 256, 5000};
                    check_query(kernels, random, level, dk, windows[pick(random, 0, 9)]);
                }
            }
        }
    }
}

TEST_CASE("the lists of a tile are those of its queries") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const int dk : {1, 2, 3, 4, 5, 8, 13}) {
            for (const size_t count : {1, 40, 64, 65, 130, 700}) {
                const Order order = kOrders[pick(random, 0, static_cast<int64_t>(std::size(kOrders)) - 1)];
                const TestLevel level(random, some_positions(random, count, order), dk, 10);
                for (const uint32_t window : {1, 2, 3, 32, 63, 64, 65, 100})
                    check_tile(kernels, random, level, dk, window, kPlaces[window % 3]);
            }
        }
    }
}

TEST_CASE("windows of a large level, whose tree has three heights") {
    Random random(seed());
    for (const Order order : kOrders) {
        CAPTURE(static_cast<int>(order));
        const TestLevel level(random, some_positions(random, 300000, order), 3, 0);
        FOR_EACH_ISA(kernels) {
            CAPTURE(isa_name(isa));
            for (int repeat = 0; repeat < 15; ++repeat)
                check_query(kernels, random, level, 3, repeat % 2 == 0 ? 32 : 1);
        }
    }
}

// Promise 8 without a clock. `edge` searchable keys, a long run that is not, `edge` more. Inside the run, away from its
// ends and from the rank, memory calls every key searchable: whoever looks there instead of asking the tree selects it.
TEST_CASE("a run of keys that are not searchable is jumped, not walked through") {
    constexpr uint32_t edge = 150, count = 30000, limit = 2 * edge, margin = 256;
    std::vector<uint32_t> positions(count);
    for (uint32_t i = 0; i < count; ++i)
        positions[i] = i < edge ? 2 * i : i < count - edge ? limit + i : 2 * (i - (count - edge)) + 1;
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const uint32_t rank : {edge, edge + 700, count / 2, count - edge - 700, count - edge}) {
            TestLevel level(random, positions, 3, 0);
            for (uint32_t i = edge + margin; i < count - edge - margin; ++i)
                if (i + margin < rank || i > rank + margin) level.lie(i, i + 1);
            for (const uint32_t window : {1, 2, 40, 299, 1000})
                check_window(kernels, random, level, 3, rank, limit, window);
        }
    }
}

TEST_CASE("the nearest of a list, ties to the larger position, NaN at infinity") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (int kind = 0; kind < 6; ++kind) {
            CAPTURE(kind);
            for (const size_t n : sizes()) {
                CAPTURE(n);
                for (const size_t keep :
                     {size_t{1}, size_t{2}, size_t{7}, size_t{32}, n / 2, n - std::min<size_t>(n, 1), n, n + 1}) {
                    CAPTURE(keep);
                    if (keep != 0) check_nearest(kernels, random, n, keep, kind, kPlaces[(n + keep) % 3]);
                }
            }
        }
    }
}

TEST_CASE("the nearest of each of a tile's lists") {
    FOR_EACH_ISA(kernels) {
        CAPTURE(isa_name(isa));
        Random random(seed());
        for (const uint32_t lists : {1, 3, 4, 5, 15, 16}) {
            CAPTURE(lists);
            for (const size_t most : {1, 5, 16, 33, 100, 128, 129, 1000}) {
                CAPTURE(most);
                for (const uint32_t keep : {1, 2, 31, 32, 100, 128, 1024})
                    check_nearest_lists(kernels, random, lists, most, keep);
            }
        }
    }
}
