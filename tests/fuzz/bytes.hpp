// SPDX-License-Identifier: Apache-2.0
// A fuzzer's bytes as choices: past their end every choice is the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fuzz {

class Bytes {
public:
    Bytes(const uint8_t *data, size_t size) : data_(data), size_(size) {}

    bool done() const { return at_ == size_; }
    uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
    // 0 .. n - 1
    int64_t choose(int64_t n) { return n <= 1 ? 0 : byte() % n; }
    bool rarely() { return byte() > 0xF0; }
    // Any bits of a type of 1 to 8 bytes.
    template <class T> T raw() {
        static_assert(sizeof(T) <= sizeof(uint64_t), "at most eight bytes");
        uint64_t bits = 0;
        for (size_t i = 0; i < sizeof(T); ++i) bits = bits << 8 | byte();
        T value;
        std::memcpy(&value, &bits, sizeof value); // little-endian, as the build demands
        return value;
    }

private:
    const uint8_t *data_;
    size_t size_, at_ = 0;
};

} // namespace fuzz
