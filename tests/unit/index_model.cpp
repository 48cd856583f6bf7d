// SPDX-License-Identifier: Apache-2.0
#include "index_model.hpp"

#include <cmath>
#include <limits>

#include "distance.hpp"

namespace zeta::index_model {
namespace {

bool same(const std::vector<Found> &wanted, const uint32_t *ids, const float *distances, uint32_t n) {
    if (n != wanted.size()) return false;
    for (uint32_t i = 0; i < n; ++i) {
        if (ids[i] != wanted[i].position) return false;
        if (std::isnan(distances[i]) != std::isnan(wanted[i].distance)) return false;
        if (!std::isnan(distances[i]) && distances[i] != wanted[i].distance) return false;
    }
    return true;
}

} // namespace

Keys::Keys(int dk_, uint32_t n, Mode mode, unsigned seed) : dk(dk_), rows(size_t(n) * size_t(dk_)), words(n) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> walk(size_t(dk), 0.0f);
    for (uint32_t i = 0; i < n; ++i) {
        const float cluster = float(random() % 8);
        for (int e = 0; e < dk; ++e) {
            float &at = rows[size_t(i) * size_t(dk) + size_t(e)];
            at = normal(random);
            if (mode == equal) at = 0.3f;
            if (mode == drift) at = 0.01f * at + (walk[size_t(e)] += 0.02f * normal(random));
            if (mode == ascending) at = float(i) / float(n);
            if (mode == descending) at = -float(i) / float(n);
            if (mode == clusters) at = 0.02f * at + std::sin(cluster * float(e + 1));
            if (mode == lattice) at = std::round(at);
            const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f, 1e20f, -0.0f, 0.0f};
            if (mode == wild && random() % 4 == 0) at = odd[random() % 9];
        }
    }
    for (uint32_t i = 0; i < n; ++i) words[i] = word(&rows[size_t(i) * size_t(dk)], i);
}

uint64_t Keys::word(const float *row, uint32_t position) const {
    const simd::Kernels &kernels = simd::kernels(simd::isa_best());
    const std::vector<simd::GridAxis> axes(size_t(dk), {1, 0, 0});
    const int bits = std::min(20, 40 / dk);
    std::vector<uint32_t> cells(size_t(dk) * 64);
    std::vector<uint64_t> out(64);
    kernels.codes_cells(row, dk, 1, dk, bits, false, axes.data(), cells.data(), 64);
    kernels.codes_interleave(cells.data(), 64, 1, dk, bits, position, out.data());
    return out[0];
}

std::vector<Found> Model::searchable(uint32_t limit, const float *q) const {
    std::vector<Found> all;
    for (const uint64_t word : words)
        if ((word & 0xffffff) < limit)
            all.push_back({uint32_t(word & 0xffffff), distance(q, keys->row(word), keys->dk)});
    return all;
}

std::vector<Found> Model::window(uint64_t code, uint32_t limit, uint32_t window, const float *q) const {
    std::vector<Found> all = searchable(limit, q);
    size_t p = 0;
    for (const uint64_t word : words) p += (word & 0xffffff) < limit && word >> 24 <= code;
    size_t below = std::min<size_t>(window / 2, p), above = std::min(window - below, all.size() - p);
    if (above < window - below) below = std::min(window - above, p);
    return {all.begin() + ptrdiff_t(p - below), all.begin() + ptrdiff_t(p + above)};
}

std::vector<Found> Model::exact(uint32_t limit, uint32_t neighbours, const float *q) const {
    std::vector<Found> all = searchable(limit, q);
    const auto size = [](float x) { return std::isnan(x) ? INFINITY : x; };
    std::sort(all.begin(), all.end(), [&](const Found &a, const Found &b) {
        const float x = size(a.distance), y = size(b.distance);
        return x != y ? x < y : a.position > b.position;
    });
    if (all.size() > neighbours) all.resize(neighbours);
    std::sort(all.begin(), all.end(), [](const Found &a, const Found &b) { return a.position < b.position; });
    return all;
}

void query(const cache::Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random,
           uint32_t limit) {
    const Keys &keys = *model.keys;
    std::vector<float> q(size_t(keys.dk));
    std::normal_distribution<float> normal;
    const uint32_t total = uint32_t(keys.words.size());
    for (float &x : q) x = normal(random);
    if (random() % 2 == 0) std::copy_n(keys.row(keys.words[random() % total]), keys.dk, q.begin());
    const uint32_t sizes[] = {1, 2, 3, 32, 64, 65, 200, 1024};
    const uint32_t wanted = sizes[random() % 8];
    const uint64_t code = random() % 16 == 0 ? random() % 2 * ((uint64_t{1} << 40) - 1) : keys.word(q.data(), 0) >> 24;
    CAPTURE(wanted);
    CAPTURE(limit);
    CAPTURE(model.words.size());
    CAPTURE(q[0]);

    std::vector<uint32_t> ids(std::max<size_t>(wanted + simd::kListPad, cache::Index::exact_room(wanted)) + 1, 77);
    std::vector<float> distances(ids.size(), 77);
    uint32_t n = index.window(kernels, code, limit, wanted, q.data(), ids.data(), distances.data());
    CHECK(same(model.window(code, limit, wanted, q.data()), ids.data(), distances.data(), n));
    CHECK(ids[wanted + simd::kListPad] == 77);
    n = index.exact(kernels, code, limit, wanted, q.data(), ids.data(), distances.data());
    CHECK(same(model.exact(limit, wanted, q.data()), ids.data(), distances.data(), n));
    CHECK(ids.back() == 77);
}

void query(const cache::Index &index, const Model &model, const simd::Kernels &kernels, std::mt19937 &random) {
    const uint32_t total = uint32_t(model.keys->words.size());
    query(index, model, kernels, random, random() % 3 == 0 ? random() % total : total + random() % 2);
}

} // namespace zeta::index_model
