// SPDX-License-Identifier: Apache-2.0
// Forward and selection as jobs over units: what memory they take and what they run (lib/cpu tells how).
#include "cpu/attend.hpp"
#include "engine.hpp"
#include "job.hpp"
#include "saved.hpp"

namespace zeta {
namespace {

using cpu::Unit;

class ForwardJob {
public:
    ForwardJob(Context &context, const Problem &p, const Tensors &t)
        : context_(context), executor_(context.executor()), p_(p), t_(t), saved_(saved_words(t.saved, p)),
          progress_(p.progress, p.progress_user, query_count(p)) {}

    void take(Scratch &scratch) {
        const cpu::Source source = cpu::source_of(p_, t_.given);
        work_ = make_each<cpu::AttendWork>(scratch, size_t(executor_.workers()),
                                           [&](cpu::AttendWork &w) { w.take(scratch, p_, source); });
        units_ = make_units<cpu::ForwardUnit>(scratch, executor_, p_, [&](cpu::ForwardUnit &u) {
            u.take(scratch, executor_, p_, t_, cpu::largest_unit(p_));
        });
    }
    void run(int slot, int, const Unit &unit) {
        units_[slot].run(executor_, context_, progress_, p_, t_, unit, saved_, work_);
    }

private:
    Context &context_;
    const cpu::Executor &executor_;
    const Problem &p_;
    const Tensors &t_;
    cpu::Saved saved_;
    ProgressMeter progress_;
    cpu::AttendWork *work_ = nullptr;
    cpu::ForwardUnit *units_ = nullptr;
};

// One unit of zeta_select in flight.
struct SelectUnit {
    cpu::Rows k, q;
    cpu::Selection selection;
};

class SelectJob {
public:
    SelectJob(Context &context, const Problem &p, const Tensors &t)
        : context_(context), executor_(context.executor()), p_(p), t_(t),
          progress_(p.progress, p.progress_user, query_count(p)) {}

    void take(Scratch &scratch) {
        const cpu::Source source = cpu::source_of(p_, t_.given);
        work_ = make_each<cpu::SelectWork>(scratch, size_t(executor_.workers()),
                                           [&](cpu::SelectWork &w) { w.take(scratch, p_, source); });
        units_ = make_units<SelectUnit>(scratch, executor_, p_, [&](SelectUnit &u) {
            const Unit largest = cpu::largest_unit(p_);
            u.k.take(scratch, t_.k, largest.m);
            u.q.take(scratch, t_.q, largest.n);
            u.selection.take(scratch, p_, largest, source);
        });
    }
    void run(int slot, int, const Unit &unit);

private:
    void head(SelectUnit &u, const Unit &part, int64_t head);
    void emit(const cpu::Lists &lists, uint32_t slot, const Unit &unit, int64_t head);

    Context &context_;
    const cpu::Executor &executor_;
    const Problem &p_;
    const Tensors &t_;
    ProgressMeter progress_;
    cpu::SelectWork *work_ = nullptr;
    SelectUnit *units_ = nullptr;
};

void SelectJob::run(int slot, int, const Unit &unit) {
    SelectUnit &u = units_[slot];
    u.selection.begin(unit);
    u.k.load(executor_, t_.k, unit.batch, unit.key_head, unit.k_start, unit.m);
    u.selection.build_keys(executor_, context_, u.k.data());
    for (int64_t i = 0; i < p_.heads_per_key(); ++i) {
        const int64_t head = unit.key_head * p_.heads_per_key() + i;
        cpu::for_parts(unit, [&](const Unit &part) { this->head(u, part, head); });
    }
}

void SelectJob::head(SelectUnit &u, const Unit &part, int64_t head) {
    u.q.load(executor_, t_.q, part.batch, head, part.q_start, part.n);
    u.selection.build_queries(executor_, context_, part, u.q.data());
    const auto body = [&](size_t begin, size_t end, int worker) {
        for (size_t tile = begin; tile < end; ++tile) {
            u.selection.select(executor_.kernels(), tile, nullptr, nullptr, work_[worker]);
            const cpu::Lists &lists = work_[worker].lists;
            for (uint32_t s = 0; s < lists.queries; ++s) emit(lists, s, part, head);
        }
        progress_.advance((end - begin) * cpu::kTile);
    };
    executor_.parallel_for(u.selection.tiles(), 32, body);
}

void SelectJob::emit(const cpu::Lists &lists, uint32_t slot, const Unit &unit, int64_t head) {
    const uint32_t query = lists.query[slot], count = lists.count[slot];
    uint32_t *ids = lists.ids_of(slot);
    float *distances = lists.distances_of(slot);
    if (!std::is_sorted(ids, ids + count)) { // lists of windows are in curve order
        uint64_t words[ZETA_MAX_NEIGHBOURS + 64];
        for (uint32_t i = 0; i < count; ++i) {
            uint32_t bits;
            std::memcpy(&bits, &distances[i], sizeof bits);
            words[i] = uint64_t(ids[i]) << 32 | bits;
        }
        executor_.kernels().sort_words(words, count);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t bits = uint32_t(words[i]);
            std::memcpy(&distances[i], &bits, sizeof bits);
            ids[i] = uint32_t(words[i] >> 32);
        }
    }
    if (t_.neighbours.present()) {
        int32_t *out = t_.neighbours.row<int32_t>(unit.batch, head, unit.q_start + query);
        for (int32_t i = 0; i < p_.neighbours; ++i) out[i] = uint32_t(i) < count ? int32_t(ids[i] + unit.k_start) : -1;
    }
    if (t_.distances.present()) {
        float *out = t_.distances.row<float>(unit.batch, head, unit.q_start + query);
        for (int32_t i = 0; i < p_.neighbours; ++i) out[i] = uint32_t(i) < count ? distances[i] : __builtin_inff();
    }
}

} // namespace

size_t forward_scratch(Context &context, const Problem &p, const Tensors &t) {
    ForwardJob job(context, p, t);
    return measure(job);
}

void forward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size) {
    ForwardJob job(context, p, t);
    fly(context, p, job, scratch, scratch_size);
    if (t.saved == nullptr) return;
    const SavedHeader header = saved_header(p, t.given.present());
    std::memcpy(t.saved, &header, sizeof header);
}

void select(Context &context, const Problem &p, const Tensors &t) {
    SelectJob job(context, p, t);
    fly(context, p, job, nullptr, 0);
}

size_t saved_size(const Problem &p) {
    return sizeof(SavedHeader) + 64 +
           2 * sizeof(uint32_t) * size_t(p.batches) * size_t(p.query_heads) * size_t(p.queries);
}

} // namespace zeta
