// SPDX-License-Identifier: Apache-2.0
// Saving and loading caches. doctest's options; every number is a function of fixed seeds.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
