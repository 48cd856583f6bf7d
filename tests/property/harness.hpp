// SPDX-License-Identifier: Apache-2.0
// Runs one case through the C API: an oracle problem with element types, put into buffers, forward and backward.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "buffer.hpp"
#include "oracle.hpp"

namespace property {

struct Settings {
    uint64_t seed = 1;
    int cases = 400;
};
Settings &settings();

// What is computed. Values are already rounded to their types.
struct Case {
    oracle::Shape shape;
    oracle::Options options;
    int32_t qk_type = ZETA_F32;
    int32_t v_type = ZETA_F32;
    std::vector<float> q, k, v, grad_out;
    bool tame = true; // finite moderate values, so that gradients are compared
    std::string what; // how it was made, for messages
};

// How it is run.
struct Run {
    Place place = Place::plain;
    uint64_t seed = 1; // of the layout
    bool backward = true;
    bool extras = true;        // normaliser and neighbours asked for
    bool given_memory = false; // scratch and saved of the queried sizes, the ends against inaccessible pages
};

struct Result {
    zeta_status status = ZETA_OK;
    std::string error;
    bool intact = true; // gaps and inputs unchanged
    std::vector<float> out, normaliser;
    std::vector<int32_t> neighbours;
    std::vector<float> grad_q, grad_k, grad_v, grad_gamma;
};

struct ContextDeleter {
    void operator()(zeta_context *context) const { zeta_context_destroy(&context); }
};
using Context = std::unique_ptr<zeta_context, ContextDeleter>;

Context make_context(const char *isa, int32_t threads);
std::vector<std::string> instruction_sets();

// The C parameters of oracle options; keeps what they point to.
struct Params {
    explicit Params(const Case &problem);
    Params(const Params &) = delete;
    Params &operator=(const Params &) = delete;

    zeta_attention_params c{};
    oracle::Options options;
};
zeta_grid c_grid(const oracle::Grid &grid, int64_t key_heads);

Result run(zeta_context *context, const Case &problem, const Run &how = {});

// Memory of exactly `size` bytes, aligned to 64, the end at most 63 bytes from an inaccessible page.
class Guarded {
public:
    explicit Guarded(size_t size);
    ~Guarded();
    Guarded(const Guarded &) = delete;
    Guarded &operator=(const Guarded &) = delete;

    void *data() const { return data_; }
    bool slack_intact() const;

private:
    unsigned char *data_ = nullptr;
    size_t size_ = 0;
    void *mapping_ = nullptr;
    size_t mapping_size_ = 0;
};

// Shapes of the tensors of a problem.
std::vector<int64_t> q_shape(const oracle::Shape &shape);
std::vector<int64_t> k_shape(const oracle::Shape &shape);
std::vector<int64_t> v_shape(const oracle::Shape &shape);
std::vector<int64_t> out_shape(const oracle::Shape &shape);
std::vector<int64_t> row_shape(const oracle::Shape &shape);                 // [B, H, N]
std::vector<int64_t> slot_shape(const oracle::Shape &shape, int64_t slots); // [B, H, N, K]

// Lists of neighbours as the C API returns them.
std::vector<int32_t> padded(const std::vector<std::vector<int64_t>> &lists, int64_t slots);

// Bit equality, so that NaN equals NaN and 0 differs from -0.
bool same_bits(const std::vector<float> &a, const std::vector<float> &b);
bool same_bits(const float *a, const float *b, int64_t count);

} // namespace property
