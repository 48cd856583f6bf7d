// SPDX-License-Identifier: Apache-2.0
// Checks of a single tensor view, in the order of its fields: pointer, rank, device, element type, extents, strides,
// data. Sizes are computed without overflow; an accepted view's bytes fit ptrdiff_t and the address space.
#include "check_tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>

#include "../status.hpp"

namespace zeta::api {
namespace {

constexpr int64_t kMaxBytes = PTRDIFF_MAX;

// Stands in for the data of tensors that need none; never read or written.
alignas(64) char no_data[64];

int64_t element_size(const zeta_tensor &tensor) {
    return static_cast<int64_t>(zeta_dtype_size(tensor.dtype));
}

bool is_empty(const zeta_tensor &tensor) {
    for (int axis = 0; axis < tensor.rank; ++axis)
        if (tensor.shape[axis] == 0) return true;
    return false;
}

void check_header(const TensorRule &rule, const zeta_tensor &tensor) {
    if (tensor.rank != rule.rank)
        fail(ZETA_ERROR_SHAPE, "%s has rank %d but must have rank %d", rule.name, static_cast<int>(tensor.rank),
             rule.rank);
    if (tensor.reserved != 0)
        fail(ZETA_ERROR_ARGUMENT, "%s.reserved is %d but must be 0", rule.name, static_cast<int>(tensor.reserved));
    if (tensor.device == ZETA_CUDA)
        fail(ZETA_ERROR_DEVICE, "%s.device is %d (ZETA_CUDA): this call takes ZETA_CPU (%d) only", rule.name, ZETA_CUDA,
             ZETA_CPU);
    if (tensor.device != ZETA_CPU)
        fail(ZETA_ERROR_DEVICE, "%s.device is %d, which is no known device: must be ZETA_CPU (%d)", rule.name,
             static_cast<int>(tensor.device), ZETA_CPU);
    if (tensor.dtype < 0 || tensor.dtype > ZETA_U64)
        fail(ZETA_ERROR_DTYPE, "%s.dtype is %d, which is no known element type", rule.name,
             static_cast<int>(tensor.dtype));
    if ((rule.types >> tensor.dtype & 1u) != 0) return;
    const char *allowed = rule.types == kFloating  ? "ZETA_F32, ZETA_BF16 or ZETA_F16"
                          : rule.types == kFloat32 ? "ZETA_F32"
                          : rule.types == kInt32   ? "ZETA_I32"
                                                   : "ZETA_U64";
    fail(ZETA_ERROR_DTYPE, "%s has element type %s but must have %s", rule.name, dtype_name(tensor.dtype), allowed);
}

// Extents are >= 0, and those above 0 multiply to a number of bytes that can be counted, also when another one is 0.
void check_extents(const char *name, const zeta_tensor &tensor) {
    int64_t bytes = element_size(tensor);
    for (int axis = 0; axis < tensor.rank; ++axis) {
        const int64_t extent = tensor.shape[axis];
        if (extent < 0)
            fail(ZETA_ERROR_SHAPE, "%s has shape %s: extent %d is negative", name, ShapeText(tensor).text, axis);
        if (extent > 0 && __builtin_mul_overflow(bytes, extent, &bytes))
            fail(ZETA_ERROR_SHAPE, "%s has shape %s: its size in bytes overflows", name, ShapeText(tensor).text);
    }
}

void check_strides(const TensorRule &rule, const zeta_tensor &tensor) {
    if (is_empty(tensor)) return;
    const int last = tensor.rank - 1;
    int64_t bytes = element_size(tensor); // from the first byte of the view to its last
    for (int axis = 0; axis < tensor.rank; ++axis) {
        const int64_t extent = tensor.shape[axis], stride = tensor.stride[axis];
        const long long shown = stride;
        if (extent <= 1) continue;
        if (axis == last && stride != 1)
            fail(ZETA_ERROR_STRIDE, "%s has stride %lld on its last axis but it must be 1", rule.name, shown);
        if (stride < 0) fail(ZETA_ERROR_STRIDE, "%s has the negative stride %lld on axis %d", rule.name, shown, axis);
        if (stride == 0 && rule.role == Role::output)
            fail(ZETA_ERROR_STRIDE, "%s has stride 0 on axis %d of extent %lld: an output needs strides above 0",
                 rule.name, axis, static_cast<long long>(extent));
        int64_t reach;
        if (__builtin_mul_overflow(extent - 1, stride, &reach) ||
            __builtin_mul_overflow(reach, element_size(tensor), &reach) ||
            __builtin_add_overflow(bytes, reach, &bytes) || bytes > kMaxBytes)
            fail(ZETA_ERROR_SHAPE, "%s has shape %s and stride %lld on axis %d: its size in bytes overflows", rule.name,
                 ShapeText(tensor).text, shown, axis);
    }
    const uintptr_t start = reinterpret_cast<uintptr_t>(tensor.data);
    if (tensor.data != nullptr && static_cast<uintptr_t>(bytes) > UINTPTR_MAX - start)
        fail(ZETA_ERROR_SHAPE, "%s has shape %s and data %p: it ends past the address space", rule.name,
             ShapeText(tensor).text, tensor.data);
}

void check_data(const char *name, const zeta_tensor &tensor) {
    if (is_empty(tensor)) return;
    if (tensor.data == nullptr)
        fail(ZETA_ERROR_ARGUMENT, "%s.data is NULL but the tensor has elements: its shape is %s", name,
             ShapeText(tensor).text);
    const uintptr_t misaligned = reinterpret_cast<uintptr_t>(tensor.data) % zeta_dtype_size(tensor.dtype);
    if (misaligned != 0)
        fail(ZETA_ERROR_ARGUMENT, "%s.data is %p: %s elements need an address divisible by %zu", name, tensor.data,
             dtype_name(tensor.dtype), zeta_dtype_size(tensor.dtype));
}

} // namespace

const char *dtype_name(int32_t dtype) {
    static constexpr const char *kNames[] = {"ZETA_F32", "ZETA_BF16", "ZETA_F16", "ZETA_I32", "ZETA_U64"};
    static_assert(std::size(kNames) == ZETA_U64 + 1);
    return kNames[dtype];
}

ShapeText::ShapeText(const zeta_tensor &tensor) {
    size_t length = 0;
    text[length++] = '[';
    for (int axis = 0; axis < tensor.rank && axis < ZETA_MAX_RANK; ++axis)
        length += static_cast<size_t>(std::snprintf(text + length, sizeof text - length, "%s%lld",
                                                    axis == 0 ? "" : ", ", static_cast<long long>(tensor.shape[axis])));
    std::snprintf(text + length, sizeof text - length, "]");
}

void check_tensor(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose) {
    check_pointer(rule.name, tensor, alignof(zeta_tensor));
    check_header(rule, *tensor);
    check_extents(rule.name, *tensor);
    check_strides(rule, *tensor);
    if (purpose == Purpose::run) check_data(rule.name, *tensor);
}

void check_extent(const char *name, const zeta_tensor &tensor, int axis, int64_t expected, const char *meaning) {
    if (tensor.shape[axis] == expected) return;
    fail(ZETA_ERROR_SHAPE, "%s has shape %s: extent %d is %lld but must be %lld, %s", name, ShapeText(tensor).text,
         axis, static_cast<long long>(tensor.shape[axis]), static_cast<long long>(expected), meaning);
}

void check_same_type(const char *name, const zeta_tensor &tensor, const char *other_name, const zeta_tensor &other) {
    if (tensor.dtype == other.dtype) return;
    fail(ZETA_ERROR_DTYPE, "%s has element type %s but %s has %s: they must be the same", name,
         dtype_name(tensor.dtype), other_name, dtype_name(other.dtype));
}

void check_pointer(const char *name, const void *pointer, size_t alignment) {
    if (pointer == nullptr) fail(ZETA_ERROR_ARGUMENT, "%s is NULL", name);
    check_alignment(name, pointer, alignment);
}

void check_alignment(const char *name, const void *pointer, size_t alignment) {
    if (reinterpret_cast<uintptr_t>(pointer) % alignment == 0) return;
    fail(ZETA_ERROR_ARGUMENT, "%s is %p: it needs an address divisible by %zu", name, pointer, alignment);
}

void check_buffer(const char *name, const void *data, const char *size_name, size_t size) {
    if (data == nullptr && size != 0)
        fail(ZETA_ERROR_ARGUMENT, "%s is NULL but %s is %zu: no buffer has size 0", name, size_name, size);
    if (size > static_cast<size_t>(kMaxBytes) || size > UINTPTR_MAX - reinterpret_cast<uintptr_t>(data))
        fail(ZETA_ERROR_ARGUMENT, "%s is %p and %s is %zu: it ends past the address space", name, data, size_name,
             size);
}

View make_view(const zeta_tensor *tensor) {
    View view;
    if (tensor == nullptr) return view;
    view.data = tensor->data != nullptr ? tensor->data : no_data;
    view.dtype = tensor->dtype;
    const bool empty = is_empty(*tensor);
    const auto stride = [&](int axis) { return empty || tensor->shape[axis] <= 1 ? 0 : tensor->stride[axis]; };
    view.channels = tensor->rank == 4 ? tensor->shape[3] : 1;
    if (tensor->rank == 1) {
        view.head_stride = stride(0);
        return view;
    }
    view.batch_stride = stride(0);
    view.head_stride = stride(1);
    view.row_stride = stride(2);
    return view;
}

} // namespace zeta::api
