// SPDX-License-Identifier: Apache-2.0
// Checksummed parts in memory. XXH3 is compiled in from its header, so the library needs no other at run time.
#include "file_stream.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../status.hpp"

namespace zeta::cache {
namespace {

static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 is stable since xxHash 0.8.0");

XXH3_state_t *state_of(unsigned char *state) {
    return std::launder(reinterpret_cast<XXH3_state_t *>(state));
}

} // namespace

void Checksum::restart() {
    static_assert(sizeof(XXH3_state_t) <= sizeof state_ && alignof(XXH3_state_t) <= 64);
    XXH3_64bits_reset(new (state_) XXH3_state_t{});
}

void Checksum::add(const void *data, size_t bytes) {
    XXH3_64bits_update(state_of(state_), data, bytes);
}

uint64_t Checksum::value() const {
    return XXH3_64bits_digest(state_of(const_cast<unsigned char *>(state_)));
}

void MemorySink::write(const void *data, size_t bytes) {
    if (bytes == 0) return;
    std::memcpy(at_, data, bytes);
    at_ += bytes;
}

void MemorySource::read(void *data, size_t bytes) {
    if (bytes > left_)
        fail(ZETA_ERROR_FORMAT, "%s is truncated: it ends at byte %llu", name(),
             static_cast<unsigned long long>(size_));
    if (bytes == 0) return;
    std::memcpy(data, at_, bytes);
    at_ += bytes;
    left_ -= bytes;
}

void Writer::put(const void *data, size_t bytes) {
    if (bytes == 0) return;
    checksum_.add(data, bytes);
    sink_.write(data, bytes);
    written_ += bytes;
}

void Writer::end_part() {
    constexpr char zeros[8] = {};
    put(zeros, size_t(padded(written_) - written_));
    const uint64_t value = checksum_.value();
    checksum_.restart();
    put(&value, sizeof value); // the first bytes of the next part's checksum
}

void Reader::get(void *data, size_t bytes) {
    if (bytes == 0) return;
    source_.read(data, bytes);
    checksum_.add(data, bytes);
    position_ += bytes;
}

void Reader::skip(uint64_t bytes) {
    char buffer[4096];
    while (bytes > 0) {
        const size_t n = size_t(std::min<uint64_t>(bytes, sizeof buffer));
        get(buffer, n);
        bytes -= n;
    }
}

bool Reader::end_part() {
    skip(padded(position_) - position_);
    const uint64_t expected = checksum_.value();
    checksum_.restart();
    uint64_t stored = 0;
    get(&stored, sizeof stored);
    return stored == expected;
}

} // namespace zeta::cache
