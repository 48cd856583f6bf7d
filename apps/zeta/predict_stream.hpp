// SPDX-License-Identifier: Apache-2.0
// `zeta predict` with a cache: --stream, --save-cache and --load-cache. One selection, its figures at the end and, on a
// terminal, on the way.
#pragma once

#include <string>

#include "predict_online.hpp"

namespace zeta::app {

struct OnlineJob {
    PredictModel model;
    OnlinePlan plan;
    bool stream = false; // the standard input instead of `text`
    std::string text;    // empty: the one that comes with zeta
    int64_t limit = 0;   // bytes of this run at most; 0: all
    std::string save, load;
    int32_t threads = 0;
    std::string isa;
    bool json = false;
};

// Throws CommandError.
void run_online(const OnlineJob &job);

} // namespace zeta::app
