// SPDX-License-Identifier: Apache-2.0
// lib/status: whatever is thrown inside the library becomes a status with a sentence at the C boundary.
#include "status.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using zeta::guarded;

TEST_CASE("status: every kind of exception becomes one") {
    CHECK(guarded([] {}) == ZETA_OK);
    CHECK(guarded([] { zeta::fail(ZETA_ERROR_SHAPE, "%d is not %s", 3, "four"); }) == ZETA_ERROR_SHAPE);
    CHECK(std::string(zeta_last_error()) == "3 is not four");
    CHECK(guarded([] { throw std::bad_alloc(); }) == ZETA_ERROR_MEMORY);
    CHECK(std::string(zeta_last_error()) == "out of memory");
    CHECK(guarded([] { throw std::runtime_error("of some library"); }) == ZETA_ERROR_INTERNAL);
    CHECK(std::string(zeta_last_error()) == "internal error: of some library");
    CHECK(guarded([] { throw 7; }) == ZETA_ERROR_INTERNAL);
    CHECK(std::string(zeta_last_error()) == "internal error of unknown kind");
    CHECK(std::string(zeta::Error(ZETA_ERROR_BUSY).what()) == "ZETA_ERROR_BUSY");
}

TEST_CASE("status: a sentence that is too long is cut") {
    const std::string text(2000, 'x');
    zeta::set_last_error("%s", text.c_str());
    const std::string kept = zeta_last_error();
    CHECK(kept.size() > 200);
    CHECK(kept.size() < text.size());
    CHECK(kept == text.substr(0, kept.size()));
}
