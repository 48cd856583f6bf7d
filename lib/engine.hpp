// SPDX-License-Identifier: Apache-2.0
// The operations behind the public calls, on a checked Problem. Each takes scratch (NULL: from the context's allocator)
// and throws Error.
#pragma once

#include "context.hpp"
#include "problem.hpp"

namespace zeta {

size_t forward_scratch(Context &context, const Problem &p, const Tensors &t);
size_t backward_scratch(Context &context, const Problem &p, const Tensors &t);
size_t dense_scratch(Context &context, const Problem &p, const Tensors &t);
size_t saved_size(const Problem &p);

void forward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size);
void backward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size);
void dense_forward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size);
void select(Context &context, const Problem &p, const Tensors &t);
// recall_per_head: [H] or NULL. Returns the mean over heads.
double recall(Context &context, const Problem &p, const Tensors &t, float *recall_per_head);

} // namespace zeta
