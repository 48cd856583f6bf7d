// SPDX-License-Identifier: Apache-2.0
// The door of the library: turns params and tensors of a public call into a resolved Problem, or throws Error with a
// sentence that names the argument and the numbers. Everything is checked here, in argument order, before anything is
// written; code below lib/api checks nothing.
#pragma once

#include "../problem.hpp"

namespace zeta::api {

// A call that may go ahead. In `tensors`, present() says whether a tensor was given: one given without data (because it
// has no element, or in a size query) has the address of a dummy. Strides that do not matter are 0.
struct Checked {
    Problem problem;
    Tensors tensors;
};

enum class Purpose {
    run,  // data pointers, alignment and overlaps are checked
    size, // a size query: only shapes, types and presence matter
};

// zeta_forward, zeta_attend_neighbours (given = its neighbours tensor, else NULL; K = W is its last extent and
// tensors.given its view) and the size queries. The entries of `given` are left to check_neighbour_entries().
Checked check_forward(const zeta_attention_params *params, const zeta_forward_args *args, const zeta_tensor *given,
                      Purpose purpose);

// zeta_dense_forward: as check_forward, and neighbours and saved are refused.
Checked check_dense_forward(const zeta_attention_params *params, const zeta_forward_args *args, Purpose purpose);

// tensors.saved is args->saved without its const: it is only read.
Checked check_backward(const zeta_attention_params *params, const zeta_backward_args *args, const zeta_tensor *given,
                       Purpose purpose);

// zeta_select: q and k, and the outputs; neighbours may be NULL unless needs_neighbours.
Checked check_select(const zeta_attention_params *params, const zeta_tensor *q, const zeta_tensor *k,
                     const zeta_tensor *neighbours, const zeta_tensor *distances, bool needs_neighbours);

// zeta_recall: q and k, recall, and the H numbers of recall_per_head if given.
Checked check_recall(const zeta_attention_params *params, const zeta_tensor *q, const zeta_tensor *k,
                     const double *recall, const float *recall_per_head);

// zeta_codes_*: x [B, H, N, dk] and codes [B, H, N] or cells [B, H, N, dk].
struct CheckedCodes {
    int64_t batches = 0, heads = 0, rows = 0;
    int32_t dk = 0;
    zeta_grid grid{};     // resolved: kind known; heads 0 or a divisor of `heads`; pointers may be NULL (defaults)
    View x, codes, cells; // those the call has
};
CheckedCodes check_encode(const zeta_grid *grid, const zeta_tensor *x, const zeta_tensor *codes);
CheckedCodes check_cells(const zeta_grid *grid, const zeta_tensor *x, const zeta_tensor *cells);
CheckedCodes check_decode(const zeta_tensor *codes, const zeta_tensor *cells);

// Entries of zeta_attend_neighbours against each query's searchable keys; -1 only at the end of a row. O(B H N K).
void check_neighbour_entries(const Problem &problem, const View &given);

} // namespace zeta::api
