// SPDX-License-Identifier: Apache-2.0
// See check_call.hpp.
#include "check_call.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "api/check.hpp"
#include "status.hpp"

namespace unit {

using namespace zeta;
using namespace zeta::api;

zeta_tensor tensor(std::vector<char> &memory, int32_t dtype, std::initializer_list<int64_t> shape) {
    int64_t count = 1;
    for (int64_t extent : shape) count *= extent;
    memory.assign(static_cast<size_t>(count) * zeta_dtype_size(dtype), 0);
    return zeta_tensor_contiguous(memory.data(), dtype, static_cast<int32_t>(shape.size()), shape.begin());
}

Call::Call() {
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

void Call::pack() {
    for (zeta_tensor *t : {&q, &k, &v, &out, &normaliser, &neighbours, &grad_out, &grad_q, &grad_k, &grad_v})
        t->shape[0] = 1;
    params.sequences = 3;
    params.q_lengths = q_lengths;
    params.k_lengths = k_lengths;
}

zeta_status forward_status(Call &call) {
    return guarded([&] { check_forward(&call.params, &call.forward, nullptr, Purpose::run); });
}

zeta_status backward_status(Call &call) {
    return guarded([&] { check_backward(&call.params, &call.backward, nullptr, Purpose::run); });
}

void check_cases(const std::vector<Case> &cases, zeta_status (*status)(Call &)) {
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

} // namespace unit
