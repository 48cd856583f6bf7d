// SPDX-License-Identifier: Apache-2.0
// One pass over the text: the heads' distributions from the library, in blocks of queries so that memory stays bounded,
// mixed and scored byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "array.hpp"
#include "predict_embedding.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace zeta::app {

struct PredictModel {
    int dk = 3;
    int32_t neighbours = 128;
    int32_t window = 0; // of the re-ranked selection; 0: 4 K
    std::vector<float> gamma{0.05f, 0.01f, 0.002f, 0.0003f, 0.00003f};

    int32_t reranked_window() const;

    // select: "window", "reranked" or "exact". Points into this object, which must outlive it.
    zeta_attention_params params(const std::string &select) const;
};

struct Corpus {
    Text text;
    Keys keys;
    Array values; // [N, 256]
};

struct Pass {
    std::string select; // "window", "reranked", "exact" or "dense"
    int64_t bytes = 0;  // of text predicted
    double bits = 0;
    double prefix_bits = 0; // of the first `prefix` bytes
    double attention_seconds = 0, mix_seconds = 0;
    double recall = -1; // < 0: not measured
    double recall_seconds = 0;

    double bits_per_byte() const { return bits / static_cast<double>(bytes); }
};

struct PassPlan {
    std::string select;
    int64_t bytes = 0;              // predicts this much of the text
    int64_t prefix = 0;             // bits of so many first bytes are reported apart
    Array *distributions = nullptr; // optional [bytes, 256] float32: receives the mixed rows
};

// Shows on the bar how far it is. Throws CommandError when interrupted.
Pass run_pass(const Context &context, const PredictModel &model, const Corpus &corpus, const PassPlan &plan,
              ProgressBar &bar);

// Fills pass.recall for its selection over the whole text.
void measure_recall(const Context &context, const PredictModel &model, const Corpus &corpus, Pass &pass,
                    ProgressBar &bar);

} // namespace zeta::app
