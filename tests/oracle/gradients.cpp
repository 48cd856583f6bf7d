// SPDX-License-Identifier: Apache-2.0
// Analytic gradients of attention with the selection held constant, in float64, and the loss they are gradients of.
#include <cmath>

#include "weighted.hpp"

namespace oracle {

// Section 6 for one row.
template <class Real>
void Attention<Real>::backward_row(const Query &query, const std::vector<int64_t> &neighbours, const double *grad_out,
                                   const Sink &sink) const {
    const Weighted weighted = weigh(query, neighbours);
    const Row row = forward(query, neighbours);
    const double g = gamma(query.head);
    const int64_t q_row = (query.batch * shape_.heads + query.head) * shape_.queries + query.index;
    const Real *q = q_.data() + q_row * shape_.dk;
    for (size_t n = 0; n < weighted.candidates.size(); ++n) {
        const Candidate &candidate = weighted.candidates[n];
        const double p = weighted.share[n];
        const double s = weighted.weight[n];
        if (p == 0) continue;
        double change = 0; // <g, v_j - o>
        double change_reach = 0;
        for (int64_t c = 0; c < shape_.dv; ++c) {
            const auto value = static_cast<double>(candidate.v[c]);
            const double o = row.out[static_cast<size_t>(c)];
            change += grad_out[c] * (value - o);
            change_reach += std::fabs(grad_out[c]) * (std::fabs(value) + std::fabs(o));
            double *v = candidate.is_mean ? sink.mean_v : sink.v;
            double *reach = candidate.is_mean ? sink.mean_v_reach : sink.v_reach;
            if (v != nullptr) v[candidate.key * shape_.dv + c] += p * grad_out[c];
            if (reach != nullptr) reach[candidate.key * shape_.dv + c] += std::fabs(p * grad_out[c]);
        }

        const double d = candidate.distance;
        const double root = std::sqrt(d);
        double by_distance = 0; // of ln s
        double by_gamma = 0;
        switch (options_.score) {
        case Score::cauchy:
            by_distance = -s, by_gamma = -2 * g * s;
            break;
        case Score::gaussian:
            by_distance = -1 / (g * g), by_gamma = 2 * d / (g * g * g);
            break;
        case Score::laplace:
            by_distance = -1 / (2 * g * root), by_gamma = root / (g * g);
            break;
        case Score::inverse:
            by_distance = -s / (2 * root), by_gamma = -s;
            break;
        case Score::dot:
            by_gamma = -candidate.product / g / g;
            break;
        }
        if (sink.gamma != nullptr) *sink.gamma += p * by_gamma * change;
        if (sink.gamma_reach != nullptr) *sink.gamma_reach += std::fabs(p * by_gamma) * change_reach;

        double *k = candidate.is_mean ? sink.mean_k : sink.k;
        double *k_reach = candidate.is_mean ? sink.mean_k_reach : sink.k_reach;
        for (int64_t e = 0; e < shape_.dk; ++e) {
            const auto from = static_cast<double>(q[e]);
            const auto to = static_cast<double>(candidate.k[e]);
            double q_slope = 0; // of ln s by q_e, and by k_e
            double k_slope = 0;
            if (options_.score == Score::dot) {
                q_slope = to / g;
                k_slope = from / g;
            } else if (d > 0) {
                q_slope = by_distance * 2 * (from - to);
                k_slope = -q_slope;
            }
            if (sink.q != nullptr) sink.q[e] += p * change * q_slope;
            if (sink.q_reach != nullptr) sink.q_reach[e] += std::fabs(p * q_slope) * change_reach;
            if (k != nullptr) k[candidate.key * shape_.dk + e] += p * change * k_slope;
            if (k_reach != nullptr) k_reach[candidate.key * shape_.dk + e] += std::fabs(p * k_slope) * change_reach;
        }
    }
}

template <class Real>
void Attention<Real>::backward_query(const Query &query, const std::vector<int64_t> &neighbours, const double *grad_out,
                                     double *grad_q, double *reach) const {
    Sink sink{};
    sink.q = grad_q;
    sink.q_reach = reach;
    backward_row(query, neighbours, grad_out, sink);
}

// Every key of a mean gets its share: sums over t from the last position down.
template <class Real>
void Attention<Real>::spread_mean(Gradients &gradients, std::vector<double> &mean_k, std::vector<double> &mean_k_reach,
                                  std::vector<double> &mean_v, std::vector<double> &mean_v_reach) const {
    const auto run = [](std::vector<double> &mean, std::vector<double> &target, int64_t begin, int64_t length,
                        int64_t d) {
        for (int64_t e = 0; e < d; ++e) {
            double sum = 0;
            for (int64_t t = length - 1; t >= 0; --t) {
                const auto at = static_cast<size_t>((begin + t) * d + e);
                sum += mean[at] / static_cast<double>(t + 1);
                target[at] += sum;
            }
        }
    };
    for (int64_t group = 0; group < shape_.batches * shape_.key_heads; ++group) {
        for (const Sequence &sequence : sequences(shape_, options_)) {
            const int64_t begin = group * shape_.keys + sequence.k_begin;
            run(mean_k, gradients.k, begin, sequence.k_length, shape_.dk);
            run(mean_k_reach, gradients.k_reach, begin, sequence.k_length, shape_.dk);
            run(mean_v, gradients.v, begin, sequence.k_length, shape_.dv);
            run(mean_v_reach, gradients.v_reach, begin, sequence.k_length, shape_.dv);
        }
    }
}

template <class Real>
Gradients Attention<Real>::backward(const std::vector<std::vector<int64_t>> &neighbours,
                                    const std::vector<double> &grad_out) const {
    Gradients result;
    const auto zeros = [](size_t count) { return std::vector<double>(count, 0); };
    result.q = result.q_reach = zeros(q_.size());
    result.k = result.k_reach = zeros(k_.size());
    result.v = result.v_reach = zeros(v_.size());
    result.gamma = result.gamma_reach = zeros(static_cast<size_t>(shape_.heads));
    std::vector<double> mean_k = zeros(k_.size()), mean_k_reach = zeros(k_.size());
    std::vector<double> mean_v = zeros(v_.size()), mean_v_reach = zeros(v_.size());

    size_t row = 0;
    for (const Query &query : queries(shape_)) {
        const auto q_at = row * static_cast<size_t>(shape_.dk);
        const auto head = static_cast<size_t>(query.head);
        const Sink sink{
            result.q.data() + q_at, result.q_reach.data() + q_at, &result.gamma[head], &result.gamma_reach[head],
            result.k.data(),        result.k_reach.data(),        result.v.data(),     result.v_reach.data(),
            mean_k.data(),          mean_k_reach.data(),          mean_v.data(),       mean_v_reach.data()};
        backward_row(query, neighbours[row], grad_out.data() + row * static_cast<size_t>(shape_.dv), sink);
        ++row;
    }
    spread_mean(result, mean_k, mean_k_reach, mean_v, mean_v_reach);
    return result;
}

template <class Real>
double Attention<Real>::loss(const std::vector<std::vector<int64_t>> &neighbours,
                             const std::vector<double> &grad_out) const {
    double result = 0;
    size_t row = 0;
    for (const Query &query : queries(shape_)) {
        const Row answer = forward(query, neighbours[row]);
        for (size_t c = 0; c < answer.out.size(); ++c) result += answer.out[c] * grad_out[row * answer.out.size() + c];
        ++row;
    }
    return result;
}

template Gradients Attention<float>::backward(const std::vector<std::vector<int64_t>> &,
                                              const std::vector<double> &) const;
template Gradients Attention<double>::backward(const std::vector<std::vector<int64_t>> &,
                                               const std::vector<double> &) const;
template void Attention<float>::backward_query(const Query &, const std::vector<int64_t> &, const double *, double *,
                                               double *) const;
template double Attention<double>::loss(const std::vector<std::vector<int64_t>> &, const std::vector<double> &) const;

} // namespace oracle
