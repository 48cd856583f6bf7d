// SPDX-License-Identifier: Apache-2.0
// Mixes the heads' distributions over the next byte into one, online. A byte is eight binary decisions, most
// significant bit first; a node is the decisions so far. At a node each head gives the log-odds of its own
// distribution; three gated sums of them, their weights chosen by what is known before the byte, are summed again.
// After each bit all weights move along the gradient of the code length: the weights used for a byte depend on earlier
// bytes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zeta::app {

class Mixer {
public:
    explicit Mixer(size_t heads);

    // The heads' rows for the next byte. closeness[h]: the sum of a head's weights in units of the weight of a key at
    // distance 0, about the number of keys within gamma. previous: the byte before, 0 at the start.
    void set_heads(const std::vector<const float *> &rows, const std::vector<float> &closeness, uint8_t previous);

    // The mixed distribution; every entry > 0.
    void distribution(float *row) const; // [256]

    // -log2 of the probability of `byte`, then learns it.
    double code(uint8_t byte);

    // All that was learned, as numbers: a mixer of as many heads that loads them goes on as this one would.
    std::vector<float> learned() const;
    void load(const std::vector<float> &learned); // as many numbers as learned() gives

private:
    static constexpr size_t kGates = 3;

    struct Node {
        float inner[kGates]; // log-odds of the gated sums, clamped
        float probability;   // of a 1 bit, clamped
    };

    float *weights(size_t gate, unsigned node);
    const float *weights(size_t gate, unsigned node) const;
    void log_odds(unsigned node, float *odds) const; // [heads]
    Node evaluate(unsigned node, const float *odds) const;
    void learn(unsigned node, const float *odds, const Node &at, float bit);

    size_t heads_;
    std::vector<float> sums_;         // [heads, 512]: a tree of sums over bytes; node i has children 2i and 2i + 1
    std::vector<float> gate_[kGates]; // [settings of the gate, 256 nodes, heads]
    std::vector<float> outer_;        // [256 nodes, kGates]
    size_t setting_[kGates] = {};
};

} // namespace zeta::app
