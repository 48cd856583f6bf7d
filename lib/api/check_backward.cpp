// SPDX-License-Identifier: Apache-2.0
// The door of the backward calls, in argument order: params, given neighbours, then the fields of args, then what they
// share of memory.
#include "../status.hpp"
#include "check_params.hpp"
#include "check_shapes.hpp"

namespace zeta::api {
namespace {

void check_grad_gamma(const zeta_tensor *grad_gamma, Purpose purpose, const Problem &problem) {
    check_tensor({"grad_gamma", 1, kFloat32, Role::output}, grad_gamma, purpose);
    check_extent("grad_gamma", *grad_gamma, 0, problem.query_heads, "the heads of q");
}

void check_gradients(const zeta_backward_args &args, Purpose purpose, const Problem &problem) {
    const Channels dk{problem.dk, "the dk of q"}, dv{problem.dv, "the dv of v"};
    check_query_shaped({"grad_out", 4, kFloating, Role::input}, args.grad_out, purpose, problem, dv);
    check_same_type("grad_out", *args.grad_out, "v", *args.v);
    if (args.grad_q != nullptr) {
        check_query_shaped({"grad_q", 4, kFloating, Role::output}, args.grad_q, purpose, problem, dk);
        check_same_type("grad_q", *args.grad_q, "q", *args.q);
    }
    if (args.grad_k != nullptr) {
        check_key_shaped({"grad_k", 4, kFloating, Role::output}, args.grad_k, purpose, problem, dk);
        check_same_type("grad_k", *args.grad_k, "k", *args.k);
    }
    if (args.grad_v != nullptr) {
        check_key_shaped({"grad_v", 4, kFloating, Role::output}, args.grad_v, purpose, problem, dv);
        check_same_type("grad_v", *args.grad_v, "v", *args.v);
    }
    if (args.grad_gamma != nullptr) check_grad_gamma(args.grad_gamma, purpose, problem);
    if (args.grad_q == nullptr && args.grad_k == nullptr && args.grad_v == nullptr && args.grad_gamma == nullptr)
        fail(ZETA_ERROR_ARGUMENT, "grad_q, grad_k, grad_v and grad_gamma are all NULL: at least one must be given");
}

void check_memory(const Checked &checked, const zeta_tensor *given, const zeta_backward_args &args) {
    check_buffer("saved", args.saved, "saved_size", args.saved_size);
    check_alignment("saved", args.saved, alignof(uint32_t));
    check_buffer("scratch", args.scratch, "scratch_size", args.scratch_size);
    Overlaps overlaps;
    add_params_inputs(overlaps, checked.problem);
    overlaps.input("neighbours", given);
    overlaps.input("q", args.q);
    overlaps.input("k", args.k);
    overlaps.input("v", args.v);
    overlaps.input("grad_out", args.grad_out);
    overlaps.output("grad_q", args.grad_q);
    overlaps.output("grad_k", args.grad_k);
    overlaps.output("grad_v", args.grad_v);
    overlaps.output("grad_gamma", args.grad_gamma);
    overlaps.input("saved", args.saved, args.saved_size);
    overlaps.output("scratch", args.scratch, args.scratch_size);
}

} // namespace

Checked check_backward(const zeta_attention_params *params, const zeta_backward_args *args, const zeta_tensor *given,
                       Purpose purpose) {
    const zeta_attention_params options = given_params(params);
    Checked checked{resolve_options(options), {}};
    Problem &problem = checked.problem;
    if (given != nullptr) check_given(given, purpose);
    check_pointer("args", args, alignof(zeta_backward_args));
    check_struct_size("args", args->struct_size, sizeof *args);
    check_queries_and_keys(args->q, args->k, purpose, problem);
    check_values(args->v, *args->k, purpose, problem);
    if (given != nullptr) resolve_given(*given, problem);
    check_gradients(*args, purpose, problem);
    resolve_shaped_options(options, problem);
    check_products(problem);
    if (purpose == Purpose::run) check_memory(checked, given, *args);

    Tensors &tensors = checked.tensors;
    tensors.q = make_view(args->q);
    tensors.k = make_view(args->k);
    tensors.v = make_view(args->v);
    tensors.given = make_view(given);
    tensors.grad_out = make_view(args->grad_out);
    tensors.grad_q = make_view(args->grad_q);
    tensors.grad_k = make_view(args->grad_k);
    tensors.grad_v = make_view(args->grad_v);
    tensors.grad_gamma = make_view(args->grad_gamma);
    tensors.saved = const_cast<void *>(args->saved);
    return checked;
}

} // namespace zeta::api
