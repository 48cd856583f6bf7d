// SPDX-License-Identifier: Apache-2.0
// Checks of zeta_attention_params and zeta_grid. What depends on shapes comes after the tensors are known.
#pragma once

#include "check_tensor.hpp"
#include "overlap.hpp"

namespace zeta::api {

// The caller's params, or the defaults for NULL; pointer and struct_size are checked.
zeta_attention_params given_params(const zeta_attention_params *params);

// struct_size of any struct of the public headers; `name` is "params".
void check_struct_size(const char *name, size_t given, size_t known);

// Every option that needs no shape: K, W, select, score, causal, mean, chunk, local, first and the alignment of
// pointers. The Problem holds them with their defaults filled in.
Problem resolve_options(const zeta_attention_params &params);

// gamma, grid and lengths against the shapes in `problem`, and what follows from them (M >= N, 2^24 keys).
void resolve_shaped_options(const zeta_attention_params &params, Problem &problem);

// Kind, pointers and values; heads is in range but not compared with the tensors. Both kinds keep their own pointers
// only.
zeta_grid check_grid(const zeta_grid &grid, int32_t dk);

// kind, heads and pointer alignment alone.
void check_grid_options(const zeta_grid &grid);

// The arrays that the call reads besides its tensors.
void add_grid_inputs(Overlaps &overlaps, const zeta_grid &grid, int32_t dk);
void add_params_inputs(Overlaps &overlaps, const Problem &problem);

} // namespace zeta::api
