// SPDX-License-Identifier: Apache-2.0
// zeta_dense_forward against the oracle over all allowed keys; and with K >= M, zeta_forward against the same.
#include <doctest/doctest.h>

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
