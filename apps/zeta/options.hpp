// SPDX-License-Identifier: Apache-2.0
// The attention options that attend, recall and bench share, and their translation to the library's parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "zeta/zeta.h"

namespace CLI {
class App;
class Option;
class Validator;
} // namespace CLI

namespace zeta::app {

struct AttentionOptions {
    int32_t neighbours = 32;
    int32_t window = 0;
    std::string select = "window";
    int64_t chunk = 1;
    int64_t local = ZETA_DEFAULT;
    int64_t first = 0;
    std::string score = "cauchy";
    std::vector<float> gamma;
    bool no_causal = false;
    std::string mean; // empty: on when causal
    std::string grid = "squash";
    std::vector<float> scale; // empty: the library's defaults
    std::vector<float> range;
    std::vector<int64_t> seqlens, seqlens_k;
    std::string dtype = "f32";
    int32_t threads = 0;
    std::string isa;
    std::string device = "cpu";

    bool causal() const { return !no_causal; }
    bool mean_on() const { return mean.empty() ? causal() : mean == "on"; }
    int64_t local_width() const { return local == ZETA_DEFAULT ? (causal() ? 1 : 0) : local; }
    int32_t element() const; // ZETA_F32, ...

    // Points into this object, which must outlive it. Throws CommandError for what this build cannot do.
    zeta_attention_params params() const;

    // --gamma has one number, or one for each query head. Throws CommandError.
    void check_heads(int64_t heads) const;
};

// `packed`: with --seqlens and --seqlens-k.
void add_attention_options(CLI::App &app, AttentionOptions &options, bool packed);

// Refuses an empty name, which would count as none.
CLI::Validator named_file();

// A comma-separated list of numbers, as one argument.
CLI::Option *add_list(CLI::App &app, const std::string &name, std::vector<float> &list, const std::string &help);
CLI::Option *add_list(CLI::App &app, const std::string &name, std::vector<int64_t> &list, const std::string &help);

} // namespace zeta::app
