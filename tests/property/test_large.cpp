// SPDX-License-Identifier: Apache-2.0
// Long inputs that a search structure may dislike: 200,000 positions that drift along the curve, are all equal or sorted.
// Sampled rows are right. What they cost is promise 8: tests/kernels/test_select.cpp and tests/unit/test_exact.cpp count
// what is looked at.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

constexpr int64_t kLength = 200000;

// Neighbours, output and ∂q of one row.
std::string compare_sample(const Case &problem, const oracle::Selector &selector,
                           const oracle::Attention<float> &attention, const Result &got, int64_t row) {
    const auto at = static_cast<size_t>(row);
    const auto slots = static_cast<size_t>(problem.options.neighbours);
    const auto dv = static_cast<size_t>(problem.shape.dv);
    const oracle::Query query{0, 0, row};
    const std::vector<int64_t> list = selector.neighbours(query);
    const auto begin = got.neighbours.begin() + static_cast<std::ptrdiff_t>(at * slots);
    std::string message =
        compare_neighbours({begin, begin + problem.options.neighbours}, {list}, problem.options.neighbours);
    if (message.empty())
        message = compare_row(&got.out[at * dv], &got.normaliser[at], attention.forward(query, list), ZETA_F32);
    if (!message.empty()) return "sampled row " + std::to_string(row) + ": " + message;

    const std::vector<double> grad_out = widened(problem.grad_out);
    std::vector<double> grad_q(static_cast<size_t>(problem.shape.dk), 0), reach = grad_q;
    attention.backward_query(query, list, &grad_out[at * dv], grad_q.data(), reach.data());
    double most = 0; // of the head
    for (const float g : got.grad_q) most = std::max(most, std::fabs(double{g}));
    for (size_t e = 0; e < grad_q.size(); ++e) {
        const double value = got.grad_q[at * grad_q.size() + e];
        if (!(std::fabs(value - grad_q[e]) <= 2e-5 * most + 1e-6 * reach[e]))
            return "grad_q of row " + std::to_string(row) + " is " + std::to_string(value) + ", not " +
                   std::to_string(grad_q[e]);
    }
    return "";
}

void check_large(zeta_context *context, Data kind, bool exact, int64_t window) {
    Case problem;
    problem.shape = {1, 1, 1, kLength, kLength, 3, 4};
    problem.options.exact = exact;
    problem.options.window = window;
    Random random(settings().seed);
    fill(problem, random, kind);
    if (kind == Data::drift) {
        // Spread over the grid: divided by the deviation.
        double square = 0;
        for (const float x : problem.k) square += double{x} * double{x};
        const auto scale = static_cast<float>(1 / std::sqrt(square / static_cast<double>(problem.k.size())));
        for (float &x : problem.k) x *= scale;
        for (float &x : problem.q) x *= scale;
    }
    const Result got = run(context, problem);
    INFO("data ", static_cast<int>(kind), (exact ? " exact" : " window"), " W=", window);
    REQUIRE(got.error == "");
    const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
    const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
    for (const int64_t row : {int64_t{0}, int64_t{1}, int64_t{33}, kLength / 2 - 1, kLength / 2, kLength - 1})
        CHECK(compare_sample(problem, selector, attention, got, row) == "");
    for (int n = 0; n < 8; ++n)
        CHECK(compare_sample(problem, selector, attention, got, pick(random, 0, kLength - 1)) == "");
}

} // namespace

TEST_CASE("large: window on drift, equal, sorted, gaussian and few-valued inputs") {
    const Context context = make_context(nullptr, 2);
    for (const Data kind : {Data::drift, Data::equal, Data::sorted, Data::gaussian, Data::few})
        check_large(context.get(), kind, false, 0);
}

TEST_CASE("large: exact and re-ranked on drift, equal and sorted inputs") {
    const Context context = make_context(nullptr, 2);
    for (const Data kind : {Data::drift, Data::equal, Data::sorted}) {
        check_large(context.get(), kind, true, 0);
        check_large(context.get(), kind, false, 128);
    }
}
