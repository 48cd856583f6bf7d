// SPDX-License-Identifier: Apache-2.0
// zeta_dense_forward as a job over units (lib/cpu/dense tells how).
#include "cpu/dense.hpp"
#include "blas.hpp"
#include "engine.hpp"
#include "job.hpp"

namespace zeta {
namespace {

class DenseJob {
public:
    DenseJob(Context &context, const Problem &p, const Tensors &t)
        : context_(context), executor_(context.executor()), p_(p), t_(t),
          progress_(p.progress, p.progress_user, query_count(p)) {}

    void take(Scratch &scratch) {
        work_ = make_each<cpu::DenseWork>(scratch, size_t(executor_.workers()),
                                          [&](cpu::DenseWork &w) { w.take(scratch, p_); });
        units_ = make_units<cpu::DenseUnit>(scratch, executor_, p_, [&](cpu::DenseUnit &u) {
            u.take(scratch, executor_, p_, t_, cpu::largest_unit(p_));
        });
    }
    void run(int slot, int, const cpu::Unit &unit) {
        units_[slot].run(executor_, context_, progress_, p_, t_, unit, work_);
    }

private:
    Context &context_;
    const cpu::Executor &executor_;
    const Problem &p_;
    const Tensors &t_;
    ProgressMeter progress_;
    cpu::DenseWork *work_ = nullptr;
    cpu::DenseUnit *units_ = nullptr;
};

} // namespace

size_t dense_scratch(Context &context, const Problem &p, const Tensors &t) {
    DenseJob job(context, p, t);
    return measure(job);
}

void dense_forward(Context &context, const Problem &p, const Tensors &t, void *scratch, size_t scratch_size) {
    const QuietBlas quiet;
    DenseJob job(context, p, t);
    fly(context, p, job, scratch, scratch_size);
}

} // namespace zeta
