// SPDX-License-Identifier: Apache-2.0
// Setups, filling and asking. Everything goes through the public wrapper.
#include "harness.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace cachetest {
namespace {

uint64_t hash(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

std::vector<float> numbers(uint64_t seed, int64_t count) {
    std::vector<float> result(static_cast<size_t>(count));
    for (size_t i = 0; i < result.size(); ++i) result[i] = noise(seed, i);
    return result;
}

template <class T> bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

Setup named(const char *name, const std::function<void(Setup &)> &change) {
    Setup setup;
    setup.name = name;
    change(setup);
    return setup;
}

std::vector<float> growing(size_t count, float from, float by) {
    std::vector<float> result(count);
    for (size_t i = 0; i < count; ++i) result[i] = from + by * float(i);
    return result;
}

} // namespace

zeta::Cache Setup::make(const zeta::Context &context) const {
    zeta_attention_params options = attention;
    if (!gamma.empty()) {
        options.gamma = gamma.data();
        options.gamma_count = int64_t(gamma.size());
    }
    const size_t axes = std::max({scale.size(), lo.size(), hi.size()});
    options.grid.heads = axes > 1 ? int32_t(key_heads) : 0;
    options.grid.scale = scale.empty() ? nullptr : scale.data();
    options.grid.lo = lo.empty() ? nullptr : lo.data();
    options.grid.hi = hi.empty() ? nullptr : hi.data();
    zeta::CacheParams params;
    params.batches = batches;
    params.query_heads = query_heads;
    params.key_heads = key_heads;
    params.dk = dk;
    params.dv = dv;
    params.value_type = value_type;
    params.attention = &options;
    return zeta::Cache(context, params);
}

std::vector<Setup> all_setups() {
    return {
        named("plain", [](Setup &) {}),
        named("bfloat16", [](Setup &s) { s.value_type = ZETA_BF16; }),
        named("float16", [](Setup &s) { s.value_type = ZETA_F16; }),
        named("int8", [](Setup &s) { s.value_type = ZETA_I8; }),
        named("int8, no mean", [](Setup &s) { s.value_type = ZETA_I8, s.attention.mean = 0; }),
        named("re-ranked", [](Setup &s) { s.attention.window = 16; }),
        named("exact", [](Setup &s) { s.attention.select = ZETA_SELECT_EXACT; }),
        named("gaussian", [](Setup &s) { s.attention.score = ZETA_SCORE_GAUSSIAN; }),
        named("laplace", [](Setup &s) { s.attention.score = ZETA_SCORE_LAPLACE; }),
        named("inverse", [](Setup &s) { s.attention.score = ZETA_SCORE_INVERSE; }),
        named("dot",
              [](Setup &s) {
                  s.attention.score = ZETA_SCORE_DOT, s.gamma = {0.5f, 2.0f};
              }),
        named("not causal", [](Setup &s) { s.attention.causal = 0; }),
        named("not causal, mean", [](Setup &s) { s.attention.causal = 0, s.attention.mean = 1; }),
        named("no mean", [](Setup &s) { s.attention.mean = 0; }),
        named("chunk", [](Setup &s) { s.attention.chunk = 8; }),
        named("local 0", [](Setup &s) { s.attention.local = 0; }),
        named("local 9", [](Setup &s) { s.attention.local = 9; }),
        named("first", [](Setup &s) { s.attention.first = 6; }),
        named("gamma", [](Setup &s) { s.gamma = {0.25f}; }),
        named("scale", [](Setup &s) { s.scale = {3.0f}; }),
        named("scales", [](Setup &s) { s.key_heads = 2, s.scale = growing(6, 0.5f, 0.25f); }),
        named("range", [](Setup &s) { s.attention.grid.kind = ZETA_GRID_RANGE, s.lo = {-1.0f}; }),
        named("ranges",
              [](Setup &s) {
                  s.attention.grid.kind = ZETA_GRID_RANGE;
                  s.lo = growing(3, -1.0f, 0.125f), s.hi = growing(3, 1.0f, 0.5f);
              }),
        named("heads", [](Setup &s) { s.query_heads = 6, s.key_heads = 3, s.batches = 3; }),
        named("one channel", [](Setup &s) { s.batches = 1, s.query_heads = 1, s.dk = 1, s.dv = 1; }),
        named("wide", [](Setup &s) { s.dk = 8, s.dv = 67, s.value_type = ZETA_BF16; }),
        named("odd int8", [](Setup &s) { s.dk = 2, s.dv = 3, s.batches = 1, s.value_type = ZETA_I8; }),
    };
}

zeta::Context make_context(int threads) {
    zeta::ContextParams params;
    params.threads = threads;
    return zeta::Context(params);
}

float noise(uint64_t seed, uint64_t i) {
    return float(int64_t(hash(hash(seed) + i) >> 40) - (1 << 23)) * 0x1p-23f;
}

void append(zeta::Cache &cache, const Setup &s, uint64_t seed, int64_t n, const std::vector<int64_t> *counts) {
    const int64_t b = cache.batches();
    std::vector<float> k = numbers(seed, b * s.key_heads * n * s.dk), v = numbers(seed + 1, b * s.key_heads * n * s.dv);
    zeta::CacheTensors tensors;
    tensors.k = zeta::Tensor(k.data(), {b, s.key_heads, n, s.dk});
    tensors.v = zeta::Tensor(v.data(), {b, s.key_heads, n, s.dv});
    tensors.counts = counts == nullptr ? nullptr : counts->data();
    cache.append(tensors);
}

bool operator==(const Answer &a, const Answer &b) {
    return same_bits(a.out, b.out) && same_bits(a.normaliser, b.normaliser) && same_bits(a.neighbours, b.neighbours);
}

Answer ask(zeta::Cache &cache, const Setup &s, uint64_t seed, int64_t n) {
    const int64_t b = cache.batches(), h = s.query_heads, slots = s.attention.neighbours;
    std::vector<float> q = numbers(seed + 2, b * h * n * s.dk);
    Answer answer;
    answer.out.assign(size_t(b * h * n * s.dv), -1.0f);
    answer.normaliser.assign(size_t(b * h * n), -1.0f);
    answer.neighbours.assign(size_t(b * h * n * slots), -2);
    std::vector<int64_t> counts;
    for (int64_t i = 0; i < b; ++i) counts.push_back(std::clamp<int64_t>(cache.length(i) - cache.first(i), 0, n));
    zeta::CacheTensors tensors;
    tensors.q = zeta::Tensor(q.data(), {b, h, n, s.dk});
    tensors.out = zeta::Tensor(answer.out.data(), {b, h, n, s.dv});
    tensors.normaliser = zeta::Tensor(answer.normaliser.data(), {b, h, n});
    tensors.neighbours = zeta::Tensor(answer.neighbours.data(), {b, h, n, slots});
    tensors.counts = counts.data();
    cache.attend(tensors);
    return answer;
}

std::vector<int64_t> extents(const zeta::Cache &cache) {
    std::vector<int64_t> result;
    for (int64_t b = 0; b < cache.batches(); ++b) {
        result.push_back(cache.length(b));
        result.push_back(cache.first(b));
    }
    return result;
}

void fill(zeta::Cache &cache, const Setup &setup, uint64_t seed, int64_t n) {
    std::vector<int64_t> counts, evict;
    for (int64_t b = 0; b < cache.batches(); ++b) {
        counts.push_back(b % 3 == 1 ? n / 2 : b % 3 == 2 ? 0 : n);
        evict.push_back(b == 0 ? n / 3 : 0);
    }
    append(cache, setup, seed, n, &counts);
    cache.evict_before(evict);
    append(cache, setup, seed + 10, 1);
}

Outcome outcome(const std::function<void()> &call) {
    try {
        call();
    } catch (const zeta::Error &error) {
        return {error.status(), error.what()};
    }
    return {};
}

Outcome load(zeta::Cache &cache, const Bytes &data) {
    const Bytes copy(data.begin(), data.end());
    return outcome([&] { cache.load(copy); });
}

} // namespace cachetest
