// SPDX-License-Identifier: Apache-2.0
// See buffer.hpp.
#include "buffer.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include <sys/mman.h>
#include <unistd.h>

#include "halves.hpp"

namespace property {
namespace {

constexpr unsigned char kCanary = 0xa5;

// Whether `values` of this shape repeats along the axis.
bool repeats(const std::vector<float> &values, const std::vector<int64_t> &shape, size_t axis) {
    int64_t inner = 1;
    for (size_t a = axis + 1; a < shape.size(); ++a) inner *= shape[a];
    for (size_t at = 0; at < values.size(); ++at) {
        const int64_t index = static_cast<int64_t>(at) / inner % shape[axis];
        if (std::memcmp(&values[at], &values[at - static_cast<size_t>(index * inner)], sizeof(float)) != 0)
            return false;
    }
    return true;
}

} // namespace

int64_t pick(Random &random, int64_t lo, int64_t hi) {
    return std::uniform_int_distribution<int64_t>(lo, hi)(random);
}

Buffer::Buffer(int32_t dtype, std::vector<int64_t> shape, Place place, Random &random,
               const std::vector<float> *values) {
    view_ = zeta_tensor_contiguous(nullptr, dtype, static_cast<int32_t>(shape.size()), shape.data());
    size_ = zeta_dtype_size(dtype);
    lay_out(place, random, values);
    allocate(place, random);
    if (values != nullptr) set(*values);
}

Buffer::~Buffer() {
    if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

Buffer::Buffer(Buffer &&other) noexcept
    : view_(other.view_), size_(other.size_), block_(other.block_), block_size_(other.block_size_),
      mapping_(other.mapping_), mapping_size_(other.mapping_size_), memory_(std::move(other.memory_)),
      copy_(std::move(other.copy_)) {
    other.mapping_ = nullptr;
}

// Strides. Axes are laid from the innermost outwards, each wide enough for those inside it plus a gap.
void Buffer::lay_out(Place place, Random &random, const std::vector<float> *values) {
    if (place == Place::plain || view_.rank < 2) return;
    const auto rank = static_cast<size_t>(view_.rank);
    const std::vector<int64_t> shape(view_.shape, view_.shape + rank);
    std::vector<size_t> axes(rank - 1); // all but the last, the innermost first
    std::iota(axes.rbegin(), axes.rend(), size_t{0});
    if (place == Place::scattered) std::shuffle(axes.begin(), axes.end(), random);
    int64_t width = std::max<int64_t>(1, shape[rank - 1]);
    for (const size_t axis : axes) {
        const bool ignored = shape[axis] <= 1 && pick(random, 0, 1) == 0;
        const int64_t stride = width + (pick(random, 0, 2) == 0 ? 0 : pick(random, 1, 5));
        if (values != nullptr && place == Place::scattered && shape[axis] > 1 && repeats(*values, shape, axis)) {
            view_.stride[axis] = 0;
            continue;
        }
        view_.stride[axis] = ignored ? pick(random, 0, 3) : stride;
        width = stride * std::max<int64_t>(1, shape[axis]);
    }
}

int64_t Buffer::extent() const {
    int64_t last = 0;
    for (int32_t axis = 0; axis < view_.rank; ++axis) {
        if (view_.shape[axis] == 0) return 0;
        last += (view_.shape[axis] - 1) * view_.stride[axis];
    }
    return last + 1;
}

void Buffer::allocate(Place place, Random &random) {
    const size_t bytes = static_cast<size_t>(extent()) * size_;
    unsigned char *data = nullptr;
    if (place == Place::page_end || place == Place::page_start) {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t inside = (bytes + page) / page * page;
        mapping_size_ = inside + 2 * page;
        mapping_ = mmap(nullptr, mapping_size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping_ == MAP_FAILED) std::abort();
        block_ = static_cast<unsigned char *>(mapping_) + page;
        block_size_ = inside;
        if (mprotect(block_, inside, PROT_READ | PROT_WRITE) != 0) std::abort();
        data = place == Place::page_end ? block_ + inside - bytes : block_;
    } else {
        memory_.resize(bytes + 256);
        block_ = memory_.data();
        block_size_ = memory_.size();
        const size_t misaligned = (64 - reinterpret_cast<uintptr_t>(block_) % 64) % 64 + 64;
        const size_t shift = place == Place::scattered ? static_cast<size_t>(pick(random, 0, 7)) * size_ : 0;
        data = block_ + misaligned + shift;
    }
    std::memset(block_, kCanary, block_size_);
    view_.data = data;
}

std::vector<int64_t> Buffer::offsets() const {
    std::vector<int64_t> result{0};
    for (int32_t axis = 0; axis < view_.rank; ++axis) {
        std::vector<int64_t> next;
        for (const int64_t offset : result)
            for (int64_t n = 0; n < view_.shape[axis]; ++n) next.push_back(offset + n * view_.stride[axis]);
        result = std::move(next);
    }
    return result;
}

std::vector<float> Buffer::floats() const {
    std::vector<float> result;
    for (const int64_t offset : offsets()) {
        const unsigned char *at = static_cast<unsigned char *>(view_.data) + static_cast<size_t>(offset) * size_;
        float value = 0;
        uint16_t half = 0;
        if (view_.dtype == ZETA_F32) std::memcpy(&value, at, 4);
        if (view_.dtype != ZETA_F32) std::memcpy(&half, at, 2);
        if (view_.dtype == ZETA_BF16) value = oracle::from_bfloat16(half);
        if (view_.dtype == ZETA_F16) value = oracle::from_float16(half);
        result.push_back(value);
    }
    return result;
}

std::vector<int32_t> Buffer::integers() const {
    std::vector<int32_t> result;
    for (const int64_t offset : offsets()) result.push_back(static_cast<int32_t *>(view_.data)[offset]);
    return result;
}

std::vector<uint64_t> Buffer::words() const {
    std::vector<uint64_t> result;
    for (const int64_t offset : offsets()) result.push_back(static_cast<uint64_t *>(view_.data)[offset]);
    return result;
}

void Buffer::set(const std::vector<float> &values) {
    const std::vector<int64_t> where = offsets();
    for (size_t n = 0; n < values.size(); ++n) {
        unsigned char *at = static_cast<unsigned char *>(view_.data) + static_cast<size_t>(where[n]) * size_;
        const uint16_t half = view_.dtype == ZETA_BF16 ? oracle::to_bfloat16(values[n]) : oracle::to_float16(values[n]);
        if (view_.dtype == ZETA_F32) std::memcpy(at, &values[n], 4);
        if (view_.dtype != ZETA_F32) std::memcpy(at, &half, 2);
    }
    copy_.assign(block_, block_ + block_size_);
}

void Buffer::set(const std::vector<int32_t> &values) {
    const std::vector<int64_t> where = offsets();
    for (size_t n = 0; n < values.size(); ++n) static_cast<int32_t *>(view_.data)[where[n]] = values[n];
    copy_.assign(block_, block_ + block_size_);
}

void Buffer::set(const std::vector<uint64_t> &values) {
    const std::vector<int64_t> where = offsets();
    for (size_t n = 0; n < values.size(); ++n) static_cast<uint64_t *>(view_.data)[where[n]] = values[n];
    copy_.assign(block_, block_ + block_size_);
}

bool Buffer::gaps_intact() const {
    std::vector<bool> inside(block_size_, false);
    const auto start = static_cast<size_t>(static_cast<unsigned char *>(view_.data) - block_);
    for (const int64_t offset : offsets())
        for (size_t n = 0; n < size_; ++n) inside[start + static_cast<size_t>(offset) * size_ + n] = true;
    for (size_t n = 0; n < block_size_; ++n) {
        if (!inside[n] && block_[n] != kCanary) return false;
    }
    return true;
}

bool Buffer::untouched() const {
    return std::all_of(block_, block_ + block_size_, [](unsigned char byte) { return byte == kCanary; });
}

bool Buffer::unchanged() const {
    return copy_.empty() || std::memcmp(copy_.data(), block_, block_size_) == 0;
}

} // namespace property
