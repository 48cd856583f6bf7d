// SPDX-License-Identifier: Apache-2.0
// Bytes of a saved cache on their way out and in (docs/cache-format.md): a Sink or Source is memory or a file
// (file_disk.hpp); Writer and Reader add the checksums that end each part.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zeta::cache {

// Takes bytes in order. Throws Error.
class Sink {
public:
    virtual ~Sink() = default;
    virtual void write(const void *data, size_t bytes) = 0;
};

// Gives bytes in order. Throws Error if fewer are left than asked for.
class Source {
public:
    virtual ~Source() = default;
    virtual void read(void *data, size_t bytes) = 0;
    virtual uint64_t size() const = 0;             // all bytes
    virtual const char *name() const noexcept = 0; // for sentences
};

// Memory of the caller's, large enough.
class MemorySink final : public Sink {
public:
    explicit MemorySink(void *data) : at_(static_cast<char *>(data)) {}
    void write(const void *data, size_t bytes) override;

private:
    char *at_;
};

class MemorySource final : public Source {
public:
    MemorySource(const void *data, size_t size) : at_(static_cast<const char *>(data)), left_(size), size_(size) {}
    void read(void *data, size_t bytes) override;
    uint64_t size() const override { return size_; }
    const char *name() const noexcept override { return "the buffer"; }

private:
    const char *at_;
    size_t left_;
    const uint64_t size_;
};

// XXH3, 64 bits, seed 0, of bytes given piece by piece.
class Checksum {
public:
    Checksum() { restart(); }
    void restart();
    void add(const void *data, size_t bytes);
    uint64_t value() const;

private:
    alignas(64) unsigned char state_[640];
};

// Parts in order, each ended by the checksum of all bytes since the checksum before it, that one included.
class Writer {
public:
    explicit Writer(Sink &sink) : sink_(sink) {}
    void put(const void *data, size_t bytes);
    void end_part(); // zeros up to a multiple of 8 bytes, then the checksum

private:
    Sink &sink_;
    Checksum checksum_;
    uint64_t written_ = 0;
};

class Reader {
public:
    explicit Reader(Source &source) : source_(source) {}
    void get(void *data, size_t bytes);
    void skip(uint64_t bytes);
    // Reads padding and checksum; false if the checksum does not fit.
    bool end_part();

    Source &source() const { return source_; }
    uint64_t position() const { return position_; }

private:
    Source &source_;
    Checksum checksum_;
    uint64_t position_ = 0;
};

// Bytes up to the next multiple of 8.
inline uint64_t padded(uint64_t bytes) {
    return (bytes + 7) / 8 * 8;
}

} // namespace zeta::cache
