// SPDX-License-Identifier: Apache-2.0
// The reference: what zeta computes, slow and obvious, in float64 except where the definition fixes float32 (cells,
// distances, rounded means). It shares nothing with the library, so that an error is not made twice.
// Tensors are contiguous vectors [B, H, N, d]; a query row is numbered (b H + h) N + i; keys are numbered within their
// batch 0..M-1, also in packed sequences. Cost: O(M) per query and more; meant for a few thousand rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace oracle {

enum class Score { cauchy, gaussian, laplace, inverse, dot };

struct Grid {
    bool range = false;              // else squash
    bool per_head = false;           // parameters are [G, dk], else one number each
    std::vector<float> scale{1};     // squash
    std::vector<float> lo{0}, hi{1}; // range
};

struct Options {
    int64_t neighbours = 32; // K
    int64_t window = 0;      // W; 0: K
    bool exact = false;
    Score score = Score::cauchy;
    bool causal = true;
    bool mean = true;
    int64_t chunk = 1;
    int64_t local = 1;
    int64_t first = 0;
    std::vector<float> gamma; // empty: 1; one number; or [H]
    Grid grid;
    std::vector<int64_t> q_lengths, k_lengths; // packed sequences; k_lengths empty: as q_lengths
};

struct Shape {
    int64_t batches = 1, heads = 1, key_heads = 1; // B, H, G
    int64_t queries = 0, keys = 0;                 // N, M
    int64_t dk = 3, dv = 1;

    int64_t key_head(int64_t head) const { return head * key_heads / heads; }
    int64_t rows() const { return batches * heads * queries; }
};

// One query: batch, head, and index in the batch.
struct Query {
    int64_t batch, head, index;
};

// A run of queries and keys that is computed alone. Not packed: all of them.
struct Sequence {
    int64_t q_begin, q_length, k_begin, k_length;
};

std::vector<Sequence> sequences(const Shape &shape, const Options &options);
Sequence sequence_of(const Shape &shape, const Options &options, int64_t index);

// Position of query `index` in its sequence (causal), and the limit L(t) of the searchable keys.
int64_t position(const Sequence &sequence, int64_t index);
int64_t search_limit(const Options &options, const Sequence &sequence, int64_t index);

// Section 2: bits per coordinate, cells and codes. `x` is [B, heads, N, dk]; a per-head grid has key_heads rows.
int bits(int64_t dk);
std::vector<int32_t> cells(const Grid &grid, int64_t key_heads, const std::vector<float> &x, int64_t batches,
                           int64_t heads, int64_t dk);
std::vector<uint64_t> codes(const Grid &grid, int64_t key_heads, const std::vector<float> &x, int64_t batches,
                            int64_t heads, int64_t dk);
std::vector<int32_t> decode(const std::vector<uint64_t> &codes, int64_t dk);

// Squared distance and inner product, summed from coordinate 0, each operation rounded to Real.
template <class Real> Real squared_distance(const Real *a, const Real *b, int64_t dk);
template <class Real> Real inner_product(const Real *a, const Real *b, int64_t dk);

// Sections 3 and 4: which keys a query attends. Lists hold key numbers, ascending unless said otherwise.
class Selector {
public:
    Selector(const Shape &shape, const Options &options, const std::vector<float> &q, const std::vector<float> &k);

    std::vector<int64_t> searchable(const Query &query) const; // in the order of (code, position)
    std::vector<int64_t> neighbours(const Query &query) const;
    std::vector<int64_t> nearest(const Query &query) const; // the exact K nearest
    std::vector<int64_t> local(const Query &query) const;

    // neighbours, or all searchable keys, of every row.
    std::vector<std::vector<int64_t>> all_neighbours() const;
    std::vector<std::vector<int64_t>> all_searchable() const;

    // Squared distance of a query and a key, +infinity for NaN.
    float distance(const Query &query, int64_t key) const;

    // Section 8, promise 5: one number per head; 1 for a head without searchable keys.
    std::vector<double> recall() const;

private:
    std::vector<int64_t> keep_nearest(const Query &query, std::vector<int64_t> keys) const;

    Shape shape_;
    Options options_;
    std::vector<float> q_, k_;
    std::vector<uint64_t> q_codes_, k_codes_;
    std::vector<std::vector<int64_t>> order_; // [B, G]: all keys by (code, position)
};

// What attention gives for one query.
struct Row {
    std::vector<double> out;     // [dv]
    double normaliser = 0;       // Z
    double normaliser_scale = 0; // magnitude that Z is a small difference of, for tolerances
    std::vector<double> reach;   // [dv] max |v_jc| over the attended set; NaN if one is NaN
    double infinite_share = 1;   // the smallest share of an attended v_j with an infinite channel
    bool attended = false;       // the attended set is not empty
    bool undefined = false;      // a weight is NaN or every distance infinite: all NaN
    bool promised = false;       // a finite case whose smallest distance is at most 2^100: accuracy is promised
    bool fragile = false;        // nothing can be said: the mean cancels huge numbers, or an inner product overflows
};

// Gradients, shaped like their tensors. The reach of an entry is the sum of the magnitudes that it is made of: what
// remains of it after cancellation cannot be more exact than a few roundings of that.
struct Gradients {
    std::vector<double> q, k, v, gamma;
    std::vector<double> q_reach, k_reach, v_reach, gamma_reach;
};

// Sections 4 (history mean), 5 and 6. Real is the type of the inputs and of the arithmetic of distances: float for the
// reference values, double for finite differences.
template <class Real> class Attention {
public:
    Attention(const Shape &shape, const Options &options, std::vector<Real> q, std::vector<Real> k,
              std::vector<Real> v);

    Row forward(const Query &query, const std::vector<int64_t> &neighbours) const;

    // grad_out [B, H, N, dv]; neighbours: one list per row.
    Gradients backward(const std::vector<std::vector<int64_t>> &neighbours, const std::vector<double> &grad_out) const;

    // Adds ∂L/∂q of one row to grad_q [dk], and its magnitude to reach [dk].
    void backward_query(const Query &query, const std::vector<int64_t> &neighbours, const double *grad_out,
                        double *grad_q, double *reach) const;

    // Sum over rows and channels of out * grad_out.
    double loss(const std::vector<std::vector<int64_t>> &neighbours, const std::vector<double> &grad_out) const;

private:
    struct Candidate;
    struct Weighted;
    struct Sink;

    std::vector<Candidate> candidates(const Query &query, const std::vector<int64_t> &neighbours) const;
    Weighted weigh(const Query &query, const std::vector<int64_t> &neighbours) const;
    void backward_row(const Query &query, const std::vector<int64_t> &neighbours, const double *grad_out,
                      const Sink &sink) const;
    void average();
    void spread_mean(Gradients &gradients, std::vector<double> &mean_k, std::vector<double> &mean_k_reach,
                     std::vector<double> &mean_v, std::vector<double> &mean_v_reach) const;
    double gamma(int64_t head) const;

    Shape shape_;
    Options options_;
    std::vector<Real> q_, k_, v_;
    std::vector<Real> mean_k_, mean_v_; // [B, G, M, d]: rows t of the history mean, at the key's number
    std::vector<char> fragile_;         // [B, G, M]: the mean is a small difference of huge numbers
};

// The attended keys besides the mean: neighbours, then local positions.
std::vector<int64_t> attended_keys(const Shape &shape, const Options &options, const Query &query,
                                   const std::vector<int64_t> &neighbours);

// All rows in order.
std::vector<Query> queries(const Shape &shape);

} // namespace oracle
