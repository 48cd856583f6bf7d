/* SPDX-License-Identifier: Apache-2.0 */
/* ZETA attention (arXiv 2501.14577), forward and backward.
 *
 * Letters: B batches, H query heads, G key/value heads (H a multiple of G; head h reads key head floor(h G/H)), N query
 * positions, M key positions (at most 2^24 per sequence), dk coordinates of a key (1..32), dv channels of a value (>= 1),
 * K neighbours, W candidates. The keys of packed sequences are fewer than 2^31 together.
 * Causal: M >= N and query i stands at position t = i + (M - N).
 *
 * A query attends its K neighbours, the `local` most recent positions (its own included) and, if on, the mean of its
 * history. Neighbours are found on a Z-order curve (window) or are the true K nearest (exact); weights follow the score.
 *
 * From simple to advanced: zeta_forward; zeta_backward; zeta_select, zeta_attend_neighbours; zeta_recall; zeta_dense_forward. */
#ifndef ZETA_ATTENTION_H
#define ZETA_ATTENTION_H

#include "codes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZETA_MAX_DK 32
#define ZETA_MAX_NEIGHBOURS 1024
#define ZETA_MAX_WINDOW 65536
#define ZETA_MAX_KEYS 16777216 /* per sequence, 2^24; also the largest `local` */

enum {
    ZETA_SELECT_WINDOW = 0, /* a window of the keys sorted along the curve (paper section 3); re-ranked if window > neighbours */
    ZETA_SELECT_EXACT = 1   /* the true K nearest */
};

/* Weights of a candidate at squared distance D from the query. */
enum {
    ZETA_SCORE_CAUCHY = 0,   /* 1/(D + gamma^2), the paper's Eq. 6 */
    ZETA_SCORE_GAUSSIAN = 1, /* exp(-D/gamma^2) */
    ZETA_SCORE_LAPLACE = 2,  /* exp(-sqrt(D)/gamma), the paper's Negative-Euclidean */
    ZETA_SCORE_INVERSE = 3,  /* 1/(sqrt(D) + gamma), the paper's Inverse-Euclidean */
    ZETA_SCORE_DOT = 4       /* exp(q.k/gamma), selection still by distance */
};

enum {
    ZETA_DEFAULT = -1 /* for `local` and `mean`: what suits `causal` */
};

/* Reports progress, fraction in 0..1, from any thread the context uses, one call at a time. Non-zero asks to stop. */
typedef int (*zeta_progress)(void *user, double fraction);

typedef struct zeta_attention_params {
    size_t struct_size;         /* set by zeta_attention_params_init */
    int32_t neighbours;         /* K, 1..1024; default 32. More than the searchable keys is legal: slots stay empty */
    int32_t window;             /* W, K..65536: candidates before the K nearest are kept; 0 (default): W = K */
    int32_t select;             /* ZETA_SELECT_WINDOW (default) or ZETA_SELECT_EXACT */
    int32_t score;              /* ZETA_SCORE_CAUCHY (default), ... */
    int32_t causal;             /* 1 (default) or 0 */
    int32_t mean;               /* history mean 1 or 0; ZETA_DEFAULT (default): on when causal */
    int64_t chunk;              /* C >= 1: causality granularity of the search; 1 (default) is token-exact */
    int64_t local;              /* w, 0..2^24; ZETA_DEFAULT (default): 1 when causal, else 0. Must be 0 when not causal */
    int64_t first;              /* keys before this position are not searchable; >= 0; default 0 */
    const float *gamma;         /* [gamma_count], each in 2^-30..2^30; NULL (default): 1 */
    int64_t gamma_count;        /* 0 (gamma NULL), 1, or H: one per query head */
    zeta_grid grid;             /* default squash with scale 1; grid.heads is 0 or G */
    int64_t sequences;          /* packed sequences: S; 0 (default): none. Needs B = 1 */
    const int64_t *q_lengths;   /* [S], sum N, zeros allowed */
    const int64_t *k_lengths;   /* [S], sum M; NULL: as q_lengths. When causal k >= q in each */
    zeta_progress progress;     /* default NULL */
    void *progress_user;
} zeta_attention_params;

ZETA_API void zeta_attention_params_init(zeta_attention_params *params);

/* Tensors of one attention. In the size queries only shapes, types and which outputs are present matter: data may be NULL. */
typedef struct zeta_forward_args {
    size_t struct_size;             /* set by zeta_forward_args_init */
    const zeta_tensor *q;           /* [B, H, N, dk] float32, bfloat16 or float16 */
    const zeta_tensor *k;           /* [B, G, M, dk] type of q */
    const zeta_tensor *v;           /* [B, G, M, dv] float32, bfloat16 or float16, may differ from q's */
    const zeta_tensor *out;         /* [B, H, N, dv] type of v */
    const zeta_tensor *normaliser;  /* optional [B, H, N] float32: sum of weights (cauchy, inverse), or its logarithm */
    const zeta_tensor *neighbours;  /* optional [B, H, N, K] int32: ascending positions, -1 for empty slots at the end */
    void *saved;                    /* optional: what zeta_backward needs, zeta_saved_size() bytes, 4-byte
                                       aligned; may be copied elsewhere in between */
    size_t saved_size;
    void *scratch;                  /* optional: working memory, dead after the call; NULL: from the context's allocator */
    size_t scratch_size;
} zeta_forward_args;

typedef struct zeta_backward_args {
    size_t struct_size;             /* set by zeta_backward_args_init */
    const zeta_tensor *q, *k, *v;   /* as given to zeta_forward */
    const zeta_tensor *grad_out;    /* dL/d out [B, H, N, dv], type of v */
    const zeta_tensor *grad_q;      /* [B, H, N, dk] type of q; optional, like the other outputs, but one at least */
    const zeta_tensor *grad_k;      /* [B, G, M, dk] type of k */
    const zeta_tensor *grad_v;      /* [B, G, M, dv] type of v */
    const zeta_tensor *grad_gamma;  /* [H] float32, summed over batches, also when gamma is one number */
    const void *saved;              /* written by zeta_forward on the same inputs and params */
    size_t saved_size;
    void *scratch;
    size_t scratch_size;
} zeta_backward_args;

ZETA_API void zeta_forward_args_init(zeta_forward_args *args);
ZETA_API void zeta_backward_args_init(zeta_backward_args *args);

/* Bytes of scratch that make a call allocate nothing (at one thread; at more, oneTBB may). At most
 * 32 (M + N)(dk + 8) bytes per head in flight, O(K dv) per thread, O(W) per thread if a window is re-ranked, and with
 * grad_gamma 8 bytes per batch (or packed sequence) and query head.
 * @return ZETA_OK; else *size = 0 and the status zeta_forward / zeta_backward would give. */
ZETA_API zeta_status zeta_forward_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                               const zeta_forward_args *args, size_t *size);
ZETA_API zeta_status zeta_backward_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                                const zeta_backward_args *args, size_t *size);

/* Bytes of `saved`: O(B H N). */
ZETA_API zeta_status zeta_saved_size(zeta_context *context, const zeta_attention_params *params,
                                     const zeta_forward_args *args, size_t *size);

/* Attention output o = sum s v / sum s over the attended set (paper Eq. 6 for cauchy); 0 where the set is empty.
 * params may be NULL: all defaults.
 * @return ZETA_OK: every given output is complete. ZETA_ERROR_CANCELLED: outputs hold unspecified values. Else nothing
 *         was written: ZETA_ERROR_ARGUMENT, _SHAPE, _STRIDE, _DTYPE, _DEVICE, _OVERLAP, _STRUCT_SIZE, _SCRATCH, _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_forward(zeta_context *context, const zeta_attention_params *params, const zeta_forward_args *args);

/* Gradients with the selection held constant. Outputs are overwritten. Same bits for any number of threads.
 * @return as zeta_forward; ZETA_ERROR_SCRATCH also when `saved` comes from a call with other shapes or params. */
ZETA_API zeta_status zeta_backward(zeta_context *context, const zeta_attention_params *params, const zeta_backward_args *args);

/* Selection alone, for one's own scoring: neighbours [B, H, N, K] int32, ascending, -1 for empty slots at the end;
 * distances, optional [B, H, N, K] float32, the squared distances of those slots (+infinity for empty ones).
 * @return as zeta_forward. */
ZETA_API zeta_status zeta_select(zeta_context *context, const zeta_attention_params *params, const zeta_tensor *q,
                                 const zeta_tensor *k, const zeta_tensor *neighbours, const zeta_tensor *distances);

/* Attention over given neighbours [B, H, N, K] int32 (K from this tensor; any order, -1 for empty slots at the end), and
 * the local window and mean as params say. Every other entry must be a key the query may search: first <= j < limit of
 * its position (packed: inside its sequence); duplicates count twice. `window` and `select` are not used.
 * args->neighbours must be NULL. @return as zeta_forward, and ZETA_ERROR_ARGUMENT for an entry out of range. */
ZETA_API zeta_status zeta_attend_neighbours(zeta_context *context, const zeta_attention_params *params,
                                            const zeta_tensor *neighbours, const zeta_forward_args *args);
ZETA_API zeta_status zeta_attend_neighbours_backward(zeta_context *context, const zeta_attention_params *params,
                                                     const zeta_tensor *neighbours, const zeta_backward_args *args);

/* Bytes of scratch of the two calls; `neighbours` needs a shape only. zeta_saved_size() holds for both ways to forward. */
ZETA_API zeta_status zeta_attend_neighbours_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                                         const zeta_tensor *neighbours, const zeta_forward_args *args,
                                                         size_t *size);
ZETA_API zeta_status zeta_attend_neighbours_backward_scratch_size(zeta_context *context,
                                                                  const zeta_attention_params *params,
                                                                  const zeta_tensor *neighbours,
                                                                  const zeta_backward_args *args, size_t *size);

/* How much of the truth the selection finds. Per query with searchable keys: the share of its min(K, n) selected keys
 * whose squared distance is <= the exact K-th; averaged over queries and batches.
 * recall_per_head: optional, [H] floats. recall: the mean over heads. Heads without such queries count as 1.
 * @return as zeta_forward. */
ZETA_API zeta_status zeta_recall(zeta_context *context, const zeta_attention_params *params, const zeta_tensor *q,
                                 const zeta_tensor *k, double *recall, float *recall_per_head);

/* The control: the same scores over all keys a query may attend (searchable, local, mean), in O(N M) time and linear
 * memory. neighbours and saved of args must be NULL; K, W and select are not used. @return as zeta_forward. */
ZETA_API zeta_status zeta_dense_forward(zeta_context *context, const zeta_attention_params *params,
                                        const zeta_forward_args *args);

/* Bytes of scratch that make zeta_dense_forward allocate nothing at one thread, OpenBLAS's own memory aside. */
ZETA_API zeta_status zeta_dense_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                             const zeta_forward_args *args, size_t *size);

/* Stages of the last zeta_forward or zeta_backward on this context, in milliseconds of wall time summed over heads (with
 * several heads in flight, their sum): names "codes", "sort", "levels", "mean", "attend", ...; NULL past the end. */
ZETA_API const char *zeta_stage_name(const zeta_context *context, int32_t index);
ZETA_API double zeta_stage_ms(const zeta_context *context, int32_t index);

#ifdef __cplusplus
}
#endif
#endif
