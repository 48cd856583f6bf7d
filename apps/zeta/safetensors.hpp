// SPDX-License-Identifier: Apache-2.0
// .safetensors files: named tensors of F32, BF16 or F16, given as float32. The header is checked whole before a tensor
// is read: sizes, offsets, overlaps and gaps.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "array.hpp"

namespace zeta::app {

// The tensors of the given names that the file holds; others are checked but not read.
// Throws CommandError (kExitInput) that names the file.
std::map<std::string, Array> read_safetensors(const std::string &path, const std::vector<std::string> &names);

} // namespace zeta::app
