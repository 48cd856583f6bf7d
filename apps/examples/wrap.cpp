// SPDX-License-Identifier: Apache-2.0
// The C++ wrapper: exact and window selection of the same points, and how much of the truth the window finds.
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include <zeta/zeta.hpp>

namespace {

std::vector<float> gaussian(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float &value : values) value = normal(random);
    return values;
}

} // namespace

int main() {
    constexpr std::int64_t kTokens = 2048, kKey = 3, kValue = 32;
    const std::vector<float> q = gaussian(kTokens * kKey, 1), k = gaussian(kTokens * kKey, 2),
                             v = gaussian(kTokens * kValue, 3);
    std::vector<float> out(kTokens * kValue);
    const zeta::Tensor queries(q.data(), {1, 1, kTokens, kKey}), keys(k.data(), {1, 1, kTokens, kKey});
    const zeta::Tensor values(v.data(), {1, 1, kTokens, kValue}), outputs(out.data(), {1, 1, kTokens, kValue});

    try {
        zeta::Context context;
        zeta::Params params;
        context.forward(params, {queries, keys, values, outputs});
        std::printf("window:    recall %.3f\n", context.recall(params, queries, keys));
        params.window = 4 * params.neighbours;
        std::printf("re-ranked: recall %.3f\n", context.recall(params, queries, keys));
        params.window = 0;
        params.select = ZETA_SELECT_EXACT;
        const double exact = context.recall(params, queries, keys);
        std::printf("exact:     recall %.3f\n", exact);
        if (exact != 1) return 1;

        params.neighbours = 2000;
        context.forward(params, {queries, keys, values, outputs}); // refused
    } catch (const zeta::Error &error) {
        std::printf("%s: %s\n", error.status_name(), error.what());
        return error.status() == ZETA_ERROR_ARGUMENT ? 0 : 1;
    }
    return 1;
}
