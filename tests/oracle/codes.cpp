// SPDX-License-Identifier: Apache-2.0
// Cells and Morton codes. Compiled without contraction: every float32 operation is rounded on its own.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "oracle.hpp"

namespace oracle {
namespace {

int32_t clamp_cell(float x, int bit_count) {
    if (std::isnan(x)) return 0;
    const float last = static_cast<float>((int64_t{1} << bit_count) - 1);
    return static_cast<int32_t>(std::min(std::max(std::floor(x), 0.0f), last));
}

int32_t squash_cell(float x, float scale, int bit_count) {
    float t = x / scale;
    if (t > FLT_MAX) t = FLT_MAX;
    if (t < -FLT_MAX) t = -FLT_MAX;
    const float divisor = 1.0f + std::fabs(t);
    const float u = t / divisor;
    const float half = u * 0.5f;
    const float shifted = half + 0.5f;
    return clamp_cell(shifted * static_cast<float>(int64_t{1} << bit_count), bit_count);
}

int32_t range_cell(float x, float lo, float hi, int bit_count) {
    const float above = x - lo;
    const float width = hi - lo;
    const float share = above / width;
    return clamp_cell(share * static_cast<float>(int64_t{1} << bit_count), bit_count);
}

} // namespace

int bits(int64_t dk) {
    return static_cast<int>(std::min<int64_t>(20, 40 / dk));
}

std::vector<int32_t> cells(const Grid &grid, int64_t key_heads, const std::vector<float> &x, int64_t batches,
                           int64_t heads, int64_t dk) {
    std::vector<int32_t> result(x.size());
    if (x.empty()) return result;
    const int64_t rows = static_cast<int64_t>(x.size()) / dk / (batches * heads);
    for (size_t at = 0; at < x.size(); ++at) {
        const auto element = static_cast<int64_t>(at);
        const int64_t coordinate = element % dk;
        const int64_t head = element / dk / rows % heads;
        const auto parameter =
            grid.per_head ? static_cast<size_t>(head * key_heads / heads * dk + coordinate) : size_t{0};
        result[at] = grid.range ? range_cell(x[at], grid.lo[parameter], grid.hi[parameter], bits(dk))
                                : squash_cell(x[at], grid.scale[parameter], bits(dk));
    }
    return result;
}

std::vector<uint64_t> codes(const Grid &grid, int64_t key_heads, const std::vector<float> &x, int64_t batches,
                            int64_t heads, int64_t dk) {
    const std::vector<int32_t> all = cells(grid, key_heads, x, batches, heads, dk);
    std::vector<uint64_t> result(all.size() / static_cast<size_t>(dk));
    for (size_t row = 0; row < result.size(); ++row) {
        uint64_t code = 0;
        for (int bit = bits(dk) - 1; bit >= 0; --bit) {
            for (size_t e = 0; e < static_cast<size_t>(dk); ++e) {
                const auto cell = static_cast<uint64_t>(all[row * static_cast<size_t>(dk) + e]);
                code = code << 1 | (cell >> bit & 1);
            }
        }
        result[row] = code;
    }
    return result;
}

std::vector<int32_t> decode(const std::vector<uint64_t> &codes, int64_t dk) {
    std::vector<int32_t> result;
    const int width = bits(dk);
    for (const uint64_t code : codes) {
        for (int64_t e = 0; e < dk; ++e) {
            int32_t cell = 0;
            for (int bit = width - 1; bit >= 0; --bit) {
                const auto place = static_cast<int>(bit * dk + (dk - 1 - e));
                cell = cell << 1 | static_cast<int32_t>(code >> place & 1);
            }
            result.push_back(cell);
        }
    }
    return result;
}

} // namespace oracle
