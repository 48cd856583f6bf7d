// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy files. Read: format versions 1 to 3, C order, little-endian float32 or float16, given as float32;
// anything else is refused by name. Written: version 1, C order, float32 (from any floating type), int32 or uint64.
#pragma once

#include <functional>
#include <string>

#include "array.hpp"

namespace zeta::app {

// Throws CommandError (kExitInput) that names the file.
Array read_npy(const std::string &path);

using Sink = std::function<void(const void *data, size_t bytes)>;

void write_npy(const Array &array, const Sink &sink);

} // namespace zeta::app
