// SPDX-License-Identifier: Apache-2.0
// A fuzzer's bytes as a file of the command's: in memory, under a name that can be opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "commands.hpp"

namespace fuzz {

// read(path) may refuse with CommandError and a sentence, nothing else.
template <class Read> void read_file(const uint8_t *data, size_t size, Read read) {
    const int file = memfd_create("fuzz", 0);
    if (file < 0 || ::write(file, data, size) != ssize_t(size)) std::abort();
    try {
        read("/proc/self/fd/" + std::to_string(file));
    } catch (const zeta::app::CommandError &error) {
        if (std::string(error.what()).empty() || error.code() != zeta::app::kExitInput) std::abort();
    }
    ::close(file);
}

} // namespace fuzz
