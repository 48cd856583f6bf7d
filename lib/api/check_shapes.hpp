// SPDX-License-Identifier: Apache-2.0
// Shapes of the tensors of an attention call against each other (spec section 1). Takes tensors that check_tensor() has
// accepted one by one.
#pragma once

#include "check_tensor.hpp"

namespace zeta::api {

// q and k alone, then against each other; fills B, H, G, N, M, dk of `problem`.
void check_queries_and_keys(const zeta_tensor *q, const zeta_tensor *k, Purpose purpose, Problem &problem);

// v against k; fills dv.
void check_values(const zeta_tensor *v, const zeta_tensor &k, Purpose purpose, Problem &problem);

// How many channels a tensor must have and why: {dk, "the dk of q"}. Not used for rank 3.
struct Channels {
    int64_t count;
    const char *meaning;
};

// A tensor [B, H, N, channels], or [B, H, N] if its rule has rank 3.
void check_query_shaped(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose, const Problem &problem,
                        const Channels &channels);

// A tensor [B, G, M, channels].
void check_key_shaped(const TensorRule &rule, const zeta_tensor *tensor, Purpose purpose, const Problem &problem,
                      const Channels &channels);

// The neighbours of zeta_attend_neighbours: alone (before the call's other tensors), then against q; sets K and W.
void check_given(const zeta_tensor *given, Purpose purpose);
void resolve_given(const zeta_tensor &given, Problem &problem);

// Every product of extents that the engine forms fits int64.
void check_products(const Problem &problem);

} // namespace zeta::api
