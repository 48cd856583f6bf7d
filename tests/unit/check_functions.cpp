// SPDX-License-Identifier: Apache-2.0
// lib/api/check*: what is particular to given neighbours, dense attention, selection, recall and codes.
#include "check_call.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "api/check.hpp"
#include "status.hpp"

using namespace unit;
using namespace zeta;
using namespace zeta::api;

TEST_CASE("given neighbours") {
    Call call;
    zeta_tensor given = call.neighbours;
    const auto status = [&] {
        return guarded([&] {
            const Checked checked = check_forward(&call.params, &call.forward, &given, Purpose::run);
            check_neighbour_entries(checked.problem, checked.tensors.given);
        });
    };
    CHECK(status() == ZETA_ERROR_ARGUMENT); // args->neighbours is not NULL
    call.forward.neighbours = nullptr;
    call.params.neighbours = 7; // K comes from the tensor
    auto *entries = static_cast<int32_t *>(given.data);
    std::fill(entries, entries + B * H * N * K, -1);
    CHECK(status() == ZETA_OK);
    CHECK(check_forward(&call.params, &call.forward, &given, Purpose::run).problem.neighbours == K);
    // query 2 stands at 2 + (9 - 6) = 5 and may search 0..4
    int32_t *row = entries + ((1 * H + 3) * N + 2) * K;
    row[0] = 4, row[1] = 4, row[2] = 0;
    CHECK(status() == ZETA_OK);
    row[1] = 5;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    CHECK(std::string(zeta_last_error()) ==
          "neighbours[1][3][2][1] is 5: out of range, and this query may search 0 to 4");
    row[1] = -2;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    row[1] = -1;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    CHECK(std::strstr(zeta_last_error(), "[2] is 0: no key may follow an empty slot (-1)") != nullptr);
    row[0] = row[1] = row[2] = 3;
    call.params.first = 3;
    CHECK(status() == ZETA_OK);
    call.params.first = 4;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    call.params.first = INT64_MAX;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    call.params.first = 0;
    call.params.chunk = 4; // 4 * floor(5 / 4) = 4: up to 3
    CHECK(status() == ZETA_OK);
    row[0] = 4;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    call.params.causal = 0;
    row[0] = M - 1;
    CHECK(status() == ZETA_OK);
    row[0] = M;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    given.shape[3] = 1025;
    given.data = nullptr;
    CHECK(guarded([&] { check_forward(&call.params, &call.forward, &given, Purpose::size); }) == ZETA_ERROR_SHAPE);
}

TEST_CASE("given neighbours of packed sequences stay in their sequence") {
    Call call;
    call.pack();
    call.forward.neighbours = nullptr;
    zeta_tensor given = call.neighbours;
    auto *entries = static_cast<int32_t *>(given.data);
    std::fill(entries, entries + B * H * N * K, -1);
    const Problem problem = check_forward(&call.params, &call.forward, &given, Purpose::run).problem;
    View view;
    view.data = entries;
    view.batch_stride = H * N * K;
    view.head_stride = N * K;
    view.row_stride = K;
    const auto status = [&] { return guarded([&] { check_neighbour_entries(problem, view); }); };
    CHECK(status() == ZETA_OK);
    int32_t *row = entries + K; // query 0 of sequence 2: 5 queries, 7 keys in rows 2..8; it stands at 2
    row[0] = 2, row[1] = 3;
    CHECK(status() == ZETA_OK);
    row[1] = 1;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    row[1] = 4;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
}

TEST_CASE("dense attention takes no neighbours and saves nothing") {
    Call call;
    const auto status = [&] {
        return guarded([&] { check_dense_forward(&call.params, &call.forward, Purpose::run); });
    };
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    CHECK(std::string(zeta_last_error()) == "neighbours of args is given but must be NULL in zeta_dense_forward");
    call.forward.neighbours = nullptr;
    call.forward.saved = call.saved;
    CHECK(status() == ZETA_ERROR_ARGUMENT);
    call.forward.saved = nullptr;
    CHECK(status() == ZETA_OK);
}

TEST_CASE("selection and recall") {
    Call call;
    std::vector<char> memory;
    zeta_tensor distances = tensor(memory, ZETA_F32, {B, H, N, K});
    const auto select = [&](const zeta_tensor *n, const zeta_tensor *d) {
        return guarded([&] { check_select(&call.params, &call.q, &call.k, n, d, true); });
    };
    CHECK(select(&call.neighbours, &distances) == ZETA_OK);
    CHECK(select(&call.neighbours, nullptr) == ZETA_OK);
    CHECK(select(nullptr, &distances) == ZETA_ERROR_ARGUMENT);
    CHECK(select(&call.neighbours, &call.neighbours) == ZETA_ERROR_DTYPE);
    distances.data = call.neighbours.data;
    CHECK(select(&call.neighbours, &distances) == ZETA_ERROR_OVERLAP);
    double recall = 0;
    float heads[H];
    const auto recalled = [&](const double *r, const float *h) {
        return guarded([&] { check_recall(&call.params, &call.q, &call.k, r, h); });
    };
    CHECK(recalled(&recall, heads) == ZETA_OK);
    CHECK(recalled(&recall, nullptr) == ZETA_OK);
    CHECK(recalled(nullptr, heads) == ZETA_ERROR_ARGUMENT);
    CHECK(recalled(&recall, static_cast<float *>(call.k.data)) == ZETA_ERROR_OVERLAP);
    CHECK(recalled(&recall, reinterpret_cast<float *>(UINTPTR_MAX - 7)) == ZETA_ERROR_ARGUMENT);
    CHECK(std::strstr(zeta_last_error(), " and its size in bytes is 16: it ends past") != nullptr);
}

TEST_CASE("codes") {
    std::vector<char> memory[3];
    zeta_tensor x = tensor(memory[0], ZETA_F32, {B, H, N, D}), codes = tensor(memory[1], ZETA_U64, {B, H, N});
    zeta_tensor cells = tensor(memory[2], ZETA_I32, {B, H, N, D});
    zeta_grid grid{};
    const auto encode = [&] { return guarded([&] { check_encode(&grid, &x, &codes); }); };
    CHECK(encode() == ZETA_OK);
    CHECK(guarded([&] { check_encode(nullptr, &x, &codes); }) == ZETA_OK);
    CHECK(guarded([&] { check_cells(&grid, &x, &cells); }) == ZETA_OK);
    CHECK(guarded([&] { check_decode(&codes, &cells); }) == ZETA_OK);
    CHECK(guarded([&] { check_encode(&grid, &x, &cells); }) == ZETA_ERROR_SHAPE);
    CHECK(guarded([&] { check_encode(&grid, &x, nullptr); }) == ZETA_ERROR_ARGUMENT);
    grid.heads = 3;
    CHECK(encode() == ZETA_ERROR_ARGUMENT);
    CHECK(std::string(zeta_last_error()) == "grid.heads is 3 but x has 4 heads: they must be a multiple of grid.heads");
    grid.heads = 2;
    CHECK(encode() == ZETA_OK);
    codes.shape[2] = 5;
    CHECK(encode() == ZETA_ERROR_SHAPE);
    CHECK(guarded([&] { check_decode(&codes, &cells); }) == ZETA_ERROR_SHAPE);
}
