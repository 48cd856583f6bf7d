// SPDX-License-Identifier: Apache-2.0
// Conversions between float32 and the two 16-bit types, written from their definitions: the value is scaled to an
// integer number of units in the last place, rounded to nearest even, and put together again.
#pragma once

#include <cstdint>

namespace oracle {

uint16_t to_bfloat16(float x);
float from_bfloat16(uint16_t bits);
uint16_t to_float16(float x);
float from_float16(uint16_t bits);

} // namespace oracle
