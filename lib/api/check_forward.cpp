// SPDX-License-Identifier: Apache-2.0
// The door of the forward calls, in argument order: params, given neighbours, then the fields of args, then what they
// share of memory.
#include "../status.hpp"
#include "check_params.hpp"
#include "check_shapes.hpp"

namespace zeta::api {
namespace {

// zeta_dense_forward and zeta_attend_neighbours take less than zeta_forward.
void check_unused(const char *name, const void *pointer, const char *call) {
    if (pointer != nullptr) fail(ZETA_ERROR_ARGUMENT, "%s is given but must be NULL in %s", name, call);
}

void check_memory(const Checked &checked, const zeta_tensor *given, const zeta_forward_args &args) {
    check_buffer("saved", args.saved, "saved_size", args.saved_size);
    check_alignment("saved", args.saved, alignof(uint32_t));
    check_buffer("scratch", args.scratch, "scratch_size", args.scratch_size);
    Overlaps overlaps;
    add_params_inputs(overlaps, checked.problem);
    overlaps.input("neighbours", given);
    overlaps.input("q", args.q);
    overlaps.input("k", args.k);
    overlaps.input("v", args.v);
    overlaps.output("out", args.out);
    overlaps.output("normaliser", args.normaliser);
    overlaps.output("neighbours", args.neighbours);
    overlaps.output("saved", args.saved, args.saved_size);
    overlaps.output("scratch", args.scratch, args.scratch_size);
}

void check_outputs(const zeta_forward_args &args, Purpose purpose, const Problem &problem) {
    check_query_shaped({"out", 4, kFloating, Role::output}, args.out, purpose, problem, {problem.dv, "the dv of v"});
    check_same_type("out", *args.out, "v", *args.v);
    if (args.normaliser != nullptr)
        check_query_shaped({"normaliser", 3, kFloat32, Role::output}, args.normaliser, purpose, problem, {});
    if (args.neighbours != nullptr)
        check_query_shaped({"neighbours", 4, kInt32, Role::output}, args.neighbours, purpose, problem,
                           {problem.neighbours, "neighbours of params"});
}

void check_args(const zeta_forward_args *args) {
    check_pointer("args", args, alignof(zeta_forward_args));
    check_struct_size("args", args->struct_size, sizeof *args);
}

} // namespace

Checked check_forward(const zeta_attention_params *params, const zeta_forward_args *args, const zeta_tensor *given,
                      Purpose purpose) {
    const zeta_attention_params options = given_params(params);
    Checked checked{resolve_options(options), {}};
    Problem &problem = checked.problem;
    if (given != nullptr) check_given(given, purpose);
    check_args(args);
    check_queries_and_keys(args->q, args->k, purpose, problem);
    check_values(args->v, *args->k, purpose, problem);
    if (given != nullptr) {
        check_unused("neighbours of args", args->neighbours, "zeta_attend_neighbours");
        resolve_given(*given, problem);
    }
    check_outputs(*args, purpose, problem);
    resolve_shaped_options(options, problem);
    check_products(problem);
    if (purpose == Purpose::run) check_memory(checked, given, *args);

    Tensors &tensors = checked.tensors;
    tensors.q = make_view(args->q);
    tensors.k = make_view(args->k);
    tensors.v = make_view(args->v);
    tensors.out = make_view(args->out);
    tensors.normaliser = make_view(args->normaliser);
    tensors.neighbours = make_view(args->neighbours);
    tensors.given = make_view(given);
    tensors.saved = args->saved;
    return checked;
}

Checked check_dense_forward(const zeta_attention_params *params, const zeta_forward_args *args, Purpose purpose) {
    resolve_options(given_params(params)); // argument order: params come first
    check_args(args);
    check_unused("neighbours of args", args->neighbours, "zeta_dense_forward");
    check_unused("saved", args->saved, "zeta_dense_forward");
    return check_forward(params, args, nullptr, purpose);
}

} // namespace zeta::api
