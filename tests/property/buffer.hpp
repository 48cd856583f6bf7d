// SPDX-License-Identifier: Apache-2.0
// Tensors for tests: elements of any type at any strides inside a block whose every other byte holds a canary, in
// ordinary memory or pressed against an inaccessible page.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <zeta/zeta.h>

namespace property {

using Random = std::mt19937_64;

// Uniform integer in lo..hi.
int64_t pick(Random &random, int64_t lo, int64_t hi);

// Where a tensor lies.
enum class Place {
    plain,      // C order, aligned to 64 bytes
    scattered,  // random order of the outer axes, gaps between rows, any element alignment
    page_end,   // rows with small gaps; the last element ends at an inaccessible page
    page_start, // the first element starts right after an inaccessible page
};

class Buffer {
public:
    // Inputs (`is_input`) may get zero strides along axes where `values` repeats.
    Buffer(int32_t dtype, std::vector<int64_t> shape, Place place, Random &random,
           const std::vector<float> *values = nullptr);
    ~Buffer();
    Buffer(Buffer &&other) noexcept;
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    Buffer &operator=(Buffer &&) = delete;

    const zeta_tensor *view() const { return &view_; }
    zeta_tensor *view() { return &view_; }

    std::vector<float> floats() const; // of a floating type
    std::vector<int32_t> integers() const;
    std::vector<uint64_t> words() const;
    void set(const std::vector<float> &values);
    void set(const std::vector<int32_t> &values);
    void set(const std::vector<uint64_t> &values);

    bool gaps_intact() const; // every byte outside the elements still holds its canary
    bool untouched() const;   // every byte does
    bool unchanged() const;   // equal to what the last set() left

private:
    void lay_out(Place place, Random &random, const std::vector<float> *values);
    void allocate(Place place, Random &random);
    std::vector<int64_t> offsets() const; // of the elements, in C order
    int64_t extent() const;               // elements from the first to one past the last

    zeta_tensor view_{};
    size_t size_ = 0;                // of an element
    unsigned char *block_ = nullptr; // canaries and elements
    size_t block_size_ = 0;
    void *mapping_ = nullptr; // with pages around
    size_t mapping_size_ = 0;
    std::vector<unsigned char> memory_, copy_;
};

} // namespace property
