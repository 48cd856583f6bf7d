// SPDX-License-Identifier: Apache-2.0
// Input files, opened for reading at offsets. Only regular files: their size is known before anything is believed.
// Every failure is a CommandError (kExitInput) that names the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace zeta::app {

// A name as it may be printed in one line: control characters become '?'.
std::string printable(const std::string &text);

class InputFile {
public:
    explicit InputFile(const std::string &path);
    ~InputFile();
    InputFile(const InputFile &) = delete;
    InputFile &operator=(const InputFile &) = delete;

    uint64_t size() const { return size_; }
    void read(uint64_t offset, void *to, size_t bytes) const;

    // Throws the sentence "path: message".
    [[noreturn]] void fail(const std::string &message) const;

private:
    std::string path_;
    int descriptor_ = -1;
    uint64_t size_ = 0;
};

} // namespace zeta::app
