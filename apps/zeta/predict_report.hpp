// SPDX-License-Identifier: Apache-2.0
// What `zeta predict` found, as a table or as one JSON object.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "predict_compressors.hpp"
#include "predict_run.hpp"

namespace zeta::app {

struct PredictReport {
    std::string text; // its path
    int64_t bytes = 0;
    PredictModel model;
    std::string isa;
    int threads = 0;
    std::vector<Pass> passes;
    int64_t prefix = 0; // of the text that dense attention went over; 0: none
    Pass dense;
    std::vector<Compressed> compressors;
    std::string picture; // empty: none
    double seconds = 0;  // everything
};

void print_table(const PredictReport &report);
void print_json(const PredictReport &report);

} // namespace zeta::app
