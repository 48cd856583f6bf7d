/* SPDX-License-Identifier: Apache-2.0 */
/* Caches: legal calls of every function; each argument spoilt in each documented way (those of append, attend, step and
 * prefill: test_cache_tensors.c). */
#include "bad_cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

SPOIL(no_context, c->context = NULL)
SPOIL(no_made, c->made_pointer = NULL)
SPOIL(old_params, c->params.struct_size -= 8)
SPOIL(new_params, c->params.struct_size += 8)
SPOIL(misaligned_params, c->params_pointer = (const zeta_cache_params *)(const void *)((const char *)&c->params + 2))
SPOIL(no_batches, c->params.batches = 0)
SPOIL(no_query_heads, c->params.query_heads = 0)
SPOIL(negative_key_heads, c->params.key_heads = -1)
SPOIL(three_key_heads, c->params.key_heads = 3)
SPOIL(more_key_heads, c->params.key_heads = 2 * H)
SPOIL(no_dk, c->params.dk = 0)
SPOIL(large_dk, c->params.dk = 33)
SPOIL(no_dv, c->params.dv = 0)
SPOIL(large_dv, c->params.dv = (int64_t)1 << 31)
SPOIL(too_large, c->params.batches = INT64_MAX / 64; c->params.attention = NULL)
SPOIL(integer_values, c->params.value_type = ZETA_I32)
SPOIL(unknown_values, c->params.value_type = 6)
SPOIL(reserved, c->params.reserved = 1)
SPOIL(negative_capacity, c->params.capacity = -1)
SPOIL(large_capacity, c->params.capacity = ZETA_MAX_KEYS + 1)
SPOIL(old_attention, c->attention.struct_size = 0)
SPOIL(bad_neighbours, c->attention.neighbours = 0)
SPOIL(bad_window, c->attention.window = 2)
SPOIL(bad_select, c->attention.select = 7)
SPOIL(bad_score, c->attention.score = 5)
SPOIL(bad_causal, c->attention.causal = 2)
SPOIL(bad_local, c->attention.causal = 0)
SPOIL(bad_chunk, c->attention.chunk = 0)
SPOIL(bad_first, c->attention.first = -1)
SPOIL(bad_gamma, c->gamma[1] = 0.0f)
SPOIL(bad_gamma_count, c->attention.gamma_count = 3)
SPOIL(bad_grid, c->scale[4] = -1.0f)
SPOIL(bad_grid_heads, c->attention.grid.heads = H)
SPOIL(packed, c->attention.sequences = 1; c->attention.q_lengths = c->lengths)
SPOIL(two_sequences, c->attention.sequences = 2)
SPOIL(lengths_alone, c->attention.q_lengths = c->lengths)
SPOIL(k_lengths_alone, c->attention.k_lengths = c->lengths)
static int go_on(void *user, double fraction) {
    (void)user;
    (void)fraction;
    return 0;
}
SPOIL(progress, c->attention.progress = go_on)

SPOIL(no_lengths, c->lengths_pointer = NULL)
SPOIL(lengths_misaligned, c->lengths_pointer = (const int64_t *)(const void *)((const char *)c->lengths + 4))
SPOIL(length_beyond, c->lengths[1] = START + 1)
SPOIL(length_negative, c->lengths[0] = -1)
SPOIL(length_evicted, c->lengths[1] = GONE - 1)
SPOIL(no_positions, c->positions_pointer = NULL)
SPOIL(position_beyond, c->positions[1] = START + 1)
SPOIL(position_negative, c->positions[0] = -1)
SPOIL(sequence_beyond, c->sequences[1] = B)
SPOIL(sequence_negative, c->sequences[2] = -1)
SPOIL(sequences_none, c->count = 0)
SPOIL(sequences_negative, c->count = -1)
SPOIL(sequences_many, c->count = INT64_MAX)
SPOIL(sequences_all_but, c->sequences_pointer = NULL; c->count = B - 1)
SPOIL(sequences_misaligned, c->sequences_pointer = (const int64_t *)(const void *)((const char *)c->sequences + 4))

SPOIL(no_path, c->path = NULL)
SPOIL(empty_path, c->path = "")
SPOIL(missing_folder, c->path = "no such folder/file")
SPOIL(no_size, c->size_pointer = NULL)
SPOIL(small_size, c->size -= 1)
SPOIL(no_size_at_all, c->size = 0)
SPOIL(size_past_memory, c->size = SIZE_MAX)
SPOIL(no_data, free(c->buffer); c->buffer = NULL)
SPOIL(changed, ((char *)c->buffer)[c->size / 2] ^= 1)
SPOIL(foreign, ((char *)c->buffer)[0] ^= 1)

static const struct bad_cache creations[] = {
    {"context NULL", IN(CREATE), ZETA_ERROR_ARGUMENT, "context is NULL", no_context},
    {"cache NULL", IN(CREATE), ZETA_ERROR_ARGUMENT, "cache is NULL", no_made},
    {"fork NULL", IN(FORK), ZETA_ERROR_ARGUMENT, "fork is NULL", no_made},
    {"older params", IN(CREATE), ZETA_ERROR_STRUCT_SIZE, "params.struct_size", old_params},
    {"newer params", IN(CREATE), ZETA_ERROR_STRUCT_SIZE, "params.struct_size", new_params},
    {"params misaligned", IN(CREATE), ZETA_ERROR_ARGUMENT, "params is", misaligned_params},
    {"batches 0", IN(CREATE), ZETA_ERROR_SHAPE, "batches is 0", no_batches},
    {"query_heads 0", IN(CREATE), ZETA_ERROR_SHAPE, "query_heads is 0", no_query_heads},
    {"key_heads -1", IN(CREATE), ZETA_ERROR_SHAPE, "key_heads is -1", negative_key_heads},
    {"key_heads 3", IN(CREATE), ZETA_ERROR_SHAPE, "query_heads is 4 but key_heads is 3", three_key_heads},
    {"key_heads 8", IN(CREATE), ZETA_ERROR_SHAPE, "query_heads is 4 but key_heads is 8", more_key_heads},
    {"dk 0", IN(CREATE), ZETA_ERROR_SHAPE, "dk is 0", no_dk},
    {"dk 33", IN(CREATE), ZETA_ERROR_SHAPE, "dk is 33", large_dk},
    {"dv 0", IN(CREATE), ZETA_ERROR_SHAPE, "dv is 0", no_dv},
    {"dv 2^31", IN(CREATE), ZETA_ERROR_SHAPE, "dv is 2147483648", large_dv},
    {"too large", IN(CREATE), ZETA_ERROR_SHAPE, "overflow", too_large},
    {"value_type int32", IN(CREATE), ZETA_ERROR_DTYPE, "value_type is 3", integer_values},
    {"value_type 6", IN(CREATE), ZETA_ERROR_DTYPE, "value_type is 6", unknown_values},
    {"reserved", IN(CREATE), ZETA_ERROR_ARGUMENT, "reserved is 1", reserved},
    {"capacity -1", IN(CREATE), ZETA_ERROR_ARGUMENT, "capacity is -1", negative_capacity},
    {"capacity 2^24 + 1", IN(CREATE), ZETA_ERROR_ARGUMENT, "capacity is 16777217", large_capacity},
    {"older attention", IN(CREATE), ZETA_ERROR_STRUCT_SIZE, "attention.struct_size", old_attention},
    {"neighbours", IN(CREATE), ZETA_ERROR_ARGUMENT, "neighbours is 0", bad_neighbours},
    {"window", IN(CREATE), ZETA_ERROR_ARGUMENT, "window is 2", bad_window},
    {"select", IN(CREATE), ZETA_ERROR_ARGUMENT, "select is 7", bad_select},
    {"score", IN(CREATE), ZETA_ERROR_ARGUMENT, "score is 5", bad_score},
    {"causal", IN(CREATE), ZETA_ERROR_ARGUMENT, "causal is 2", bad_causal},
    {"local", IN(CREATE), ZETA_ERROR_ARGUMENT, "local is 2 but causal is 0", bad_local},
    {"chunk", IN(CREATE), ZETA_ERROR_ARGUMENT, "chunk is 0", bad_chunk},
    {"first", IN(CREATE), ZETA_ERROR_ARGUMENT, "first is -1", bad_first},
    {"gamma", IN(CREATE), ZETA_ERROR_ARGUMENT, "gamma[1] is 0", bad_gamma},
    {"gamma_count", IN(CREATE), ZETA_ERROR_ARGUMENT, "gamma_count is 3", bad_gamma_count},
    {"grid", IN(CREATE), ZETA_ERROR_ARGUMENT, "grid.scale[1][1] is -1", bad_grid},
    {"grid.heads", IN(CREATE), ZETA_ERROR_ARGUMENT, "grid.heads is 4", bad_grid_heads},
    {"sequences", IN(CREATE), ZETA_ERROR_ARGUMENT, "sequences is 1", packed},
    {"sequences", IN(CREATE), ZETA_ERROR_ARGUMENT, "sequences is 2: must be 0", two_sequences},
    {"q_lengths", IN(CREATE), ZETA_ERROR_ARGUMENT, "q_lengths is given but must be NULL", lengths_alone},
    {"k_lengths", IN(CREATE), ZETA_ERROR_ARGUMENT, "k_lengths is given but must be NULL", k_lengths_alone},
    {"progress", IN(CREATE), ZETA_ERROR_ARGUMENT, "progress", progress},
};

static const struct bad_cache others[] = {
    {"lengths NULL", IN(TRUNCATE), ZETA_ERROR_ARGUMENT, "lengths is NULL", no_lengths},
    {"lengths misaligned", IN(TRUNCATE), ZETA_ERROR_ARGUMENT, "lengths is", lengths_misaligned},
    {"length beyond", IN(TRUNCATE), ZETA_ERROR_ARGUMENT, "lengths[1] is 301: must be 0 to 300", length_beyond},
    {"length negative", IN(TRUNCATE), ZETA_ERROR_ARGUMENT, "lengths[0] is -1", length_negative},
    {"length evicted", IN(TRUNCATE), ZETA_ERROR_ARGUMENT, "positions before 100 were evicted", length_evicted},
    {"positions NULL", IN(EVICT), ZETA_ERROR_ARGUMENT, "positions is NULL", no_positions},
    {"position beyond", IN(EVICT), ZETA_ERROR_ARGUMENT, "positions[1] is 301: must be 0 to 300", position_beyond},
    {"position negative", IN(EVICT), ZETA_ERROR_ARGUMENT, "positions[0] is -1", position_negative},
    {"sequence beyond", IN(FORK), ZETA_ERROR_ARGUMENT, "sequences[1] is 2: must be 0 to 1", sequence_beyond},
    {"sequence negative", IN(FORK), ZETA_ERROR_ARGUMENT, "sequences[2] is -1", sequence_negative},
    {"no sequences", IN(FORK), ZETA_ERROR_ARGUMENT, "count is 0", sequences_none},
    {"fewer sequences", IN(FORK), ZETA_ERROR_ARGUMENT, "count is -1", sequences_negative},
    {"many sequences", IN(FORK), ZETA_ERROR_ARGUMENT, "count is 9223372036854775807", sequences_many},
    {"sequences NULL", IN(FORK), ZETA_ERROR_ARGUMENT, "count is 1: must be 0 or 2", sequences_all_but},
    {"sequences misaligned", IN(FORK), ZETA_ERROR_ARGUMENT, "sequences is", sequences_misaligned},
    {"path NULL", IN(SAVE) | IN(LOAD), ZETA_ERROR_ARGUMENT, "path is NULL", no_path},
    {"path empty", IN(SAVE) | IN(LOAD), ZETA_ERROR_ARGUMENT, "path is empty", empty_path},
    {"no such folder", IN(SAVE) | IN(LOAD), ZETA_ERROR_IO, "no such folder/", missing_folder},
    {"size NULL", IN(SAVE_BUFFER), ZETA_ERROR_ARGUMENT, "size is NULL", no_size},
    {"size small", IN(SAVE_BUFFER), ZETA_ERROR_SCRATCH, "size is", small_size},
    {"size 0", IN(SAVE_BUFFER), ZETA_ERROR_SCRATCH, "size is 0", no_size_at_all},
    {"size past memory", IN(SAVE_BUFFER), ZETA_ERROR_ARGUMENT, "and *size is 18446744073709551615: it ends past",
     size_past_memory},
    {"size past memory", IN(LOAD_BUFFER), ZETA_ERROR_ARGUMENT, "and size is 18446744073709551615: it ends past",
     size_past_memory},
    {"data NULL", IN(LOAD_BUFFER), ZETA_ERROR_ARGUMENT, "data is NULL", no_data},
    {"data cut", IN(LOAD_BUFFER), ZETA_ERROR_FORMAT, "", small_size},
    {"data empty", IN(LOAD_BUFFER), ZETA_ERROR_FORMAT, "", no_size_at_all},
    {"data changed", IN(LOAD_BUFFER), ZETA_ERROR_FORMAT, "", changed},
    {"data foreign", IN(LOAD_BUFFER), ZETA_ERROR_FORMAT, "", foreign},
};

/* Each call is legal, and so is what comes after it. */
static void run_good(struct cache_call *call, zeta_context *context) {
    const int32_t types[] = {ZETA_F32, ZETA_BF16, ZETA_F16, ZETA_I8};
    int function, type;
    for (type = 0; type < 4; ++type)
        for (function = 0; function < CACHE_FUNCTIONS; ++function) {
            cache_call_init(call, context, types[type]);
            cache_call_aim(call, (enum cache_function)function);
            CHECK_STATUS(cache_call_run(call, (enum cache_function)function), ZETA_OK, cache_function_names[function]);
            zeta_cache_destroy(&call->made);
            cache_call_aim(call, STEP);
            CHECK_STATUS(cache_call_run(call, STEP), ZETA_OK, cache_function_names[function]);
            cache_call_end(call);
        }
}

/* Only int8 refuses what is not finite, and only in rows that count. */
static void run_infinite(struct cache_call *call, zeta_context *context) {
    int function;
    for (function = APPEND; function <= PREFILL; ++function) {
        if ((ADDS & IN(function)) == 0) continue;
        cache_call_init(call, context, ZETA_I8);
        cache_call_aim(call, (enum cache_function)function);
        call->v_data[2] = HUGE_VALF;
        CHECK_STATUS(cache_call_run(call, (enum cache_function)function), ZETA_ERROR_ARGUMENT,
                     cache_function_names[function]);
        CHECK_WITH(strcmp(zeta_last_error(), "v[0][0][0] has a value that is not finite: int8 cannot hold it") == 0,
                   cache_function_names[function]);
        CHECK(cache_call_outputs_untouched(call));
        CHECK(cache_equals(call->cache, call->buffer, call->size));
        call->counts[0] = 0;
        CHECK_STATUS(cache_call_run(call, (enum cache_function)function), ZETA_OK, cache_function_names[function]);
        cache_call_end(call);
        cache_call_init(call, context, ZETA_F32);
        cache_call_aim(call, (enum cache_function)function);
        call->v_data[2] = HUGE_VALF;
        CHECK_STATUS(cache_call_run(call, (enum cache_function)function), ZETA_OK, cache_function_names[function]);
        cache_call_end(call);
    }
}

static void run_queries(struct cache_call *call, zeta_context *context) {
    zeta_cache *none = NULL;
    cache_call_init(call, context, ZETA_F32);
    CHECK(zeta_cache_batches(call->cache) == B);
    CHECK(zeta_cache_length(call->cache, 1) == START);
    CHECK(zeta_cache_first(call->cache, 1) == GONE);
    CHECK(zeta_cache_bytes(call->cache) >= B * G * (START - GONE) * (DK + DV) * sizeof(float));
    CHECK(zeta_cache_length(call->cache, -1) == -1 && zeta_cache_length(call->cache, B) == -1);
    CHECK(zeta_cache_first(call->cache, -1) == -1 && zeta_cache_first(call->cache, B) == -1);
    CHECK(zeta_cache_batches(NULL) == -1 && zeta_cache_length(NULL, 0) == -1 && zeta_cache_first(NULL, 0) == -1);
    CHECK(zeta_cache_bytes(NULL) == 0);
    cache_call_end(call);
    zeta_cache_destroy(&none);
    zeta_cache_destroy(NULL);
    zeta_cache_params_init(NULL);
    zeta_cache_args_init(NULL);
}

void test_cache_arguments(void) {
    struct cache_call *call = malloc(sizeof *call);
    zeta_context *context = NULL;
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = 1;
    CHECK_STATUS(zeta_context_create(&context, &params), ZETA_OK, "");
    run_good(call, context);
    run_queries(call, context);
    run_infinite(call, context);
    run_bad_caches(call, context, creations, sizeof creations / sizeof creations[0]);
    test_cache_tensors(call, context);
    run_bad_caches(call, context, others, sizeof others / sizeof others[0]);
    zeta_context_destroy(&context);
    free(call);
}
