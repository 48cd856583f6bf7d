// SPDX-License-Identifier: Apache-2.0
// Promise 6: no byte outside the views is touched. Every tensor begins right after, or ends right before, an
// inaccessible page; scratch has exactly the queried size. A violation is a crash.
#include <doctest/doctest.h>

#include "cases.hpp"
#include "compare.hpp"

using namespace property;

TEST_CASE("safe: tensors pressed against inaccessible pages, awkward sizes, all types") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 1);
        int n = 0;
        for (const int64_t dk : {1, 2, 3, 4, 5, 7, 8, 32}) {
            for (const int64_t dv : {1, 3, 7, 16, 33, 65}) {
                ++n;
                Case problem = plain_case(1, 1, 1 + (n * 37) % 150, dk, dv, settings().seed);
                problem.qk_type = n % 3;
                problem.v_type = n / 3 % 3;
                problem.options.neighbours = 1 + n * 7 % 40;
                problem.options.score = static_cast<oracle::Score>(n % 5);
                problem.options.exact = n % 4 == 1;
                problem.options.window = n % 4 == 2 ? problem.options.neighbours * 3 + 1 : 0;
                problem.options.mean = n % 2 == 0;
                problem.options.local = n % 5;
                Random random(settings().seed + static_cast<uint64_t>(n));
                fill(problem, random, n % 7 == 0 ? Data::wild : Data::gaussian);
                for (const Place place : {Place::page_end, Place::page_start}) {
                    INFO(isa, " case ", n, ": ", describe(problem));
                    CHECK(compare(problem, run(context.get(), problem, {place, random(), true, true, true}), true) ==
                          "");
                }
            }
        }
    }
}

TEST_CASE("safe: random cases pressed against inaccessible pages") {
    for (const std::string &isa : instruction_sets()) {
        const Context context = make_context(isa.c_str(), 2);
        for (int n = 0; n < settings().cases / 4; ++n) {
            Random random(settings().seed * 122949823 + static_cast<uint64_t>(n));
            const Case problem = random_case(random, n % 20 != 0);
            const Place place = n % 2 == 0 ? Place::page_end : Place::page_start;
            INFO(isa, " case ", n, ": ", describe(problem));
            const Result got = run(context.get(), problem, {place, random(), true, true, n % 3 == 0});
            CHECK(got.error == "");
            CHECK(got.intact);
        }
    }
}

TEST_CASE("safe: tensors without elements") {
    const Context context = make_context(nullptr, 2);
    for (const bool causal : {true, false}) {
        for (int empty = 0; empty < 5; ++empty) {
            Case problem;
            problem.shape = {2, 2, 2, 4, 6, 3, 5};
            if (empty == 0) problem.shape.batches = 0;
            if (empty == 1) problem.shape.queries = 0;
            if (empty == 2) problem.shape.queries = problem.shape.keys = 0;
            if (empty == 3 && !causal) problem.shape.keys = 0;
            if (empty == 4) problem.shape.queries = 0, problem.shape.keys = 0, problem.shape.batches = 0;
            problem.options.causal = causal;
            problem.options.local = causal ? 1 : 0;
            Random random(1);
            fill(problem, random, Data::gaussian);
            INFO("variant ", empty, ": ", describe(problem));
            CHECK(compare(problem, run(context.get(), problem), true) == "");
        }
    }
}
