// SPDX-License-Identifier: Apache-2.0
// lib/api/check*: tensors and buffers of forward and backward calls. Every rule refuses with its status and a sentence
// that has the argument's name and the numbers.
#include "check_call.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "api/check.hpp"

using namespace unit;
using namespace zeta;
using namespace zeta::api;

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
    // each tensor's bytes can be counted, all that a call works with cannot
    CHECK(status({1 << 19, 1 << 19, 1 << 20, 3}, {1 << 19, 1 << 19, 1 << 20, 3}, 0) == ZETA_ERROR_SHAPE);
    CHECK(std::strstr(zeta_last_error(), "their product overflows") != nullptr);
    zeta_context_destroy(&context);
}
