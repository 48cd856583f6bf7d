// SPDX-License-Identifier: Apache-2.0
// Fetching rows before they are needed: queries in curve order read rows of q, k, v and out at random positions, and
// without this every one is a cache miss that is waited for.
#pragma once

#include "rows.hpp"

namespace zeta::cpu {

// Asks for every line of a row, into the second level of cache: the rows of two tiles do not fit the first. A function
// of prefetches alone is free of effects to GCC, which then drops the calls: the empty asm is the effect that keeps
// them.
inline void fetch(const void *row, size_t bytes) {
    __asm__ volatile("");
    const char *p = static_cast<const char *>(row), *end = p + bytes;
    for (p -= reinterpret_cast<uintptr_t>(p) % 64; p < end; p += 64) __builtin_prefetch(p, 0, 2);
}

// Row i of one head of a view; of very wide rows the first part, the hardware goes on by itself.
inline void fetch_row(const View &view, int64_t b, int64_t h, int64_t i) {
    fetch(row_pointer(view, b, h, i), std::min<size_t>(size_t(view.channels) * float_size(view.dtype), 1024));
}

} // namespace zeta::cpu
