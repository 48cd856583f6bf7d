/* SPDX-License-Identifier: Apache-2.0 */
/* Statuses, element types and tensor views shared by all of zeta's headers. */
#ifndef ZETA_TYPES_H
#define ZETA_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returned by every call that can fail. Values are never renumbered. Unless a function says otherwise, a status other
 * than ZETA_OK and ZETA_ERROR_CANCELLED means that no output was written. zeta_last_error() gives the sentence. */
typedef enum zeta_status {
    ZETA_OK = 0,
    ZETA_ERROR_ARGUMENT = -1,       /* null or misaligned pointer, option out of its range, unknown enum value */
    ZETA_ERROR_SHAPE = -2,          /* rank or shape mismatch, negative or overflowing shape, lengths that do not add up */
    ZETA_ERROR_STRIDE = -3,         /* negative stride, last stride not 1, zero stride on an output */
    ZETA_ERROR_DTYPE = -4,          /* element type not allowed here */
    ZETA_ERROR_DEVICE = -5,         /* device not supported by this build or this call */
    ZETA_ERROR_OVERLAP = -6,        /* an output shares elements with an input or another output */
    ZETA_ERROR_STRUCT_SIZE = -7,    /* struct_size is not one this library knows: _init() was not called, or headers differ */
    ZETA_ERROR_ISA = -8,            /* instruction set unknown, or absent from this CPU or build */
    ZETA_ERROR_SCRATCH = -9,        /* scratch or saved buffer smaller than the queried size, or saved by another call */
    ZETA_ERROR_MEMORY = -10,        /* an allocation failed */
    ZETA_ERROR_BUSY = -11,          /* the context or cache is serving another call */
    ZETA_ERROR_CANCELLED = -12,     /* the progress callback asked to stop; outputs hold unspecified values */
    ZETA_ERROR_INTERNAL = -13,      /* a defect in zeta or a library it uses; please report it */
    ZETA_ERROR_IO = -14,            /* a file cannot be read or written */
    ZETA_ERROR_FORMAT = -15         /* not a whole, sound file of the kind expected, or from a newer version */
} zeta_status;

/* Short name of a status, "ZETA_ERROR_SHAPE"; "unknown" for other values. Never NULL. */
ZETA_API const char *zeta_status_name(zeta_status status);

/* Sentence about the last failed call on this thread, with the argument's name and the numbers; "" if none failed yet.
 * Valid until the next zeta call on this thread. */
ZETA_API const char *zeta_last_error(void);

/* Element types. Attention inputs: the three floating types. */
enum {
    ZETA_F32 = 0,  /* IEEE binary32 */
    ZETA_BF16 = 1, /* the upper half of a binary32 */
    ZETA_F16 = 2,  /* IEEE binary16 */
    ZETA_I32 = 3,  /* int32: neighbours, cells */
    ZETA_U64 = 4   /* uint64: Morton codes */
};

enum {
    ZETA_CPU = 0,
    ZETA_CUDA = 1
};

#define ZETA_MAX_RANK 4

/* A view of memory the caller owns; zeta never frees or keeps it. Strides count elements. The last stride is 1; others
 * are >= 0, and > 0 on outputs; strides of axes of extent <= 1 are ignored. Gaps between rows are never written. */
typedef struct zeta_tensor {
    void *data;                     /* aligned to the element size; may be NULL when the tensor has no element */
    int32_t dtype;                  /* ZETA_F32, ... */
    int32_t device;                 /* ZETA_CPU */
    int32_t rank;                   /* 0..ZETA_MAX_RANK */
    int32_t reserved;               /* 0 */
    int64_t shape[ZETA_MAX_RANK];   /* extents of the first `rank` axes */
    int64_t stride[ZETA_MAX_RANK];  /* in elements */
} zeta_tensor;

/* A contiguous CPU view of `data` with the given shape (rank numbers). No check is made here: the call that uses the
 * view checks it. A rank outside 0..ZETA_MAX_RANK gives a view that every call refuses. */
ZETA_API zeta_tensor zeta_tensor_contiguous(void *data, int32_t dtype, int32_t rank, const int64_t *shape);

/* Bytes of one element of `dtype`, 0 if unknown. */
ZETA_API size_t zeta_dtype_size(int32_t dtype);

#ifdef __cplusplus
}
#endif
#endif
