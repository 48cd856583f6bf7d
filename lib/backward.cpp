// SPDX-License-Identifier: Apache-2.0
// Backward as a job over units.
#include "cpu/backward.hpp"

#include "engine.hpp"
#include "job.hpp"
#include "saved.hpp"

namespace zeta {
namespace {

using cpu::Unit;

class BackwardJob {
public:
    BackwardJob(Context &context, const Problem &p, const Tensors &t)
        : context_(context), executor_(context.executor()), p_(p), t_(t), saved_(saved_words(t.saved, p)),
          progress_(p.progress, p.progress_user, query_count(p)) {}

    void take(Scratch &scratch) {
        const cpu::Source source = cpu::source_of(p_, t_.given);
        work_ = make_each<cpu::BackwardWork>(scratch, size_t(executor_.workers()),
                                             [&](cpu::BackwardWork &w) { w.take(scratch, p_, source); });
        units_ = make_units<cpu::BackwardUnit>(scratch, executor_, p_, [&](cpu::BackwardUnit &u) {
            u.take(scratch, executor_, p_, t_, cpu::largest_unit(p_), threads());
        });
        if (t_.grad_gamma.present())
            gamma_ = scratch.take<double>(size_t(cpu::unit_count(p_)) * size_t(p_.heads_per_key()));
    }
    void run(int slot, int worker, const Unit &unit) {
        const int64_t index = (unit.batch + unit.sequence) * p_.key_heads + unit.key_head; // batch or sequence is 0
        units_[slot].run(executor_, context_, progress_, p_, t_, unit, saved_, work_, threads(), worker,
                         gamma_ == nullptr ? nullptr : gamma_ + index * p_.heads_per_key());
    }
    // Sums over batches and sequences, in order.
    void finish() {
        if (!t_.grad_gamma.present()) return;
        const int64_t outer = p_.key_heads == 0 ? 0 : cpu::unit_count(p_) / p_.key_heads;
        for (int64_t h = 0; h < p_.query_heads; ++h) {
            double sum = 0;
            for (int64_t i = 0; i < outer; ++i) sum += gamma_[i * p_.query_heads + h];
            *t_.grad_gamma.head<float>(0, h) = float(sum);
        }
    }

private:
    // That a unit may use: one where units run side by side, or are so short that their pairs are added before other
    // threads begin.
    int threads() const {
        constexpr int64_t kFewPairs = 1 << 14;
        const bool few = p_.queries * p_.neighbours <= kFewPairs;
        return few || slots_of(executor_, cpu::unit_count(p_)) > 1 ? 1 : executor_.workers();
    }

    Context &context_;
    const cpu::Executor &executor_;
    const Problem &p_;
    const Tensors &t_;
    cpu::Saved saved_;
    ProgressMeter progress_;
    cpu::BackwardWork *work_ = nullptr;
    cpu::BackwardUnit *units_ = nullptr;
    double *gamma_ = nullptr; // [units, heads per key], if dL/d gamma is wanted
};

} // namespace

size_t backward_scratch(Context &context, const Problem &p, const Tensors &t) {
    BackwardJob job(context, p, t);
    return measure(job);
}

void backward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size) {
    BackwardJob job(context, p, t);
    fly(context, p, job, scratch, scratch_size, [&] { job.finish(); });
}

} // namespace zeta
