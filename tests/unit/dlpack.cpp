// SPDX-License-Identifier: Apache-2.0
// Tensor views: contiguous ones, and those from and to DLPack.
#include <doctest/doctest.h>

#include <cstring>
#include <initializer_list>

#include "zeta/dlpack.h"

namespace {

DLTensor sample(void *data, int64_t *shape) {
    DLTensor tensor{};
    tensor.data = data;
    tensor.device = DLDevice{kDLCPU, 0};
    tensor.ndim = 3;
    tensor.dtype = DLDataType{kDLFloat, 32, 1};
    tensor.shape = shape;
    return tensor;
}

} // namespace

TEST_CASE("a contiguous view") {
    float data[24];
    const int64_t shape[4] = {2, 3, 0, 4};
    const zeta_tensor view = zeta_tensor_contiguous(data, ZETA_F32, 4, shape);
    CHECK(view.data == data);
    CHECK(view.device == ZETA_CPU);
    CHECK(view.stride[3] == 1);
    CHECK(view.stride[2] == 4);
    CHECK(view.stride[1] == 0);
    CHECK(zeta_tensor_contiguous(data, ZETA_F32, 5, shape).rank == -1);
    CHECK(zeta_tensor_contiguous(data, ZETA_F32, 2, nullptr).rank == -1);
    const int64_t huge[3] = {4, INT64_MAX, 4};
    CHECK(zeta_tensor_contiguous(data, ZETA_F32, 3, huge).stride[0] == INT64_MAX);
    CHECK(zeta_dtype_size(ZETA_F32) == 4);
    CHECK(zeta_dtype_size(ZETA_BF16) == 2);
    CHECK(zeta_dtype_size(ZETA_F16) == 2);
    CHECK(zeta_dtype_size(ZETA_I32) == 4);
    CHECK(zeta_dtype_size(ZETA_U64) == 8);
    CHECK(zeta_dtype_size(5) == 0);
    CHECK(zeta_dtype_size(-1) == 0);
}

TEST_CASE("from DLPack and back") {
    float data[100];
    int64_t shape[3] = {2, 3, 4}, strides[3] = {50, 8, 1};
    DLTensor tensor = sample(data, shape);
    tensor.byte_offset = 8;
    zeta_tensor view;
    REQUIRE(zeta_tensor_from_dlpack(&view, &tensor) == ZETA_OK);
    CHECK(view.data == data + 2);
    CHECK(view.rank == 3);
    CHECK(view.stride[0] == 12);
    tensor.strides = strides;
    REQUIRE(zeta_tensor_from_dlpack(&view, &tensor) == ZETA_OK);
    CHECK(view.stride[0] == 50);
    DLTensor back{};
    REQUIRE(zeta_tensor_to_dlpack(&back, &view) == ZETA_OK);
    CHECK(back.data == view.data);
    CHECK(back.shape == view.shape);
    CHECK(back.strides == view.stride);
    CHECK(back.dtype.code == kDLFloat);
    CHECK(back.dtype.bits == 32);
    CHECK(back.byte_offset == 0);
    for (const DLDataType type : {DLDataType{kDLBfloat, 16, 1}, DLDataType{kDLFloat, 16, 1}, DLDataType{kDLInt, 32, 1},
                                  DLDataType{kDLUInt, 64, 1}}) {
        tensor.dtype = type;
        REQUIRE(zeta_tensor_from_dlpack(&view, &tensor) == ZETA_OK);
        REQUIRE(zeta_tensor_to_dlpack(&back, &view) == ZETA_OK);
        CHECK(std::memcmp(&back.dtype, &type, sizeof type) == 0);
    }
}

TEST_CASE("DLPack tensors that are refused leave the view as it was") {
    float data[100];
    int64_t shape[5] = {2, 3, 4, 1, 1};
    zeta_tensor view, before;
    std::memset(&view, 0x5a, sizeof view);
    std::memcpy(&before, &view, sizeof view);
    const auto status = [&](void (*spoil)(DLTensor &)) {
        DLTensor tensor = sample(data, shape);
        spoil(tensor);
        const zeta_status result = zeta_tensor_from_dlpack(&view, &tensor);
        CHECK(std::memcmp(&before, &view, sizeof view) == 0);
        CHECK(zeta_last_error()[0] != '\0');
        return result;
    };
    CHECK(status([](DLTensor &t) { t.dtype.bits = 64; }) == ZETA_ERROR_DTYPE);
    CHECK(status([](DLTensor &t) { t.dtype.lanes = 2; }) == ZETA_ERROR_DTYPE);
    CHECK(status([](DLTensor &t) { t.device.device_type = kDLCUDA; }) == ZETA_ERROR_DEVICE);
    CHECK(status([](DLTensor &t) { t.ndim = 5; }) == ZETA_ERROR_SHAPE);
    CHECK(status([](DLTensor &t) { t.ndim = -1; }) == ZETA_ERROR_SHAPE);
    CHECK(status([](DLTensor &t) { t.shape = nullptr; }) == ZETA_ERROR_ARGUMENT);
    CHECK(status([](DLTensor &t) { t.strides = reinterpret_cast<int64_t *>(reinterpret_cast<char *>(t.shape) + 4); }) ==
          ZETA_ERROR_ARGUMENT);
    CHECK(status([](DLTensor &t) { t.byte_offset = UINT64_MAX; }) == ZETA_ERROR_ARGUMENT);
    CHECK(zeta_tensor_from_dlpack(nullptr, nullptr) == ZETA_ERROR_ARGUMENT);
    CHECK(zeta_tensor_from_dlpack(&view, nullptr) == ZETA_ERROR_ARGUMENT);
    DLTensor tensor = sample(data, shape);
    CHECK(zeta_tensor_to_dlpack(&tensor, nullptr) == ZETA_ERROR_ARGUMENT);
    CHECK(zeta_tensor_to_dlpack(nullptr, &view) == ZETA_ERROR_ARGUMENT);
    CHECK(zeta_tensor_to_dlpack(&tensor, &view) == ZETA_ERROR_DTYPE);
    CHECK(tensor.data == data);
    const auto back = [&](void (*spoil)(zeta_tensor &)) {
        zeta_tensor legal = zeta_tensor_contiguous(data, ZETA_F32, 3, shape);
        spoil(legal);
        const zeta_status result = zeta_tensor_to_dlpack(&tensor, &legal);
        CHECK(tensor.ndim == 3);
        return result;
    };
    CHECK(back([](zeta_tensor &t) { t.dtype = 99; }) == ZETA_ERROR_DTYPE);
    CHECK(back([](zeta_tensor &t) { t.device = 7; }) == ZETA_ERROR_ARGUMENT);
    CHECK(back([](zeta_tensor &t) { t.rank = -1; }) == ZETA_ERROR_ARGUMENT);
    CHECK(back([](zeta_tensor &t) { t.rank = ZETA_MAX_RANK + 1; }) == ZETA_ERROR_ARGUMENT);
}
