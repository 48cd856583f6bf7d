// SPDX-License-Identifier: Apache-2.0
// See compare.hpp. Tolerances are those of spec section 8, promise 4. A gradient may cancel to almost nothing; what it
// is a small difference of (its reach) then allows a few roundings.
#include "compare.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <sstream>

#include "cases.hpp"

namespace property {
namespace {

// Half a unit of the smallest numbers of a type.
double smallest_step(int32_t type) {
    return type == ZETA_F16 ? std::ldexp(1.0, -25) : std::ldexp(1.0, -149);
}

double largest(int32_t type) {
    return type == ZETA_F16 ? 65504 : FLT_MAX;
}

std::string difference(const char *what, size_t at, double got, double expected, double tolerance) {
    std::ostringstream text;
    text.precision(9);
    text << what << '[' << at << "] is " << got << ", not " << expected << " +- " << tolerance;
    return text.str();
}

// Whether a value of a type may be this; beyond the largest number, infinity may.
bool close(double got, double expected, double tolerance, int32_t type) {
    if (std::fabs(got - expected) <= tolerance + smallest_step(type)) return true;
    return std::isinf(got) && std::signbit(got) == std::signbit(expected) &&
           std::fabs(expected) + tolerance >= largest(type);
}

std::string compare_channel(size_t c, double got, const oracle::Row &expected, int32_t type) {
    const double value = expected.out[c];
    const double reach = expected.reach[c];
    if (!expected.attended) return got == 0 ? "" : difference("out of an empty set", c, got, 0, 0);
    if (expected.fragile) return "";
    if (expected.undefined || std::isnan(reach))
        return std::isnan(got) ? "" : difference("out", c, got, std::nan(""), 0);
    if (!expected.promised) return "";
    if (std::isinf(reach)) {
        const bool same = std::isnan(value) ? std::isnan(got) : got == value;
        return same || expected.infinite_share < 1e-30 ? "" : difference("out", c, got, value, 0);
    }
    const double share = type == ZETA_F32 ? 1e-6 : type == ZETA_F16 ? 1e-3 : 8e-3;
    return close(got, value, share * reach, type) ? "" : difference("out", c, got, value, share * reach);
}

} // namespace

std::vector<double> widened(const std::vector<float> &x) {
    return {x.begin(), x.end()};
}

std::string compare_neighbours(const std::vector<int32_t> &got, const std::vector<std::vector<int64_t>> &expected,
                               int64_t slots) {
    const std::vector<int32_t> wanted = padded(expected, slots);
    if (got.size() != wanted.size()) return "neighbours have another size";
    for (size_t at = 0; at < got.size(); ++at) {
        if (got[at] == wanted[at]) continue;
        std::ostringstream text;
        text << "row " << at / static_cast<size_t>(slots) << ", slot " << at % static_cast<size_t>(slots)
             << ": neighbour " << got[at] << ", not " << wanted[at];
        return text.str();
    }
    return "";
}

std::string compare_row(const float *out, const float *normaliser, const oracle::Row &expected, int32_t type) {
    for (size_t c = 0; c < expected.out.size(); ++c) {
        std::string message = compare_channel(c, out[c], expected, type);
        if (!message.empty()) return message;
    }
    if (normaliser == nullptr) return "";
    if (expected.attended && (expected.fragile || expected.undefined || !expected.promised)) return "";
    const double z = expected.normaliser;
    const double tolerance = 1e-6 * expected.normaliser_scale;
    if (std::isinf(z) ? *normaliser == z : close(*normaliser, z, tolerance, ZETA_F32)) return "";
    return difference("normaliser", 0, *normaliser, z, tolerance);
}

std::string compare_rows(const Case &problem, const Result &got, const std::vector<std::vector<int64_t>> &lists) {
    const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
    size_t row = 0;
    for (const oracle::Query &query : oracle::queries(problem.shape)) {
        const float *out = got.out.data() + row * static_cast<size_t>(problem.shape.dv);
        const float *normaliser = got.normaliser.empty() ? nullptr : got.normaliser.data() + row;
        const std::string message = compare_row(out, normaliser, attention.forward(query, lists[row]), problem.v_type);
        if (!message.empty()) return "row " + std::to_string(row) + ": " + message;
        ++row;
    }
    return "";
}

namespace {

// One gradient, head by head ("head": a run of `run` entries).
std::string compare_gradient(const char *what, const std::vector<float> &got, const std::vector<double> &expected,
                             const std::vector<double> &reach, size_t run, int32_t type) {
    if (got.size() != expected.size()) return std::string(what) + " has another size";
    for (size_t begin = 0; run > 0 && begin < got.size(); begin += run) {
        double most = 0;
        double most_reach = 0;
        for (size_t at = begin; at < begin + run; ++at) {
            most = std::max(most, std::fabs(expected[at]));
            most_reach = std::max(most_reach, reach[at]);
        }
        const double tolerance = (type == ZETA_F32 ? 2e-5 : 2e-2) * most + 1e-6 * most_reach;
        for (size_t at = begin; at < begin + run; ++at) {
            if (!close(got[at], expected[at], tolerance, type))
                return difference(what, at, got[at], expected[at], tolerance);
        }
    }
    return "";
}

} // namespace

std::string compare_gradients(const Case &problem, const Result &got, const oracle::Gradients &expected) {
    const oracle::Shape &s = problem.shape;
    std::string message;
    const auto check = [&](const char *what, const std::vector<float> &x, const std::vector<double> &wanted,
                           const std::vector<double> &reach, int64_t run, int32_t type) {
        if (message.empty()) message = compare_gradient(what, x, wanted, reach, static_cast<size_t>(run), type);
    };
    check("grad_v", got.grad_v, expected.v, expected.v_reach, s.keys * s.dv, problem.v_type);
    check("grad_q", got.grad_q, expected.q, expected.q_reach, s.queries * s.dk, problem.qk_type);
    check("grad_k", got.grad_k, expected.k, expected.k_reach, s.keys * s.dk, problem.qk_type);
    check("grad_gamma", got.grad_gamma, expected.gamma, expected.gamma_reach, 1, ZETA_F32);
    return message;
}

std::string compare(const Case &problem, const Result &got, bool backward) {
    if (got.status != ZETA_OK) return got.error;
    if (!got.intact) return "bytes outside the outputs were written";
    const oracle::Selector selector(problem.shape, problem.options, problem.q, problem.k);
    const std::vector<std::vector<int64_t>> lists = selector.all_neighbours();
    std::string message = compare_neighbours(got.neighbours, lists, problem.options.neighbours);
    if (message.empty()) message = compare_rows(problem, got, lists);
    if (message.empty() && backward && problem.tame) {
        const oracle::Attention<float> attention(problem.shape, problem.options, problem.q, problem.k, problem.v);
        message = compare_gradients(problem, got, attention.backward(lists, widened(problem.grad_out)));
    }
    return message;
}

} // namespace property
