// SPDX-License-Identifier: Apache-2.0
// Checks of a single tensor view and of single pointers, and the engine's View of an accepted tensor. Each refusal is
// an Error with a sentence that names the argument.
#pragma once

#include "check.hpp"

namespace zeta::api {

// Sets of element types.
constexpr unsigned kFloating = 1u << ZETA_F32 | 1u << ZETA_BF16 | 1u << ZETA_F16;
constexpr unsigned kFloat32 = 1u << ZETA_F32;
constexpr unsigned kInt32 = 1u << ZETA_I32;
constexpr unsigned kUint64 = 1u << ZETA_U64;

enum class Role { input, output };

// What an argument must be, whatever the other arguments are.
struct TensorRule {
    const char *name;
    int rank;
    unsigned types; // set of element types
    Role role;
};

// "ZETA_F32", ...; "unknown" for other values.
const char *dtype_name(int32_t dtype); // ZETA_F32 .. ZETA_U64

// A shape as text, "[1, 2, 64, 3]".
struct ShapeText {
    explicit ShapeText(const zeta_tensor &tensor);
    char text[ZETA_MAX_RANK * 22 + 3];
};

// Pointer, rank, device, element type, extents, strides, data. With Purpose::size, data is not looked at.
void check_tensor(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose);

// The tensor's extent on an axis against what other arguments say; `meaning` is "the dk of q".
void check_extent(const char *name, const zeta_tensor &tensor, int axis, int64_t expected, const char *meaning);

// The tensor's element type against that of another tensor.
void check_same_type(const char *name, const zeta_tensor &tensor, const char *other_name, const zeta_tensor &other);

// NULL and alignment of a pointer that must be there.
void check_pointer(const char *name, const void *pointer, size_t alignment);

// Alignment of a pointer that may be NULL.
void check_alignment(const char *name, const void *pointer, size_t alignment);

// A buffer of the caller with its size: NULL only if the size is 0, and inside the address space.
void check_buffer(const char *name, const void *data, const char *size_name, size_t size);

// The View of an accepted tensor; absent if `tensor` is NULL. Axes of extent <= 1, and all axes of a tensor without
// elements, get stride 0. A tensor given without data (none needed) gets the address of a dummy, so that present()
// holds. Rank 3 [B, H, N]: one channel. Rank 1 [H]: element h is *head(0, h).
View make_view(const zeta_tensor *tensor);

} // namespace zeta::api
