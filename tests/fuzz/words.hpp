// SPDX-License-Identifier: Apache-2.0
// A fuzzer's bytes as the words of a command line of `zeta`. The first byte chooses a command that works; those that
// follow change it, one option or word after another. Options that ask for work get little of it or more than is
// allowed, and words of the fuzzer's own hold three digits in all: no input takes long.
#pragma once

#include <string>
#include <vector>

#include "bytes.hpp"
#include "folder.hpp"

namespace fuzz {

struct CommandLine {
    std::vector<std::string> words; // without the program's name
    std::string isa;                // the environment's ZETA_ISA
    std::vector<Folder::Patch> patches;
};

CommandLine command_line(Bytes &bytes);

} // namespace fuzz
