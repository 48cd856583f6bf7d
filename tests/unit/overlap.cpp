// SPDX-License-Identifier: Apache-2.0
// lib/api/overlap: against a set of bytes written down one by one, on random small views, and on large views whose
// answer is known. The seed is printed on failure.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "api/overlap.hpp"

using namespace zeta::api;

namespace {

zeta_tensor view_at(uintptr_t address, int32_t dtype, std::initializer_list<int64_t> shape,
                    std::initializer_list<int64_t> stride) {
    zeta_tensor tensor{};
    tensor.data = reinterpret_cast<void *>(address);
    tensor.dtype = dtype;
    tensor.rank = static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), tensor.shape);
    std::copy(stride.begin(), stride.end(), tensor.stride);
    return tensor;
}

bool overlapping(const zeta_tensor &a, const zeta_tensor &b) {
    const bool forth = overlap(footprint("a", a, true), footprint("b", b, false));
    CHECK(overlap(footprint("b", b, false), footprint("a", a, true)) == forth);
    return forth;
}

// Every byte of the view, each as often as an index names it.
std::multiset<uintptr_t> bytes_of(const zeta_tensor &tensor) {
    const size_t size = zeta_dtype_size(tensor.dtype);
    int64_t index[4], count = 1;
    for (int axis = 0; axis < tensor.rank; ++axis) count *= tensor.shape[axis];
    std::multiset<uintptr_t> bytes;
    for (int64_t flat = 0; flat < count; ++flat) {
        int64_t rest = flat, offset = 0;
        for (int axis = tensor.rank - 1; axis >= 0; --axis) {
            index[axis] = rest % tensor.shape[axis];
            rest /= tensor.shape[axis];
            if (tensor.shape[axis] > 1) offset += index[axis] * tensor.stride[axis];
        }
        for (size_t byte = 0; byte < size; ++byte)
            bytes.insert(reinterpret_cast<uintptr_t>(tensor.data) + static_cast<uintptr_t>(offset) * size + byte);
    }
    return bytes;
}

bool share(const std::multiset<uintptr_t> &a, const std::multiset<uintptr_t> &b) {
    return std::any_of(a.begin(), a.end(), [&](uintptr_t byte) { return b.count(byte) != 0; });
}

bool repeats(const std::multiset<uintptr_t> &bytes) {
    return std::adjacent_find(bytes.begin(), bytes.end()) != bytes.end();
}

} // namespace

TEST_CASE("overlap of random small views is exact") {
    const unsigned seed = 20250114;
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int32_t types[] = {ZETA_F32, ZETA_F16, ZETA_U64};
    int shared = 0, repeated = 0;
    for (int round = 0; round < 6000; ++round) {
        CAPTURE(round);
        zeta_tensor views[2];
        for (zeta_tensor &view : views) {
            view = view_at(0, types[pick(0, 2)], {0, 0, 0, 0}, {0, 0, 0, 1});
            const auto size = static_cast<uintptr_t>(zeta_dtype_size(view.dtype));
            view.data =
                reinterpret_cast<void *>(4096 + size * static_cast<uintptr_t>(pick(0, 200 / static_cast<int>(size))));
            const int wide = pick(0, 1) == 0 ? 12 : 90;
            for (int axis = 0; axis < 4; ++axis) view.shape[axis] = pick(round % 50 == 0 ? 0 : 1, 4);
            for (int axis = 0; axis < 3; ++axis) view.stride[axis] = pick(0, wide);
        }
        const auto a = bytes_of(views[0]), b = bytes_of(views[1]);
        shared += share(a, b);
        repeated += repeats(a);
        REQUIRE(overlapping(views[0], views[1]) == share(a, b));
        REQUIRE(overlaps_itself(footprint("a", views[0], true)) == repeats(a));
    }
    CHECK(shared > 1000); // the rounds test both answers
    CHECK(shared < 5000);
    CHECK(repeated > 1000);
    CHECK(repeated < 5000);
}

TEST_CASE("views of one packed buffer that interleave do not overlap") {
    // [B, N, 3, H, D]: q, k, v as [B, H, N, D]
    const int64_t b = 4, n = 65536, h = 16, d = 64;
    const auto part = [&](int64_t which, int64_t channels) {
        return view_at(static_cast<uintptr_t>(1 << 20) + static_cast<uintptr_t>(which * h * d * 4), ZETA_F32,
                       {b, h, n, channels}, {n * 3 * h * d, d, 3 * h * d, 1});
    };
    CHECK_FALSE(overlapping(part(0, d), part(1, d)));
    CHECK_FALSE(overlapping(part(0, d), part(2, d)));
    CHECK_FALSE(overlapping(part(1, d), part(2, d)));
    CHECK(overlapping(part(0, d), part(0, d)));
    zeta_tensor longer = part(0, d + 1); // its heads run into each other, and its last head into k
    CHECK(overlapping(longer, part(1, d)));
    CHECK(overlaps_itself(footprint("longer", longer, true)));
    CHECK_FALSE(overlaps_itself(footprint("q", part(0, d), true)));
}

TEST_CASE("a type of another size in the gaps of rows") {
    // rows of 3 floats, then one uint64 code, in 24 bytes (the code at byte 16)
    const int64_t n = 1 << 20;
    const zeta_tensor rows = view_at(1 << 20, ZETA_F32, {1, 1, n, 3}, {0, 0, 6, 1});
    const auto half = [&](uintptr_t byte) { return view_at((1 << 20) + byte, ZETA_F16, {1, 1, n, 2}, {0, 0, 12, 1}); };
    CHECK_FALSE(overlapping(rows, half(12)));
    CHECK_FALSE(overlapping(rows, half(20)));
    CHECK(overlapping(rows, half(10)));
    CHECK(overlapping(rows, half(22)));
}

TEST_CASE("unrelated strides are decided exactly and quickly") {
    // rows of 1 float every 1000003 elements against every 999983 and 65537, too many to write down
    const zeta_tensor a = view_at(1 << 20, ZETA_F32, {1, 1, 100000, 1}, {0, 0, 1000003, 1});
    const zeta_tensor far = view_at((1 << 20) + 4, ZETA_F32, {1, 1, 1000, 1}, {0, 0, 999983, 1});
    CHECK_FALSE(overlapping(a, far));
    bool found = false;
    for (int64_t y = 0; y < 1000; ++y) found |= (999983 * y + 1) % 1000003 == 0;
    CHECK_FALSE(found);
    const zeta_tensor near = view_at((1 << 20) + 4, ZETA_F32, {1, 1, 1000000, 1}, {0, 0, 999983, 1});
    bool meets = false;
    for (int64_t y = 0; y < 1000000; ++y)
        meets |= (999983 * y + 1) % 1000003 == 0 && (999983 * y + 1) / 1000003 < 100000;
    CHECK(overlapping(a, near) == meets);
}

TEST_CASE("strides of an empty view, which nothing has checked") {
    for (int axis = 0; axis < 3; ++axis) {
        zeta_tensor empty = view_at(4096, ZETA_F32, {2, 2, 2, 3}, {INT64_MAX, INT64_MIN, INT64_MAX / 2, 1});
        empty.shape[axis] = 0;
        const Footprint none = footprint("empty", empty, true);
        CHECK(none.run == 0);
        CHECK(none.axes == 0);
        CHECK_FALSE(overlaps_itself(none));
    }
}

TEST_CASE("plain memory and empty views") {
    const zeta_tensor empty = view_at(4096, ZETA_F32, {1, 1, 0, 3}, {0, 0, 3, 1});
    const zeta_tensor full = view_at(4096, ZETA_F32, {1, 1, 8, 3}, {0, 0, 3, 1});
    CHECK_FALSE(overlapping(empty, full));
    CHECK_FALSE(overlap(footprint("none", reinterpret_cast<void *>(4096), 0, true), footprint("full", full, false)));
    CHECK(overlap(footprint("last", reinterpret_cast<void *>(4096 + 95), 10, true), footprint("full", full, false)));
    CHECK_FALSE(
        overlap(footprint("after", reinterpret_cast<void *>(4096 + 96), 10, true), footprint("full", full, false)));
}
