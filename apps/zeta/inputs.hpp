// SPDX-License-Identifier: Apache-2.0
// Where q, k and v come from: three .npy files or one .safetensors file, of one rank: [N, d], [H, N, d] or [B, H, N,
// d]. Their shapes are compared here, so that a mistake is told with the names the user gave.
#pragma once

#include <string>

#include "array.hpp"

namespace CLI {
class App;
}

namespace zeta::app {

struct InputPaths {
    std::string q, k, v; // .npy
    std::string in;      // .safetensors with tensors q, k, v
};

struct Inputs {
    Array q, k, v; // rounded to the type asked for; v is empty when it was not needed and not given
};

// `values`: whether v is needed.
void add_input_options(CLI::App &app, InputPaths &paths, bool values);

// Throws CommandError: kExitUsage when a tensor is not named, kExitInput for its file and shape.
Inputs load_inputs(const InputPaths &paths, int32_t dtype, bool causal, bool values);

// The gradient of the output, shaped like it: q's shape with v's channels.
Array load_grad_out(const std::string &path, const Inputs &inputs, int32_t dtype);

// The shape of a result per query (of q) or per key (of k): the tensor's shape with the last extent replaced, or
// dropped when `last` is negative.
Shape shape_like(const Array &tensor, int64_t last);

} // namespace zeta::app
