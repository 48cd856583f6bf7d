// SPDX-License-Identifier: Apache-2.0
// Dense attention told in data order: rows and means of the unit, then per block of queries the smallest exponents, the
// weights and products chunk by chunk, and the outputs.
#include "dense.hpp"

#include <cmath>
#include <limits>

#include <cblas.h>

#include "dense_math.hpp"

namespace zeta::cpu {
namespace {

// Keys of a chunk: [begin, end), chosen by where the block stands; none after its last query.
struct Chunk {
    uint32_t begin, end;
};

// What a query may attend of a chunk: two runs, searchable keys and local positions.
struct Runs {
    Chunk run[2];

    uint32_t count() const { return run[0].end - run[0].begin + run[1].end - run[1].begin; }
};

Chunk meet(Chunk a, uint32_t begin, uint32_t end) {
    const uint32_t low = std::max(a.begin, begin);
    return {low, std::max(low, std::min(a.end, end))};
}

// A block of queries of one head, on the calling thread.
class Block {
public:
    Block(const HeadKeys &head, const Tensors &t, DenseWork &work, int64_t index)
        : head_(head), p_(*head.problem), u_(*head.unit), t_(t), work_(work),
          origin_(p_.causal ? position_of(u_, 0) : 0), start_(index * int64_t(kDenseRows)),
          first_(std::max(start_, origin_)), last_(std::min(start_ + int64_t(kDenseRows), origin_ + u_.n)),
          width_(size_t(p_.dv) + 1), dot_(p_.score == ZETA_SCORE_DOT) {}

    void attend();
    float finish(int64_t position, const float *mean, float *out);
    int64_t first() const { return first_; } // positions of the block's queries: [first, last)
    int64_t last() const { return last_; }
    int64_t query(int64_t position) const { return position - origin_; }

private:
    Runs runs(int64_t position, Chunk chunk) const;
    bool shared(Chunk chunk) const;
    Chunk next(uint32_t begin, bool whole) const;
    template <class Visit> void for_chunks(Visit visit);
    void load_keys(Chunk chunk);
    void load_values(Chunk chunk);
    void measure(int64_t position, Chunk run, Chunk chunk);
    void measure_mean(int64_t position, float *distance, float *dot) const;
    void find_minima();
    void weigh(int64_t position, Chunk run, Chunk chunk, double *shares);
    void add_shared(Chunk chunk);
    void add_alone(Chunk chunk);
    const float *point(int64_t position) const { return head_.q + size_t(query(position)) * size_t(p_.dk); }
    size_t row(int64_t position) const { return size_t(position - start_); }
    bool has_mean() const { return head_.mean_key != nullptr && u_.m > 0; }

    const HeadKeys &head_;
    const Problem &p_;
    const Unit &u_;
    const Tensors &t_;
    DenseWork &work_;
    const int64_t origin_, start_, first_, last_; // of positions (not causal: of queries)
    const size_t width_;
    const bool dot_;
};

Runs Block::runs(int64_t position, Chunk chunk) const {
    const uint32_t first = uint32_t(std::min<int64_t>(p_.first, u_.m));
    const LocalRange local = local_of(p_, u_, query(position));
    return {{meet(chunk, first, limit_of(p_, u_, query(position))), meet(chunk, local.begin, local.end)}};
}

// Whether every position of the block, queries or not, may attend the whole chunk.
bool Block::shared(Chunk chunk) const {
    for (int64_t position = start_; position < start_ + int64_t(kDenseRows); ++position)
        if (runs(position, chunk).count() != chunk.end - chunk.begin) return false;
    return true;
}

// Chunks on the grid, without keys before `first`. Not `whole`: without those after the block's last query.
Chunk Block::next(uint32_t begin, bool whole) const {
    const int64_t grid = begin / kDenseKeys * kDenseKeys + kDenseKeys;
    if (!p_.causal) return {begin, uint32_t(std::min<int64_t>(grid, u_.m))};
    return {begin, uint32_t(whole ? grid : std::min(grid, last_))};
}

template <class Visit> void Block::for_chunks(Visit visit) {
    const int64_t end = p_.causal ? last_ : u_.m;
    for (int64_t begin = p_.first; begin < end; begin = next(uint32_t(begin), true).end) {
        const Chunk chunk = next(uint32_t(begin), false);
        load_keys(chunk);
        visit(chunk, shared(next(uint32_t(begin), true)));
    }
}

void Block::load_keys(Chunk chunk) {
    constexpr size_t stride = kDenseKeys + kDensePad;
    const size_t n = chunk.end - chunk.begin, dk = size_t(p_.dk);
    const float *k = head_.k + size_t(chunk.begin) * dk;
    for (size_t e = 0; e < dk; ++e) {
        float *keys = work_.keys + e * stride;
        for (size_t j = 0; j < n; ++j) keys[j] = k[j * dk + e];
        std::fill(keys + n, keys + stride, 0.0f);
    }
}

void Block::load_values(Chunk chunk) {
    const size_t dv = size_t(p_.dv);
    double *values = work_.values;
    for (uint32_t j = chunk.begin; j < chunk.end; ++j, values += width_) {
        const void *v = row_pointer(t_.v, u_.batch, u_.key_head, u_.k_start + j);
        const float *row = static_cast<const float *>(v);
        if (t_.v.dtype != ZETA_F32) {
            widen(*head_.kernels, t_.v.dtype, v, dv, work_.row);
            row = work_.row;
        }
        std::copy_n(row, dv, values);
        values[dv] = 1;
    }
}

// Distances, and products if the score wants them, of a run of the chunk whose keys are loaded.
void Block::measure(int64_t position, Chunk run, Chunk chunk) {
    constexpr size_t stride = kDenseKeys + kDensePad;
    const float *keys = work_.keys + (run.begin - chunk.begin);
    const size_t n = run.end - run.begin;
    dense_distances(point(position), keys, stride, p_.dk, n, work_.distances);
    if (dot_) dense_dots(point(position), keys, stride, p_.dk, n, work_.dots);
}

void Block::measure_mean(int64_t position, float *distance, float *dot) const {
    const uint32_t zero = 0;
    const float *key = head_.mean_key + (p_.causal ? size_t(query(position)) * size_t(p_.dk) : 0);
    head_.kernels->attend_distances(point(position), key, p_.dk, &zero, 1, distance);
    if (dot_) head_.kernels->attend_dots(point(position), key, p_.dk, &zero, 1, dot);
    std::fill_n(distance + 1, kDensePad, std::numeric_limits<float>::infinity());
}

void Block::find_minima() {
    std::fill_n(work_.minimum, kDenseRows, exponential(p_.score) ? std::numeric_limits<float>::infinity() : 0.0f);
    if (!exponential(p_.score)) return;
    const auto lower = [&](int64_t position, size_t n) {
        float &minimum = work_.minimum[row(position)];
        minimum = std::min(minimum, dense_minimum(p_.score, work_.distances, work_.dots, n));
    };
    for_chunks([&](Chunk chunk, bool) {
        for (int64_t position = first_; position < last_; ++position) {
            for (const Chunk run : runs(position, chunk).run) {
                if (run.begin == run.end) continue;
                measure(position, run, chunk);
                lower(position, run.end - run.begin);
            }
        }
    });
    if (!has_mean()) return;
    for (int64_t position = first_; position < last_; ++position) {
        measure_mean(position, work_.distances, work_.dots);
        lower(position, 1);
    }
}

// Weights of a run, to where the chunk's begin in `shares`.
void Block::weigh(int64_t position, Chunk run, Chunk chunk, double *shares) {
    if (run.begin == run.end) return;
    const size_t n = run.end - run.begin;
    measure(position, run, chunk);
    dense_weights(p_.score, head_.gamma, work_.minimum[row(position)], work_.distances, work_.dots, n, work_.weights);
    std::copy_n(work_.weights, n, shares + (run.begin - chunk.begin));
}

// One product, of all rows whatever their number, since its bits may depend on that.
void Block::add_shared(Chunk chunk) {
    const size_t n = chunk.end - chunk.begin;
    std::fill_n(work_.shares, kDenseRows * n, 0.0);
    for (int64_t position = first_; position < last_; ++position)
        for (const Chunk run : runs(position, chunk).run) weigh(position, run, chunk, work_.shares + row(position) * n);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(kDenseRows), blasint(width_), blasint(n), 1.0,
                work_.shares, blasint(n), work_.values, blasint(width_), 1.0, work_.sums, blasint(width_));
}

void Block::add_alone(Chunk chunk) {
    for (int64_t position = first_; position < last_; ++position) {
        double *sums = work_.sums + row(position) * width_;
        for (const Chunk run : runs(position, chunk).run) {
            weigh(position, run, chunk, work_.shares);
            for (uint32_t j = run.begin - chunk.begin; j < run.end - chunk.begin; ++j) {
                const double share = work_.shares[j], *values = work_.values + j * width_;
                for (size_t c = 0; c < width_; ++c) sums[c] += share * values[c];
            }
        }
    }
}

void Block::attend() {
    std::fill_n(work_.sums, kDenseRows * width_, 0.0);
    find_minima();
    for_chunks([&](Chunk chunk, bool shared) {
        load_values(chunk);
        if (shared)
            add_shared(chunk);
        else
            add_alone(chunk);
    });
}

// The output row; returns the normaliser. mean: the mean value, if there is one; may be `out`.
float Block::finish(int64_t position, const float *mean, float *out) {
    const size_t dv = size_t(p_.dv);
    double *sums = work_.sums + row(position) * width_;
    const Runs all = runs(position, {0, p_.causal ? uint32_t(position) + 1 : u_.m});
    if (all.count() == 0 && !has_mean()) {
        std::fill_n(out, dv, 0.0f);
        return exponential(p_.score) ? -std::numeric_limits<float>::infinity() : 0.0f;
    }
    const float minimum = work_.minimum[row(position)];
    if (has_mean()) {
        measure_mean(position, work_.distances, work_.dots);
        dense_weights(p_.score, head_.gamma, minimum, work_.distances, work_.dots, 1, work_.weights);
        const double share = work_.weights[0];
        for (size_t c = 0; c < dv; ++c) sums[c] += share * double(mean[c]);
        sums[dv] += share;
    }
    for (size_t c = 0; c < dv; ++c) out[c] = float(sums[c] / sums[dv]);
    return normaliser_of(p_.score, head_.gamma, minimum, sums[dv]);
}

} // namespace

void DenseWork::take(Scratch &scratch, const Problem &p) {
    const size_t run = kDenseKeys + kDensePad, width = size_t(p.dv) + 1;
    keys = scratch.take<float>(size_t(p.dk) * run + kDensePad);
    distances = scratch.take<float>(run);
    dots = scratch.take<float>(run);
    weights = scratch.take<float>(run);
    if (dots != nullptr && !scratch.overrun()) std::fill_n(dots, run, 0.0f);
    row = scratch.take<float>(size_t(p.dv));
    values = scratch.take<double>(kDenseKeys * width);
    shares = scratch.take<double>(kDenseRows * kDenseKeys);
    sums = scratch.take<double>(kDenseRows * width);
}

void DenseUnit::take(Scratch &scratch, const Executor &executor, const Problem &p, const Tensors &t, const Unit &unit) {
    k_.take(scratch, t.k, unit.m);
    q_.take(scratch, t.q, unit.n);
    mean_.take(scratch, executor, p, t, unit, HistoryMean::Values::mean);
}

void DenseUnit::run(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                    const Tensors &t, const Unit &unit, DenseWork *work) {
    if (unit.n == 0) return;
    k_.load(executor, t.k, unit.batch, unit.key_head, unit.k_start, unit.m);
    mean_.build_keys(executor, context, p, t, unit);
    for (int64_t i = 0; i < p.heads_per_key(); ++i) {
        const int64_t head = unit.key_head * p.heads_per_key() + i;
        for_parts(unit, [&](const Unit &part) { this->head(executor, context, progress, p, t, part, head, work); });
    }
}

void DenseUnit::head(const Executor &executor, Context &context, ProgressMeter &progress, const Problem &p,
                     const Tensors &t, const Unit &unit, int64_t head, DenseWork *work) {
    q_.load(executor, t.q, unit.batch, head, unit.q_start, unit.n);
    mean_.build_values(executor, context, p, t, unit, head);
    const HeadKeys keys{&executor.kernels(), &p, &unit, q_.data(), k_.data(), mean_.key(), p.gamma_of(head)};
    StageTimer timer(context, Stage::attend);
    attend(executor, progress, keys, t, head, work);
}

void DenseUnit::attend(const Executor &executor, ProgressMeter &progress, const HeadKeys &keys, const Tensors &t,
                       int64_t head, DenseWork *work) const {
    const Problem &p = *keys.problem;
    const Unit &u = *keys.unit;
    const bool in_place = t.out.dtype == ZETA_F32;
    const int64_t origin = p.causal ? position_of(u, 0) : 0, before = origin / int64_t(kDenseRows);
    const int64_t blocks = (origin + u.n - 1) / int64_t(kDenseRows) + 1 - before;
    executor.parallel_for(size_t(blocks), 1, [&](size_t begin, size_t end, int worker) {
        for (size_t index = begin; index < end; ++index) {
            Block block(keys, t, work[worker], before + int64_t(index));
            block.attend();
            for (int64_t position = block.first(); position < block.last(); ++position) {
                const int64_t query = block.query(position), i = u.q_start + query;
                float *row = in_place ? t.out.row<float>(u.batch, head, i) : work[worker].row;
                const float *mean = row;
                if (p.mean && u.m > 0)
                    mean = mean_.value(executor, p, t, u, head, uint32_t(query), worker, row, nullptr).row;
                const float normaliser = block.finish(position, mean, row);
                if (t.normaliser.present()) *t.normaliser.row<float>(u.batch, head, i) = normaliser;
                if (!in_place)
                    narrow(executor.kernels(), t.out.dtype, row, size_t(p.dv),
                           row_pointer_out(t.out, u.batch, head, i));
            }
            progress.advance(uint64_t(block.last() - block.first()));
        }
    });
}

} // namespace zeta::cpu
