// SPDX-License-Identifier: Apache-2.0
// Sizes that well-known compressors reach on the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "predict_embedding.hpp"

namespace zeta::app {

struct Compressed {
    std::string command; // "bzip2 -9"
    int64_t bytes = -1;  // < 0: not to be had
    std::string reason;  // why not
    double seconds = 0;
};

// Runs `xz -9e` and `bzip2 -9` as child processes, found through PATH. A missing program is no failure.
std::vector<Compressed> run_compressors(const Text &text);

} // namespace zeta::app
