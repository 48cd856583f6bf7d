// SPDX-License-Identifier: Apache-2.0
// One attention call, resolved: every default filled in, every shape known, nothing left to check.
// The API layer (lib/api) makes a Problem out of params and tensors; everything below it reads only this.
#pragma once

#include <cstddef>
#include <cstdint>

#include "zeta/attention.h"

namespace zeta {

constexpr int kPositionBits = 24; // a sort word is code << 24 | position
constexpr uint64_t kPositionMask = (uint64_t{1} << kPositionBits) - 1;

// A tensor [B, H, N, channel] as the engine sees it: strides in elements, the last one is 1.
struct View {
    void *data = nullptr;
    int32_t dtype = ZETA_F32;
    int64_t batch_stride = 0, head_stride = 0, row_stride = 0;
    int64_t channels = 0; // 1 for [B, H, N]

    bool present() const { return data != nullptr; }
    template <class T> T *head(int64_t batch, int64_t head) const {
        return static_cast<T *>(data) + batch * batch_stride + head * head_stride;
    }
    template <class T> T *row(int64_t b, int64_t h, int64_t i) const { return head<T>(b, h) + i * row_stride; }
};

struct Problem {
    int64_t batches = 0, query_heads = 0, key_heads = 0; // B, H, G; with packed sequences B = 1
    int64_t queries = 0, keys = 0;                       // N, M of a batch, or of all packed sequences together
    int32_t dk = 0, dv = 0;
    int32_t neighbours = 32, window = 32; // K, W (W >= K)
    bool exact = false, causal = true, mean = true;
    int64_t chunk = 1, local = 1, first = 0;
    int32_t score = ZETA_SCORE_CAUCHY;
    const float *gamma = nullptr; // [gamma_count] or NULL: 1
    int64_t gamma_count = 0;
    zeta_grid grid{};                                         // heads 0 or G
    int64_t sequences = 0;                                    // S, 0: not packed
    const int64_t *q_lengths = nullptr, *k_lengths = nullptr; // [S]
    zeta_progress progress = nullptr;
    void *progress_user = nullptr;

    float gamma_of(int64_t head) const { return gamma == nullptr ? 1.0f : gamma[gamma_count == 1 ? 0 : head]; }
    bool reranked() const { return !exact && window > neighbours; }
    int64_t heads_per_key() const { return key_heads == 0 ? 0 : query_heads / key_heads; }
};

// The tensors of a call. Those not given have data NULL.
struct Tensors {
    View q, k, v, out, normaliser, neighbours, distances;
    View given; // neighbours the caller chose, read only
    View grad_out, grad_q, grad_k, grad_v, grad_gamma;
    void *saved = nullptr; // forward writes, backward reads
};

} // namespace zeta
