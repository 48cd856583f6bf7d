// SPDX-License-Identifier: Apache-2.0
// The text to predict: a file the user names, or the one that comes with zeta.
#pragma once

#include <cstdint>
#include <string>

#include "predict_embedding.hpp"

namespace zeta::app {

// Where the text that comes with zeta lies: beside the program in a build, under share/zeta once installed. Throws
// CommandError (kExitInput) where there is none.
std::string shipped_text();

// The first `limit` bytes (0: all) of the file; refused when empty or longer than a sequence may be.
Text read_text(const std::string &path, int64_t limit);

} // namespace zeta::app
