// SPDX-License-Identifier: Apache-2.0
// What lib/ may ask of a CUDA backend. A build without one links stubs.cpp, which answers that there is none.
#pragma once

namespace zeta::gpu {

// A CUDA backend was compiled in and a device is usable.
bool usable();

} // namespace zeta::gpu
