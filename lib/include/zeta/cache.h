/* SPDX-License-Identifier: Apache-2.0 */
/* Decode: a cache of keys and values that answers queries one token at a time, with exactly the neighbours, and on one
 * instruction set exactly the output bits, that one zeta_forward over the whole sequence would give (spec section 7).
 *
 * A cache holds B sequences of G key heads each, every sequence with a length of its own; H query heads read them. Letters as
 * in attention.h. Causal: a query stands at one of the last positions of its sequence. Not causal: it searches all keys.
 *
 * From simple to advanced: zeta_cache_step; zeta_cache_prefill; zeta_cache_append and zeta_cache_attend; zeta_cache_truncate,
 * zeta_cache_fork, zeta_cache_evict_before; zeta_cache_save and zeta_cache_load.
 *
 * A refused or failed call leaves the cache as it was; it names the argument and the numbers (zeta_last_error). A cache serves
 * one call at a time and refuses a second with ZETA_ERROR_BUSY; several caches, forks of each other among them, may be used
 * from several threads at once. */
#ifndef ZETA_CACHE_H
#define ZETA_CACHE_H

#include "attention.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zeta_cache zeta_cache;

/* How values are kept besides ZETA_F32, ZETA_BF16 and ZETA_F16: int8 with one float32 scale per row, max |v| / 127 (0 for a
 * row of zeros), rounded to nearest even. An element differs by at most half a scale. A non-finite value is refused. */
enum {
    ZETA_I8 = 5
};

typedef struct zeta_cache_params {
    size_t struct_size;                     /* set by zeta_cache_params_init */
    int64_t batches;                        /* B >= 1 sequences; default 1 */
    int64_t query_heads;                    /* H >= 1; default 1 */
    int64_t key_heads;                      /* G, a divisor of H; 0 (default): H */
    int64_t dk;                             /* 1..32; default 3 */
    int64_t dv;                             /* >= 1; default 64 */
    int32_t value_type;                     /* ZETA_F32 (default), ZETA_BF16, ZETA_F16 or ZETA_I8; keys are kept in float32 */
    int32_t reserved;                       /* 0 */
    int64_t capacity;                       /* positions a sequence is expected to reach, 0..2^24; 0 (default): unknown. A hint:
                                               no limit, and this version makes no use of it */
    const zeta_attention_params *attention; /* NULL (default): all defaults; copied with what it points to. Its `first` holds from
                                               the start; `sequences`, lengths and `progress` are not used and must be 0 or NULL */
} zeta_cache_params;

ZETA_API void zeta_cache_params_init(zeta_cache_params *params);

/* Makes an empty cache with the context's settings (threads, instruction set, allocator, log); the context may be destroyed
 * before the cache. params may be NULL: all defaults. The allocator and the log must live as long as the cache and its forks.
 * An allocator that is used by several caches, forks among them, must allow calls from several threads if they are.
 * @return ZETA_OK, and *cache is to be destroyed by the caller; or, with *cache = NULL: ZETA_ERROR_ARGUMENT, _SHAPE (sizes
 *         and heads), _DTYPE (value_type), _STRUCT_SIZE, _MEMORY. */
ZETA_API zeta_status zeta_cache_create(zeta_cache **cache, zeta_context *context, const zeta_cache_params *params);

/* Frees *cache and sets it to NULL; NULL or a pointer to NULL is allowed. Not while a call is using it. */
ZETA_API void zeta_cache_destroy(zeta_cache **cache);

/* Tensors of one call. Not NULL: k and v for append; q and out for attend; all four for step and prefill. The others must be
 * NULL where they are not used. k and v are converted to the cache's types, rounded to nearest even where they do not fit:
 * what the cache answers is the attention over the rounded values. out is computed in float32 and rounded once. */
typedef struct zeta_cache_args {
    size_t struct_size;             /* set by zeta_cache_args_init */
    const zeta_tensor *q;           /* [B, H, n, dk] float32, bfloat16 or float16 */
    const zeta_tensor *k;           /* [B, G, n, dk] type of q (append: any of the three) */
    const zeta_tensor *v;           /* [B, G, n, dv] float32, bfloat16 or float16 */
    const zeta_tensor *out;         /* [B, H, n, dv] float32, bfloat16 or float16 */
    const zeta_tensor *normaliser;  /* optional [B, H, n] float32 */
    const zeta_tensor *neighbours;  /* optional [B, H, n, K] int32: ascending positions, -1 for empty slots at the end */
    const int64_t *counts;          /* optional [B], each 0..n: only rows 0 .. counts[b] - 1 of sequence b are used, and only
                                       those of its outputs written; NULL: n for all */
} zeta_cache_args;

ZETA_API void zeta_cache_args_init(zeta_cache_args *args);

/* Adds the keys and values of the next n positions.
 * @return ZETA_OK; else the cache is as it was: ZETA_ERROR_ARGUMENT (also a non-finite value for ZETA_I8), _SHAPE (also a
 *         sequence that would outgrow 2^24), _STRIDE, _DTYPE, _DEVICE, _OVERLAP, _STRUCT_SIZE, _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_append(zeta_cache *cache, const zeta_cache_args *args);

/* Answers queries at the last n positions of each sequence (with counts, the last counts[b]): row i stands at length - n + i.
 * Causal: n is at most the length, and no query may stand before what was evicted. Not causal: any n.
 * @return as zeta_cache_append; ZETA_ERROR_SHAPE also for queries where there is no position. */
ZETA_API zeta_status zeta_cache_attend(zeta_cache *cache, const zeta_cache_args *args);

/* Append, then attend, of one position (n = 1; counts 0 or 1). @return as zeta_cache_append. */
ZETA_API zeta_status zeta_cache_step(zeta_cache *cache, const zeta_cache_args *args);

/* Append, then attend, of a whole prompt or the next part of one: any n >= 0. The bits do not depend on how a prompt is cut
 * into parts and steps. @return as zeta_cache_append. */
ZETA_API zeta_status zeta_cache_prefill(zeta_cache *cache, const zeta_cache_args *args);

/* Rolls sequence b back to lengths[b] <= its length, for all b. @return ZETA_OK; ZETA_ERROR_ARGUMENT also for a length beyond
 * the sequence's or before what was evicted; _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_truncate(zeta_cache *cache, const int64_t *lengths);

/* Sets `first` of sequence b to positions[b], for all b: keys before it are not searchable and not local any more, and their
 * memory is freed. The mean keeps its history. A position up to the present `first` changes nothing.
 * @return ZETA_OK; ZETA_ERROR_ARGUMENT also for a position < 0 or beyond the length; _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_evict_before(zeta_cache *cache, const int64_t *positions);

/* A new cache of `count` sequences, the i-th equal to sequence sequences[i] of `cache` (any of them, any number of times:
 * beams); sequences NULL: all B in order, and count must be 0 or B. Memory is shared until one of them writes.
 * @return ZETA_OK; or, with *fork = NULL, ZETA_ERROR_ARGUMENT, _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_fork(zeta_cache *cache, const int64_t *sequences, int64_t count, zeta_cache **fork);

/* Empties all sequences: length 0, `first` as created. @return ZETA_OK, ZETA_ERROR_ARGUMENT, _BUSY. */
ZETA_API zeta_status zeta_cache_reset(zeta_cache *cache);

/* Sequences of the cache, and length and `first` of one. -1 if cache is NULL or there is no such sequence. These and
 * zeta_cache_bytes never refuse: do not call them while another thread's call is using the cache. */
ZETA_API int64_t zeta_cache_batches(const zeta_cache *cache);
ZETA_API int64_t zeta_cache_length(const zeta_cache *cache, int64_t sequence);
ZETA_API int64_t zeta_cache_first(const zeta_cache *cache, int64_t sequence);

/* Bytes of memory the cache holds; what it shares with forks counts in full in each. 0 if cache is NULL. Visits every
 * page. */
ZETA_API size_t zeta_cache_bytes(const zeta_cache *cache);

/* Writes all sequences, with options and everything needed to go on, to `path` (docs/cache-format.md). The file appears at
 * once and whole: whatever interrupts the call, `path` holds its old content or the new.
 * @return ZETA_OK; ZETA_ERROR_ARGUMENT, _IO, _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_save(zeta_cache *cache, const char *path);

/* The same into a buffer. *size: in, the bytes at `data`; out, those written. With data NULL, *size is what is needed.
 * @return as above; ZETA_ERROR_SCRATCH if *size is too small. */
ZETA_API zeta_status zeta_cache_save_buffer(zeta_cache *cache, void *data, size_t *size);

/* Replaces the content of `cache` by a saved one, which must agree in B, H, G, dk, dv, value_type and every attention option.
 * Refused with a sentence, the cache as it was: files that are truncated, corrupt, foreign, from a newer version, or of
 * another shape or option.
 * @return ZETA_OK; ZETA_ERROR_ARGUMENT (also an option that does not agree), _IO (cannot be read), _FORMAT (not a whole, sound
 *         cache file), _SHAPE and _DTYPE (does not agree), _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_cache_load(zeta_cache *cache, const char *path);
ZETA_API zeta_status zeta_cache_load_buffer(zeta_cache *cache, const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
