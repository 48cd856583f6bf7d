// SPDX-License-Identifier: Apache-2.0
// Checks of zeta_cache_params in field order, and the Shape they make: shapes and options with every default filled in,
// and copies of what the params point to.
#include <algorithm>

#include "../status.hpp"
#include "check_cache.hpp"
#include "check_params.hpp"

namespace zeta::api {
namespace {

using shown = long long; // for %lld

zeta_cache_params given_cache_params(const zeta_cache_params *params) {
    if (params != nullptr) {
        check_alignment("params", params, alignof(zeta_cache_params));
        check_struct_size("params", params->struct_size, sizeof *params);
        return *params;
    }
    zeta_cache_params defaults;
    zeta_cache_params_init(&defaults);
    return defaults;
}

zeta_attention_params given_attention(const zeta_attention_params *attention) {
    if (attention != nullptr) {
        check_alignment("attention", attention, alignof(zeta_attention_params));
        check_struct_size("attention", attention->struct_size, sizeof *attention);
        return *attention;
    }
    zeta_attention_params defaults;
    zeta_attention_params_init(&defaults);
    return defaults;
}

void check_least(const char *name, int64_t value) {
    if (value < 1) fail(ZETA_ERROR_SHAPE, "%s is %lld: must be at least 1", name, shown{value});
}

void check_most(const char *name, int64_t value, int64_t most) {
    check_least(name, value);
    if (value > most) fail(ZETA_ERROR_SHAPE, "%s is %lld: must be 1 to %lld", name, shown{value}, shown{most});
}

void check_cache_shapes(const zeta_cache_params &params) {
    check_least("batches", params.batches);
    check_least("query_heads", params.query_heads);
    if (params.key_heads < 0)
        fail(ZETA_ERROR_SHAPE, "key_heads is %lld: must be 0 (as query_heads) or a divisor of query_heads",
             shown{params.key_heads});
    if (params.key_heads != 0 && params.query_heads % params.key_heads != 0)
        fail(ZETA_ERROR_SHAPE, "query_heads is %lld but key_heads is %lld: query_heads must be a multiple of key_heads",
             shown{params.query_heads}, shown{params.key_heads});
    check_most("dk", params.dk, ZETA_MAX_DK);
    check_most("dv", params.dv, INT32_MAX);
    const int32_t type = params.value_type;
    if (type != ZETA_F32 && type != ZETA_BF16 && type != ZETA_F16 && type != ZETA_I8)
        fail(ZETA_ERROR_DTYPE, "value_type is %d: must be ZETA_F32 (%d), ZETA_BF16 (%d), ZETA_F16 (%d) or ZETA_I8 (%d)",
             static_cast<int>(type), ZETA_F32, ZETA_BF16, ZETA_F16, ZETA_I8);
    if (params.reserved != 0) fail(ZETA_ERROR_ARGUMENT, "reserved is %d: must be 0", static_cast<int>(params.reserved));
    if (params.capacity < 0 || params.capacity > ZETA_MAX_KEYS)
        fail(ZETA_ERROR_ARGUMENT, "capacity is %lld: must be 0 (unknown) to %d, the most keys of a sequence",
             shown{params.capacity}, ZETA_MAX_KEYS);
}

void check_unused_options(const zeta_attention_params &options) {
    if (options.sequences != 0)
        fail(ZETA_ERROR_ARGUMENT, "sequences is %lld: must be 0, a cache's sequences are its batches",
             shown{options.sequences});
    if (options.q_lengths != nullptr || options.k_lengths != nullptr)
        fail(ZETA_ERROR_ARGUMENT, "%s is given but must be NULL in a cache",
             options.q_lengths != nullptr ? "q_lengths" : "k_lengths");
    if (options.progress != nullptr) fail(ZETA_ERROR_ARGUMENT, "progress is given but must be NULL in a cache");
}

const float *keep(std::vector<float> &copy, const float *values, int64_t count) {
    if (values == nullptr) return nullptr;
    copy.assign(values, values + count);
    return copy.data();
}

// Instead of the caller's arrays.
void own_arrays(cache::Shape &shape) {
    Problem &problem = shape.problem;
    const int64_t count = problem.grid.heads == 0 ? 1 : problem.grid.heads * int64_t{problem.dk};
    problem.gamma = keep(shape.gamma, problem.gamma, problem.gamma_count);
    problem.grid.scale = keep(shape.scale, problem.grid.scale, count);
    problem.grid.lo = keep(shape.lo, problem.grid.lo, count);
    problem.grid.hi = keep(shape.hi, problem.grid.hi, count);
}

} // namespace

bool cache_is_countable(const Problem &problem, int64_t sequences) {
    int64_t bytes = int64_t{ZETA_MAX_KEYS} * 8;
    const int64_t channels = std::max({int64_t{problem.dk}, int64_t{problem.dv}, int64_t{problem.neighbours}});
    return !__builtin_mul_overflow(bytes, channels, &bytes) && !__builtin_mul_overflow(bytes, sequences, &bytes) &&
           !__builtin_mul_overflow(bytes, problem.query_heads, &bytes);
}

std::shared_ptr<const cache::Shape> check_cache_params(const zeta_cache_params *params) {
    const zeta_cache_params given = given_cache_params(params);
    check_cache_shapes(given);
    const zeta_attention_params options = given_attention(given.attention);
    auto shape = std::make_shared<cache::Shape>();
    Problem &problem = shape->problem;
    check_unused_options(options);
    problem = resolve_options(options);
    problem.batches = given.batches;
    problem.query_heads = given.query_heads;
    problem.key_heads = given.key_heads == 0 ? given.query_heads : given.key_heads;
    problem.dk = static_cast<int32_t>(given.dk);
    problem.dv = static_cast<int32_t>(given.dv);
    resolve_shaped_options(options, problem);
    if (!cache_is_countable(problem, problem.batches))
        fail(ZETA_ERROR_SHAPE, "batches is %lld, query_heads is %lld and dv is %lld: the bytes of so many overflow",
             shown{given.batches}, shown{given.query_heads}, shown{given.dv});
    own_arrays(*shape);
    shape->value_type = given.value_type;
    shape->capacity = given.capacity;
    return shape;
}

} // namespace zeta::api
