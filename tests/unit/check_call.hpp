// SPDX-License-Identifier: Apache-2.0
// A legal call of each kind, for the tests of lib/api/check*: each spoils one thing and compares status and sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <vector>

#include "zeta/zeta.h"

namespace unit {

constexpr int64_t B = 2, H = 4, G = 2, N = 6, M = 9, D = 3, V = 5, K = 4;

// A contiguous view of zeros, which `memory` holds.
zeta_tensor tensor(std::vector<char> &memory, int32_t dtype, std::initializer_list<int64_t> shape);

// A legal call of each kind; a test case spoils one thing.
struct Call {
    std::vector<char> memory[12];
    zeta_tensor q = tensor(memory[0], ZETA_F32, {B, H, N, D}), k = tensor(memory[1], ZETA_F32, {B, G, M, D});
    zeta_tensor v = tensor(memory[2], ZETA_F32, {B, G, M, V}), out = tensor(memory[3], ZETA_F32, {B, H, N, V});
    zeta_tensor normaliser = tensor(memory[4], ZETA_F32, {B, H, N});
    zeta_tensor neighbours = tensor(memory[5], ZETA_I32, {B, H, N, K});
    zeta_tensor grad_out = tensor(memory[6], ZETA_F32, {B, H, N, V}),
                grad_q = tensor(memory[7], ZETA_F32, {B, H, N, D});
    zeta_tensor grad_k = tensor(memory[8], ZETA_F32, {B, G, M, D}), grad_v = tensor(memory[9], ZETA_F32, {B, G, M, V});
    zeta_tensor grad_gamma = tensor(memory[10], ZETA_F32, {H});
    alignas(64) char saved[256], scratch[256];
    float gamma[H] = {1, 2, 3, 4}, scale[G * D], lo[G * D], hi[G * D];
    int64_t q_lengths[3] = {1, 0, 5}, k_lengths[3] = {2, 0, 7};
    zeta_attention_params params;
    zeta_forward_args forward;
    zeta_backward_args backward;

    Call();
    void pack(); // three packed sequences
};

struct Case {
    zeta_status status;
    const char *sentence; // a part of it
    std::function<void(Call &)> spoil;
};

// What the checks of zeta_forward and zeta_backward say.
zeta_status forward_status(Call &call);
zeta_status backward_status(Call &call);

// Each case spoils a call of its own.
void check_cases(const std::vector<Case> &cases, zeta_status (*status)(Call &));

} // namespace unit
