// SPDX-License-Identifier: Apache-2.0
// The loop is compiled for the CPUs of the last ten years and chosen at run time. Threads share the keys evenly, and
// wait for the next step without going to sleep: waking them would cost as much as a short step.
#include "bench_dense.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

namespace zeta::app {

namespace {

constexpr int64_t kBlock = 256; // keys whose weights are made at once: their values stay in the second level of cache

#if defined(__GNUC__)
#define ZETA_INLINE inline __attribute__((always_inline))
#else
#define ZETA_INLINE inline
#endif

struct Keys {
    const float *planes; // [dk, stride]
    int64_t stride;
    const float *v; // [.., dv]
    int64_t dk, dv;
};

template <bool kFused> ZETA_INLINE float multiply_add(float a, float b, float c) {
    return kFused ? __builtin_fmaf(a, b, c) : a * b + c;
}

// weights[j] = 1 / (|q - k_j|^2 + 1) of `count` keys, 0 from there to kBlock.
template <bool kFused>
ZETA_INLINE void weigh(const Keys &keys, int64_t begin, int64_t count, const float *q, float *weights) {
    float distances[kBlock] = {};
    for (int64_t e = 0; e < keys.dk; ++e) {
        const float *plane = keys.planes + e * keys.stride + begin, at = q[e];
        for (int64_t j = 0; j < count; ++j)
            distances[j] = multiply_add<kFused>(at - plane[j], at - plane[j], distances[j]);
    }
    for (int64_t j = 0; j < count; ++j) weights[j] = 1 / (distances[j] + 1);
    for (int64_t j = count; j < kBlock; ++j) weights[j] = 0;
}

// out [dv + 1]: adds the weighted values and, last, the weights.
template <bool kFused>
ZETA_INLINE void add_values(const Keys &keys, int64_t begin, int64_t count, const float *weights, float *out) {
    constexpr int64_t kLanes = 16;
    float lanes[kLanes] = {};
    for (int64_t j = 0; j < kBlock; j += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += weights[j + lane];
    for (float lane : lanes) out[keys.dv] += lane;
    const int64_t dv = keys.dv;
    const float *row = keys.v + begin * dv;
    int64_t j = 0;
    for (; j + 4 <= count; j += 4, row += 4 * dv) {
        const float *__restrict__ a = row, *__restrict__ b = row + dv, *__restrict__ c = row + 2 * dv,
                                  *__restrict__ d = row + 3 * dv;
        float *__restrict__ to = out;
        const float wa = weights[j], wb = weights[j + 1], wc = weights[j + 2], wd = weights[j + 3];
        for (int64_t x = 0; x < dv; ++x)
            to[x] = multiply_add<kFused>(
                wa, a[x],
                multiply_add<kFused>(wb, b[x], multiply_add<kFused>(wc, c[x], multiply_add<kFused>(wd, d[x], to[x]))));
    }
    for (; j < count; ++j, row += dv)
        for (int64_t x = 0; x < dv; ++x) out[x] = multiply_add<kFused>(weights[j], row[x], out[x]);
}

// Keys [begin, end) of one head for the `queries` that share it: q [queries, dk], out [queries, dv + 1].
template <bool kFused>
ZETA_INLINE void attend_range(const Keys &keys, int64_t begin, int64_t end, int64_t queries, const float *q,
                              float *out) {
    float weights[kBlock];
    for (; begin < end; begin += kBlock) {
        const int64_t count = std::min(kBlock, end - begin);
        for (int64_t i = 0; i < queries; ++i) {
            weigh<kFused>(keys, begin, count, q + i * keys.dk, weights);
            add_values<kFused>(keys, begin, count, weights, out + i * (keys.dv + 1));
        }
    }
}

using Range = void (*)(const Keys &, int64_t, int64_t, int64_t, const float *, float *);

void attend_plain(const Keys &keys, int64_t begin, int64_t end, int64_t queries, const float *q, float *out) {
    attend_range<false>(keys, begin, end, queries, q, out);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx512f,avx2,fma"))) void attend_avx512(const Keys &keys, int64_t begin, int64_t end,
                                                               int64_t queries, const float *q, float *out) {
    attend_range<true>(keys, begin, end, queries, q, out);
}

__attribute__((target("avx2,fma"))) void attend_avx2(const Keys &keys, int64_t begin, int64_t end, int64_t queries,
                                                     const float *q, float *out) {
    attend_range<true>(keys, begin, end, queries, q, out);
}

Range best_range() {
    if (__builtin_cpu_supports("avx512f")) return attend_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return attend_avx2;
    return attend_plain;
}
#else
Range best_range() {
    return attend_plain;
}
#endif

} // namespace

// Calls work(part) for each part 0 .. threads - 1 at once; part 0 on the calling thread.
class DenseTeam {
public:
    DenseTeam(int threads, std::function<void(int)> work) : work_(std::move(work)) {
        for (int part = 1; part < threads; ++part) members_.emplace_back([this, part] { serve(part); });
    }

    ~DenseTeam() {
        stop_ = true;
        for (std::thread &member : members_) member.join();
    }

    void run() {
        done_.store(0, std::memory_order_relaxed);
        round_.fetch_add(1, std::memory_order_release);
        work_(0);
        wait([&] { return done_.load(std::memory_order_acquire) == members_.size(); });
    }

private:
    template <class Ready> static void wait(const Ready &ready) {
        for (int spins = 0; !ready(); ++spins)
            if (spins >= 4096) std::this_thread::yield();
    }

    void serve(int part) {
        for (unsigned seen = 0;; ++seen) {
            wait([&] { return stop_ || round_.load(std::memory_order_acquire) != seen; });
            if (stop_) return;
            work_(part);
            done_.fetch_add(1, std::memory_order_release);
        }
    }

    std::function<void(int)> work_;
    std::atomic<unsigned> round_{0};
    std::atomic<size_t> done_{0};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> members_;
};

DenseStep::DenseStep(const BenchShape &shape, const float *k, const float *v, int64_t keys, int threads)
    : shape_(shape), v_(v), keys_(keys), threads_(threads),
      planes_(static_cast<size_t>(shape.groups * shape.dk * keys)),
      partial_(static_cast<size_t>(threads), std::vector<float>(static_cast<size_t>(shape.heads * (shape.dv + 1)))) {
    for (int64_t group = 0; group < shape.groups; ++group)
        for (int64_t e = 0; e < shape.dk; ++e) {
            float *plane = planes_.data() + (group * shape.dk + e) * keys;
            const float *from = k + group * shape.m * shape.dk + e;
            for (int64_t j = 0; j < keys; ++j) plane[j] = from[j * shape.dk];
        }
}

DenseStep::~DenseStep() = default;

void DenseStep::attend_part(int part, const float *q) {
    static const Range range = best_range();
    std::vector<float> &out = partial_[static_cast<size_t>(part)];
    std::fill(out.begin(), out.end(), 0.0f);
    const int64_t all = shape_.groups * keys_, per_group = shape_.heads / shape_.groups;
    for (int64_t at = all * part / threads_, end = all * (part + 1) / threads_; at < end;) {
        const int64_t group = at / keys_, begin = at - group * keys_, count = std::min(keys_ - begin, end - at);
        const Keys keys{planes_.data() + group * shape_.dk * keys_, keys_, v_ + group * shape_.m * shape_.dv, shape_.dk,
                        shape_.dv};
        const int64_t head = group * per_group;
        range(keys, begin, begin + count, per_group, q + head * shape_.dk, out.data() + head * (shape_.dv + 1));
        at += count;
    }
}

void DenseStep::run(const float *q, float *out) {
    if (threads_ == 1)
        attend_part(0, q);
    else {
        q_ = q;
        if (!team_) team_ = std::make_unique<DenseTeam>(threads_, [this](int part) { attend_part(part, q_); });
        team_->run();
    }
    const size_t width = static_cast<size_t>(shape_.dv) + 1;
    for (size_t head = 0; head < static_cast<size_t>(shape_.heads); ++head) {
        float *to = partial_[0].data() + head * width;
        for (size_t part = 1; part < partial_.size(); ++part)
            for (size_t x = 0; x < width; ++x) to[x] += partial_[part][head * width + x];
        for (size_t x = 0; x + 1 < width; ++x) out[head * (width - 1) + x] = to[x] / to[width - 1];
    }
}

} // namespace zeta::app
