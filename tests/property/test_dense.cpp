// SPDX-License-Identifier: Apache-2.0
// zeta_dense_forward against the oracle over all allowed keys; and with K >= M, zeta_forward against the same.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

Result run_dense(zeta_context *context, const Case &problem, Place place, uint64_t seed) {
    Random random(seed);
    const oracle::Shape &s = problem.shape;
    const Params params(problem);
    const Buffer q(problem.qk_type, q_shape(s), place, random, &problem.q);
    const Buffer k(problem.qk_type, k_shape(s), place, random, &problem.k);
    const Buffer v(problem.v_type, v_shape(s), place, random, &problem.v);
    const Buffer out(problem.v_type, out_shape(s), place, random);
    const Buffer normaliser(ZETA_F32, row_shape(s), place, random);
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.out = out.view();
    args.normaliser = normaliser.view();
    Result result;
    result.status = zeta_dense_forward(context, &params.c, &args);
    if (result.status != ZETA_OK) result.error = zeta_last_error();
    result.intact = q.unchanged() && k.unchanged() && v.unchanged() && out.gaps_intact() && normaliser.gaps_intact();
    result.out = out.floats();
    result.normaliser = normaliser.floats();
    return result;
}

} // namespace

TEST_CASE("dense: random cases") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 5; ++n) {
            Random random(settings().seed * 32452843 + static_cast<uint64_t>(n));
            const Case problem = random_case(random, n % 20 != 0);
            const Place places[] = {Place::plain, Place::scattered, Place::page_end, Place::page_start};
            const Result got = run_dense(context.get(), problem, places[n % 4], random());
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(got.error == "");
            CHECK(got.intact);
            const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
            CHECK(compare_rows(problem, got, selector.all_searchable()) == "");
        }
    }
}

TEST_CASE("dense: queries without any key, and no mean, are zeros") {
    const Context context = make_context(nullptr, 2);
    for (int score = 0; score < 5; ++score) {
        Case problem = plain_case(1, 2, 9, 3, 4, settings().seed);
        problem.options.score = static_cast<oracle::Score>(score);
        problem.options.first = 5; // keys before it are not searched, and nothing else is attended
        problem.options.local = 0;
        problem.options.mean = false;
        const Result got = run_dense(context.get(), problem, Place::page_end, 1);
        const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
        INFO(describe(problem));
        CHECK(got.error == "");
        CHECK(compare_rows(problem, got, selector.all_searchable()) == "");
        CHECK(std::count(got.out.begin(), got.out.begin() + 5 * 4, 0.0f) == 5 * 4);
    }
}

TEST_CASE("dense: with K >= M, exact, dot, gamma sqrt(dk), no mean, it is softmax attention") {
    const Context context = make_context(nullptr, 1);
    Case problem = plain_case(1, 1, 100, 4, 7, settings().seed);
    problem.options.score = oracle::Score::dot;
    problem.options.gamma = {2};
    problem.options.mean = false;
    problem.options.neighbours = 100;
    problem.options.exact = true;
    const Result got = run(context.get(), problem);
    const Result dense = run_dense(context.get(), problem, Place::plain, 1);
    for (size_t i = 0; i < 100; ++i) {
        for (size_t c = 0; c < 7; ++c) {
            double total = 0;
            double sum = 0;
            double reach = 0;
            for (size_t j = 0; j <= i; ++j) {
                double x = 0;
                for (size_t e = 0; e < 4; ++e) x += double{problem.q[i * 4 + e]} * double{problem.k[j * 4 + e]};
                total += std::exp(x / 2);
                sum += std::exp(x / 2) * double{problem.v[j * 7 + c]};
                reach = std::max(reach, std::fabs(double{problem.v[j * 7 + c]}));
            }
            CHECK(std::fabs(double{got.out[i * 7 + c]} - sum / total) <= 2e-6 * reach);
            CHECK(std::fabs(double{dense.out[i * 7 + c]} - sum / total) <= 2e-6 * reach);
        }
    }
}

// Promises 1 and 3. Equal keys weigh the same, and eight values are followed by their negatives: what is left of sums
// that end with a chunk is rounding alone, and shows any other order of the additions.
TEST_CASE("dense: the same bits for any number of threads and layout, on a prefix, and for the last queries") {
    const Context one = make_context(nullptr, 1);
    const Context three = make_context(nullptr, 3);
    for (int n = 0; n < 10; ++n) {
        Case problem = plain_case(1, 2, 400, 3, 1 + 9 * (n % 3), settings().seed + static_cast<uint64_t>(n));
        oracle::Shape &s = problem.shape;
        problem.options.score = static_cast<oracle::Score>(n % 5);
        problem.options.mean = false;
        std::fill(problem.k.begin(), problem.k.end(), 0.5f);
        Random random(settings().seed);
        const size_t d = static_cast<size_t>(s.dv);
        for (size_t at = 0; at < problem.v.size(); ++at) {
            problem.v[at] *= std::ldexp(1.0f, static_cast<int>(pick(random, -20, 20)));
            if (at / d % 400 % 16 >= 8) problem.v[at] = -problem.v[at - 8 * d];
        }
        const Result whole = run_dense(one.get(), problem, Place::plain, 1);
        const Result threads = run_dense(three.get(), problem, Place::scattered, 2);
        INFO(describe(problem));
        CHECK(same_bits(whole.out, threads.out));
        CHECK(same_bits(whole.normaliser, threads.normaliser));
        const int64_t keep = 145 + 16 * n; // queries; the first of the last 145 is alone in its block and ends a chunk
        for (const bool first : {true, false}) {
            Case part = problem;
            part.shape.queries = keep;
            part.shape.keys = first ? keep : s.keys;
            const auto rows = [&](const std::vector<float> &x, int64_t d, bool from_start) {
                std::vector<float> result;
                for (int64_t h = 0; h < 2; ++h) {
                    const auto begin = x.begin() + (h * 400 + (from_start ? 0 : 400 - keep)) * d;
                    result.insert(result.end(), begin, begin + keep * d);
                }
                return result;
            };
            part.q = rows(problem.q, s.dk, first);
            if (first) part.k = rows(problem.k, s.dk, true), part.v = rows(problem.v, s.dv, true);
            const Result got = run_dense(one.get(), part, Place::plain, 1);
            CHECK(same_bits(rows(whole.out, s.dv, first), got.out));
            CHECK(same_bits(rows(whole.normaliser, 1, first), got.normaliser));
        }
    }
}
