// SPDX-License-Identifier: Apache-2.0
// lib/api/check*: options of a call. Every rule refuses with its status and a sentence that has the option's name and
// the numbers; what is not given gets its default.
#include "check_call.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "api/check.hpp"

using namespace unit;
using namespace zeta;
using namespace zeta::api;

namespace {

const float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

} // namespace

TEST_CASE("options out of their ranges") {
    check_cases(
        {
            {ZETA_ERROR_STRUCT_SIZE, "params.struct_size is 7 but", [](Call &c) { c.params.struct_size = 7; }},
            {ZETA_ERROR_ARGUMENT, "neighbours is 0: must be 1 to 1024", [](Call &c) { c.params.neighbours = 0; }},
            {ZETA_ERROR_ARGUMENT, "neighbours is 1025", [](Call &c) { c.params.neighbours = 1025; }},
            {ZETA_ERROR_ARGUMENT, "window is 3 but neighbours is 4: window must be at least neighbours",
             [](Call &c) { c.params.window = 3; }},
            {ZETA_ERROR_ARGUMENT, "window is -1", [](Call &c) { c.params.window = -1; }},
            {ZETA_ERROR_ARGUMENT, "window is 65537", [](Call &c) { c.params.window = 65537; }},
            {ZETA_ERROR_ARGUMENT, "select is 2", [](Call &c) { c.params.select = 2; }},
            {ZETA_ERROR_ARGUMENT, "score is 5", [](Call &c) { c.params.score = 5; }},
            {ZETA_ERROR_ARGUMENT, "score is -1", [](Call &c) { c.params.score = -1; }},
            {ZETA_ERROR_ARGUMENT, "causal is 2", [](Call &c) { c.params.causal = 2; }},
            {ZETA_ERROR_ARGUMENT, "mean is -2", [](Call &c) { c.params.mean = -2; }},
            {ZETA_ERROR_ARGUMENT, "chunk is 0: must be at least 1", [](Call &c) { c.params.chunk = 0; }},
            {ZETA_ERROR_ARGUMENT, "local is -2", [](Call &c) { c.params.local = -2; }},
            {ZETA_ERROR_ARGUMENT, "local is 16777217", [](Call &c) { c.params.local = (1 << 24) + 1; }},
            {ZETA_ERROR_ARGUMENT, "local is 1 but causal is 0",
             [](Call &c) { c.params.causal = 0, c.params.local = 1; }},
            {ZETA_ERROR_ARGUMENT, "first is -1", [](Call &c) { c.params.first = -1; }},
        },
        forward_status);
}

TEST_CASE("gamma, grid and lengths") {
    const auto gamma = [](Call &c, float value) {
        c.params.gamma = c.gamma, c.params.gamma_count = H, c.gamma[2] = value;
    };
    const auto range = [](Call &c, float lo, float hi) {
        c.params.grid = {ZETA_GRID_RANGE, static_cast<int32_t>(G), nullptr, c.lo, c.hi};
        c.lo[4] = lo, c.hi[4] = hi;
    };
    check_cases(
        {
            {ZETA_ERROR_ARGUMENT, "gamma_count is 3: must be 1 or 4, the heads of q",
             [](Call &c) { c.params.gamma = c.gamma, c.params.gamma_count = 3; }},
            {ZETA_ERROR_ARGUMENT, "gamma is NULL but gamma_count is 1", [](Call &c) { c.params.gamma_count = 1; }},
            {ZETA_ERROR_ARGUMENT, "gamma_count is -1", [](Call &c) { c.params.gamma_count = -1; }},
            {ZETA_ERROR_ARGUMENT, "gamma_count is 0: must be 1 or 4", [](Call &c) { c.params.gamma = c.gamma; }},
            {ZETA_ERROR_ARGUMENT, "gamma[2] is 0", [=](Call &c) { gamma(c, 0.0f); }},
            {ZETA_ERROR_ARGUMENT, "gamma[2] is nan", [=](Call &c) { gamma(c, kNan); }},
            {ZETA_ERROR_ARGUMENT, "gamma[2] is 2.14748e+09", [=](Call &c) { gamma(c, 0x1p31f); }},
            {ZETA_ERROR_ARGUMENT, "gamma[2] is 4.65661e-10", [=](Call &c) { gamma(c, 0x1p-31f); }},
            {ZETA_ERROR_ARGUMENT, "gamma is 0x",
             [](Call &c) { c.params.gamma = reinterpret_cast<float *>(c.saved + 1), c.params.gamma_count = 1; }},
            {ZETA_ERROR_ARGUMENT, "grid.kind is 2", [](Call &c) { c.params.grid.kind = 2; }},
            {ZETA_ERROR_ARGUMENT, "grid.heads is 4: must be 0 or 2, the heads of k",
             [](Call &c) { c.params.grid.heads = H; }},
            {ZETA_ERROR_ARGUMENT, "grid.heads is -1", [](Call &c) { c.params.grid.heads = -1; }},
            {ZETA_ERROR_ARGUMENT, "grid.scale is 0: must be finite and above 0",
             [](Call &c) { c.params.grid.scale = c.scale, c.scale[0] = 0.0f; }},
            {ZETA_ERROR_ARGUMENT, "grid.scale[1][2] is inf",
             [](Call &c) { c.params.grid.heads = G, c.params.grid.scale = c.scale, c.scale[5] = kInfinity; }},
            {ZETA_ERROR_ARGUMENT, "grid.lo[1][1] is 2 but grid.hi[1][1] is 2", [=](Call &c) { range(c, 2, 2); }},
            {ZETA_ERROR_ARGUMENT, "grid.lo[1][1] is -inf", [=](Call &c) { range(c, -kInfinity, 2); }},
            {ZETA_ERROR_ARGUMENT, "grid.hi[1][1] is nan", [=](Call &c) { range(c, 0, kNan); }},
            {ZETA_ERROR_ARGUMENT, "hi - lo must be finite in float32", [=](Call &c) { range(c, -3e38f, 3e38f); }},
            {ZETA_ERROR_ARGUMENT, "grid.lo is 1 but grid.hi is 1",
             [](Call &c) { c.params.grid.kind = ZETA_GRID_RANGE, c.params.grid.lo = c.hi; }},
            {ZETA_ERROR_ARGUMENT, "sequences is -1", [](Call &c) { c.params.sequences = -1; }},
            {ZETA_ERROR_ARGUMENT, "q_lengths is NULL", [](Call &c) { c.params.sequences = 1; }},
            {ZETA_ERROR_ARGUMENT, "q_lengths is given but sequences is 0",
             [](Call &c) { c.params.q_lengths = c.q_lengths; }},
            {ZETA_ERROR_SHAPE, "sequences is 3 but q has 2 batches",
             [](Call &c) { c.params.sequences = 3, c.params.q_lengths = c.q_lengths; }},
            {ZETA_ERROR_SHAPE, "q_lengths[1] is -1", [](Call &c) { c.pack(), c.q_lengths[1] = -1; }},
            {ZETA_ERROR_SHAPE, "k_lengths[1] is -1", [](Call &c) { c.pack(), c.k_lengths[1] = -1; }},
            {ZETA_ERROR_SHAPE, "k_lengths[2] is 4 but q_lengths[2] is 5",
             [](Call &c) { c.pack(), c.k_lengths[2] = 4, c.k_lengths[0] = 5; }},
            {ZETA_ERROR_SHAPE, "k_lengths[2] is 16777217", [](Call &c) { c.pack(), c.k_lengths[2] = (1 << 24) + 1; }},
            {ZETA_ERROR_SHAPE, "q_lengths add up to 5 but q has 6", [](Call &c) { c.pack(), c.q_lengths[2] = 4; }},
            {ZETA_ERROR_SHAPE, "q_lengths[0] to q_lengths[2] add up to", [](Call &c) { c.pack(), c.q_lengths[2] = 6; }},
            {ZETA_ERROR_SHAPE, "k_lengths add up to 8 but k has 9", [](Call &c) { c.pack(), c.k_lengths[0] = 1; }},
            {ZETA_ERROR_SHAPE, "as q_lengths", [](Call &c) { c.pack(), c.params.k_lengths = nullptr; }},
        },
        forward_status);
}

TEST_CASE("defaults are filled in") {
    Call call;
    call.forward.neighbours = nullptr;
    const Problem causal = check_forward(nullptr, &call.forward, nullptr, Purpose::run).problem;
    CHECK(causal.neighbours == 32);
    CHECK(causal.window == 32);
    CHECK(causal.causal);
    CHECK(causal.mean);
    CHECK(causal.local == 1);
    CHECK(causal.chunk == 1);
    CHECK(causal.gamma_of(3) == 1.0f);
    CHECK(causal.batches == B);
    CHECK(causal.query_heads == H);
    CHECK(causal.key_heads == G);
    CHECK(causal.queries == N);
    CHECK(causal.keys == M);
    CHECK(causal.dk == D);
    CHECK(causal.dv == V);
    call.params.causal = 0;
    const Problem free = check_forward(&call.params, &call.forward, nullptr, Purpose::run).problem;
    CHECK_FALSE(free.mean);
    CHECK(free.local == 0);
    call.pack();
    call.q_lengths[2] = 5;
    const Problem packed = check_forward(&call.params, &call.forward, nullptr, Purpose::run).problem;
    CHECK(packed.sequences == 3);
    CHECK(packed.k_lengths == call.k_lengths);
}
