// SPDX-License-Identifier: Apache-2.0
// zeta_select: the neighbours of zeta_forward, and their squared distances bit for bit.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

// Squared distances of the slots; a NaN is any NaN.
bool same_distances(const Case &problem, const std::vector<float> &got,
                    const std::vector<std::vector<int64_t>> &lists) {
    const oracle::Shape &s = problem.shape;
    const auto slots = static_cast<size_t>(problem.options.neighbours);
    size_t row = 0;
    for (const oracle::Query &query : oracle::queries(s)) {
        const int64_t first_key = (query.batch * s.key_heads + s.key_head(query.head)) * s.keys;
        for (size_t n = 0; n < slots; ++n) {
            float expected = std::numeric_limits<float>::infinity();
            if (n < lists[row].size())
                expected = oracle::squared_distance(problem.q.data() + static_cast<int64_t>(row) * s.dk,
                                                    problem.k.data() + (first_key + lists[row][n]) * s.dk, s.dk);
            const float value = got[row * slots + n];
            if (std::isnan(expected) ? !std::isnan(value) : !same_bits(&value, &expected, 1)) return false;
        }
        ++row;
    }
    return true;
}

} // namespace

TEST_CASE("select: neighbours and distances") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 3);
        for (int n = 0; n < settings().cases / 4; ++n) {
            Random random(settings().seed * 179424673 + static_cast<uint64_t>(n));
            const Case problem = random_case(random, n % 20 != 0);
            const oracle::Shape &s = problem.shape;
            const Place places[] = {Place::plain, Place::scattered, Place::page_end, Place::page_start};
            const Place place = places[n % 4];
            const Params params(problem);
            const Buffer q(problem.qk_type, q_shape(s), place, random, &problem.q);
            const Buffer k(problem.qk_type, k_shape(s), place, random, &problem.k);
            const Buffer neighbours(ZETA_I32, slot_shape(s, problem.options.neighbours), place, random);
            const Buffer distances(ZETA_F32, slot_shape(s, problem.options.neighbours), place, random);
            const bool both = n % 3 != 0;
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(zeta_select(context.get(), &params.c, q.view(), k.view(), neighbours.view(),
                              both ? distances.view() : nullptr) == ZETA_OK);
            const auto lists = oracle::Selector(s, problem.options, problem.q, problem.k).all_neighbours();
            CHECK(compare_neighbours(neighbours.integers(), lists, problem.options.neighbours) == "");
            CHECK(neighbours.gaps_intact());
            CHECK(distances.gaps_intact());
            if (both) CHECK(same_distances(problem, distances.floats(), lists));
        }
    }
}
