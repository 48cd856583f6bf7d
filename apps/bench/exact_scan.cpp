// SPDX-License-Identifier: Apache-2.0
// What exact selection costs beside a plain scan of the searchable keys (spec section 8, promise 8), for numbers of
// coordinates where trees of boxes tell little apart. Interleaved, one thread; prints one CSV row a case.
//     exact-scan [dk ...]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../zeta/bench_fill.hpp"
#include "zeta/zeta.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ZETA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ZETA_CLONES
#endif

namespace {

constexpr int kBlock = 256, kGroup = 16, kQueries = 16, kNeighbours = 32;

struct Inputs {
    int n = 0, dk = 0;
    bool causal = false;
    std::vector<float> q, k; // [n, dk]
};

void fill(Inputs &in, const std::string &kind) {
    zeta::app::BenchShape shape;
    shape.n = shape.m = in.n;
    shape.dk = in.dk;
    in.q.resize(size_t(in.n) * size_t(in.dk));
    in.k.resize(in.q.size());
    zeta::app::fill_bench_points(kind, shape, in.q.data(), in.k.data());
}

// Distances of a query to kBlock keys [dk][kBlock], and the least bits of each group.
ZETA_CLONES void distances_of(const float *keys, const float *q, int dk, int32_t *bits, int32_t *least) {
    float sums[kBlock] = {};
    for (int e = 0; e < dk; ++e) {
        for (int j = 0; j < kBlock; ++j) {
            const float gap = q[e] - keys[e * kBlock + j];
            sums[j] += gap * gap;
        }
    }
    memcpy(bits, sums, sizeof sums);
    for (int g = 0; g < kBlock / kGroup; ++g) {
        int32_t smallest = bits[g * kGroup];
        for (int j = 1; j < kGroup; ++j) smallest = std::min(smallest, bits[g * kGroup + j]);
        least[g] = smallest;
    }
}

// The nearest so far: words bits of the distance << 32 | ~position, cut to K whenever there are many.
struct Nearest {
    static constexpr int kRoom = 512;
    uint64_t words[kRoom];
    int count = 0;
    int32_t bound = 0x7fffffff;

    void cut() {
        if (count <= kNeighbours) return;
        std::nth_element(words, words + kNeighbours - 1, words + count);
        count = kNeighbours;
        bound = int32_t(words[kNeighbours - 1] >> 32);
    }
    void add(const int32_t *bits, int position, int n) {
        if (count + kGroup > kRoom) cut();
        for (int j = 0; j < n; ++j) { // no branch on the data
            words[count] = uint64_t(uint32_t(bits[j])) << 32 | ~uint32_t(position + j);
            count += bits[j] <= bound;
        }
    }
};

// The plain scan: blocks of keys for tiles of queries, the newest first.
void scan(const Inputs &in, std::vector<int32_t> &neighbours) {
    const int blocks = (in.n + kBlock - 1) / kBlock;
    std::vector<float> keys(size_t(blocks) * size_t(in.dk) * kBlock);
    for (int i = 0; i < in.n; ++i) {
        for (int e = 0; e < in.dk; ++e)
            keys[(size_t(i / kBlock) * size_t(in.dk) + size_t(e)) * kBlock + size_t(i % kBlock)] =
                in.k[size_t(i) * size_t(in.dk) + size_t(e)];
    }
    static Nearest nearest[kQueries];
    for (int begin = 0; begin < in.n; begin += kQueries) {
        const int end = std::min(in.n, begin + kQueries);
        std::fill_n(nearest, kQueries, Nearest());
        for (int b = in.causal ? (end + kBlock - 1) / kBlock : blocks; b-- > 0;) {
            const float *block = &keys[size_t(b) * size_t(in.dk) * kBlock];
            for (int i = begin; i < end; ++i) {
                int32_t bits[kBlock], least[kBlock / kGroup];
                distances_of(block, &in.q[size_t(i) * size_t(in.dk)], in.dk, bits, least);
                Nearest &found = nearest[i - begin];
                const int limit = std::min((in.causal ? i : in.n) - b * kBlock, kBlock);
                for (int j = 0; j < limit; j += kGroup) {
                    if (least[j / kGroup] <= found.bound)
                        found.add(bits + j, b * kBlock + j, std::min(kGroup, limit - j));
                }
                if (found.count > 2 * kNeighbours) found.cut();
            }
        }
        for (int i = begin; i < end; ++i) {
            Nearest &found = nearest[i - begin];
            int32_t *out = &neighbours[size_t(i) * kNeighbours];
            found.cut();
            std::fill_n(out, kNeighbours, -1);
            for (int x = 0; x < found.count; ++x) out[x] = int32_t(~uint32_t(found.words[x]));
            std::sort(out, out + found.count);
        }
    }
}

void select(zeta_context *context, const Inputs &in, std::vector<int32_t> &neighbours) {
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    params.causal = in.causal;
    params.local = in.causal ? 1 : 0;
    params.mean = 0;
    params.neighbours = kNeighbours;
    params.select = ZETA_SELECT_EXACT;
    const int64_t n = in.n, dk = in.dk;
    const auto tensor = [n](const void *data, int32_t dtype, int64_t channels) {
        zeta_tensor t = {};
        t.data = const_cast<void *>(data);
        t.dtype = dtype;
        t.rank = 4;
        const int64_t shape[] = {1, 1, n, channels}, strides[] = {n * channels, n * channels, channels, 1};
        std::copy_n(shape, 4, t.shape);
        std::copy_n(strides, 4, t.stride);
        return t;
    };
    const zeta_tensor q = tensor(in.q.data(), ZETA_F32, dk), k = tensor(in.k.data(), ZETA_F32, dk),
                      out = tensor(neighbours.data(), ZETA_I32, kNeighbours);
    if (zeta_select(context, &params, &q, &k, &out, nullptr) == ZETA_OK) return;
    std::fprintf(stderr, "exact-scan: %s\n", zeta_last_error());
    std::exit(1);
}

double milliseconds(const std::function<void()> &work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

void measure(zeta_context *context, const Inputs &in, const char *kind) {
    std::vector<int32_t> ours(size_t(in.n) * kNeighbours), plain(ours);
    std::vector<double> exact, scanned;
    for (int repeat = 0; repeat < 5; ++repeat) {
        exact.push_back(milliseconds([&] { select(context, in, ours); }));
        scanned.push_back(milliseconds([&] { scan(in, plain); }));
    }
    std::sort(exact.begin(), exact.end());
    std::sort(scanned.begin(), scanned.end());
    std::printf("%d,%s,%d,%d,%.2f,%.2f,%.2f,%s\n", in.dk, kind, in.n, int(in.causal), exact[2], scanned[2],
                exact[0] / scanned[0], ours == plain ? "same" : "DIFFER");
    std::fflush(stdout);
}

} // namespace

int main(int count, char **arguments) {
    zeta_context_params params;
    zeta_context_params_init(&params);
    params.threads = 1;
    zeta_context *context = nullptr;
    if (zeta_context_create(&context, &params) != ZETA_OK) {
        std::fprintf(stderr, "exact-scan: %s\n", zeta_last_error());
        return 1;
    }
    std::vector<int> dims;
    for (int i = 1; i < count; ++i) dims.push_back(std::atoi(arguments[i]));
    if (dims.empty()) dims = {5, 8, 16, 32};
    std::printf("dk,input,n,causal,exact_ms,scan_ms,ratio_of_minima,sets\n");
    for (const int dk : dims) {
        for (const char *kind : {"gaussian", "clustered", "drift", "equal", "sorted"}) {
            for (const int n : {4096, 16384}) {
                for (const bool causal : {true, false}) {
                    Inputs in;
                    in.n = n;
                    in.dk = dk;
                    in.causal = causal;
                    fill(in, kind);
                    measure(context, in, kind);
                }
            }
        }
    }
    zeta_context_destroy(&context);
    return 0;
}
