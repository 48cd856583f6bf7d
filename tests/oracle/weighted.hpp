// SPDX-License-Identifier: Apache-2.0
// What Attention keeps of one row between weights, output and gradients.
#pragma once

#include "oracle.hpp"

namespace oracle {

// One attended key, or the history mean.
template <class Real> struct Attention<Real>::Candidate {
    int64_t key; // row of k [B, G, M], or of the means
    bool is_mean;
    const Real *k; // [dk]
    const Real *v; // [dv]
    double distance, product;
};

template <class Real> struct Attention<Real>::Weighted {
    std::vector<Candidate> candidates;
    std::vector<double> share;  // p = s / sum s
    std::vector<double> weight; // s for cauchy and inverse
    Row row;
};

// Where the gradients of a row go; each pointer may be null.
template <class Real> struct Attention<Real>::Sink {
    double *q, *q_reach;               // of the row [dk]
    double *gamma, *gamma_reach;       // of the head
    double *k, *k_reach, *v, *v_reach; // [B, G, M, d]
    double *mean_k, *mean_k_reach, *mean_v, *mean_v_reach;
};

} // namespace oracle
