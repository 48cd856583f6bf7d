// SPDX-License-Identifier: Apache-2.0
// Spec section 2 and promise 4: codes, cells and their inverse, bit for bit, on every instruction set and type.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

// float32 values around every edge of a few cells of the range grid, and raw bit patterns.
std::vector<float> edges(Random &random, int64_t count) {
    std::vector<float> x;
    while (static_cast<int64_t>(x.size()) < count) {
        const auto bits = static_cast<uint32_t>(random());
        float value = 0;
        std::memcpy(&value, &bits, 4);
        x.push_back(value);
        const float edge = static_cast<float>(pick(random, 0, 1 << 13)) / 8192.0f;
        x.push_back(std::nextafter(edge, -1.0f));
        x.push_back(edge);
        x.push_back(std::nextafter(edge, 2.0f));
    }
    x.resize(static_cast<size_t>(count));
    return x;
}

void check_codes(zeta_context *context, const Case &problem, const std::vector<float> &x, int64_t rows) {
    const oracle::Shape &s = problem.shape;
    const std::vector<int64_t> shape{s.batches, s.heads, rows};
    std::vector<int64_t> points = shape;
    points.push_back(s.dk);
    const std::vector<uint64_t> expected =
        oracle::codes(problem.options.grid, s.key_heads, x, s.batches, s.heads, s.dk);
    for (const Place place : {Place::plain, Place::scattered, Place::page_end, Place::page_start}) {
        Random random(5);
        const Buffer in(problem.qk_type, points, place, random, &x);
        Buffer codes(ZETA_U64, shape, place, random);
        Buffer cells(ZETA_I32, points, place, random);
        Buffer decoded(ZETA_I32, points, place, random);
        const zeta_grid grid = c_grid(problem.options.grid, s.key_heads);
        REQUIRE(zeta_codes_encode(context, &grid, in.view(), codes.view()) == ZETA_OK);
        REQUIRE(zeta_codes_cells(context, &grid, in.view(), cells.view()) == ZETA_OK);
        REQUIRE(zeta_codes_decode(context, codes.view(), decoded.view()) == ZETA_OK);
        CHECK(codes.words() == expected);
        CHECK(cells.integers() == oracle::cells(problem.options.grid, s.key_heads, x, s.batches, s.heads, s.dk));
        CHECK(decoded.integers() == oracle::decode(expected, s.dk));
        CHECK(in.unchanged());
        CHECK(codes.gaps_intact());
        CHECK(cells.gaps_intact());
        CHECK(decoded.gaps_intact());
    }
}

} // namespace

TEST_CASE("codes equal the oracle's") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int64_t dk = 1; dk <= 32; ++dk) {
            CHECK(zeta_codes_bits(static_cast<int32_t>(dk)) == oracle::bits(dk));
            for (int variant = 0; variant < 6; ++variant) {
                Random random(settings().seed * 977 + static_cast<uint64_t>(dk * 10 + variant));
                Case problem;
                do problem = random_case(random);
                while (problem.shape.batches * problem.shape.heads == 0);
                problem.shape.dk = dk;
                problem.qk_type = variant % 3;
                oracle::Grid &grid = problem.options.grid;
                grid.per_head = variant % 2 == 1;
                const auto count = static_cast<size_t>(grid.per_head ? problem.shape.key_heads * dk : 1);
                grid.range = variant >= 3;
                grid.scale.assign(count, 0.7f);
                grid.lo.assign(count, 0);
                grid.hi.assign(count, 1);
                for (size_t n = 1; n < count; ++n) grid.hi[n] = grid.hi[n - 1] * 1.5f;
                const int64_t rows = pick(random, 0, 70);
                const std::vector<float> x = edges(random, problem.shape.batches * problem.shape.heads * rows * dk);
                INFO(isa, " dk=", dk, " variant ", variant);
                check_codes(context.get(), problem, rounded(x, problem.qk_type), rows);
            }
        }
    }
}

TEST_CASE("bits of a code above bits * dk are ignored by decode") {
    const Context context = make_context(nullptr, 1);
    Random random(3);
    Buffer codes(ZETA_U64, {1, 1, 2}, Place::plain, random);
    Buffer cells(ZETA_I32, {1, 1, 2, 3}, Place::plain, random);
    codes.set(std::vector<uint64_t>{~uint64_t{0}, ~uint64_t{0} << 39});
    REQUIRE(zeta_codes_decode(context.get(), codes.view(), cells.view()) == ZETA_OK);
    CHECK(cells.integers() == std::vector<int32_t>{8191, 8191, 8191, 0, 0, 0});
}
