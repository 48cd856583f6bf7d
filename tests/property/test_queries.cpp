// SPDX-License-Identifier: Apache-2.0
// More queries than a sort word has positions for: a call that is not causal takes any number (spec section 1).
#include <doctest/doctest.h>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

// Queries on either side of 2^24, far enough apart to have neighbours of their own.
void check_many(zeta_context *context, bool exact) {
    constexpr int64_t queries = (int64_t{1} << 24) + 40, keys = 5;
    Case problem;
    problem.shape = {1, 1, 1, queries, keys, 1, 1};
    problem.options.causal = false;
    problem.options.local = 0;
    problem.options.neighbours = 2;
    problem.options.window = 2;
    problem.options.exact = exact;
    problem.options.mean = true;
    Random random(settings().seed);
    fill(problem, random, Data::gaussian);
    // Only rows on both sides of the border have a gradient: each hands it whole to the values it attends.
    for (int64_t row = 0; row < queries; ++row)
        problem.grad_out[static_cast<size_t>(row)] = row >= (int64_t{1} << 24) - 40 ? 1.0f : 0.0f;
    Run how;
    how.backward = !exact;
    const Result got = run(context, problem, how);
    REQUIRE(got.error == "");
    const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
    const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
    for (const int64_t row : {int64_t{0}, int64_t{1} << 23, (int64_t{1} << 24) - 1, int64_t{1} << 24, queries - 1}) {
        const auto at = static_cast<size_t>(row);
        const oracle::Query query{0, 0, row};
        const std::vector<int64_t> list = selector.neighbours(query);
        const auto begin = got.neighbours.begin() + static_cast<std::ptrdiff_t>(2 * at);
        CHECK(compare_neighbours({begin, begin + 2}, {list}, 2) == "");
        CHECK(compare_row(&got.out[at], &got.normaliser[at], attention.forward(query, list), ZETA_F32) == "");
    }
    if (exact) return;
    double given = 0;
    for (const float g : got.grad_v) given += double{g};
    CHECK(given == doctest::Approx(80).epsilon(1e-5));
}

} // namespace

TEST_CASE("more than 2^24 queries") {
    const Context context = make_context(nullptr, 2);
    check_many(context.get(), false);
    if (settings().cases >= 40) check_many(context.get(), true); // few cases: a checker makes it minutes
}
