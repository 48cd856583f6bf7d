// SPDX-License-Identifier: Apache-2.0
// The door of the cache: params of zeta_cache_create, tensors and counts of a call against the cache's shapes and its
// sequences' lengths, and the arrays of truncate, evict_before and fork. Everything is checked here, in argument order,
// before anything is changed, but for values that int8 cannot hold and what a file says, which lib/cache refuses
// itself.
#pragma once

#include "../cache/cache.hpp"
#include "zeta/cache.h"

namespace zeta::api {

// NULL: all defaults. The Shape has its own copy of gamma and the grid.
std::shared_ptr<const cache::Shape> check_cache_params(const zeta_cache_params *params);

// Whether every product of extents of so many full sequences fits int64.
bool cache_is_countable(const Problem &problem, int64_t sequences);

enum class CacheCall { append, attend, step, prefill };

// The tensors of a call: which must be there and which not, types, shapes, memory that is shared, counts, and whether
// the lengths allow it.
cache::Call check_cache_args(const cache::Cache &cache, const zeta_cache_args *args, CacheCall call);

void check_cache_lengths(const cache::Cache &cache, const int64_t *lengths);     // truncate
void check_cache_positions(const cache::Cache &cache, const int64_t *positions); // evict_before

// The number of sequences of the fork.
int64_t check_cache_fork(const cache::Cache &cache, const int64_t *sequences, int64_t count);

} // namespace zeta::api
