// SPDX-License-Identifier: Apache-2.0
// Bytes of saved caches and files on disk.
#include "harness.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cachetest {
namespace {

// Offsets of the head's fields.
enum : size_t {
    kTypeAt = 12,
    kHeadBytesAt = 24,
    kBatchesAt = 32,
    kQueryHeadsAt = 40,
    kKeyHeadsAt = 48,
    kDkAt = 56,
    kDvAt = 64,
    kMeanAt = 112,
    kGridAt = 144,
    kArraysAt = 152,
};

uint64_t small(const Bytes &data, size_t at) {
    return std::min<uint64_t>(get_u64(data, at), uint64_t{1} << 26);
}

// Puts the checksum of data[begin, at) at `at`.
void seal(Bytes &data, size_t begin, size_t at) {
    put_u64(data, at, XXH3_64bits(data.data() + begin, at - begin));
}

// Bytes of a part with so many rows, as the head says.
uint64_t part_bytes(const Bytes &data, uint64_t rows) {
    const uint64_t dk = small(data, kDkAt), dv = small(data, kDvAt);
    uint32_t type = 0;
    std::memcpy(&type, data.data() + kTypeAt, sizeof type);
    const uint64_t row = 4 * dk + (type == ZETA_I8 ? 4 + dv : type == ZETA_F32 ? 4 * dv : 2 * dv);
    const uint64_t sums = get_u64(data, kMeanAt) != 0 ? 16 * (dk + dv) : 0;
    return (sums + rows * row + 7) / 8 * 8 + 8;
}

} // namespace

uint64_t get_u64(const Bytes &data, size_t at) {
    uint64_t value = 0;
    std::memcpy(&value, data.data() + at, sizeof value);
    return value;
}

void put_u64(Bytes &data, size_t at, uint64_t value) {
    std::memcpy(data.data() + at, &value, sizeof value);
}

void put_u32(Bytes &data, size_t at, uint32_t value) {
    std::memcpy(data.data() + at, &value, sizeof value);
}

size_t table_offset(const Bytes &data) {
    const uint64_t grid = small(data, kKeyHeadsAt) * small(data, kDkAt) * (get_u64(data, kGridAt) != 0 ? 2 : 1);
    return size_t(kArraysAt + (small(data, kQueryHeadsAt) + grid + 1) / 2 * 8);
}

void reseal(Bytes &data) {
    if (data.size() < kArraysAt + 8) return;
    const uint64_t head = get_u64(data, kHeadBytesAt), size = data.size();
    if (head < kArraysAt + 8 || head > size) return;
    seal(data, 0, size_t(head - 8));
    const uint64_t batches = small(data, kBatchesAt), table = table_offset(data);
    if (table > head - 8 || batches > (head - 8 - table) / 24) return;
    uint64_t at = head;
    for (uint64_t part = 0; part < batches * small(data, kKeyHeadsAt); ++part) {
        const size_t entry = size_t(table + part / small(data, kKeyHeadsAt) * 24);
        const uint64_t rows = get_u64(data, entry) - get_u64(data, entry + 16);
        if (rows > size) return;
        const uint64_t bytes = part_bytes(data, rows);
        if (bytes > size - at) return;
        seal(data, size_t(at - 8), size_t(at + bytes - 8));
        at += bytes;
    }
}

Bytes read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto *begin = reinterpret_cast<const std::byte *>(text.data());
    return Bytes(begin, begin + text.size());
}

void write_file(const std::string &path, const Bytes &data) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char *>(data.data()), std::streamsize(data.size()));
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

Folder::Folder() {
    const char *root = std::getenv("TMPDIR");
    path_ = std::string(root == nullptr ? "/tmp" : root) + "/zeta-test-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot make " + path_);
}

Folder::~Folder() {
    for (const std::string &name : names()) std::remove(file(name).c_str());
    rmdir(path_.c_str());
}

std::vector<std::string> Folder::names() const {
    std::vector<std::string> result;
    DIR *folder = opendir(path_.c_str());
    if (folder == nullptr) return result;
    while (const dirent *entry = readdir(folder))
        if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
            result.emplace_back(entry->d_name);
    closedir(folder);
    std::sort(result.begin(), result.end());
    return result;
}

} // namespace cachetest
