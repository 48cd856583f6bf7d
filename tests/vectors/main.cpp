// SPDX-License-Identifier: Apache-2.0
// Shared vectors: `vectors check FOLDER` compares every instruction set present with the files; `vectors write FOLDER`
// has the oracle write them, when inputs are added. Exit code 1 if anything differs or is missing.
#include <cstdio>
#include <cstring>
#include <exception>

#include <zeta/zeta.h>

#include "vector.hpp"

namespace {

bool check_file(const std::string &folder, const std::string &name) {
    const vectors::Vector vector = vectors::read(folder + "/" + name + ".txt");
    bool good = true;
    for (int32_t n = 0; zeta_isa_present(n) != nullptr; ++n) {
        for (const int threads : {1, 3}) {
            const std::string message = vectors::check(vector, zeta_isa_present(n), threads);
            if (message.empty()) continue;
            std::fprintf(stderr, "%s on %s, %d threads: %s\n", name.c_str(), zeta_isa_present(n), threads,
                         message.c_str());
            good = false;
        }
    }
    return good;
}

} // namespace

int main(int argc, char **argv) {
    const bool write = argc == 3 && std::strcmp(argv[1], "write") == 0;
    if (!write && (argc != 3 || std::strcmp(argv[1], "check") != 0)) {
        std::fprintf(stderr, "usage: vectors check|write FOLDER\n");
        return 2;
    }
    int files = 0, wrong = 0;
    try {
        for (vectors::Vector &vector : vectors::inputs()) {
            ++files;
            if (!write) {
                wrong += check_file(argv[2], vector.name) ? 0 : 1;
                continue;
            }
            vectors::complete(vector);
            vectors::write(std::string(argv[2]) + "/" + vector.name + ".txt", vector);
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    std::printf("%d files, %d wrong, on", files, wrong);
    for (int32_t n = 0; zeta_isa_present(n) != nullptr; ++n) std::printf(" %s", zeta_isa_present(n));
    std::printf("\n");
    return wrong == 0 ? 0 : 1;
}
