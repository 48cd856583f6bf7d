// SPDX-License-Identifier: Apache-2.0
// Recall (spec promise 5): selection as asked and exact selection side by side, one unit after the other.
#include <cmath>
#include <cstring>

#include "cpu/selection.hpp"
#include "engine.hpp"
#include "job.hpp"

namespace zeta {
namespace {

using cpu::Unit;

// The exact K-th distance of a query from the word that exact selection leaves; none: no key is searchable.
constexpr uint32_t kNone = ~uint32_t{0};

// One unit in flight.
struct RecallUnit {
    cpu::Rows k, q;
    cpu::Selection asked, exact;
    uint32_t *kth = nullptr; // [n] bits of the exact K-th distance
    float *share = nullptr;  // [n] of the selected keys that are as near; < 0: the query has no searchable key
};

struct alignas(Scratch::kAlignment) RecallWork {
    cpu::SelectWork asked, exact;
};

class RecallJob {
public:
    RecallJob(Context &context, const Problem &p, const Problem &exact, const Tensors &t)
        : context_(context), executor_(context.executor()), p_(p), exact_(exact), t_(t),
          progress_(p.progress, p.progress_user, 2 * query_count(p)) {}

    void take(Scratch &scratch) {
        const cpu::Source source = cpu::source_of(p_, t_.given);
        work_ = make_each<RecallWork>(scratch, size_t(executor_.workers()), [&](RecallWork &w) {
            w.asked.take(scratch, p_, source);
            w.exact.take(scratch, exact_, cpu::Source::exact);
        });
        units_ = make_units<RecallUnit>(scratch, executor_, p_, [&](RecallUnit &u) {
            const Unit largest = cpu::largest_unit(p_);
            u.k.take(scratch, t_.k, largest.m);
            u.q.take(scratch, t_.q, largest.n);
            u.asked.take(scratch, p_, largest, source);
            u.exact.take(scratch, exact_, largest, cpu::Source::exact);
            u.kth = scratch.take<uint32_t>(largest.n);
            u.share = scratch.take<float>(largest.n);
        });
        const size_t sums = size_t(cpu::unit_count(p_)) * size_t(p_.heads_per_key());
        sum_ = scratch.take<double>(sums);
        count_ = scratch.take<double>(sums);
    }
    void run(int slot, int, const Unit &unit) {
        RecallUnit &u = units_[slot];
        u.asked.begin(unit);
        u.exact.begin(unit);
        u.k.load(executor_, t_.k, unit.batch, unit.key_head, unit.k_start, unit.m);
        u.asked.build_keys(executor_, context_, u.k.data());
        u.exact.build_keys(executor_, context_, u.k.data());
        const int64_t index = (unit.batch + unit.sequence) * p_.key_heads + unit.key_head;
        for (int64_t i = 0; i < p_.heads_per_key(); ++i) {
            const int64_t at = index * p_.heads_per_key() + i;
            sum_[at] = count_[at] = 0;
            cpu::for_parts(unit, [&](const Unit &part) { head(u, part, unit.key_head * p_.heads_per_key() + i, at); });
        }
    }
    double finish(float *per_head) const;

private:
    void head(RecallUnit &u, const Unit &unit, int64_t head, int64_t at);

    Context &context_;
    const cpu::Executor &executor_;
    const Problem &p_, &exact_;
    const Tensors &t_;
    ProgressMeter progress_;
    RecallWork *work_ = nullptr;
    RecallUnit *units_ = nullptr;
    double *sum_ = nullptr, *count_ = nullptr; // [units, heads per key]
};

void RecallJob::head(RecallUnit &u, const Unit &unit, int64_t head, int64_t at) {
    u.q.load(executor_, t_.q, unit.batch, head, unit.q_start, unit.n);
    u.asked.build_queries(executor_, context_, unit, u.q.data());
    u.exact.build_queries(executor_, context_, unit, u.q.data());
    const auto truth = [&](size_t begin, size_t end, int worker) {
        cpu::SelectWork &work = work_[worker].exact;
        for (size_t tile = begin; tile < end; ++tile) {
            u.exact.select(executor_.kernels(), tile, nullptr, nullptr, work);
            for (uint32_t s = 0; s < work.lists.queries; ++s)
                u.kth[work.lists.query[s]] = work.lists.count[s] == 0 ? kNone : work.lists.hint_a[s];
        }
        progress_.advance((end - begin) * cpu::kTile);
    };
    executor_.parallel_for(u.exact.tiles(), 32, truth);
    const auto compare = [&](size_t begin, size_t end, int worker) {
        cpu::SelectWork &work = work_[worker].asked;
        for (size_t tile = begin; tile < end; ++tile) {
            u.asked.select(executor_.kernels(), tile, nullptr, nullptr, work);
            for (uint32_t s = 0; s < work.lists.queries; ++s) {
                const uint32_t query = work.lists.query[s], n = work.lists.count[s];
                float kth;
                std::memcpy(&kth, &u.kth[query], sizeof kth);
                uint32_t near = 0;
                for (uint32_t i = 0; i < n; ++i)
                    near += !(work.lists.distances_of(s)[i] > kth) &&
                            !(std::isnan(work.lists.distances_of(s)[i]) && !std::isinf(kth));
                u.share[query] = n == 0 ? -1.0f : float(near) / float(n);
            }
        }
        progress_.advance((end - begin) * cpu::kTile);
    };
    executor_.parallel_for(u.asked.tiles(), 32, compare);
    for (uint32_t i = 0; i < unit.n; ++i) {
        if (u.share[i] < 0) continue;
        sum_[at] += u.share[i];
        count_[at] += 1;
    }
}

double RecallJob::finish(float *per_head) const {
    const int64_t outer = p_.key_heads == 0 ? 0 : cpu::unit_count(p_) / p_.key_heads;
    if (outer == 0 && per_head == nullptr) return 1.0;
    double total = 0;
    for (int64_t h = 0; h < p_.query_heads; ++h) {
        double sum = 0, count = 0;
        for (int64_t i = 0; i < outer; ++i) {
            sum += sum_[i * p_.query_heads + h];
            count += count_[i * p_.query_heads + h];
        }
        const double share = count == 0 ? 1.0 : sum / count;
        if (per_head != nullptr) per_head[h] = float(share);
        total += share;
    }
    return p_.query_heads == 0 ? 1.0 : total / double(p_.query_heads);
}

} // namespace

double recall(Context &context, const Problem &p, const Tensors &t, float *recall_per_head) {
    Problem exact = p;
    exact.exact = true;
    RecallJob job(context, p, exact, t);
    double result = 1.0;
    fly(context, p, job, nullptr, 0, [&] { result = job.finish(recall_per_head); });
    return result;
}

} // namespace zeta
