/* SPDX-License-Identifier: Apache-2.0 */
/* The legal calls on a cache that tests spoil. */
#define _POSIX_C_SOURCE 200112L
#include "cache_call.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const cache_function_names[CACHE_FUNCTIONS] = {
    "zeta_cache_create",      "zeta_cache_append",   "zeta_cache_attend",       "zeta_cache_step",
    "zeta_cache_prefill",     "zeta_cache_truncate", "zeta_cache_evict_before", "zeta_cache_fork",
    "zeta_cache_reset",       "zeta_cache_save",     "zeta_cache_save_buffer",  "zeta_cache_load",
    "zeta_cache_load_buffer",
};

static void fill(float *data, size_t count, unsigned seed) {
    size_t i;
    for (i = 0; i < count; ++i) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

static zeta_tensor view(void *data, int32_t dtype, int32_t rank, int64_t heads, int64_t rows, int64_t channels) {
    int64_t shape[4];
    shape[0] = B;
    shape[1] = heads;
    shape[2] = rows;
    shape[3] = channels;
    return zeta_tensor_contiguous(data, dtype, rank, shape);
}

static void init_inputs(struct cache_call *call, int64_t rows) {
    call->q = view(call->q_data, ZETA_F32, 4, H, rows, DK);
    call->k = view(call->k_data, ZETA_F32, 4, G, rows, DK);
    call->v = view(call->v_data, ZETA_F32, 4, G, rows, DV);
}

static void init_args(struct cache_call *call, int64_t rows) {
    init_inputs(call, rows);
    call->out = view(call->outputs.out, ZETA_F32, 4, H, rows, DV);
    call->normaliser = view(call->outputs.normaliser, ZETA_F32, 3, H, rows, 0);
    call->neighbours = view(call->outputs.neighbours, ZETA_I32, 4, H, rows, K);
    zeta_cache_args_init(&call->args);
    call->args.q = &call->q;
    call->args.k = &call->k;
    call->args.v = &call->v;
    call->args.out = &call->out;
    call->args.normaliser = &call->normaliser;
    call->args.neighbours = &call->neighbours;
    call->args.counts = call->counts;
    call->args_pointer = &call->args;
}

static void init_params(struct cache_call *call, int32_t value_type) {
    int i;
    for (i = 0; i < H; ++i) call->gamma[i] = 1.0f + (float)i;
    for (i = 0; i < G * DK; ++i) {
        call->scale[i] = 1.0f;
        call->lo[i] = -1.0f;
        call->hi[i] = 1.0f;
    }
    zeta_attention_params_init(&call->attention);
    call->attention.neighbours = K;
    call->attention.local = 2;
    call->attention.gamma = call->gamma;
    call->attention.gamma_count = H;
    call->attention.grid.heads = G;
    call->attention.grid.scale = call->scale;
    zeta_cache_params_init(&call->params);
    call->params.batches = B;
    call->params.query_heads = H;
    call->params.key_heads = G;
    call->params.dk = DK;
    call->params.dv = DV;
    call->params.value_type = value_type;
    call->params.attention = &call->attention;
    call->params_pointer = &call->params;
}

static void init_cache(struct cache_call *call) {
    zeta_cache_args args;
    int64_t positions[B];
    int b;
    CHECK_STATUS(zeta_cache_create(&call->cache, call->context, &call->params), ZETA_OK, "");
    init_inputs(call, START);
    zeta_cache_args_init(&args);
    args.k = &call->k;
    args.v = &call->v;
    CHECK_STATUS(zeta_cache_append(call->cache, &args), ZETA_OK, "");
    for (b = 0; b < B; ++b) positions[b] = GONE;
    CHECK_STATUS(zeta_cache_evict_before(call->cache, positions), ZETA_OK, "");
}

void cache_call_init(struct cache_call *call, zeta_context *context, int32_t value_type) {
    static char path[128];
    const char *folder = getenv("TMPDIR");
    memset(call, 0, sizeof *call);
    call->context = context;
    fill(call->q_data, B * H * START * DK, 1);
    fill(call->k_data, B * G * START * DK, 2);
    fill(call->v_data, B * G * START * DV, 3);
    init_params(call, value_type);
    init_cache(call);
    snprintf(path, sizeof path, "%.90s/zeta-capi-%ld", folder == NULL ? "/tmp" : folder, (long)getpid());
    call->path = path;
    call->buffer = cache_bytes(call->cache, &call->size);
    cache_call_aim(call, PREFILL);
}

void cache_call_end(struct cache_call *call) {
    zeta_cache_destroy(&call->cache);
    zeta_cache_destroy(&call->made);
    free(call->buffer);
    if (call->path != NULL) remove(call->path);
}

void cache_call_aim(struct cache_call *call, enum cache_function function) {
    int b;
    init_args(call, function == STEP ? 1 : PART);
    if (function == APPEND) call->args.q = call->args.out = call->args.normaliser = call->args.neighbours = NULL;
    if (function == ATTEND) call->args.k = call->args.v = NULL;
    for (b = 0; b < B; ++b) {
        call->counts[b] = function == STEP || b == 0 ? call->q.shape[2] : PART - 1;
        call->lengths[b] = START - 7 - b;
        call->positions[b] = GONE + 20 + b;
    }
    call->sequences[0] = call->sequences[2] = 1;
    call->sequences[1] = 0;
    call->count = 3;
    call->lengths_pointer = call->lengths;
    call->positions_pointer = call->positions;
    call->sequences_pointer = call->sequences;
    call->made_pointer = &call->made;
    call->size_pointer = &call->size;
    if (function == LOAD) CHECK_STATUS(zeta_cache_save(call->cache, call->path), ZETA_OK, "");
    memset(&call->canary, 0xa5, sizeof call->canary);
    memset(&call->outputs, 0xa5, sizeof call->outputs);
}

zeta_status cache_call_run(struct cache_call *call, enum cache_function function) {
    switch (function) {
    case CREATE:
        return zeta_cache_create(call->made_pointer, call->context, call->params_pointer);
    case APPEND:
        return zeta_cache_append(call->cache, call->args_pointer);
    case ATTEND:
        return zeta_cache_attend(call->cache, call->args_pointer);
    case STEP:
        return zeta_cache_step(call->cache, call->args_pointer);
    case PREFILL:
        return zeta_cache_prefill(call->cache, call->args_pointer);
    case TRUNCATE:
        return zeta_cache_truncate(call->cache, call->lengths_pointer);
    case EVICT:
        return zeta_cache_evict_before(call->cache, call->positions_pointer);
    case FORK:
        return zeta_cache_fork(call->cache, call->sequences_pointer, call->count, call->made_pointer);
    case RESET:
        return zeta_cache_reset(call->cache);
    case SAVE:
        return zeta_cache_save(call->cache, call->path);
    case SAVE_BUFFER:
        return zeta_cache_save_buffer(call->cache, call->buffer, call->size_pointer);
    case LOAD:
        return zeta_cache_load(call->cache, call->path);
    case LOAD_BUFFER:
        return zeta_cache_load_buffer(call->cache, call->buffer, call->size);
    default:
        return ZETA_ERROR_INTERNAL;
    }
}

int cache_call_outputs_untouched(const struct cache_call *call) {
    return memcmp(&call->canary, &call->outputs, sizeof call->canary) == 0;
}

void *cache_bytes(zeta_cache *cache, size_t *size) {
    void *bytes;
    CHECK_STATUS(zeta_cache_save_buffer(cache, NULL, size), ZETA_OK, "the size of a saved cache");
    bytes = malloc(*size);
    CHECK_STATUS(zeta_cache_save_buffer(cache, bytes, size), ZETA_OK, "a saved cache");
    return bytes;
}

int cache_equals(zeta_cache *cache, const void *bytes, size_t size) {
    size_t now_size = 0;
    void *now = cache_bytes(cache, &now_size);
    const int equal = now_size == size && memcmp(now, bytes, size) == 0;
    free(now);
    return equal;
}
