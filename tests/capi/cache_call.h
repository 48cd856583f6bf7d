/* SPDX-License-Identifier: Apache-2.0 */
/* A legal call of every function of a cache, with its memory, for tests to spoil; see call.h. */
#ifndef ZETA_TESTS_CAPI_CACHE_CALL_H
#define ZETA_TESTS_CAPI_CACHE_CALL_H

#include "call.h"

/* The cache begins with START positions, the first GONE of them evicted; a call has PART rows, a step one. */
enum { START = 300, GONE = 100, PART = 40 };

enum cache_function {
    CREATE,
    APPEND,
    ATTEND,
    STEP,
    PREFILL,
    TRUNCATE,
    EVICT,
    FORK,
    RESET,
    SAVE,
    SAVE_BUFFER,
    LOAD,
    LOAD_BUFFER,
    CACHE_FUNCTIONS
};

extern const char *const cache_function_names[CACHE_FUNCTIONS];

struct cache_outputs {
    float out[B * H * PART * DV], normaliser[B * H * PART];
    int32_t neighbours[B * H * PART * K];
};

struct cache_call {
    zeta_context *context;
    zeta_cache *cache, *made; /* made: by create and fork */
    zeta_cache **made_pointer;
    float q_data[B * H * START * DK], k_data[B * G * START * DK], v_data[B * G * START * DV];
    struct cache_outputs outputs, canary;
    zeta_tensor q, k, v, out, normaliser, neighbours;
    int64_t counts[B], lengths[B], positions[B], sequences[3], count;
    const int64_t *lengths_pointer, *positions_pointer, *sequences_pointer;
    float gamma[H], scale[G * DK], lo[G * DK], hi[G * DK];
    zeta_attention_params attention;
    zeta_cache_params params;
    const zeta_cache_params *params_pointer;
    zeta_cache_args args;
    const zeta_cache_args *args_pointer;
    const char *path; /* of a saved cache in SAVE and LOAD */
    void *buffer;     /* of a saved cache in SAVE_BUFFER and LOAD_BUFFER */
    size_t size, *size_pointer;
};

/* A legal call on a new cache of `context`, whose values are of `value_type`. */
void cache_call_init(struct cache_call *call, zeta_context *context, int32_t value_type);
/* Destroys the caches and frees the buffer. */
void cache_call_end(struct cache_call *call);

/* Makes the arguments those of `function` (how many rows, which tensors); then a test may spoil them. */
void cache_call_aim(struct cache_call *call, enum cache_function function);
zeta_status cache_call_run(struct cache_call *call, enum cache_function function);

int cache_call_outputs_untouched(const struct cache_call *call);

/* All the cache holds, as bytes; to be freed. */
void *cache_bytes(zeta_cache *cache, size_t *size);
/* Whether the cache holds just this. */
int cache_equals(zeta_cache *cache, const void *bytes, size_t size);

#endif
