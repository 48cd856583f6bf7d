// SPDX-License-Identifier: Apache-2.0
// Views from and to DLPack. Nothing is copied and no ownership moves; both functions only translate fields.
#include "zeta/dlpack.h"

#include "../status.hpp"
#include "check_tensor.hpp"

namespace zeta::api {
namespace {

struct TypePair {
    int32_t dtype;
    uint8_t code, bits;
};

constexpr TypePair kTypes[] = {
    {ZETA_F32, kDLFloat, 32}, {ZETA_BF16, kDLBfloat, 16}, {ZETA_F16, kDLFloat, 16},
    {ZETA_I32, kDLInt, 32},   {ZETA_U64, kDLUInt, 64},
};

int32_t dtype_from(const DLDataType &type) {
    for (const TypePair &pair : kTypes)
        if (pair.code == type.code && pair.bits == type.bits && type.lanes == 1) return pair.dtype;
    fail(ZETA_ERROR_DTYPE,
         "tensor.dtype has code %d, %d bits and %d lanes: must be float32, bfloat16, float16, int32 or uint64, 1 lane",
         type.code, type.bits, type.lanes);
}

zeta_tensor view_from(const DLTensor &tensor) {
    const int32_t dtype = dtype_from(tensor.dtype);
    if (tensor.device.device_type != kDLCPU)
        fail(ZETA_ERROR_DEVICE, "tensor.device has type %d: must be kDLCPU (%d)",
             static_cast<int>(tensor.device.device_type), static_cast<int>(kDLCPU));
    if (tensor.ndim < 0 || tensor.ndim > ZETA_MAX_RANK)
        fail(ZETA_ERROR_SHAPE, "tensor.ndim is %d: must be 0 to %d", static_cast<int>(tensor.ndim), ZETA_MAX_RANK);
    if (tensor.ndim > 0) check_pointer("tensor.shape", tensor.shape, alignof(int64_t));
    check_alignment("tensor.strides", tensor.strides, alignof(int64_t));
    const uintptr_t base = reinterpret_cast<uintptr_t>(tensor.data);
    if (tensor.byte_offset > UINTPTR_MAX - base)
        fail(ZETA_ERROR_ARGUMENT, "tensor.byte_offset is %llu: it ends past the address space",
             static_cast<unsigned long long>(tensor.byte_offset));
    void *data = tensor.data == nullptr ? nullptr : static_cast<char *>(tensor.data) + tensor.byte_offset;
    zeta_tensor view = zeta_tensor_contiguous(data, dtype, tensor.ndim, tensor.shape);
    if (tensor.strides != nullptr)
        for (int axis = 0; axis < tensor.ndim; ++axis) view.stride[axis] = tensor.strides[axis];
    return view;
}

DLTensor tensor_from(zeta_tensor &view) {
    DLTensor tensor{};
    bool known = false;
    for (const TypePair &pair : kTypes)
        if (pair.dtype == view.dtype) {
            tensor.dtype = DLDataType{pair.code, pair.bits, 1};
            known = true;
        }
    if (!known)
        fail(ZETA_ERROR_DTYPE, "view.dtype is %d, which is no known element type", static_cast<int>(view.dtype));
    if (view.device != ZETA_CPU && view.device != ZETA_CUDA)
        fail(ZETA_ERROR_ARGUMENT, "view.device is %d, which is no known device", static_cast<int>(view.device));
    if (view.rank < 0 || view.rank > ZETA_MAX_RANK)
        fail(ZETA_ERROR_ARGUMENT, "view.rank is %d: must be 0 to %d", static_cast<int>(view.rank), ZETA_MAX_RANK);
    tensor.data = view.data;
    tensor.device.device_type = view.device == ZETA_CPU ? kDLCPU : kDLCUDA;
    tensor.ndim = view.rank;
    tensor.shape = view.shape;
    tensor.strides = view.stride;
    return tensor;
}

} // namespace
} // namespace zeta::api

zeta_status zeta_tensor_from_dlpack(zeta_tensor *view, const DLTensor *tensor) {
    return zeta::guarded([&] {
        zeta::api::check_pointer("view", view, alignof(zeta_tensor));
        zeta::api::check_pointer("tensor", tensor, alignof(DLTensor));
        *view = zeta::api::view_from(*tensor);
    });
}

zeta_status zeta_tensor_to_dlpack(DLTensor *tensor, zeta_tensor *view) {
    return zeta::guarded([&] {
        zeta::api::check_pointer("tensor", tensor, alignof(DLTensor));
        zeta::api::check_pointer("view", view, alignof(zeta_tensor));
        *tensor = zeta::api::tensor_from(*view);
    });
}
