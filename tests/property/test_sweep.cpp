// SPDX-License-Identifier: Apache-2.0
// Promises 4 and 6 over the whole range of options: random cases, forward and backward, against the oracle, on every
// instruction set, in scattered memory whose gaps must survive.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

namespace {

void sweep(bool small, int count, uint64_t salt) {
    const std::vector<std::string> sets = instruction_sets();
    std::vector<Context> contexts;
    for (const std::string &isa : sets) {
        for (const int32_t threads : {1, 3}) contexts.push_back(make_context(isa.c_str(), threads));
    }
    for (int n = 0; n < count; ++n) {
        Random random(settings().seed * 1000003 + salt + static_cast<uint64_t>(n));
        const Case problem = random_case(random, small);
        Run how;
        how.place = n % 4 == 0 ? Place::plain : Place::scattered;
        how.seed = random();
        how.given_memory = n % 3 == 0;
        // Every set against the oracle in turn; then all sets must agree on the neighbours.
        const size_t turn = static_cast<size_t>(n) % contexts.size();
        const Result first = run(contexts[turn].get(), problem, how);
        INFO("case ", n, " on ", zeta_context_isa(contexts[turn].get()), ": ", describe(problem));
        CHECK(compare(problem, first, true) == "");
        for (size_t other = 0; other < contexts.size(); other += 2) {
            const Result result = run(contexts[other].get(), problem, how);
            INFO("on ", zeta_context_isa(contexts[other].get()));
            CHECK(result.status == first.status);
            CHECK(result.neighbours == first.neighbours);
            CHECK(result.intact);
        }
    }
}

} // namespace

TEST_CASE("sweep: small cases") {
    sweep(true, settings().cases, 0);
}

TEST_CASE("sweep: one head of up to 2,000 rows") {
    sweep(false, std::max(1, settings().cases / 25), 1u << 20);
}

// Nothing but the mean is attended. Large integers cancel and leave small ones, which sums in float32 would have lost.
TEST_CASE("sweep: means of values that cancel") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < 4; ++n) {
            Random random(settings().seed * 15487469 + static_cast<uint64_t>(n));
            Case problem = plain_case(1, 1, 1700, 3, n % 2 == 0 ? 5 : 70, random());
            problem.options.first = problem.shape.keys;
            problem.options.local = 0;
            problem.options.causal = n < 2;
            problem.options.mean = true;
            const int64_t dv = problem.shape.dv;
            for (int64_t at = 0; at < 1700 * dv; ++at) {
                float &x = problem.v[static_cast<size_t>(at)];
                x = static_cast<float>(pick(random, 1, 1 << 23));
                if (at / dv % 1024 >= 512) x = -problem.v[static_cast<size_t>(at - 512 * dv)];
                if (at / dv >= 1024) x = static_cast<float>(pick(random, 1, 9));
            }
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, false) == "");
        }
    }
}

// Weights of a row sum to 1 but for rounding, and products with the smallest numbers lose their last bits: neither may
// show in a sum.
TEST_CASE("sweep: values that are all the largest, or all among the smallest") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 40; ++n) {
            Random random(settings().seed * 15487469 + static_cast<uint64_t>(n));
            Case problem = plain_case(1, 1, 150, 3, 1 + n, random());
            problem.options.score = static_cast<oracle::Score>(n % 5);
            problem.options.mean = n % 3 == 0;
            problem.options.local = n % 4 == 0 ? 100 : 1;
            for (float &x : problem.v)
                x = n % 2 == 0 ? FLT_MAX : std::ldexp(static_cast<float>(pick(random, 1, 100)), -149);
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, false) == "");
            CHECK(std::all_of(got.out.begin(), got.out.end(), [](float x) { return std::isfinite(x); }));
        }
    }
}

// Which of several NaN comes of an addition is the compiler's choice, and another in decode.
TEST_CASE("sweep: a NaN has the same bits wherever it comes from") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 20; ++n) {
            Random random(settings().seed * 15487469 + static_cast<uint64_t>(n));
            Case problem = plain_case(1, 1, 150, 3, 20, random());
            problem.options.score = static_cast<oracle::Score>(n % 5);
            problem.options.mean = n % 2 == 0;
            problem.options.local = n % 4 == 0 ? 100 : 1;
            fill(problem, random, Data::wild);
            for (float &x : problem.v) x = pick(random, 0, 1) == 0 ? -x : x; // of NaN, too
            const Result got = run(context.get(), problem);
            INFO(isa, " case ", n, ": ", describe(problem));
            const float one = std::numeric_limits<float>::quiet_NaN();
            for (const std::vector<float> *x : {&got.out, &got.normaliser})
                CHECK(std::all_of(x->begin(), x->end(), [&](const float &value) {
                    return !std::isnan(value) || same_bits(&value, &one, 1);
                }));
        }
    }
}

// Equal weights and equal values: errors of a running sum all have one sign.
TEST_CASE("sweep: local windows of up to 2^17 positions") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        for (int n = 0; n < 6; ++n) {
            Random random(settings().seed * 15487469 + static_cast<uint64_t>(n));
            Case problem;
            problem.shape = {1, 1, 1, 1, n < 3 ? 1 << 14 : 1 << 17, 1, 2};
            problem.options.local = problem.shape.keys;
            problem.options.score = static_cast<oracle::Score>(n % 3);
            problem.options.mean = n % 2 == 0;
            fill(problem, random, Data::equal);
            const std::vector<float> value = draw(random, Data::gaussian, 1, 2);
            for (size_t at = 0; at < problem.v.size(); ++at) problem.v[at] = value[at % 2];
            Run how;
            how.backward = false;
            const Result got = run(context.get(), problem, how);
            INFO(isa, " case ", n, ": ", describe(problem));
            CHECK(compare(problem, got, false) == "");
        }
    }
}
