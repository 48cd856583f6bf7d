/* SPDX-License-Identifier: Apache-2.0 */
/* See spoil_tensor.h. */
#include "spoil_tensor.h"

#define SPOIL(name, statements)                                                                                        \
    static void name(zeta_tensor *t) {                                                                                 \
        statements;                                                                                                    \
    }

SPOIL(no_data, t->data = NULL)
SPOIL(misaligned, t->data = (char *)t->data + 1)
SPOIL(past_memory, t->data = (void *)(UINTPTR_MAX - 7))
SPOIL(rank_above, t->rank += 1)
SPOIL(rank_below, t->rank -= 1)
SPOIL(rank_negative, t->rank = -1)
SPOIL(rank_unknown, t->rank = ZETA_MAX_RANK + 1)
SPOIL(reserved, t->reserved = 1)
SPOIL(extent_negative, t->shape[t->rank - 1] = -1)
SPOIL(extent_large, t->shape[0] = INT64_MAX / 2)
SPOIL(extent_hidden, t->shape[0] = INT64_MAX / 2; t->shape[t->rank - 1] = t->rank == 1 ? INT64_MAX : 0)
SPOIL(stride_last, t->stride[t->rank - 1] = 2)
SPOIL(stride_last_zero, t->stride[t->rank - 1] = 0)
SPOIL(stride_negative, t->stride[0] = -1)
SPOIL(stride_zero, t->stride[0] = 0)
SPOIL(stride_far, if (t->rank == 1) t->shape[0] = INT64_MAX; t->stride[0] = t->rank == 1 ? 1 : INT64_MAX / 2)
SPOIL(type_unknown, t->dtype = 99)
SPOIL(type_negative, t->dtype = -1)
SPOIL(type_int8, t->dtype = ZETA_I8)
SPOIL(type_codes, t->dtype = t->dtype == ZETA_U64 ? ZETA_I32 : ZETA_U64)
SPOIL(device_cuda, t->device = ZETA_CUDA)
SPOIL(device_unknown, t->device = -3)

const struct tensor_spoil tensor_spoils[] = {
    {"no data", IN_RUNS, ZETA_ERROR_ARGUMENT, 0, ".data is NULL", no_data},
    {"misaligned data", IN_RUNS, ZETA_ERROR_ARGUMENT, 0, ".data is", misaligned},
    {"past memory", IN_RUNS, ZETA_ERROR_SHAPE, 0, "address space", past_memory},
    {"rank above", ALWAYS, ZETA_ERROR_SHAPE, 0, " has rank", rank_above},
    {"rank below", ALWAYS, ZETA_ERROR_SHAPE, 0, " has rank", rank_below},
    {"rank -1", ALWAYS, ZETA_ERROR_SHAPE, 0, " has rank -1", rank_negative},
    {"rank 5", ALWAYS, ZETA_ERROR_SHAPE, 0, " has rank 5", rank_unknown},
    {"reserved", ALWAYS, ZETA_ERROR_ARGUMENT, 0, ".reserved is 1", reserved},
    {"negative extent", ALWAYS, ZETA_ERROR_SHAPE, 0, "is negative", extent_negative},
    {"large extent", ALWAYS, ZETA_ERROR_SHAPE, 0, "overflow", extent_large},
    {"large extent, another 0", ALWAYS, ZETA_ERROR_SHAPE, 0, "overflow", extent_hidden},
    {"last stride 2", ALWAYS, ZETA_ERROR_STRIDE, 1, "stride 2 on its last axis", stride_last},
    {"last stride 0", ALWAYS, ZETA_ERROR_STRIDE, 1, "stride 0 on its last axis", stride_last_zero},
    {"negative stride", ALWAYS, ZETA_ERROR_STRIDE, 0, "stride -1 on", stride_negative},
    {"stride 0", IN_OUTPUTS, ZETA_ERROR_STRIDE, 0, "stride 0 on", stride_zero},
    {"far stride", ALWAYS, ZETA_ERROR_SHAPE, 0, "overflow", stride_far},
    {"unknown type", ALWAYS, ZETA_ERROR_DTYPE, 0, ".dtype is 99", type_unknown},
    {"negative type", ALWAYS, ZETA_ERROR_DTYPE, 0, ".dtype is -1", type_negative},
    {"type of cache values", ALWAYS, ZETA_ERROR_DTYPE, 0, ".dtype is 5", type_int8},
    {"other type", ALWAYS, ZETA_ERROR_DTYPE, 0, " has element type ZETA_", type_codes},
    {"on a GPU", ALWAYS, ZETA_ERROR_DEVICE, 0, ".device is 1 (ZETA_CUDA)", device_cuda},
    {"unknown device", ALWAYS, ZETA_ERROR_DEVICE, 0, ".device is -3", device_unknown},
};
const int tensor_spoil_count = (int)(sizeof tensor_spoils / sizeof tensor_spoils[0]);
