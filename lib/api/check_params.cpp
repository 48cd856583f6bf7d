// SPDX-License-Identifier: Apache-2.0
// Checks of zeta_attention_params in field order: first what stands on its own, then gamma, grid and lengths against
// the shapes of the tensors (spec sections 1 and 3).
#include "check_params.hpp"

#include <cmath>

#include "../status.hpp"

namespace zeta::api {
namespace {

constexpr int64_t kMaxRows = INT32_MAX; // neighbours are int32
constexpr float kMinGamma = 0x1p-30f, kMaxGamma = 0x1p30f;

using shown = long long; // for %lld

void check_range(const char *name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
        fail(ZETA_ERROR_ARGUMENT, "%s is %lld: must be %lld to %lld", name, shown{value}, shown{low}, shown{high});
}

void check_selection(const zeta_attention_params &params) {
    check_range("neighbours", params.neighbours, 1, ZETA_MAX_NEIGHBOURS);
    if (params.window != 0 && (params.window < 0 || params.window > ZETA_MAX_WINDOW))
        fail(ZETA_ERROR_ARGUMENT, "window is %d: must be 0 (as neighbours) or neighbours to %d",
             static_cast<int>(params.window), ZETA_MAX_WINDOW);
    if (params.window != 0 && params.window < params.neighbours)
        fail(ZETA_ERROR_ARGUMENT, "window is %d but neighbours is %d: window must be at least neighbours",
             static_cast<int>(params.window), static_cast<int>(params.neighbours));
    if (params.select != ZETA_SELECT_WINDOW && params.select != ZETA_SELECT_EXACT)
        fail(ZETA_ERROR_ARGUMENT, "select is %d: must be ZETA_SELECT_WINDOW (%d) or ZETA_SELECT_EXACT (%d)",
             static_cast<int>(params.select), ZETA_SELECT_WINDOW, ZETA_SELECT_EXACT);
    if (params.score < ZETA_SCORE_CAUCHY || params.score > ZETA_SCORE_DOT)
        fail(ZETA_ERROR_ARGUMENT, "score is %d: must be ZETA_SCORE_CAUCHY (%d) to ZETA_SCORE_DOT (%d)",
             static_cast<int>(params.score), ZETA_SCORE_CAUCHY, ZETA_SCORE_DOT);
}

void check_history(const zeta_attention_params &params) {
    if (params.causal != 0 && params.causal != 1)
        fail(ZETA_ERROR_ARGUMENT, "causal is %d: must be 0 or 1", static_cast<int>(params.causal));
    if (params.mean != 0 && params.mean != 1 && params.mean != ZETA_DEFAULT)
        fail(ZETA_ERROR_ARGUMENT, "mean is %d: must be 0, 1 or ZETA_DEFAULT (%d)", static_cast<int>(params.mean),
             ZETA_DEFAULT);
    if (params.chunk < 1) fail(ZETA_ERROR_ARGUMENT, "chunk is %lld: must be at least 1", shown{params.chunk});
    if (params.local != ZETA_DEFAULT && (params.local < 0 || params.local > ZETA_MAX_KEYS))
        fail(ZETA_ERROR_ARGUMENT, "local is %lld: must be 0 to %d, or ZETA_DEFAULT (%d)", shown{params.local},
             ZETA_MAX_KEYS, ZETA_DEFAULT);
    if (params.causal == 0 && params.local > 0)
        fail(ZETA_ERROR_ARGUMENT, "local is %lld but causal is 0: a local window needs a causal call",
             shown{params.local});
    if (params.first < 0) fail(ZETA_ERROR_ARGUMENT, "first is %lld: must be at least 0", shown{params.first});
}

void check_arrays(const zeta_attention_params &params) {
    check_alignment("gamma", params.gamma, alignof(float));
    if (params.gamma_count < 0)
        fail(ZETA_ERROR_ARGUMENT, "gamma_count is %lld: must be at least 0", shown{params.gamma_count});
    if (params.gamma == nullptr && params.gamma_count != 0)
        fail(ZETA_ERROR_ARGUMENT, "gamma is NULL but gamma_count is %lld: without gamma it must be 0",
             shown{params.gamma_count});
    check_grid_options(params.grid);
    if (params.sequences < 0)
        fail(ZETA_ERROR_ARGUMENT, "sequences is %lld: must be at least 0", shown{params.sequences});
    if (params.sequences > 0) check_pointer("q_lengths", params.q_lengths, alignof(int64_t));
    check_alignment("k_lengths", params.k_lengths, alignof(int64_t));
    if (params.sequences == 0 && (params.q_lengths != nullptr || params.k_lengths != nullptr))
        fail(ZETA_ERROR_ARGUMENT, "%s is given but sequences is 0: set sequences to the number of lengths",
             params.q_lengths != nullptr ? "q_lengths" : "k_lengths");
}

void resolve_gamma(const zeta_attention_params &params, Problem &problem) {
    problem.gamma = params.gamma;
    problem.gamma_count = params.gamma_count;
    if (params.gamma == nullptr) return;
    if (params.gamma_count != 1 && params.gamma_count != problem.query_heads)
        fail(ZETA_ERROR_ARGUMENT, "gamma_count is %lld: must be 1 or %lld, the heads of q", shown{params.gamma_count},
             shown{problem.query_heads});
    for (int64_t i = 0; i < params.gamma_count; ++i)
        if (!(params.gamma[i] >= kMinGamma && params.gamma[i] <= kMaxGamma)) // refuses NaN too
            fail(ZETA_ERROR_ARGUMENT, "gamma[%lld] is %g: must be 2^-30 to 2^30", shown{i},
                 static_cast<double>(params.gamma[i]));
}

void check_sequence(const Problem &problem, int64_t s, bool own_keys) {
    const int64_t q = problem.q_lengths[s], k = problem.k_lengths[s];
    if (q < 0) fail(ZETA_ERROR_SHAPE, "q_lengths[%lld] is %lld: must be at least 0", shown{s}, shown{q});
    if (k < 0) fail(ZETA_ERROR_SHAPE, "k_lengths[%lld] is %lld: must be at least 0", shown{s}, shown{k});
    if (k > ZETA_MAX_KEYS)
        fail(ZETA_ERROR_SHAPE, "%s[%lld] is %lld: a sequence has at most %d keys%s",
             own_keys ? "k_lengths" : "q_lengths", shown{s}, shown{k}, ZETA_MAX_KEYS,
             own_keys ? "" : ", and k_lengths is NULL: as q_lengths");
    if (problem.causal && k < q)
        fail(ZETA_ERROR_SHAPE,
             "k_lengths[%lld] is %lld but q_lengths[%lld] is %lld: a causal call needs as many keys as queries or more",
             shown{s}, shown{k}, shown{s}, shown{q});
}

void resolve_sequences(const zeta_attention_params &params, Problem &problem) {
    problem.sequences = params.sequences;
    problem.q_lengths = params.q_lengths;
    problem.k_lengths = params.k_lengths != nullptr ? params.k_lengths : params.q_lengths;
    if (problem.batches != 1)
        fail(ZETA_ERROR_SHAPE, "sequences is %lld but q has %lld batches: packed sequences need exactly 1",
             shown{problem.sequences}, shown{problem.batches});
    for (int64_t s = 0; s < problem.sequences; ++s) check_sequence(problem, s, params.k_lengths != nullptr);
    int64_t queries = 0, keys = 0;
    for (int64_t s = 0; s < problem.sequences; ++s) {
        if (__builtin_add_overflow(queries, problem.q_lengths[s], &queries) || queries > problem.queries)
            fail(ZETA_ERROR_SHAPE, "q_lengths[0] to q_lengths[%lld] add up to %lld but q has %lld positions", shown{s},
                 shown{queries}, shown{problem.queries});
        if (__builtin_add_overflow(keys, problem.k_lengths[s], &keys) || keys > problem.keys)
            fail(ZETA_ERROR_SHAPE, "%s[0] to [%lld] add up to %lld but k has %lld positions",
                 params.k_lengths != nullptr ? "k_lengths" : "k_lengths (NULL: as q_lengths)", shown{s}, shown{keys},
                 shown{problem.keys});
    }
    if (queries != problem.queries)
        fail(ZETA_ERROR_SHAPE, "q_lengths add up to %lld but q has %lld positions", shown{queries},
             shown{problem.queries});
    if (keys != problem.keys)
        fail(ZETA_ERROR_SHAPE, "%s add up to %lld but k has %lld positions",
             params.k_lengths != nullptr ? "k_lengths" : "k_lengths (NULL: as q_lengths)", shown{keys},
             shown{problem.keys});
}

void check_positions(const Problem &problem, bool packed) {
    if (packed && problem.keys > kMaxRows)
        fail(ZETA_ERROR_SHAPE, "k has %lld positions: packed sequences have at most %lld together", shown{problem.keys},
             shown{kMaxRows});
    if (!packed && problem.keys > ZETA_MAX_KEYS)
        fail(ZETA_ERROR_SHAPE, "k has %lld positions: a sequence has at most %d keys", shown{problem.keys},
             ZETA_MAX_KEYS);
    if (!packed && problem.causal && problem.keys < problem.queries)
        fail(ZETA_ERROR_SHAPE,
             "k has %lld positions but q has %lld: a causal call needs as many keys as queries or more",
             shown{problem.keys}, shown{problem.queries});
}

} // namespace

void check_struct_size(const char *name, size_t given, size_t known) {
    if (given != known)
        fail(ZETA_ERROR_STRUCT_SIZE,
             "%s.struct_size is %zu but this library's is %zu: call its _init function, and use the library's own "
             "headers",
             name, given, known);
}

zeta_attention_params given_params(const zeta_attention_params *params) {
    if (params != nullptr) {
        check_alignment("params", params, alignof(zeta_attention_params));
        check_struct_size("params", params->struct_size, sizeof *params);
        return *params;
    }
    zeta_attention_params defaults;
    zeta_attention_params_init(&defaults);
    return defaults;
}

Problem resolve_options(const zeta_attention_params &params) {
    check_selection(params);
    check_history(params);
    check_arrays(params);
    Problem problem;
    problem.neighbours = params.neighbours;
    problem.window = params.window == 0 ? params.neighbours : params.window;
    problem.exact = params.select == ZETA_SELECT_EXACT;
    problem.causal = params.causal == 1;
    problem.mean = params.mean == ZETA_DEFAULT ? problem.causal : params.mean == 1;
    problem.chunk = params.chunk;
    problem.local = params.local == ZETA_DEFAULT ? (problem.causal ? 1 : 0) : params.local;
    problem.first = params.first;
    problem.score = params.score;
    problem.progress = params.progress;
    problem.progress_user = params.progress_user;
    return problem;
}

void resolve_shaped_options(const zeta_attention_params &params, Problem &problem) {
    check_positions(problem, params.sequences > 0);
    resolve_gamma(params, problem);
    if (params.grid.heads != 0 && params.grid.heads != problem.key_heads)
        fail(ZETA_ERROR_ARGUMENT, "grid.heads is %d: must be 0 or %lld, the heads of k",
             static_cast<int>(params.grid.heads), shown{problem.key_heads});
    problem.grid = check_grid(params.grid, problem.dk);
    if (params.sequences > 0) resolve_sequences(params, problem);
}

void add_params_inputs(Overlaps &overlaps, const Problem &problem) {
    const size_t lengths = static_cast<size_t>(problem.sequences) * sizeof(int64_t);
    overlaps.input("gamma", problem.gamma, static_cast<size_t>(problem.gamma_count) * sizeof(float));
    add_grid_inputs(overlaps, problem.grid, problem.dk);
    overlaps.input("q_lengths", problem.q_lengths, lengths);
    overlaps.input("k_lengths", problem.k_lengths, lengths);
}

} // namespace zeta::api
