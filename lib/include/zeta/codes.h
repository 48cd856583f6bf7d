/* SPDX-License-Identifier: Apache-2.0 */
/* Z-order (Morton) codes as a primitive of their own: the paper's Eq. 4 on a fixed grid.
 * Each coordinate falls in one of 2^bits cells, bits = min(20, floor(40/dk)); a code interleaves the cells' bits, most
 * significant first, coordinate 0 first within each group: at most 40 bits. NaN falls in cell 0. */
#ifndef ZETA_CODES_H
#define ZETA_CODES_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ZETA_GRID_SQUASH = 0, /* u = t/(1+|t|), t = x/scale; cell = floor((u/2 + 1/2) 2^bits), clamped */
    ZETA_GRID_RANGE = 1   /* cell = floor((x - lo)/(hi - lo) 2^bits), clamped */
};

/* The grid never depends on the data: one fitted to a whole sequence would leak the future into the past. */
typedef struct zeta_grid {
    int32_t kind;       /* ZETA_GRID_SQUASH (default) or ZETA_GRID_RANGE */
    int32_t heads;      /* 0 (default): one value for all; else G, and scale, lo, hi are [G, dk] */
    const float *scale; /* squash: [1] or [G, dk], finite and > 0; NULL (default): 1 */
    const float *lo;    /* range: [1] or [G, dk]; NULL (default): 0 */
    const float *hi;    /* range: [1] or [G, dk], lo < hi, hi - lo finite; NULL (default): 1 */
} zeta_grid;

/* Bits per coordinate, min(20, floor(40/dk)); 0 if dk is not in 1..32. */
ZETA_API int32_t zeta_codes_bits(int32_t dk);

/* Codes of points: x [B, H, N, dk] float32, bfloat16 or float16 -> codes [B, H, N] uint64. A grid with heads = G needs H
 * to be a multiple of G; head h uses row floor(h G/H). grid may be NULL: squash, scale 1.
 * @return ZETA_OK; else nothing is written: ZETA_ERROR_ARGUMENT, _SHAPE, _STRIDE, _DTYPE, _DEVICE, _OVERLAP, _MEMORY, _BUSY. */
ZETA_API zeta_status zeta_codes_encode(zeta_context *context, const zeta_grid *grid, const zeta_tensor *x,
                                       const zeta_tensor *codes);

/* Cells of points: x [B, H, N, dk] -> cells [B, H, N, dk] int32, each in 0 .. 2^bits - 1. Errors as zeta_codes_encode. */
ZETA_API zeta_status zeta_codes_cells(zeta_context *context, const zeta_grid *grid, const zeta_tensor *x,
                                      const zeta_tensor *cells);

/* Codes back to cells: codes [B, H, N] uint64 -> cells [B, H, N, dk] int32. Bits of a code above bits*dk are ignored.
 * Errors as zeta_codes_encode. */
ZETA_API zeta_status zeta_codes_decode(zeta_context *context, const zeta_tensor *codes, const zeta_tensor *cells);

#ifdef __cplusplus
}
#endif
#endif
