// SPDX-License-Identifier: Apache-2.0
// The oracle against cases small enough to work out by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <limits>

#include "halves.hpp"
#include "oracle.hpp"

using namespace oracle;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Keys = std::vector<int64_t>;

// One head on a line: dk = 1, a grid over 0..1 with 2^20 cells.
struct Line {
    Shape shape;
    Options options;
    std::vector<float> q, k;

    Line(std::vector<float> queries, std::vector<float> keys) : q(std::move(queries)), k(std::move(keys)) {
        shape.queries = static_cast<int64_t>(q.size());
        shape.keys = static_cast<int64_t>(k.size());
        shape.dk = 1;
        options.grid.range = true;
        options.neighbours = 2;
    }
    Selector select() const { return Selector(shape, options, q, k); }
};

} // namespace

TEST_CASE("bits per coordinate") {
    CHECK(bits(1) == 20);
    CHECK(bits(2) == 20);
    CHECK(bits(3) == 13);
    CHECK(bits(8) == 5);
    CHECK(bits(32) == 1);
}

TEST_CASE("cells of the squash grid") {
    const Grid grid;
    const std::vector<float> x{0, 1, -1, kInf, -kInf, kNan, FLT_MAX, -FLT_MAX, -0.0f};
    // u = 0, 1/2, -1/2, 1, -1: cells 2^19, 3 * 2^18, 2^18, the last, the first
    const std::vector<int32_t> expected{524288, 786432, 262144, 1048575, 0, 0, 1048575, 0, 524288};
    CHECK(cells(grid, 1, x, 1, 1, 1) == expected);
}

TEST_CASE("cells of the range grid, one row of parameters per key head") {
    Grid grid;
    grid.range = grid.per_head = true;
    grid.lo = {0, -1};
    grid.hi = {1, 1};
    const std::vector<float> x{0, 0.5f, 1, -3, 0, 0.5f, kNan, kInf}; // 2 heads of 4 points
    CHECK(cells(grid, 2, x, 1, 2, 1) == std::vector<int32_t>{0, 524288, 1048575, 0, 524288, 786432, 0, 1048575});
}

TEST_CASE("codes interleave from the most significant bit, coordinate 0 first") {
    Grid grid;
    grid.range = true;
    grid.hi = {32}; // dk = 8: 5 bits, so a coordinate is its cell
    std::vector<float> x(8, 0);
    x[0] = 16; // the top bit of coordinate 0
    x[7] = 1;  // the lowest bit of coordinate 7
    const std::vector<uint64_t> code = codes(grid, 1, x, 1, 1, 8);
    CHECK(code == std::vector<uint64_t>{(uint64_t{1} << 39) + 1});
    CHECK(decode(code, 8) == std::vector<int32_t>{16, 0, 0, 0, 0, 0, 0, 1});
}

TEST_CASE("search limit: chunk, local window and offset of the queries") {
    Options options;
    const Sequence sequence{0, 4, 0, 10}; // t = 6..9
    options.local = 0;
    CHECK(position(sequence, 0) == 6);
    CHECK(search_limit(options, sequence, 0) == 6);
    options.chunk = 4;
    CHECK(search_limit(options, sequence, 0) == 4);
    CHECK(search_limit(options, sequence, 2) == 8);
    options.local = 3; // t + 1 - 3
    CHECK(search_limit(options, sequence, 2) == 6);
    options.local = 100;
    CHECK(search_limit(options, sequence, 3) == 0);
    options.causal = false;
    CHECK(search_limit(options, sequence, 0) == 10);
}

TEST_CASE("window on a line") {
    Line line({0.45f}, {0.1f, 0.9f, 0.4f, 0.5f, 0.2f});
    line.options.causal = false;
    line.options.local = 0;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{2, 3}); // 0.4 below, 0.5 above
    line.options.neighbours = 3;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{1, 2, 3}); // one below, two above
    line.q = {0.95f};
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{1, 2, 3}); // nothing above: three below
    line.q = {0.0f};
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{0, 2, 4}); // nothing below: three above
    line.options.neighbours = 9;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{0, 1, 2, 3, 4});
    line.options.first = 3;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{3, 4});
}

TEST_CASE("equal codes: the newest keys are nearest") {
    Line line({0, 0, 0, 0, 0, 0.5f}, std::vector<float>(6, 0.5f));
    line.options.local = 1;
    CHECK(line.select().neighbours({0, 0, 5}) == Keys{3, 4});
    line.options.exact = true;
    CHECK(line.select().neighbours({0, 0, 5}) == Keys{3, 4});
    CHECK(line.select().local({0, 0, 5}) == Keys{5});
}

TEST_CASE("re-ranking keeps the nearest of the window, exact of all; NaN is farthest") {
    Line line({0.5f}, {0.1f, 0.3f, 0.42f, 0.51f, 0.52f, kNan});
    line.options.causal = false;
    line.options.local = 0;
    line.options.neighbours = 1;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{3}); // window of one: nothing below, one above
    line.options.neighbours = 2;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{2, 3});
    line.options.window = 4;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{3, 4});
    line.options.window = 0;
    line.options.exact = true;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{3, 4});
    line.options.neighbours = 6;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{0, 1, 2, 3, 4, 5});
    line.options.neighbours = 5;
    CHECK(line.select().neighbours({0, 0, 0}) == Keys{0, 1, 2, 3, 4});
}

TEST_CASE("recall of a window that misses") {
    Line line({0.5f}, {0.1f, 0.3f, 0.42f, 0.51f, 0.52f});
    line.options.causal = false;
    line.options.local = 0;
    CHECK(line.select().recall() == std::vector<double>{0.5});
    line.options.exact = true;
    CHECK(line.select().recall() == std::vector<double>{1});
}

TEST_CASE("packed sequences are computed alone") {
    Line line({0.1f, 0.2f, 0.1f, 0.2f, 0.3f}, {0.1f, 0.2f, 0.1f, 0.2f, 0.3f});
    line.options.q_lengths = {2, 0, 3};
    CHECK(line.select().neighbours({0, 0, 1}) == Keys{0});
    CHECK(line.select().neighbours({0, 0, 2}).empty());
    CHECK(line.select().neighbours({0, 0, 4}) == Keys{2, 3});
    CHECK(line.select().local({0, 0, 2}) == Keys{2});
}

TEST_CASE("output, normaliser and mean of two keys") {
    Line line({0, 0}, {0, 2});
    line.shape.dv = 2;
    const std::vector<float> v{1, 10, 3, 30};
    line.options.mean = false;
    const auto row = [&](Score score) {
        line.options.score = score;
        return Attention<float>(line.shape, line.options, line.q, line.k, v).forward({0, 0, 1}, {0});
    };
    // D = 0 and 4: cauchy weights 1 and 1/5
    CHECK(row(Score::cauchy).normaliser == doctest::Approx(1.2));
    CHECK(row(Score::cauchy).out[0] == doctest::Approx((1 + 3 / 5.0) / 1.2));
    CHECK(row(Score::cauchy).out[1] == doctest::Approx((10 + 30 / 5.0) / 1.2));
    CHECK(row(Score::inverse).normaliser == doctest::Approx(1 + 1 / 3.0));
    CHECK(row(Score::gaussian).normaliser == doctest::Approx(std::log(1 + std::exp(-4.0))));
    CHECK(row(Score::laplace).normaliser == doctest::Approx(std::log(1 + std::exp(-2.0))));
    CHECK(row(Score::dot).out[0] == doctest::Approx(2));
    line.options.mean = true; // K = 1, V = (2, 20), D = 1
    CHECK(row(Score::cauchy).normaliser == doctest::Approx(1.7));
    CHECK(row(Score::cauchy).out[0] == doctest::Approx((1 + 3 / 5.0 + 2 / 2.0) / 1.7));
}

TEST_CASE("special values") {
    Line line({0, 0}, {kInf, 0});
    std::vector<float> v{1, 2};
    line.options.mean = false;
    const auto at = [&](int64_t index, const Keys &keys) {
        return Attention<float>(line.shape, line.options, line.q, line.k, v).forward({0, 0, index}, keys);
    };
    CHECK(at(1, {0}).out[0] == 2);       // D = infinity has weight 0
    CHECK(std::isnan(at(0, {}).out[0])); // every D is infinite
    line.k[0] = kNan;
    CHECK(std::isnan(at(1, {0}).out[0]));
    line.k[0] = 5;
    v[0] = kNan;
    CHECK(std::isnan(at(1, {0}).out[0]));
    CHECK(at(1, {}).out[0] == 2);
    line.options.local = 0;
    CHECK(at(1, {}).out[0] == 0);
    CHECK(at(1, {}).normaliser == 0);
    line.options.score = Score::dot;
    CHECK(at(1, {}).normaliser == -kInf);
}

TEST_CASE("16-bit types") {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
        const auto half = static_cast<uint16_t>(bits);
        if (!std::isnan(from_float16(half))) CHECK(to_float16(from_float16(half)) == half);
        if (!std::isnan(from_bfloat16(half))) CHECK(to_bfloat16(from_bfloat16(half)) == half);
    }
    CHECK(from_float16(0x3c00) == 1);
    CHECK(from_float16(0x7bff) == 65504);
    CHECK(from_float16(0x0001) == std::ldexp(1.0f, -24));
    CHECK(from_bfloat16(0x3f80) == 1);
    CHECK(to_float16(65519.0f) == 0x7bff);
    CHECK(to_float16(65520.0f) == 0x7c00);
    CHECK(to_float16(1 + std::ldexp(1.0f, -11)) == 0x3c00); // ties to even
    CHECK(to_float16(1 + 3 * std::ldexp(1.0f, -11)) == 0x3c02);
    CHECK(to_float16(std::ldexp(1.0f, -25)) == 0);
    CHECK(to_float16(std::ldexp(1.5f, -25)) == 1);
    CHECK(to_bfloat16(FLT_MAX) == 0x7f80);
    CHECK(to_bfloat16(1 + std::ldexp(1.0f, -8)) == 0x3f80);
    CHECK(to_bfloat16(1 + 3 * std::ldexp(1.0f, -8)) == 0x3f82);
    CHECK(std::isnan(from_float16(to_float16(kNan))));
    CHECK(std::isnan(from_bfloat16(to_bfloat16(kNan))));
}
