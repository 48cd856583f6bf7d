// SPDX-License-Identifier: Apache-2.0
// The thread-local sentence of the last error and the names of the statuses.
#include "status.hpp"

namespace zeta {
namespace {

thread_local char last_error[512] = "";

} // namespace

void set_last_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
}

void fail(zeta_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    throw Error(status);
}

} // namespace zeta

const char *zeta_last_error(void) {
    return zeta::last_error;
}

const char *zeta_status_name(zeta_status status) {
    switch (status) {
    case ZETA_OK:
        return "ZETA_OK";
    case ZETA_ERROR_ARGUMENT:
        return "ZETA_ERROR_ARGUMENT";
    case ZETA_ERROR_SHAPE:
        return "ZETA_ERROR_SHAPE";
    case ZETA_ERROR_STRIDE:
        return "ZETA_ERROR_STRIDE";
    case ZETA_ERROR_DTYPE:
        return "ZETA_ERROR_DTYPE";
    case ZETA_ERROR_DEVICE:
        return "ZETA_ERROR_DEVICE";
    case ZETA_ERROR_OVERLAP:
        return "ZETA_ERROR_OVERLAP";
    case ZETA_ERROR_STRUCT_SIZE:
        return "ZETA_ERROR_STRUCT_SIZE";
    case ZETA_ERROR_ISA:
        return "ZETA_ERROR_ISA";
    case ZETA_ERROR_SCRATCH:
        return "ZETA_ERROR_SCRATCH";
    case ZETA_ERROR_MEMORY:
        return "ZETA_ERROR_MEMORY";
    case ZETA_ERROR_BUSY:
        return "ZETA_ERROR_BUSY";
    case ZETA_ERROR_CANCELLED:
        return "ZETA_ERROR_CANCELLED";
    case ZETA_ERROR_INTERNAL:
        return "ZETA_ERROR_INTERNAL";
    case ZETA_ERROR_IO:
        return "ZETA_ERROR_IO";
    case ZETA_ERROR_FORMAT:
        return "ZETA_ERROR_FORMAT";
    }
    return "unknown";
}
