// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over files without a fuzzing engine: each as it is, and with --vary also with every byte changed
// and every shorter length. replay [--vary] FOLDER...
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// From memory of exactly that size.
void run(const Bytes &input) {
    const Bytes copy(input.begin(), input.end());
    LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

void replay(const Bytes &input, bool vary) {
    run(input);
    if (!vary) return;
    for (size_t i = 0; i < input.size(); ++i) {
        Bytes changed = input;
        for (const int change : {0x01, 0x80, 0xff}) {
            changed[i] = uint8_t(input[i] ^ change);
            run(changed);
        }
        run(Bytes(input.begin(), input.begin() + std::ptrdiff_t(i)));
    }
}

} // namespace

int main(int argc, char **argv) {
    int files = 0;
    const bool vary = argc > 1 && std::string(argv[1]) == "--vary";
    for (int i = vary ? 2 : 1; i < argc; ++i) {
        std::vector<std::filesystem::path> paths;
        for (const auto &entry : std::filesystem::directory_iterator(argv[i])) paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        for (const auto &path : paths) {
            std::ifstream file(path, std::ios::binary);
            replay(Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()), vary);
            ++files;
        }
    }
    std::printf("%d files\n", files);
    return files == 0;
}
