// SPDX-License-Identifier: Apache-2.0
// A level made for tests: positions in some order along the curve, coordinates, and the tree of minimum positions.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>

#include "support.hpp"

namespace kernel_tests {

// How positions follow each other along the curve.
enum class Order { mixed, ascending, descending, runs };
constexpr Order kOrders[] = {Order::mixed, Order::ascending, Order::descending, Order::runs};

// `count` different positions, some of them left out.
inline std::vector<uint32_t> some_positions(Random &random, size_t count, Order order) {
    std::vector<uint32_t> positions(count);
    uint32_t next = 0;
    for (uint32_t &position : positions) position = next += static_cast<uint32_t>(pick(random, 1, 3));
    if (order == Order::mixed) std::shuffle(positions.begin(), positions.end(), random);
    if (order == Order::descending) std::reverse(positions.begin(), positions.end());
    if (order == Order::runs && count > 2)
        std::rotate(positions.begin(), positions.begin() + count / 3, positions.end());
    return positions;
}

class TestLevel {
public:
    TestLevel(Random &random, const std::vector<uint32_t> &positions, int dk, int rare)
        : positions_(positions), stride_(positions.size() + zeta::simd::kPad) {
        const size_t count = positions.size();
        coordinates_ = floats(random, static_cast<size_t>(dk) * stride_, rare);
        std::vector<uint32_t> entries = positions;
        entries.resize(count + zeta::simd::kPad, ~uint32_t{0});
        position_array_ = std::make_unique<Array<uint32_t>>(entries, Place::end);
        coordinate_array_ = std::make_unique<Array<float>>(coordinates_, Place::end);
        level_ = {};
        level_.count = static_cast<uint32_t>(count);
        level_.position = position_array_->data();
        level_.coordinate = coordinate_array_->data();
        level_.stride = stride_;
        grow_tree();
    }
    const zeta::simd::Level &level() const { return level_; }
    uint32_t position(size_t i) const { return positions_[i]; }
    float coordinate(size_t i, size_t e) const { return coordinates_[e * stride_ + i]; }
    size_t count() const { return positions_.size(); }

    // From now on the memory of keys [begin, end) says that they are searchable. position() and the tree know better.
    void lie(size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) position_array_->data()[i] = 0;
    }

private:
    void grow_tree() {
        std::vector<uint32_t> source = positions_;
        do {
            std::vector<uint32_t> minimum((source.size() + 63) / 64, ~uint32_t{0});
            for (size_t i = 0; i < source.size(); ++i) minimum[i / 64] = std::min(minimum[i / 64], source[i]);
            source = minimum;
            minimum.resize((minimum.size() + 63) / 64 * 64 + 64, ~uint32_t{0});
            tree_.push_back(std::make_unique<Array<uint32_t>>(minimum, Place::end));
            level_.minimum[level_.heights] = tree_.back()->data();
            level_.minimum_count[level_.heights++] = static_cast<uint32_t>(source.size());
        } while (source.size() > 64);
    }

    std::vector<uint32_t> positions_;
    size_t stride_;
    std::vector<float> coordinates_;
    std::unique_ptr<Array<uint32_t>> position_array_;
    std::unique_ptr<Array<float>> coordinate_array_;
    std::vector<std::unique_ptr<Array<uint32_t>>> tree_;
    zeta::simd::Level level_;
};

} // namespace kernel_tests
