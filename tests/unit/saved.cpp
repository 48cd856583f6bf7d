// SPDX-License-Identifier: Apache-2.0
// lib/saved: backward refuses what a forward call with other options or shapes saved, since the header differs.
#include "saved.hpp"

#include <doctest/doctest.h>

#include <functional>

using namespace zeta;

namespace {

const float kOne[] = {1, 1, 1, 1, 1, 1, 1, 1}, kOther[] = {1, 1, 1, 2, 1, 1, 1, 1}; // for 4 heads and dk 2
const int64_t kLengths[] = {4, 5}, kOtherLengths[] = {5, 4};

Problem some_problem() {
    Problem p;
    p.batches = 1;
    p.query_heads = p.key_heads = 4;
    p.queries = p.keys = 9;
    p.dk = 1;
    p.dv = 5;
    p.gamma = kOne;
    p.gamma_count = 4;
    p.grid.heads = 4;
    p.grid.scale = p.grid.lo = p.grid.hi = kOne;
    p.sequences = 2;
    p.q_lengths = p.k_lengths = kLengths;
    return p;
}

const std::function<void(Problem &)> kChanges[] = {
    [](Problem &p) { p.batches = 2; },
    [](Problem &p) { p.query_heads = 8; },
    [](Problem &p) { p.key_heads = 2; },
    [](Problem &p) { p.queries = 8; },
    [](Problem &p) { p.keys = 10; },
    [](Problem &p) { p.dk = 2; },
    [](Problem &p) { p.dv = 6; },
    [](Problem &p) { p.neighbours = 31; },
    [](Problem &p) { p.window = 64; },
    [](Problem &p) { p.exact = true; },
    [](Problem &p) { p.causal = false; },
    [](Problem &p) { p.mean = false; },
    [](Problem &p) { p.chunk = 2; },
    [](Problem &p) { p.local = 0; },
    [](Problem &p) { p.first = 1; },
    [](Problem &p) { p.score = ZETA_SCORE_DOT; },
    [](Problem &p) { p.gamma = kOther; },
    [](Problem &p) { p.gamma_count = 1; },
    [](Problem &p) { p.grid.kind = ZETA_GRID_RANGE; },
    [](Problem &p) { p.grid.scale = kOther; },
    [](Problem &p) { p.grid.lo = kOther; },
    [](Problem &p) { p.grid.hi = kOther; },
    [](Problem &p) { p.q_lengths = kOtherLengths; },
    [](Problem &p) { p.k_lengths = kOtherLengths; },
};

bool same(const SavedHeader &a, const SavedHeader &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

TEST_CASE("saved: the header is that of the call, and of no other") {
    const SavedHeader header = saved_header(some_problem(), false);
    CHECK(same(header, saved_header(some_problem(), false)));
    CHECK_FALSE(same(header, saved_header(some_problem(), true)));
    int n = 0;
    for (const auto &change : kChanges) {
        Problem other = some_problem();
        change(other);
        CAPTURE(n++);
        CHECK_FALSE(same(header, saved_header(other, false)));
    }
}
