// SPDX-License-Identifier: Apache-2.0
// Generators of timing inputs. Drift needs q at k's places: query i stands at position i + (M - N), and where there are
// more queries than keys they are spread over all of them.
#include "bench_fill.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace zeta::app {

namespace {

constexpr uint64_t kSeed = 0x7a657461; // "zeta"
constexpr int64_t kCentres = 256;
constexpr uint64_t kCrowds = 8;

enum Stream : uint64_t { kStreamQ = 1, kStreamK, kStreamV, kStreamGrad, kStreamCentres };

class Random {
public:
    Random(Stream stream, int64_t head) : state_(kSeed + (stream << 32) + static_cast<uint64_t>(head) * 0x10001u) {
        next();
    }

    uint64_t next() {
        uint64_t x = state_ += 0x9e3779b97f4a7c15u;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        return x ^ x >> 31;
    }

    float normal() {
        if (has_spare_) {
            has_spare_ = false;
            return spare_;
        }
        constexpr double kUnit = 1.0 / (uint64_t{1} << 53), kTurn = 6.283185307179586;
        const double radius = std::sqrt(-2 * std::log(static_cast<double>((next() >> 11) + 1) * kUnit)); // of (0, 1]
        const double angle = kTurn * static_cast<double>(next() >> 11) * kUnit;
        spare_ = static_cast<float>(radius * std::sin(angle));
        has_spare_ = true;
        return static_cast<float>(radius * std::cos(angle));
    }

private:
    uint64_t state_;
    float spare_ = 0;
    bool has_spare_ = false;
};

void fill_normal(Random random, float *x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) x[i] = random.normal();
}

struct Clusters {
    uint64_t count; // of the centres
    float spread;
};

void fill_clustered(Random random, const std::vector<float> &centres, const Clusters &clusters, float *x, int64_t rows,
                    int64_t dk) {
    for (int64_t row = 0; row < rows; ++row) {
        const float *centre = &centres[(random.next() % clusters.count) * static_cast<uint64_t>(dk)];
        for (int64_t e = 0; e < dk; ++e) x[row * dk + e] = centre[e] + clusters.spread * random.normal();
    }
}

void fill_drift(Random random, float *k, int64_t rows, int64_t dk) {
    for (int64_t e = 0; e < dk; ++e) {
        double sum = 0, mean = 0, squares = 0;
        for (int64_t row = 0; row < rows; ++row) {
            sum += 0.05 * random.normal();
            k[row * dk + e] = static_cast<float>(sum);
            const double step = sum - mean;
            mean += step / static_cast<double>(row + 1);
            squares += step * (sum - mean);
        }
        const double deviation = rows > 1 ? std::sqrt(squares / static_cast<double>(rows)) : 1;
        for (int64_t row = 0; row < rows && deviation > 0; ++row)
            k[row * dk + e] = static_cast<float>(k[row * dk + e] / deviation);
    }
}

void follow_keys(Random random, const float *k, float *q, const BenchShape &shape) {
    for (int64_t i = 0; i < shape.n; ++i) {
        const int64_t at = shape.m >= shape.n ? i + shape.m - shape.n : shape.m > 0 ? i * shape.m / shape.n : -1;
        for (int64_t e = 0; e < shape.dk; ++e)
            q[i * shape.dk + e] = (at < 0 ? 0.0f : k[at * shape.dk + e]) + 0.01f * random.normal();
    }
}

void sort_columns(float *x, int64_t rows, int64_t dk) {
    std::vector<float> column(static_cast<size_t>(rows));
    for (int64_t e = 0; e < dk; ++e) {
        for (int64_t row = 0; row < rows; ++row) column[static_cast<size_t>(row)] = x[row * dk + e];
        std::sort(column.begin(), column.end());
        for (int64_t row = 0; row < rows; ++row) x[row * dk + e] = column[static_cast<size_t>(row)];
    }
}

// One key head and the query heads that read it.
void fill_group(const std::string &kind, const BenchShape &shape, int64_t group, float *k, float *q) {
    const int64_t per_group = shape.heads / shape.groups;
    const Random random_k(kStreamK, group);
    std::vector<float> centres(static_cast<size_t>(kCentres * shape.dk));
    fill_normal(Random(kStreamCentres, group), centres.data(), kCentres * shape.dk);
    const auto fill = [&](const Random &random, float *x, int64_t rows) {
        if (kind == "clustered")
            fill_clustered(random, centres, {kCentres, 0.05f}, x, rows, shape.dk);
        else if (kind == "crowded")
            fill_clustered(random, centres, {kCrowds, 1e-5f}, x, rows, shape.dk);
        else if (kind == "equal")
            std::fill(x, x + rows * shape.dk, 0.25f);
        else
            fill_normal(random, x, rows * shape.dk);
        if (kind == "sorted") sort_columns(x, rows, shape.dk);
    };
    if (kind == "drift")
        fill_drift(random_k, k, shape.m, shape.dk);
    else
        fill(random_k, k, shape.m);
    if (kind == "outlier") std::fill_n(k, shape.m > 0 ? shape.dk : 0, 1e6f);
    for (int64_t j = 0; j < per_group; ++j, q += shape.n * shape.dk) {
        const Random random_q(kStreamQ, group * per_group + j);
        if (kind == "drift")
            follow_keys(random_q, k, q, shape);
        else
            fill(random_q, q, shape.n);
    }
}

} // namespace

void fill_bench_points(const std::string &kind, const BenchShape &shape, float *q, float *k) {
    const int64_t q_group = shape.heads / shape.groups * shape.n * shape.dk;
    for (int64_t group = 0; group < shape.groups; ++group)
        fill_group(kind, shape, group, k + group * shape.m * shape.dk, q + group * q_group);
}

void fill_bench_values(const BenchShape &shape, float *v) {
    const int64_t head = shape.m * shape.dv;
    for (int64_t group = 0; group < shape.groups; ++group) fill_normal(Random(kStreamV, group), v + group * head, head);
}

void fill_bench_gradient(const BenchShape &shape, float *grad_out) {
    const int64_t head = shape.n * shape.dv;
    for (int64_t h = 0; h < shape.heads; ++h) fill_normal(Random(kStreamGrad, h), grad_out + h * head, head);
}

} // namespace zeta::app
