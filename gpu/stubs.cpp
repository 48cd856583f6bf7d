// SPDX-License-Identifier: Apache-2.0
// The answers of a build without CUDA.
#include "gpu.hpp"

namespace zeta::gpu {

bool usable() {
    return false;
}

} // namespace zeta::gpu
