// SPDX-License-Identifier: Apache-2.0
// The picture of `zeta predict`: the keys in space, joined in the order of the Z-curve, and the nearest neighbours of
// one query with the contexts they stand for. SVG 1.1, about 150 KB.
#pragma once

#include <string>

#include "predict_run.hpp"
#include "session.hpp"

namespace zeta::app {

// The position whose neighbours are worth showing: inside a word, three quarters into the text.
int64_t picture_position(const Text &text);

std::string draw_picture(const Context &context, const PredictModel &model, const Corpus &corpus, int64_t position);

} // namespace zeta::app
