// SPDX-License-Identifier: Apache-2.0
// The public helpers that make no use of a context: element sizes, contiguous views, the version.
#include <cstring>

#include "zeta/types.h"
#include "zeta/version.h"

#define ZETA_TEXT_OF(x) #x
#define ZETA_TEXT(x) ZETA_TEXT_OF(x)

const char *zeta_version(void) {
    return ZETA_TEXT(ZETA_VERSION_MAJOR) "." ZETA_TEXT(ZETA_VERSION_MINOR) "." ZETA_TEXT(ZETA_VERSION_PATCH);
}

size_t zeta_dtype_size(int32_t dtype) {
    switch (dtype) {
    case ZETA_F32:
    case ZETA_I32:
        return 4;
    case ZETA_BF16:
    case ZETA_F16:
        return 2;
    case ZETA_U64:
        return 8;
    default:
        return 0;
    }
}

zeta_tensor zeta_tensor_contiguous(void *data, int32_t dtype, int32_t rank, const int64_t *shape) {
    zeta_tensor tensor;
    std::memset(&tensor, 0, sizeof tensor);
    tensor.data = data;
    tensor.dtype = dtype;
    tensor.device = ZETA_CPU;
    tensor.rank = rank >= 0 && rank <= ZETA_MAX_RANK && (rank == 0 || shape != nullptr) ? rank : -1;
    int64_t stride = 1;
    for (int32_t axis = tensor.rank - 1; axis >= 0; --axis) {
        tensor.shape[axis] = shape[axis];
        tensor.stride[axis] = stride;
        if (__builtin_mul_overflow(stride, shape[axis], &stride)) stride = INT64_MAX; // refused where it is used
    }
    return tensor;
}
