// SPDX-License-Identifier: Apache-2.0
// lib/api/check*: every rule refuses with its status and a sentence that has the argument's name and the numbers;
// accepted calls are resolved with their defaults.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "api/check.hpp"
#include "status.hpp"

using namespace zeta;
using namespace zeta::api;

namespace {

constexpr int64_t B = 2, H = 4, G = 2, N = 6, M = 9, D = 3, V = 5, K = 4;

zeta_tensor tensor(std::vector<char> &memory, int32_t dtype, std::initializer_list<int64_t> shape) {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    memory.assign(static_cast<size_t>(count) * zeta_dtype_size(dtype), 0);
    return zeta_tensor_contiguous(memory.data(), dtype, static_cast<int32_t>(shape.size()), shape.begin());
}

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

    Call() {
        zeta_attention_params_init(&params);
        params.neighbours = K;
        for (int i = 0; i < G * D; ++i) {
            scale[i] = 1.0f;
            lo[i] = -1.0f;
            hi[i] = 1.0f;
        }
        zeta_forward_args_init(&forward);
        forward.q = &q;
        forward.k = &k;
        forward.v = &v;
        forward.out = &out;
        forward.normaliser = &normaliser;
        forward.neighbours = &neighbours;
        zeta_backward_args_init(&backward);
        backward.q = &q;
        backward.k = &k;
        backward.v = &v;
        backward.grad_out = &grad_out;
        backward.grad_q = &grad_q;
        backward.grad_k = &grad_k;
        backward.grad_v = &grad_v;
        backward.grad_gamma = &grad_gamma;
    }
    void pack() {
        for (zeta_tensor *t : {&q, &k, &v, &out, &normaliser, &neighbours, &grad_out, &grad_q, &grad_k, &grad_v})
            t->shape[0] = 1;
        params.sequences = 3;
        params.q_lengths = q_lengths;
        params.k_lengths = k_lengths;
    }
};

struct Case {
    zeta_status status;
    const char *sentence; // a part of it
    std::function<void(Call &)> spoil;
};

zeta_status forward_status(Call &call) {
    return guarded([&] { check_forward(&call.params, &call.forward, nullptr, Purpose::run); });
}

zeta_status backward_status(Call &call) {
    return guarded([&] { check_backward(&call.params, &call.backward, nullptr, Purpose::run); });
}

template <class F> void check_cases(const std::vector<Case> &cases, F &&status) {
    for (const Case &c : cases) {
        Call call;
        c.spoil(call);
        set_last_error("none");
        CAPTURE(c.sentence);
        CHECK(std::string(zeta_status_name(status(call))) == zeta_status_name(c.status));
        CAPTURE(zeta_last_error());
        CHECK(std::strstr(zeta_last_error(), c.sentence) != nullptr);
    }
}

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
            {ZETA_ERROR_SHAPE, "q_lengths[0] to q_lengths[2] add up to",
             [](Call &c) { c.pack(), c.q_lengths[2] = 6; }},
            {ZETA_ERROR_SHAPE, "k_lengths add up to 8 but k has 9", [](Call &c) { c.pack(), c.k_lengths[0] = 1; }},
            {ZETA_ERROR_SHAPE, "as q_lengths", [](Call &c) { c.pack(), c.params.k_lengths = nullptr; }},
        },
        forward_status);
}

TEST_CASE("tensors of a forward call") {
    check_cases(
        {
            {ZETA_ERROR_STRUCT_SIZE, "args.struct_size is 0 but", [](Call &c) { c.forward.struct_size = 0; }},
            {ZETA_ERROR_ARGUMENT, "q is NULL", [](Call &c) { c.forward.q = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "k is NULL", [](Call &c) { c.forward.k = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "v is NULL", [](Call &c) { c.forward.v = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "out is NULL", [](Call &c) { c.forward.out = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "q.data is NULL", [](Call &c) { c.q.data = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "q.reserved is 1", [](Call &c) { c.q.reserved = 1; }},
            {ZETA_ERROR_ARGUMENT, "divisible by 4", [](Call &c) { c.v.data = static_cast<char *>(c.v.data) + 2; }},
            {ZETA_ERROR_SHAPE, "q has rank 3 but must have rank 4", [](Call &c) { c.q.rank = 3; }},
            {ZETA_ERROR_SHAPE, "q has rank -1", [](Call &c) { c.q.rank = -1; }},
            {ZETA_ERROR_SHAPE, "q has shape [2, 4, -6, 3]: extent 2 is negative", [](Call &c) { c.q.shape[2] = -6; }},
            {ZETA_ERROR_SHAPE, "its size in bytes overflows", [](Call &c) { c.q.shape[2] = INT64_MAX / 8; }},
            {ZETA_ERROR_SHAPE, "its size in bytes overflows",
             [](Call &c) { c.q.shape[0] = c.q.shape[1] = int64_t{1} << 40, c.q.shape[2] = 0; }},
            {ZETA_ERROR_SHAPE, "and stride 2305843009213693952 on axis 0: its size in bytes overflows",
             [](Call &c) { c.q.stride[0] = int64_t{1} << 61; }},
            {ZETA_ERROR_SHAPE, "ends past the address space",
             [](Call &c) { c.q.data = reinterpret_cast<void *>(~uintptr_t{0} - 15); }},
            {ZETA_ERROR_SHAPE, "dk, its last extent, is 33 but must be 1 to 32", [](Call &c) { c.q.shape[3] = 33; }},
            {ZETA_ERROR_SHAPE, "dk, its last extent, is 0", [](Call &c) { c.q.shape[3] = 0; }},
            {ZETA_ERROR_SHAPE, "extent 3 is 2 but must be 3, the dk of q", [](Call &c) { c.k.shape[3] = 2; }},
            {ZETA_ERROR_SHAPE, "extent 0 is 1 but must be 2, the batches of q", [](Call &c) { c.k.shape[0] = 1; }},
            {ZETA_ERROR_SHAPE, "q has 3 heads but k has 2", [](Call &c) { c.q.shape[1] = 3; }},
            {ZETA_ERROR_SHAPE, "q has 4 heads but k has 0", [](Call &c) { c.k.shape[1] = 0; }},
            {ZETA_ERROR_SHAPE, "k has 5 positions but q has 6", [](Call &c) { c.k.shape[2] = c.v.shape[2] = 5; }},
            {ZETA_ERROR_SHAPE, "k has 16777217 positions",
             [](Call &c) {
                 c.k.shape[2] = c.v.shape[2] = (1 << 24) + 1;
                 for (zeta_tensor *t : {&c.k, &c.v}) t->stride[0] = t->stride[1] = t->stride[2] = 0;
             }},
            {ZETA_ERROR_SHAPE, "v has shape [2, 2, 8, 5]: extent 2 is 8 but must be 9",
             [](Call &c) { c.v.shape[2] = 8; }},
            {ZETA_ERROR_SHAPE, "dv, its last extent, is 0", [](Call &c) { c.v.shape[3] = 0; }},
            {ZETA_ERROR_SHAPE, "out has shape [2, 4, 6, 4]: extent 3 is 4 but must be 5, the dv of v",
             [](Call &c) { c.out.shape[3] = 4; }},
            {ZETA_ERROR_SHAPE, "normaliser has shape [2, 4, 5]", [](Call &c) { c.normaliser.shape[2] = 5; }},
            {ZETA_ERROR_SHAPE, "neighbours has shape [2, 4, 6, 3]: extent 3 is 3 but must be 4, neighbours of params",
             [](Call &c) { c.neighbours.shape[3] = 3; }},
            {ZETA_ERROR_STRIDE, "q has stride 2 on its last axis", [](Call &c) { c.q.stride[3] = 2; }},
            {ZETA_ERROR_STRIDE, "q has stride 0 on its last axis", [](Call &c) { c.q.stride[3] = 0; }},
            {ZETA_ERROR_STRIDE, "k has the negative stride -3 on axis 2", [](Call &c) { c.k.stride[2] = -3; }},
            {ZETA_ERROR_STRIDE, "out has stride 0 on axis 1 of extent 4", [](Call &c) { c.out.stride[1] = 0; }},
            {ZETA_ERROR_STRIDE, "normaliser has stride 2 on its last axis",
             [](Call &c) { c.normaliser.stride[2] = 2; }},
            {ZETA_ERROR_DTYPE, "q has element type ZETA_I32", [](Call &c) { c.q.dtype = ZETA_I32; }},
            {ZETA_ERROR_DTYPE, "q.dtype is 5", [](Call &c) { c.q.dtype = 5; }},
            {ZETA_ERROR_DTYPE, "q.dtype is -1", [](Call &c) { c.q.dtype = -1; }},
            {ZETA_ERROR_DTYPE, "k has element type ZETA_F16 but q has ZETA_F32", [](Call &c) { c.k.dtype = ZETA_F16; }},
            {ZETA_ERROR_DTYPE, "out has element type ZETA_BF16 but v has", [](Call &c) { c.out.dtype = ZETA_BF16; }},
            {ZETA_ERROR_DTYPE, "normaliser has element type ZETA_F16", [](Call &c) { c.normaliser.dtype = ZETA_F16; }},
            {ZETA_ERROR_DTYPE, "neighbours has element type ZETA_F32", [](Call &c) { c.neighbours.dtype = ZETA_F32; }},
            {ZETA_ERROR_DEVICE, "k.device is 1 (ZETA_CUDA)", [](Call &c) { c.k.device = ZETA_CUDA; }},
            {ZETA_ERROR_DEVICE, "k.device is 9", [](Call &c) { c.k.device = 9; }},
        },
        forward_status);
}

TEST_CASE("memory that a forward call shares") {
    check_cases(
        {
            {ZETA_ERROR_OVERLAP, "out overlaps q", [](Call &c) { c.out.data = c.q.data; }},
            {ZETA_ERROR_OVERLAP, "out overlaps itself", [](Call &c) { c.out.stride[2] = 4; }},
            {ZETA_ERROR_OVERLAP, "normaliser overlaps out", [](Call &c) { c.normaliser.data = c.out.data; }},
            {ZETA_ERROR_OVERLAP, "neighbours overlaps k", [](Call &c) { c.neighbours.data = c.k.data; }},
            {ZETA_ERROR_OVERLAP, "out overlaps gamma",
             [](Call &c) {
                 c.params.gamma = static_cast<float *>(c.out.data), c.params.gamma_count = 1;
                 *static_cast<float *>(c.out.data) = 1;
             }},
            {ZETA_ERROR_OVERLAP, "saved overlaps v",
             [](Call &c) { c.forward.saved = c.v.data, c.forward.saved_size = 1; }},
            {ZETA_ERROR_OVERLAP, "scratch overlaps saved",
             [](Call &c) {
                 c.forward.saved = c.saved, c.forward.saved_size = sizeof c.saved;
                 c.forward.scratch = c.saved + 192, c.forward.scratch_size = 64;
             }},
            {ZETA_ERROR_ARGUMENT, "scratch is NULL but scratch_size is 64",
             [](Call &c) { c.forward.scratch_size = 64; }},
            {ZETA_ERROR_ARGUMENT, "saved is NULL but saved_size is 8", [](Call &c) { c.forward.saved_size = 8; }},
            {ZETA_ERROR_ARGUMENT, "past the address space",
             [](Call &c) { c.forward.scratch = c.scratch, c.forward.scratch_size = SIZE_MAX; }},
        },
        forward_status);
}

TEST_CASE("tensors of a backward call") {
    check_cases(
        {
            {ZETA_ERROR_STRUCT_SIZE, "args.struct_size is 1 but", [](Call &c) { c.backward.struct_size = 1; }},
            {ZETA_ERROR_ARGUMENT, "grad_out is NULL", [](Call &c) { c.backward.grad_out = nullptr; }},
            {ZETA_ERROR_ARGUMENT, "are all NULL",
             [](Call &c) {
                 c.backward.grad_q = c.backward.grad_k = c.backward.grad_v = c.backward.grad_gamma = nullptr;
             }},
            {ZETA_ERROR_SHAPE, "grad_out has shape", [](Call &c) { c.grad_out.shape[3] = 4; }},
            {ZETA_ERROR_SHAPE, "grad_q has shape", [](Call &c) { c.grad_q.shape[2] = 5; }},
            {ZETA_ERROR_SHAPE, "grad_k has shape", [](Call &c) { c.grad_k.shape[1] = 1; }},
            {ZETA_ERROR_SHAPE, "grad_v has shape", [](Call &c) { c.grad_v.shape[3] = 1; }},
            {ZETA_ERROR_SHAPE, "grad_gamma has shape [3]: extent 0 is 3 but must be 4, the heads of q",
             [](Call &c) { c.grad_gamma.shape[0] = 3; }},
            {ZETA_ERROR_DTYPE, "grad_out has element type ZETA_F16 but v has",
             [](Call &c) { c.grad_out.dtype = ZETA_F16; }},
            {ZETA_ERROR_DTYPE, "grad_q has element type ZETA_F16 but q has",
             [](Call &c) { c.grad_q.dtype = ZETA_F16; }},
            {ZETA_ERROR_DTYPE, "grad_gamma has element type", [](Call &c) { c.grad_gamma.dtype = ZETA_F16; }},
            {ZETA_ERROR_STRIDE, "grad_v has stride 0", [](Call &c) { c.grad_v.stride[0] = 0; }},
            {ZETA_ERROR_OVERLAP, "grad_k overlaps grad_out", [](Call &c) { c.grad_k.data = c.grad_out.data; }},
            {ZETA_ERROR_OVERLAP, "saved overlaps grad_q",
             [](Call &c) { c.backward.saved = c.grad_q.data, c.backward.saved_size = 4; }},
        },
        backward_status);
    Call call;
    call.backward.saved = call.q.data; // both are read: no conflict
    call.backward.saved_size = 4;
    CHECK(backward_status(call) == ZETA_OK);
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

TEST_CASE("a view without elements needs neither data nor strides") {
    Call call;
    for (zeta_tensor *t : {&call.q, &call.out, &call.neighbours}) t->shape[2] = 0, t->data = nullptr, t->stride[3] = 7;
    call.normaliser.shape[2] = 0;
    const Checked checked = check_forward(&call.params, &call.forward, nullptr, Purpose::run);
    CHECK(checked.tensors.q.present());
    CHECK(checked.tensors.out.present());
    CHECK(checked.tensors.out.row_stride == 0);
    CHECK_FALSE(checked.tensors.grad_q.present());
}

TEST_CASE("a size query looks at no data") {
    Call call;
    for (zeta_tensor *t : {&call.q, &call.k, &call.v, &call.out, &call.normaliser, &call.neighbours}) t->data = nullptr;
    CHECK(check_forward(&call.params, &call.forward, nullptr, Purpose::size).tensors.normaliser.present());
    CHECK(forward_status(call) == ZETA_ERROR_ARGUMENT);
}

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

// Only shapes are looked at, so that tensors may be larger than any memory.
TEST_CASE("sizes beyond all bounds") {
    zeta_context *context = nullptr;
    REQUIRE(zeta_context_create(&context, nullptr) == ZETA_OK);
    const auto status = [&](std::array<int64_t, 4> q, std::array<int64_t, 4> k, int64_t packed) {
        const int64_t v_shape[] = {k[0], k[1], k[2], 1}, out_shape[] = {q[0], q[1], q[2], 1};
        const zeta_tensor q_view = zeta_tensor_contiguous(nullptr, ZETA_F32, 4, q.data()),
                          k_view = zeta_tensor_contiguous(nullptr, ZETA_F32, 4, k.data()),
                          v_view = zeta_tensor_contiguous(nullptr, ZETA_F32, 4, v_shape),
                          out_view = zeta_tensor_contiguous(nullptr, ZETA_F32, 4, out_shape);
        zeta_attention_params params;
        zeta_attention_params_init(&params);
        if (packed > 0) params.sequences = 1, params.q_lengths = &q[2], params.k_lengths = &packed;
        zeta_forward_args args;
        zeta_forward_args_init(&args);
        args.q = &q_view, args.k = &k_view, args.v = &v_view, args.out = &out_view;
        size_t size = 1;
        const zeta_status result = zeta_forward_scratch_size(context, &params, &args, &size);
        CHECK(size == 0);
        CHECK(zeta_last_error()[0] != '\0');
        return result;
    };
    constexpr int64_t huge = int64_t{1} << 33;
    CHECK(status({1, 1, 1, 3}, {1, 1, ZETA_MAX_KEYS + 1, 3}, 0) == ZETA_ERROR_SHAPE);
    CHECK(status({1, 1, 1, 3}, {1, 1, huge, 3}, huge) == ZETA_ERROR_SHAPE);
    CHECK(status({huge, huge, huge, 3}, {huge, huge, huge, 3}, 0) == ZETA_ERROR_SHAPE);
    CHECK(status({1 << 20, 1 << 20, 1 << 20, 3}, {1 << 20, 1 << 20, 1 << 20, 3}, 0) == ZETA_ERROR_SHAPE);
    zeta_context_destroy(&context);
}
