// SPDX-License-Identifier: Apache-2.0
// The format of a saved cache (docs/cache-format.md): its head, which says what the cache was made for and how long its
// sequences are, and the sizes of everything. Nothing read from a file is trusted: sizes follow from the shape of the
// cache that loads, and counts are checked against the bytes there are before memory is asked for.
#pragma once

#include <cstdint>

#include "../context.hpp"
#include "cache.hpp"
#include "file_stream.hpp"
#include "zeta/cache.h"

namespace zeta::cache {

constexpr uint32_t kFileVersion = 1;

// The fixed part of the head, byte for byte.
struct FileHead {
    char magic[8];
    uint32_t version, value_type;
    uint64_t file_bytes, head_bytes;
    uint64_t batches, query_heads, key_heads, dk, dv;
    uint64_t neighbours, window, select, score, causal, mean, chunk, local, first, grid;
};
static_assert(sizeof(FileHead) == 152, "as documented");

// A sequence in the head.
struct FileSequence {
    uint64_t length, first, evicted;
};
static_assert(sizeof(FileSequence) == 24, "as documented");

// Bytes of the part of one sequence and key head with so many rows.
uint64_t part_bytes(const Shape &shape, uint64_t rows);

// The head of a cache with these sequences, and all sizes; of what is too large the size is UINT64_MAX.
FileHead make_head(const Shape &shape, const FileSequence *sequences, int64_t count);

// Writes the whole head as a part.
void write_head(Writer &writer, const Shape &shape, const FileHead &head, const FileSequence *sequences);

// Reads the head and fills sequences[count], or refuses: with ZETA_ERROR_FORMAT what is no sound cache file of this
// version and of the source's size, with _DTYPE, _SHAPE or _ARGUMENT what was made for something else than `shape`.
void read_head(Reader &reader, const Shape &shape, FileSequence *sequences, int64_t count);

} // namespace zeta::cache
