// SPDX-License-Identifier: Apache-2.0
// See cache_model.hpp.
#include "cache_model.hpp"

#include <cmath>

namespace property {

CacheSetup random_setup(Random &random) {
    CacheSetup setup;
    do setup.problem = random_case(random);
    while (!setup.problem.options.q_lengths.empty() || setup.problem.shape.batches == 0 ||
           setup.problem.shape.heads == 0);
    oracle::Shape &s = setup.problem.shape;
    s.queries = s.keys = 0;
    setup.problem.qk_type = setup.problem.v_type = ZETA_F32;
    const int32_t types[] = {ZETA_F32, ZETA_F32, ZETA_BF16, ZETA_F16, ZETA_I8};
    setup.value_type = types[pick(random, 0, 4)];
    const Data kinds[] = {Data::gaussian, Data::gaussian, Data::clustered, Data::equal, Data::few,
                          Data::drift,    Data::sorted,   Data::tiny,      Data::wild,  Data::wild};
    const char *const names[] = {"gaussian", "clustered", "equal", "few", "drift", "sorted", "tiny", "wild"};
    setup.data = kinds[pick(random, 0, 9)];
    setup.problem.what = names[static_cast<size_t>(setup.data)];
    return setup;
}

std::string describe(const CacheSetup &setup) {
    return describe(setup.problem) + " value_type=" + std::to_string(setup.value_type);
}

std::vector<float> kept(const std::vector<float> &values, const CacheSetup &setup) {
    if (setup.value_type != ZETA_I8) return rounded(values, setup.value_type);
    std::vector<float> result;
    const auto width = static_cast<size_t>(setup.problem.shape.dv);
    for (size_t row = 0; row < values.size(); row += width) {
        float most = 0;
        for (size_t c = row; c < row + width; ++c) most = std::fmax(most, std::fabs(values[c]));
        float scale = most / 127.0f;
        if (127.5f * scale < most) scale = std::nextafter(scale, 1.0f); // among the smallest numbers
        if (std::isinf(127.0f * scale)) scale = std::nextafter(scale, 0.0f);
        for (size_t c = row; c < row + width; ++c) {
            const float steps = scale == 0 ? 0.0f : std::nearbyint(values[c] / scale);
            result.push_back(std::fmax(-127.0f, std::fmin(127.0f, steps)) * scale + 0.0f);
        }
    }
    return result;
}

CachePointer make_cache(zeta_context *context, const CacheSetup &setup) {
    const Params attention(setup.problem);
    zeta_cache_params params;
    zeta_cache_params_init(&params);
    params.batches = setup.problem.shape.batches;
    params.query_heads = setup.problem.shape.heads;
    params.key_heads = setup.problem.shape.key_heads;
    params.dk = setup.problem.shape.dk;
    params.dv = setup.problem.shape.dv;
    params.value_type = setup.value_type;
    params.attention = &attention.c;
    zeta_cache *cache = nullptr;
    zeta_cache_create(&cache, context, &params);
    return CachePointer(cache);
}

void History::cut(int64_t to, const oracle::Shape &shape) {
    length = to;
    k.resize(static_cast<size_t>(to * shape.key_heads * shape.dk));
    v.resize(static_cast<size_t>(to * shape.key_heads * shape.dv));
}

namespace {

// [length, G, d] to [G, length, d].
std::vector<float> by_head(const std::vector<float> &rows, int64_t length, int64_t heads, int64_t d) {
    std::vector<float> result;
    for (int64_t g = 0; g < heads; ++g)
        for (int64_t t = 0; t < length; ++t) {
            const auto row = rows.begin() + (t * heads + g) * d;
            result.insert(result.end(), row, row + d);
        }
    return result;
}

} // namespace

Case case_of(const CacheSetup &setup, const History &history, std::vector<float> q, int64_t n) {
    Case result = setup.problem;
    oracle::Shape &s = result.shape;
    s.batches = 1;
    s.queries = n;
    s.keys = history.length;
    result.options.first = history.first;
    result.q = std::move(q);
    result.k = by_head(history.k, history.length, s.key_heads, s.dk);
    result.v = by_head(history.v, history.length, s.key_heads, s.dv);
    return result;
}

bool same_numbers(const float *a, const float *b, int64_t count) {
    for (int64_t n = 0; n < count; ++n)
        if (!same_bits(a + n, b + n, 1) && !(std::isnan(a[n]) && std::isnan(b[n]))) return false;
    return true;
}

} // namespace property
