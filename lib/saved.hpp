// SPDX-License-Identifier: Apache-2.0
// What forward saves for backward: a header that says which call it belongs to, then two words per query.
#pragma once

#include <cstring>

#include "cpu/attend.hpp"
#include "problem.hpp"
#include "status.hpp"

namespace zeta {

struct SavedHeader {
    char magic[8];
    int64_t batches, query_heads, queries, keys, first, local, chunk;
    int32_t dk, neighbours, window, kind; // kind: source, causal
};

inline SavedHeader saved_header(const Problem &p, bool given) {
    SavedHeader h{};
    std::memcpy(h.magic, "zetasav1", 8);
    h.batches = p.batches;
    h.query_heads = p.query_heads;
    h.queries = p.queries;
    h.keys = p.keys;
    h.first = p.first;
    h.local = p.local;
    h.chunk = p.chunk;
    h.dk = p.dk;
    if (!given) {
        h.neighbours = p.neighbours;
        h.window = p.window;
    }
    h.kind = (given ? 4 : p.exact ? 2 : 0) + (p.causal ? 1 : 0);
    return h;
}

// Where the words lie in `saved` (NULL: nowhere): at a fixed distance from its start, so that the block may be copied to
// another address between forward and backward. It is aligned to 4 bytes.
inline cpu::Saved saved_words(void *saved, const Problem &p) {
    if (saved == nullptr) return {};
    const size_t n = size_t(p.batches) * size_t(p.query_heads) * size_t(p.queries);
    uint32_t *words = reinterpret_cast<uint32_t *>(static_cast<char *>(saved) + sizeof(SavedHeader));
    return {words, words + n};
}

} // namespace zeta
