// SPDX-License-Identifier: Apache-2.0
// The squared distance of spec section 4 as tests compute it.
#pragma once

// Of q and k [dk], each operation rounded.
inline float distance(const float *q, const float *k, int dk) {
    volatile float sum = 0; // no contraction
    for (int e = 0; e < dk; ++e) {
        volatile float gap = q[e] - k[e];
        volatile float square = gap * gap;
        sum = sum + square;
    }
    return sum;
}
