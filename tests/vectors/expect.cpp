// SPDX-License-Identifier: Apache-2.0
// What the oracle makes of the inputs of a shared vector: codes, order and neighbours, which every implementation must
// give bit for bit, and values with the tolerances of spec section 8, promise 4. Selections with an even number keep
// values.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>

#include "expect.hpp"

namespace vectors {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const Expected kAny{0, -1};

// Half a step of the smallest numbers of a type is never an error; beyond the largest, infinity may come out.
Expected within(double value, double tolerance, int type) {
    const double least = std::ldexp(1.0, type == 2 ? -25 : -149);
    if (std::fabs(value) + tolerance >= (type == 2 ? 65504 : FLT_MAX)) return kAny;
    if (std::fabs(value) < 1e-60) value = 0;                            // written shorter
    return {value, tolerance * 1.01 + std::fabs(value) * 1e-9 + least}; // what is written of it is rounded
}

Expected channel(const oracle::Row &row, size_t c, int type) {
    if (!row.attended) return {0, 0};
    if (row.fragile) return kAny;
    if (row.undefined || std::isnan(row.reach[c])) return {kNaN, 0};
    if (!row.promised) return kAny;
    if (std::isinf(row.reach[c])) return row.infinite_share < 1e-30 ? kAny : Expected{row.out[c], 0};
    return within(row.out[c], (type == 0 ? 1e-6 : type == 2 ? 1e-3 : 8e-3) * row.reach[c], type);
}

Expected normaliser(const oracle::Row &row) {
    if (std::isinf(row.normaliser)) return row.promised || !row.attended ? Expected{row.normaliser, 0} : kAny;
    if (!row.attended) return {row.normaliser, 0};
    if (row.fragile || row.undefined || !row.promised) return kAny;
    return within(row.normaliser, 1e-6 * row.normaliser_scale, 0);
}

// A gradient, with one tolerance for each run of numbers, those of a head.
std::vector<Expected> gradient(const std::vector<double> &values, const std::vector<double> &reach, int64_t run) {
    std::vector<Expected> result;
    for (size_t at = 0; at < values.size(); at += static_cast<size_t>(run)) {
        double most = 0, most_reach = 0;
        for (size_t n = at; n < at + static_cast<size_t>(run); ++n) {
            most = std::max(most, std::fabs(values[n]));
            most_reach = std::max(most_reach, reach[n]);
        }
        for (size_t n = at; n < at + static_cast<size_t>(run); ++n)
            result.push_back(within(values[n], 2e-5 * most + 1e-6 * most_reach, 0));
    }
    return result;
}

Values values_of(const Vector &vector, const Selection &selection) {
    const oracle::Shape &s = vector.shape;
    const oracle::Attention<float> attention(s, selection.options, vector.q.floats(vector.qk_type),
                                             vector.k.floats(vector.qk_type), vector.v.floats(vector.v_type));
    const auto lists = selector(vector, selection).all_neighbours();
    Values result;
    size_t at = 0;
    for (const oracle::Query &query : oracle::queries(s)) {
        const oracle::Row row = attention.forward(query, lists[at++]);
        for (size_t c = 0; c < row.out.size(); ++c) result["out"].push_back(channel(row, c, vector.v_type));
        result["normaliser"].push_back(normaliser(row));
    }
    if (vector.grad_out.words.empty()) return result;
    const std::vector<float> grad_out = vector.grad_out.floats(vector.v_type);
    const oracle::Gradients g = attention.backward(lists, {grad_out.begin(), grad_out.end()});
    result["grad_q"] = gradient(g.q, g.q_reach, s.queries * s.dk);
    result["grad_k"] = gradient(g.k, g.k_reach, s.keys * s.dk);
    result["grad_v"] = gradient(g.v, g.v_reach, s.keys * s.dv);
    result["grad_gamma"] = gradient(g.gamma, g.gamma_reach, 1);
    return result;
}

} // namespace

std::vector<uint64_t> codes(const Vector &vector, bool keys) {
    const oracle::Shape &s = vector.shape;
    const std::vector<float> x = (keys ? vector.k : vector.q).floats(vector.qk_type);
    return oracle::codes(vector.grid, s.key_heads, x, s.batches, keys ? s.key_heads : s.heads, s.dk);
}

std::vector<uint64_t> order(const Vector &vector) {
    const std::vector<uint64_t> all = codes(vector, true);
    const oracle::Shape &s = vector.shape;
    std::vector<uint64_t> result;
    for (int64_t head = 0; head < s.batches * s.key_heads; ++head) {
        const uint64_t *code = all.data() + head * s.keys;
        std::vector<uint64_t> positions(static_cast<size_t>(s.keys));
        std::iota(positions.begin(), positions.end(), uint64_t{0});
        std::stable_sort(positions.begin(), positions.end(), [&](uint64_t a, uint64_t b) { return code[a] < code[b]; });
        result.insert(result.end(), positions.begin(), positions.end());
    }
    return result;
}

oracle::Selector selector(const Vector &vector, const Selection &selection) {
    return {vector.shape, selection.options, vector.q.floats(vector.qk_type), vector.k.floats(vector.qk_type)};
}

std::vector<int32_t> neighbours(const Vector &vector, const Selection &selection) {
    std::vector<int32_t> result;
    for (std::vector<int64_t> list : selector(vector, selection).all_neighbours()) {
        list.resize(static_cast<size_t>(selection.options.neighbours), -1);
        result.insert(result.end(), list.begin(), list.end());
    }
    return result;
}

std::vector<uint32_t> distances(const Vector &vector, const Selection &selection) {
    const std::vector<float> q = vector.q.floats(vector.qk_type), k = vector.k.floats(vector.qk_type);
    const std::vector<int32_t> ids = neighbours(vector, selection);
    const oracle::Shape &s = vector.shape;
    std::vector<uint32_t> result;
    for (size_t at = 0; at < ids.size(); ++at) {
        const int64_t row = static_cast<int64_t>(at) / selection.options.neighbours;
        const int64_t batch = row / s.queries / s.heads, head = row / s.queries % s.heads;
        const int64_t key = (batch * s.key_heads + s.key_head(head)) * s.keys + ids[at];
        const float d = ids[at] < 0 ? std::numeric_limits<float>::infinity()
                                    : oracle::squared_distance(q.data() + row * s.dk, k.data() + key * s.dk, s.dk);
        result.push_back(std::isnan(d) ? kNaNBits : bits_of(d));
    }
    return result;
}

void complete(Vector &vector) {
    vector.q_codes = hash_of(codes(vector, false));
    vector.k_codes = hash_of(codes(vector, true));
    vector.k_order = hash_of(order(vector));
    int number = 0;
    for (Selection &selection : vector.selections) {
        selection.neighbours = hash_of(neighbours(vector, selection));
        selection.distances = hash_of(distances(vector, selection));
        if (vector.q.seed == 0 && number++ % 2 == 0) selection.values = values_of(vector, selection);
    }
}

} // namespace vectors
