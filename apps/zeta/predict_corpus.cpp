// SPDX-License-Identifier: Apache-2.0
// The program finds its text from its own place, so an installation may be moved; ZETA_TEXT_DIR is where the build
// installs it, for systems that do not tell a program its path.
#include "predict_corpus.hpp"

#include <algorithm>

#include <unistd.h>

#include "commands.hpp"
#include "file.hpp"

#ifndef ZETA_TEXT_DIR
#define ZETA_TEXT_DIR "/usr/local/share/zeta"
#endif

namespace zeta::app {

namespace {

constexpr const char *kName = "persuasion.txt";

std::string program_folder() {
    std::string path(4096, '\0');
    const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
    if (length <= 0) return {};
    path.resize(static_cast<size_t>(length));
    return path.substr(0, path.rfind('/'));
}

} // namespace

std::string shipped_text() {
    const std::string folder = program_folder();
    for (const std::string &place : {folder + "/data/", folder + "/../share/zeta/", std::string(ZETA_TEXT_DIR) + "/"})
        if (::access((place + kName).c_str(), R_OK) == 0) return place + kName;
    throw CommandError(kExitInput, std::string("the text that comes with zeta, ") + kName +
                                       ", is not in its place; name one with --text FILE");
}

Text read_text(const std::string &path, int64_t limit) {
    const InputFile file(path);
    uint64_t size = file.size();
    if (limit > 0) size = std::min(size, static_cast<uint64_t>(limit));
    if (size == 0) file.fail("is empty");
    if (size > ZETA_MAX_KEYS)
        file.fail("has " + std::to_string(size) + " bytes, at most " + std::to_string(ZETA_MAX_KEYS) +
                  " can be predicted (see --limit)");
    Text text(static_cast<size_t>(size));
    file.read(0, text.data(), text.size());
    return text;
}

} // namespace zeta::app
