// SPDX-License-Identifier: Apache-2.0
// Sequences, searchable keys, windows on the curve, exact nearest keys and recall.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "oracle.hpp"

namespace oracle {

std::vector<Sequence> sequences(const Shape &shape, const Options &options) {
    if (options.q_lengths.empty() && options.k_lengths.empty()) return {{0, shape.queries, 0, shape.keys}};
    std::vector<Sequence> result;
    int64_t q_begin = 0;
    int64_t k_begin = 0;
    for (size_t s = 0; s < options.q_lengths.size(); ++s) {
        const int64_t q_length = options.q_lengths[s];
        const int64_t k_length = options.k_lengths.empty() ? q_length : options.k_lengths[s];
        result.push_back({q_begin, q_length, k_begin, k_length});
        q_begin += q_length;
        k_begin += k_length;
    }
    return result;
}

Sequence sequence_of(const Shape &shape, const Options &options, int64_t index) {
    for (const Sequence &sequence : sequences(shape, options)) {
        if (index >= sequence.q_begin && index < sequence.q_begin + sequence.q_length) return sequence;
    }
    return {0, 0, 0, 0};
}

int64_t position(const Sequence &sequence, int64_t index) {
    return index - sequence.q_begin + (sequence.k_length - sequence.q_length);
}

int64_t search_limit(const Options &options, const Sequence &sequence, int64_t index) {
    if (!options.causal) return sequence.k_length;
    const int64_t t = position(sequence, index);
    const int64_t chunk_start = t / options.chunk * options.chunk;
    return std::max<int64_t>(0, std::min(chunk_start, t + 1 - options.local));
}

std::vector<Query> queries(const Shape &shape) {
    std::vector<Query> result;
    for (int64_t b = 0; b < shape.batches; ++b)
        for (int64_t h = 0; h < shape.heads; ++h)
            for (int64_t i = 0; i < shape.queries; ++i) result.push_back({b, h, i});
    return result;
}

Selector::Selector(const Shape &shape, const Options &options, const std::vector<float> &q, const std::vector<float> &k)
    : shape_(shape), options_(options), q_(q), k_(k),
      q_codes_(codes(options.grid, shape.key_heads, q, shape.batches, shape.heads, shape.dk)),
      k_codes_(codes(options.grid, shape.key_heads, k, shape.batches, shape.key_heads, shape.dk)) {
    for (int64_t group = 0; group < shape.batches * shape.key_heads; ++group) {
        const uint64_t *code = k_codes_.data() + group * shape.keys;
        std::vector<int64_t> order(static_cast<size_t>(shape.keys));
        std::iota(order.begin(), order.end(), int64_t{0});
        std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return code[a] < code[b]; });
        order_.push_back(std::move(order));
    }
}

std::vector<int64_t> Selector::searchable(const Query &query) const {
    const Sequence sequence = sequence_of(shape_, options_, query.index);
    const int64_t begin = sequence.k_begin + options_.first;
    const int64_t end = sequence.k_begin + search_limit(options_, sequence, query.index);
    const int64_t group = query.batch * shape_.key_heads + shape_.key_head(query.head);
    std::vector<int64_t> result;
    for (const int64_t key : order_[static_cast<size_t>(group)]) {
        if (key >= begin && key < end) result.push_back(key);
    }
    return result;
}

float Selector::distance(const Query &query, int64_t key) const {
    const int64_t q_row = (query.batch * shape_.heads + query.head) * shape_.queries + query.index;
    const int64_t k_row = (query.batch * shape_.key_heads + shape_.key_head(query.head)) * shape_.keys + key;
    const float d = squared_distance(q_.data() + q_row * shape_.dk, k_.data() + k_row * shape_.dk, shape_.dk);
    return std::isnan(d) ? std::numeric_limits<float>::infinity() : d;
}

// The K nearest, of equal distances the newer; returned ascending.
std::vector<int64_t> Selector::keep_nearest(const Query &query, std::vector<int64_t> keys) const {
    std::vector<std::pair<float, int64_t>> ranked;
    for (const int64_t key : keys) ranked.emplace_back(distance(query, key), -key);
    std::sort(ranked.begin(), ranked.end());
    if (static_cast<int64_t>(ranked.size()) > options_.neighbours)
        ranked.resize(static_cast<size_t>(options_.neighbours));
    std::vector<int64_t> result;
    for (const auto &entry : ranked) result.push_back(-entry.second);
    std::sort(result.begin(), result.end());
    return result;
}

std::vector<int64_t> Selector::nearest(const Query &query) const {
    return keep_nearest(query, searchable(query));
}

std::vector<int64_t> Selector::neighbours(const Query &query) const {
    if (options_.exact) return nearest(query);
    const std::vector<int64_t> keys = searchable(query);
    const int64_t window = options_.window == 0 ? options_.neighbours : options_.window;
    const int64_t q_row = (query.batch * shape_.heads + query.head) * shape_.queries + query.index;
    const uint64_t code = q_codes_[static_cast<size_t>(q_row)];
    const int64_t group = query.batch * shape_.key_heads + shape_.key_head(query.head);

    const auto n = static_cast<int64_t>(keys.size());
    int64_t p = 0;
    for (const int64_t key : keys) p += k_codes_[static_cast<size_t>(group * shape_.keys + key)] <= code ? 1 : 0;
    int64_t below = std::min(window / 2, p);
    const int64_t above = std::min(window - below, n - p);
    if (above < window - below) below = std::min(window - above, p);
    return keep_nearest(query, {keys.begin() + (p - below), keys.begin() + (p + above)});
}

std::vector<int64_t> Selector::local(const Query &query) const {
    return attended_keys(shape_, options_, query, {});
}

std::vector<std::vector<int64_t>> Selector::all_neighbours() const {
    std::vector<std::vector<int64_t>> result;
    for (const Query &query : queries(shape_)) result.push_back(neighbours(query));
    return result;
}

std::vector<std::vector<int64_t>> Selector::all_searchable() const {
    std::vector<std::vector<int64_t>> result;
    for (const Query &query : queries(shape_)) {
        result.push_back(searchable(query));
        std::sort(result.back().begin(), result.back().end());
    }
    return result;
}

std::vector<double> Selector::recall() const {
    std::vector<double> sum(static_cast<size_t>(shape_.heads), 0);
    std::vector<int64_t> count(static_cast<size_t>(shape_.heads), 0);
    for (const Query &query : queries(shape_)) {
        const std::vector<int64_t> truth = nearest(query);
        if (truth.empty()) continue;
        float reach = 0;
        for (const int64_t key : truth) reach = std::max(reach, distance(query, key));
        int64_t found = 0;
        for (const int64_t key : neighbours(query)) found += distance(query, key) <= reach ? 1 : 0;
        const auto head = static_cast<size_t>(query.head);
        sum[head] += static_cast<double>(found) / static_cast<double>(truth.size());
        count[head] += 1;
    }
    for (size_t h = 0; h < sum.size(); ++h) sum[h] = count[h] == 0 ? 1 : sum[h] / static_cast<double>(count[h]);
    return sum;
}

std::vector<int64_t> attended_keys(const Shape &shape, const Options &options, const Query &query,
                                   const std::vector<int64_t> &neighbours) {
    std::vector<int64_t> result = neighbours;
    if (!options.causal) return result;
    const Sequence sequence = sequence_of(shape, options, query.index);
    const int64_t t = position(sequence, query.index);
    const int64_t begin = std::max<int64_t>({0, options.first, t + 1 - options.local});
    for (int64_t j = begin; j <= t; ++j) result.push_back(sequence.k_begin + j);
    return result;
}

} // namespace oracle
