// SPDX-License-Identifier: Apache-2.0
// The fixed map from a context (the bytes before a position) to a point of the unit cube, such that the Z-curve orders
// points by their reversed contexts. Each byte is a symbol of six bits; the bits of the symbols, latest byte first,
// most significant bit first, are dealt round the dk coordinates. The curve sees min(20, floor(40/dk)) bits of a
// coordinate (13 at dk = 3: six and a half bytes); kCoordinateBits are kept, so that distances see further than the
// curve (11 bytes).
#pragma once

#include <cstdint>
#include <vector>

#include "array.hpp"

namespace zeta::app {

using Text = std::vector<uint8_t>;

constexpr int kSymbolBits = 6;
constexpr int kCoordinateBits = 23; // with the half that centres a point, 24: exact in float32

// White space and controls: 0. Lower-case letters, and what shares their bits 5 and 6: 32 + the five low bits.
// All others, capitals and punctuation: the five low bits. Bytes of 128 and more: as if without their bit 7.
unsigned symbol_of(uint8_t byte);

// Bytes of a context that a point of dk coordinates sees.
constexpr int64_t context_bytes(int dk) {
    return (kCoordinateBits * dk + kSymbolBits - 1) / kSymbolBits;
}

// point [dk] of the context that ends before `end`; `known` bytes may be read before it.
void embed_context(const uint8_t *end, size_t known, int dk, float *point);

// Row t of the queries holds the context of position t; row t of the keys that of position t - 1 and row 0 zeros.
struct Keys {
    Array q; // [N, dk]
    Array k; // [N, dk]
};

Keys embed(const Text &text, int dk);

// Row t: one-hot of the byte of position t - 1; row 0: 1/256 everywhere.
Array embed_values(const Text &text); // [N, 256]

} // namespace zeta::app
