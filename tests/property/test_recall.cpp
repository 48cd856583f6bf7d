// SPDX-License-Identifier: Apache-2.0
// Promise 5: zeta_recall says what the oracle says.
#include <doctest/doctest.h>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

TEST_CASE("honest: recall equals the oracle's, per head and in the mean") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 5; ++n) {
            Random random(settings().seed * 160481183 + static_cast<uint64_t>(n));
            const Case problem = random_case(random, n % 20 != 0);
            const oracle::Shape &s = problem.shape;
            const Params params(problem);
            const Buffer q(problem.qk_type, q_shape(s), Place::scattered, random, &problem.q);
            const Buffer k(problem.qk_type, k_shape(s), Place::scattered, random, &problem.k);
            double recall = -1;
            std::vector<float> per_head(static_cast<size_t>(s.heads), -1);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(zeta_recall(context.get(), &params.c, q.view(), k.view(), &recall, per_head.data()) == ZETA_OK);
            const std::vector<double> expected = oracle::Selector(s, problem.options, problem.q, problem.k).recall();
            double mean = 0;
            for (size_t h = 0; h < expected.size(); ++h) {
                CHECK(double{per_head[h]} == doctest::Approx(expected[h]).epsilon(1e-6));
                mean += expected[h] / static_cast<double>(expected.size());
            }
            CHECK(recall == doctest::Approx(mean).epsilon(1e-6));
        }
    }
}
