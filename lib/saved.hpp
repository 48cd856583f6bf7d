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
    int64_t batches, query_heads, key_heads, queries, keys, first, local, chunk;
    int32_t dk, dv, neighbours, window, score, kind; // kind: source, causal, mean
    uint64_t values;                                 // fingerprint of gamma, the grid and the lengths
};

// FNV-1a over `size` bytes.
inline uint64_t fingerprint(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = static_cast<const unsigned char *>(data);
    for (size_t i = 0; data != nullptr && i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash * 0x100000001b3u + 1;
}

inline SavedHeader saved_header(const Problem &p, bool given) {
    SavedHeader h{};
    std::memcpy(h.magic, "zetasav1", 8);
    h.batches = p.batches;
    h.query_heads = p.query_heads;
    h.key_heads = p.key_heads;
    h.queries = p.queries;
    h.keys = p.keys;
    h.first = p.first;
    h.local = p.local;
    h.chunk = p.chunk;
    h.dk = p.dk;
    h.dv = p.dv;
    h.score = p.score;
    if (!given) {
        h.neighbours = p.neighbours;
        h.window = p.window;
    }
    h.kind = (given ? 4 : p.exact ? 2 : 0) + (p.causal ? 1 : 0) + (p.mean ? 8 : 0);
    const size_t axes = sizeof(float) * (p.grid.heads > 0 ? size_t(p.grid.heads) * size_t(p.dk) : 1);
    h.values = fingerprint(0xcbf29ce484222325u, p.gamma, sizeof(float) * size_t(p.gamma_count));
    h.values = fingerprint(h.values, &p.grid.kind, sizeof p.grid.kind);
    for (const float *axis : {p.grid.scale, p.grid.lo, p.grid.hi}) h.values = fingerprint(h.values, axis, axes);
    for (const int64_t *lengths : {p.q_lengths, p.k_lengths})
        h.values = fingerprint(h.values, lengths, sizeof(int64_t) * size_t(p.sequences));
    return h;
}

// Where the words lie in `saved` (NULL: nowhere): at a fixed distance from its start, so that the block may be copied
// to another address between forward and backward. It is aligned to 4 bytes.
inline cpu::Saved saved_words(void *saved, const Problem &p) {
    if (saved == nullptr) return {};
    const size_t n = size_t(p.batches) * size_t(p.query_heads) * size_t(p.queries);
    uint32_t *words = reinterpret_cast<uint32_t *>(static_cast<char *>(saved) + sizeof(SavedHeader));
    return {words, words + n};
}

} // namespace zeta
