// SPDX-License-Identifier: Apache-2.0
// Cost: O(N dk kCoordinateBits) for the points, 1 KiB per byte of text for the values.
#include "predict_embedding.hpp"

#include <algorithm>
#include <array>

namespace zeta::app {

unsigned symbol_of(uint8_t byte) {
    const unsigned low = byte & 127u;
    if (low < 32) return 0;
    return (low >= 96 ? 32u : 0u) | (low & 31u);
}

void embed_context(const uint8_t *end, size_t known, int dk, float *point) {
    std::array<uint32_t, ZETA_MAX_DK> cells{};
    const int total = kCoordinateBits * dk;
    for (int dealt = 0; dealt < total; dealt += kSymbolBits) {
        const size_t back = static_cast<size_t>(dealt / kSymbolBits) + 1;
        if (back > known) break;
        const unsigned symbol = symbol_of(*(end - back));
        for (int i = 0; i < kSymbolBits && dealt + i < total; ++i) {
            const int index = dealt + i;
            const uint32_t bit = symbol >> (kSymbolBits - 1 - i) & 1;
            cells[static_cast<size_t>(index % dk)] |= bit << (kCoordinateBits - 1 - index / dk);
        }
    }
    for (int e = 0; e < dk; ++e)
        point[e] =
            (static_cast<float>(cells[static_cast<size_t>(e)]) + 0.5f) / static_cast<float>(1 << kCoordinateBits);
}

Keys embed(const Text &text, int dk) {
    const auto n = static_cast<int64_t>(text.size());
    Keys keys{Array(ZETA_F32, {n, dk}), Array(ZETA_F32, {n, dk})};
    auto *q = keys.q.data<float>(), *k = keys.k.data<float>();
    const auto width = static_cast<size_t>(dk);
    for (size_t t = 0; t < text.size(); ++t) embed_context(text.data() + t, t, dk, q + t * width);
    if (n == 0) return keys;
    std::fill_n(k, width, 0.0f);
    std::copy_n(q, (text.size() - 1) * width, k + width);
    return keys;
}

Array embed_values(const Text &text) {
    Array values(ZETA_F32, {static_cast<int64_t>(text.size()), 256});
    auto *v = values.data<float>();
    std::fill_n(v, values.size(), 0.0f);
    if (!text.empty()) std::fill_n(v, 256, 1.0f / 256);
    for (size_t t = 1; t < text.size(); ++t) v[t * 256 + text[t - 1]] = 1;
    return values;
}

} // namespace zeta::app
