// SPDX-License-Identifier: Apache-2.0
// What the oracle finds, whole: hashed into the files, and recomputed only to say what differs.
#pragma once

#include "vector.hpp"

namespace vectors {

constexpr uint32_t kNaNBits = 0x7FC00000; // stands for every NaN

std::vector<uint64_t> codes(const Vector &vector, bool keys); // [B, H or G, N or M]
std::vector<uint64_t> order(const Vector &vector);            // [B, G, M]
oracle::Selector selector(const Vector &vector, const Selection &selection);
std::vector<int32_t> neighbours(const Vector &vector, const Selection &selection); // [B, H, N, K]
std::vector<uint32_t> distances(const Vector &vector, const Selection &selection); // [B, H, N, K]

} // namespace vectors
