// SPDX-License-Identifier: Apache-2.0
// lib/cache/file_stream and file_disk: bytes that are not there, or cannot be read.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <unistd.h>

#include "cache/file_disk.hpp"
#include "cache/file_stream.hpp"
#include "status.hpp"

using namespace zeta;

namespace {

// Status and sentence of a read.
std::string outcome(const std::function<void()> &read) {
    set_last_error("none");
    const zeta_status status = guarded([&] { read(); });
    return std::string(zeta_status_name(status)) + ": " + zeta_last_error();
}

} // namespace

TEST_CASE("streams: a buffer that ends too early") {
    const char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char read[8] = {};
    cache::MemorySource source(bytes, sizeof bytes);
    source.read(read, 6);
    CHECK(std::memcmp(read, bytes, 6) == 0);
    CHECK(outcome([&] { source.read(read, 3); }) == "ZETA_ERROR_FORMAT: the buffer is truncated: it ends at byte 8");
    CHECK(outcome([&] { source.read(read, 2); }) == "ZETA_OK: none"); // what is left is still there
    CHECK(read[1] == 8);
}

TEST_CASE("streams: a file that becomes shorter, and one that cannot be read") {
    zeta_context_params params{};
    params.threads = 1;
    const Context context(params);
    char bytes[8];
    const char *folder = std::getenv("TMPDIR");
    std::string path = std::string(folder == nullptr ? "/tmp" : folder) + "/zeta-unit-XXXXXX";
    const int file = mkstemp(path.data());
    REQUIRE(file != -1);
    REQUIRE(write(file, "zeta", 4) == 4);
    {
        cache::DiskSource source(context, path.c_str());
        CHECK(source.size() == 4);
        REQUIRE(ftruncate(file, 0) == 0);
        CHECK(outcome([&] { source.read(bytes, 4); }) ==
              "ZETA_ERROR_FORMAT: '" + path + "' is truncated: it became shorter while it was read");
    }
    close(file);
    unlink(path.c_str());
    cache::DiskSource memory(context, "/proc/self/mem"); // a regular file, and nothing is at its byte 0
    CHECK(outcome([&] { memory.read(bytes, 4); }).find("ZETA_ERROR_IO: cannot read '/proc/self/mem': ") == 0);
}
