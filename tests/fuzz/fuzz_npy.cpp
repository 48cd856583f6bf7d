// SPDX-License-Identifier: Apache-2.0
// Any bytes read as a .npy file: an array, or a refusal with a sentence.
#include "read_file.hpp"

#include "npy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz::read_file(data, size, [](const std::string &path) { zeta::app::read_npy(path); });
    return 0;
}
