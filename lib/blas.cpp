// SPDX-License-Identifier: Apache-2.0
// Counts the calls that want OpenBLAS quiet; the first silences it, the last gives the host's number of threads back.
#include "blas.hpp"

#include <mutex>

#include <cblas.h>

#include "zeta/context.h"

namespace zeta {
namespace {

std::mutex mutex;
int users = 0;
int threads_before = 1;

} // namespace

QuietBlas::QuietBlas() {
    const std::lock_guard<std::mutex> lock(mutex);
    if (users++ > 0) return;
    threads_before = openblas_get_num_threads();
    openblas_set_num_threads(1);
}

QuietBlas::~QuietBlas() {
    const std::lock_guard<std::mutex> lock(mutex);
    if (--users == 0 && threads_before != 1) openblas_set_num_threads(threads_before);
}

} // namespace zeta

const char *zeta_blas_core(void) {
    return openblas_get_corename();
}
