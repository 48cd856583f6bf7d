// SPDX-License-Identifier: Apache-2.0
// History means, weights, outputs and normalisers of one row after another, in float64 from distances of the input
// type.
#include <algorithm>
#include <cmath>
#include <limits>

#include "weighted.hpp"

namespace oracle {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

} // namespace

template <class Real> Real squared_distance(const Real *a, const Real *b, int64_t dk) {
    Real sum = 0;
    for (int64_t e = 0; e < dk; ++e) {
        const Real difference = a[e] - b[e];
        const Real square = difference * difference;
        sum = sum + square;
    }
    return sum;
}

template <class Real> Real inner_product(const Real *a, const Real *b, int64_t dk) {
    Real sum = 0;
    for (int64_t e = 0; e < dk; ++e) {
        const Real product = a[e] * b[e];
        sum = sum + product;
    }
    return sum;
}

template float squared_distance(const float *, const float *, int64_t);
template float inner_product(const float *, const float *, int64_t);

template <class Real>
Attention<Real>::Attention(const Shape &shape, const Options &options, std::vector<Real> q, std::vector<Real> k,
                           std::vector<Real> v)
    : shape_(shape), options_(options), q_(std::move(q)), k_(std::move(k)), v_(std::move(v)) {
    if (options_.mean) average();
}

template <class Real> double Attention<Real>::gamma(int64_t head) const {
    if (options_.gamma.empty()) return 1;
    return options_.gamma.size() == 1 ? options_.gamma[0] : options_.gamma[static_cast<size_t>(head)];
}

// Means of k_0..k_t and v_0..v_t for every t of every sequence.
template <class Real> void Attention<Real>::average() {
    mean_k_.resize(k_.size());
    mean_v_.resize(v_.size());
    fragile_.assign(static_cast<size_t>(shape_.batches * shape_.key_heads * shape_.keys), 0);
    const auto run = [&](const std::vector<Real> &x, std::vector<Real> &mean, int64_t begin, int64_t length,
                         int64_t d) {
        std::vector<double> sum(static_cast<size_t>(d), 0), magnitude(static_cast<size_t>(d), 0);
        for (int64_t t = 0; t < length; ++t) {
            for (int64_t e = 0; e < d; ++e) {
                const auto at = static_cast<size_t>((begin + t) * d + e);
                const auto channel = static_cast<size_t>(e);
                sum[channel] += static_cast<double>(x[at]);
                magnitude[channel] += std::fabs(static_cast<double>(x[at]));
                mean[at] = static_cast<Real>(sum[channel] / static_cast<double>(t + 1));
                if (magnitude[channel] > 1e20 && std::fabs(sum[channel]) < 1e-6 * magnitude[channel])
                    fragile_[static_cast<size_t>(begin + t)] = 1;
            }
        }
    };
    for (int64_t group = 0; group < shape_.batches * shape_.key_heads; ++group) {
        for (const Sequence &sequence : sequences(shape_, options_)) {
            const int64_t begin = group * shape_.keys + sequence.k_begin;
            run(k_, mean_k_, begin, sequence.k_length, shape_.dk);
            run(v_, mean_v_, begin, sequence.k_length, shape_.dv);
        }
    }
}

template <class Real>
std::vector<typename Attention<Real>::Candidate>
Attention<Real>::candidates(const Query &query, const std::vector<int64_t> &neighbours) const {
    const int64_t row = (query.batch * shape_.heads + query.head) * shape_.queries + query.index;
    const int64_t first_key = (query.batch * shape_.key_heads + shape_.key_head(query.head)) * shape_.keys;
    const Real *q = q_.data() + row * shape_.dk;
    std::vector<Candidate> result;
    const auto add = [&](int64_t key, bool is_mean, const Real *k, const Real *v) {
        result.push_back({key, is_mean, k, v, static_cast<double>(squared_distance(q, k, shape_.dk)),
                          static_cast<double>(inner_product(q, k, shape_.dk))});
    };
    for (const int64_t j : attended_keys(shape_, options_, query, neighbours)) {
        const int64_t key = first_key + j;
        add(key, false, k_.data() + key * shape_.dk, v_.data() + key * shape_.dv);
    }
    const Sequence sequence = sequence_of(shape_, options_, query.index);
    if (options_.mean && sequence.k_length > 0) {
        const int64_t t = options_.causal ? position(sequence, query.index) : sequence.k_length - 1;
        const int64_t key = first_key + sequence.k_begin + t;
        add(key, true, mean_k_.data() + key * shape_.dk, mean_v_.data() + key * shape_.dv);
    }
    return result;
}

// Shares and normaliser. An exponential is taken of the difference from the row's largest logarithm.
template <class Real>
typename Attention<Real>::Weighted Attention<Real>::weigh(const Query &query,
                                                          const std::vector<int64_t> &neighbours) const {
    Weighted result;
    result.candidates = candidates(query, neighbours);
    const double g = gamma(query.head);
    const bool logarithmic =
        options_.score == Score::gaussian || options_.score == Score::laplace || options_.score == Score::dot;
    double smallest = kInfinity; // of the distances
    double largest = -kInfinity; // of the products with a weight
    bool has_nan = false;
    for (const Candidate &candidate : result.candidates) {
        has_nan = has_nan || std::isnan(candidate.distance) ||
                  (options_.score == Score::dot && candidate.distance < kInfinity &&
                   (std::isnan(candidate.product) || candidate.product == kInfinity));
        if (candidate.distance < smallest) smallest = candidate.distance;
        if (candidate.distance < kInfinity) largest = std::max(largest, candidate.product);
    }

    const auto weight = [&](const Candidate &candidate) {
        const double d = candidate.distance;
        if (d == kInfinity) return 0.0;
        switch (options_.score) {
        case Score::cauchy:
            return 1 / (d + g * g);
        case Score::gaussian:
            return std::exp(-(d - smallest) / (g * g));
        case Score::laplace:
            return d == smallest ? 1.0 : std::exp(-(d - smallest) / (std::sqrt(d) + std::sqrt(smallest)) / g);
        case Score::inverse:
            return 1 / (std::sqrt(d) + g);
        case Score::dot:
            return std::exp((candidate.product - largest) / g);
        }
        return kNan;
    };
    double total = 0;
    for (const Candidate &candidate : result.candidates) {
        result.weight.push_back(weight(candidate));
        total += result.weight.back();
    }
    const bool undefined = has_nan || smallest == kInfinity;
    for (const double s : result.weight) result.share.push_back(undefined ? kNan : s / total);

    Row &row = result.row;
    row.attended = !result.candidates.empty();
    row.undefined = undefined;
    row.promised = !undefined && smallest <= std::ldexp(1.0, 100);
    for (const Candidate &candidate : result.candidates) {
        const bool cancels = candidate.is_mean && fragile_[static_cast<size_t>(candidate.key)] != 0;
        const bool overflows = options_.score == Score::dot && std::isinf(candidate.product);
        row.fragile = row.fragile || cancels || overflows;
    }
    row.normaliser = total;
    if (logarithmic) {
        double peak = largest / g;
        if (options_.score == Score::gaussian) peak = -smallest / (g * g);
        if (options_.score == Score::laplace) peak = -std::sqrt(smallest) / g;
        row.normaliser = row.attended ? peak + std::log(total) : -kInfinity;
        row.normaliser_scale = row.attended ? std::fabs(peak) + 1 + std::log(total) : 0;
    } else {
        row.normaliser_scale = total;
    }
    if (row.attended && undefined) row.normaliser = kNan;
    return result;
}

template <class Real> Row Attention<Real>::forward(const Query &query, const std::vector<int64_t> &neighbours) const {
    Weighted weighted = weigh(query, neighbours);
    Row row = weighted.row;
    row.out.assign(static_cast<size_t>(shape_.dv), 0);
    row.reach.assign(static_cast<size_t>(shape_.dv), 0);
    for (size_t n = 0; n < weighted.candidates.size(); ++n) {
        for (size_t c = 0; c < row.out.size(); ++c) {
            const auto value = static_cast<double>(weighted.candidates[n].v[c]);
            row.out[c] += weighted.share[n] * value;
            row.reach[c] = std::max(row.reach[c], std::fabs(value));
            if (std::isnan(value)) row.reach[c] = kNan;
            if (std::isinf(value)) row.infinite_share = std::min(row.infinite_share, weighted.share[n]);
        }
    }
    return row;
}

template Attention<float>::Attention(const Shape &, const Options &, std::vector<float>, std::vector<float>,
                                     std::vector<float>);
template Attention<double>::Attention(const Shape &, const Options &, std::vector<double>, std::vector<double>,
                                      std::vector<double>);
template Row Attention<float>::forward(const Query &, const std::vector<int64_t> &) const;
template Row Attention<double>::forward(const Query &, const std::vector<int64_t> &) const;
template double Attention<float>::gamma(int64_t) const;
template double Attention<double>::gamma(int64_t) const;
template typename Attention<float>::Weighted Attention<float>::weigh(const Query &, const std::vector<int64_t> &) const;
template typename Attention<double>::Weighted Attention<double>::weigh(const Query &,
                                                                       const std::vector<int64_t> &) const;

} // namespace oracle
