// SPDX-License-Identifier: Apache-2.0
// Any bytes read as a .safetensors file: its tensors, or a refusal with a sentence.
#include "read_file.hpp"

#include "safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz::read_file(data, size, [](const std::string &path) { zeta::app::read_safetensors(path, {"q", "k", "v"}); });
    return 0;
}
