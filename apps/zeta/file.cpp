// SPDX-License-Identifier: Apache-2.0
// Reading of regular files with POSIX calls.
#include "file.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "commands.hpp"

namespace zeta::app {

std::string printable(const std::string &text) {
    std::string line = text;
    for (char &c : line)
        if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    return line;
}

InputFile::InputFile(const std::string &path) : path_(path) {
    struct stat info;
    // O_NONBLOCK: opening a pipe nobody writes to would wait for ever.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) fail(std::string("cannot open: ") + std::strerror(errno));
    if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(descriptor_);
        fail("not a regular file");
    }
    size_ = static_cast<uint64_t>(info.st_size);
}

InputFile::~InputFile() {
    ::close(descriptor_);
}

void InputFile::read(uint64_t offset, void *to, size_t bytes) const {
    constexpr size_t kMaxRead = size_t{1} << 30; // some systems refuse more than 2 GiB in a call
    auto *next = static_cast<char *>(to);
    while (bytes > 0) {
        const ssize_t got = ::pread(descriptor_, next, std::min(bytes, kMaxRead), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(std::string("cannot read: ") + std::strerror(errno));
        if (got == 0) fail("truncated: the file ends at byte " + std::to_string(offset));
        next += got;
        offset += static_cast<uint64_t>(got);
        bytes -= static_cast<size_t>(got);
    }
}

void InputFile::fail(const std::string &message) const {
    throw CommandError(kExitInput, path_ + ": " + message);
}

} // namespace zeta::app
