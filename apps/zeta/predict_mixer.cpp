// SPDX-License-Identifier: Apache-2.0
// Weights of a later bit live in other rows than those of an earlier one, so what code() adds up bit by bit is exactly
// what distribution() says before the byte is seen.
#include "predict_mixer.hpp"

#include <algorithm>
#include <cmath>

namespace zeta::app {

namespace {

constexpr size_t kLevels = 8;       // of closeness
constexpr float kFirstSum = 1.3f;   // of a gate's weights at the start: heads are a little too careful
constexpr float kHeadFloor = 1e-5f; // least probability taken from a head
constexpr float kOddsLimit = 12.0f;
constexpr float kFloor = 0x1p-15f;  // least probability of a bit: 2^-120 for a byte, a normal float32
constexpr float kInnerRate = 0.01f; // best of 0.005 to 0.04 on English prose
constexpr float kOuterRate = 0.005f;

size_t level_of(float closeness) {
    constexpr float kSteps[kLevels - 1] = {0.5f, 1.5f, 3, 8, 20, 50, 100};
    size_t level = 0;
    while (level < kLevels - 1 && closeness >= kSteps[level]) ++level;
    return level;
}

float logistic(float x) {
    return 1 / (1 + std::exp(-x));
}

} // namespace

Mixer::Mixer(size_t heads) : heads_(heads), sums_(heads * 512), outer_(256 * kGates, 1.0f / kGates) {
    for (auto &gate : gate_) gate.assign(256 * 256 * heads, kFirstSum / static_cast<float>(heads));
}

void Mixer::set_heads(const std::vector<const float *> &rows, const std::vector<float> &closeness, uint8_t previous) {
    for (size_t h = 0; h < heads_; ++h) {
        float *tree = &sums_[h * 512];
        std::copy_n(rows[h], 256, tree + 256);
        for (size_t i = 255; i > 0; --i) tree[i] = tree[2 * i] + tree[2 * i + 1];
    }
    const auto level = [&](size_t h) { return level_of(closeness[h]); };
    setting_[0] = level(heads_ / 2) * kLevels + level(heads_ - 1);
    setting_[1] = previous;
    setting_[2] = level(heads_ / 4) * kLevels + level(3 * heads_ / 4);
}

float *Mixer::weights(size_t gate, unsigned node) {
    return &gate_[gate][(setting_[gate] * 256 + node) * heads_];
}

const float *Mixer::weights(size_t gate, unsigned node) const {
    return &gate_[gate][(setting_[gate] * 256 + node) * heads_];
}

void Mixer::log_odds(unsigned node, float *odds) const {
    for (size_t h = 0; h < heads_; ++h) {
        const float *tree = &sums_[h * 512];
        const float p = tree[node] > 0 ? tree[2 * node + 1] / tree[node] : 0.5f;
        const float kept = std::min(std::max(p, kHeadFloor), 1 - kHeadFloor);
        odds[h] = std::log(kept / (1 - kept));
    }
}

Mixer::Node Mixer::evaluate(unsigned node, const float *odds) const {
    Node at{};
    float sum = 0;
    for (size_t gate = 0; gate < kGates; ++gate) {
        const float *w = weights(gate, node);
        float inner = 0;
        for (size_t h = 0; h < heads_; ++h) inner += w[h] * odds[h];
        at.inner[gate] = std::min(std::max(inner, -kOddsLimit), kOddsLimit);
        sum += outer_[node * kGates + gate] * at.inner[gate];
    }
    at.probability = std::min(std::max(logistic(sum), kFloor), 1 - kFloor);
    return at;
}

void Mixer::learn(unsigned node, const float *odds, const Node &at, float bit) {
    for (size_t gate = 0; gate < kGates; ++gate) {
        outer_[node * kGates + gate] += kOuterRate * (bit - at.probability) * at.inner[gate];
        const float step = kInnerRate * (bit - logistic(at.inner[gate]));
        float *w = weights(gate, node);
        for (size_t h = 0; h < heads_; ++h) w[h] += step * odds[h];
    }
}

void Mixer::distribution(float *row) const {
    std::vector<float> odds(heads_);
    double reach[512];
    reach[1] = 1;
    for (unsigned node = 1; node < 256; ++node) {
        log_odds(node, odds.data());
        const double one = evaluate(node, odds.data()).probability;
        reach[2 * node] = reach[node] * (1 - one);
        reach[2 * node + 1] = reach[node] * one;
    }
    for (size_t byte = 0; byte < 256; ++byte) row[byte] = static_cast<float>(reach[256 + byte]);
}

double Mixer::code(uint8_t byte) {
    std::vector<float> odds(heads_);
    double bits = 0;
    unsigned node = 1;
    for (int i = 7; i >= 0; --i) {
        const bool bit = byte >> i & 1;
        log_odds(node, odds.data());
        const Node at = evaluate(node, odds.data());
        bits -= std::log2(bit ? double{at.probability} : 1 - double{at.probability});
        learn(node, odds.data(), at, bit ? 1.0f : 0.0f);
        node = 2 * node + (bit ? 1 : 0);
    }
    return bits;
}

std::vector<float> Mixer::learned() const {
    std::vector<float> all = outer_;
    for (const auto &gate : gate_) all.insert(all.end(), gate.begin(), gate.end());
    return all;
}

void Mixer::load(const std::vector<float> &learned) {
    const float *next = learned.data();
    const auto take = [&](std::vector<float> &to) {
        std::copy_n(next, to.size(), to.begin());
        next += to.size();
    };
    take(outer_);
    for (auto &gate : gate_) take(gate);
}

} // namespace zeta::app
