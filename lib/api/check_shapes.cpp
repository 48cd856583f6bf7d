// SPDX-License-Identifier: Apache-2.0
// Shapes of the tensors of an attention call against each other. Each sentence names the tensor, its whole shape and
// the tensor it disagrees with.
#include "check_shapes.hpp"

#include <algorithm>

#include "../status.hpp"

namespace zeta::api {
namespace {

void check_extents(const char *name, const zeta_tensor &tensor, const int64_t (&expected)[3],
                   const char *const (&meaning)[3]) {
    for (int axis = 0; axis < 3; ++axis) check_extent(name, tensor, axis, expected[axis], meaning[axis]);
}

} // namespace

void check_queries_and_keys(const zeta_tensor *q, const zeta_tensor *k, Purpose purpose, Problem &problem) {
    check_tensor({"q", 4, kFloating, Role::input}, q, purpose);
    if (q->shape[3] < 1 || q->shape[3] > ZETA_MAX_DK)
        fail(ZETA_ERROR_SHAPE, "q has shape %s: dk, its last extent, is %lld but must be 1 to %d", ShapeText(*q).text,
             static_cast<long long>(q->shape[3]), ZETA_MAX_DK);
    check_tensor({"k", 4, kFloating, Role::input}, k, purpose);
    check_same_type("k", *k, "q", *q);
    check_extent("k", *k, 0, q->shape[0], "the batches of q");
    check_extent("k", *k, 3, q->shape[3], "the dk of q");
    const int64_t query_heads = q->shape[1], key_heads = k->shape[1];
    if (key_heads == 0 ? query_heads != 0 : query_heads % key_heads != 0)
        fail(ZETA_ERROR_SHAPE, "q has %lld heads but k has %lld: the heads of q must be a multiple of those of k",
             static_cast<long long>(query_heads), static_cast<long long>(key_heads));
    problem.batches = q->shape[0];
    problem.query_heads = query_heads;
    problem.key_heads = key_heads;
    problem.queries = q->shape[2];
    problem.keys = k->shape[2];
    problem.dk = static_cast<int32_t>(q->shape[3]);
}

void check_values(const zeta_tensor *v, const zeta_tensor &k, Purpose purpose, Problem &problem) {
    check_tensor({"v", 4, kFloating, Role::input}, v, purpose);
    check_extents("v", *v, {k.shape[0], k.shape[1], k.shape[2]},
                  {"the batches of q", "the heads of k", "the positions of k"});
    if (v->shape[3] < 1 || v->shape[3] > INT32_MAX)
        fail(ZETA_ERROR_SHAPE, "v has shape %s: dv, its last extent, is %lld but must be 1 to %d", ShapeText(*v).text,
             static_cast<long long>(v->shape[3]), INT32_MAX);
    problem.dv = static_cast<int32_t>(v->shape[3]);
}

void check_query_shaped(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose, const Problem &problem,
                        const Channels &channels) {
    check_tensor(rule, tensor, purpose);
    check_extents(rule.name, *tensor, {problem.batches, problem.query_heads, problem.queries},
                  {"the batches of q", "the heads of q", "the positions of q"});
    if (rule.rank == 4) check_extent(rule.name, *tensor, 3, channels.count, channels.meaning);
}

void check_key_shaped(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose, const Problem &problem,
                      const Channels &channels) {
    check_tensor(rule, tensor, purpose);
    check_extents(rule.name, *tensor, {problem.batches, problem.key_heads, problem.keys},
                  {"the batches of q", "the heads of k", "the positions of k"});
    check_extent(rule.name, *tensor, 3, channels.count, channels.meaning);
}

void check_given(const zeta_tensor *given, Purpose purpose) {
    check_tensor({"neighbours", 4, kInt32, Role::input}, given, purpose);
    if (given->shape[3] < 1 || given->shape[3] > ZETA_MAX_NEIGHBOURS)
        fail(ZETA_ERROR_SHAPE, "neighbours has shape %s: K, its last extent, is %lld but must be 1 to %d",
             ShapeText(*given).text, static_cast<long long>(given->shape[3]), ZETA_MAX_NEIGHBOURS);
}

void resolve_given(const zeta_tensor &given, Problem &problem) {
    check_extents("neighbours", given, {problem.batches, problem.query_heads, problem.queries},
                  {"the batches of q", "the heads of q", "the positions of q"});
    problem.neighbours = problem.window = static_cast<int32_t>(given.shape[3]);
    problem.exact = false;
}

void check_products(const Problem &problem) {
    const int64_t channels =
        std::max({int64_t{problem.dk}, int64_t{problem.dv}, int64_t{problem.neighbours}, int64_t{1}}) * 8; // bytes
    int64_t bytes;
    if (__builtin_mul_overflow(std::max<int64_t>(problem.batches, 1), std::max<int64_t>(problem.query_heads, 1),
                               &bytes) ||
        __builtin_mul_overflow(bytes, std::max<int64_t>({problem.queries, problem.keys, 1}), &bytes) ||
        __builtin_mul_overflow(bytes, channels, &bytes))
        fail(ZETA_ERROR_SHAPE,
             "q and k have %lld batches, %lld heads, %lld and %lld positions: their product overflows",
             static_cast<long long>(problem.batches), static_cast<long long>(problem.query_heads),
             static_cast<long long>(problem.queries), static_cast<long long>(problem.keys));
}

} // namespace zeta::api
