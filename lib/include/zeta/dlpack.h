/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor views from DLPack, the exchange structure of NumPy, PyTorch, JAX and CuPy. Not part of zeta.h, so that
 * programs without DLPack's header need none. */
#ifndef ZETA_DLPACK_H
#define ZETA_DLPACK_H

#include <dlpack/dlpack.h>

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes *view look at the memory of *tensor (byte_offset applied, NULL strides taken as C order). The view borrows: keep
 * the DLManagedTensor alive while it is used.
 * @return ZETA_OK; ZETA_ERROR_ARGUMENT (null pointer), ZETA_ERROR_DTYPE (not float32, bfloat16, float16, int32 or
 *         uint64, or lanes != 1), ZETA_ERROR_DEVICE (not kDLCPU), ZETA_ERROR_SHAPE (more than ZETA_MAX_RANK axes); then
 *         *view is unchanged. */
ZETA_API zeta_status zeta_tensor_from_dlpack(zeta_tensor *view, const DLTensor *tensor);

/* Fills *tensor as a view of *view; shape and strides point into *view, which must outlive it.
 * @return ZETA_OK; ZETA_ERROR_ARGUMENT or ZETA_ERROR_DTYPE; then *tensor is unchanged. */
ZETA_API zeta_status zeta_tensor_to_dlpack(DLTensor *tensor, zeta_tensor *view);

#ifdef __cplusplus
}
#endif
#endif
