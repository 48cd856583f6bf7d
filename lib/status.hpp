// SPDX-License-Identifier: Apache-2.0
// Errors inside the library: an exception that carries a status and a sentence, turned into a zeta_status by guarded()
// at the C boundary. The sentence lives in a fixed thread-local buffer, so reporting never allocates.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>

#include "zeta/types.h"

namespace zeta {

// Thrown by the checks; small and trivially copyable on purpose.
class Error : public std::exception {
public:
    explicit Error(zeta_status status) : status_(status) {}
    zeta_status status() const { return status_; }
    const char *what() const noexcept override { return zeta_status_name(status_); }

private:
    zeta_status status_;
};

// Puts the printf-style sentence where zeta_last_error() finds it.
void set_last_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Sets the sentence and throws Error(status).
[[noreturn]] void fail(zeta_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Runs f() and turns whatever it throws into a status. Every public function that can fail is guarded([&]{ ... }).
template <class F> zeta_status guarded(F &&f) noexcept {
    try {
        f();
        return ZETA_OK;
    } catch (const Error &e) {
        return e.status();
    } catch (const std::bad_alloc &) {
        set_last_error("out of memory");
        return ZETA_ERROR_MEMORY;
    } catch (const std::exception &e) {
        set_last_error("internal error: %s", e.what());
        return ZETA_ERROR_INTERNAL;
    } catch (...) {
        set_last_error("internal error of unknown kind");
        return ZETA_ERROR_INTERNAL;
    }
}

} // namespace zeta
