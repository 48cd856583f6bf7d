// SPDX-License-Identifier: Apache-2.0
// The mean's share of the gradients: each key gets 1/(t + 1) of what every later query's mean got, a cumulative sum
// from the last query back, in float64 and in blocks of fixed size so that threads do not change its bits.
#include "backward_call.hpp"

namespace zeta::cpu {
namespace {

constexpr size_t kRows = 256;       // of one call: their shares lie on the stack
constexpr size_t kColumns = 64;     // channels that a thread takes at least: a core fetches lines around those it reads
constexpr size_t kCached = 1 << 20; // bytes of blocks that a thread takes at a time, if that is one or more

using SuffixKernel = void (*)(const void *, size_t, size_t, size_t, const double *, const double *, double *, float *,
                              size_t);

SuffixKernel suffix_kernel(const simd::Kernels &kernels, int32_t dtype) {
    switch (dtype) {
    case ZETA_BF16:
        return kernels.mean_suffix_bf16;
    case ZETA_F16:
        return kernels.mean_suffix_f16;
    default:
        return kernels.mean_suffix_f32;
    }
}

} // namespace

void BackwardUnit::prepare_mean_products(const Call &c, int64_t head) {
    const size_t dv = size_t(c.p.dv);
    const simd::Kernels &kernels = c.executor.kernels();
    const auto product = [&](size_t i, const float *mean, int worker) {
        const float *g = gradient_row(kernels, c.t, c.unit, head, uint32_t(i), dv, c.work[worker].g);
        mean_.product(i) = kernels.slopes_dot(g, mean, dv);
    };
    if (c.p.causal) {
        history_.values().build_visit(c.executor, c.t.v, c.unit,
                                      [&](size_t first, size_t n, const float *means, int worker) {
                                          for (size_t i = 0; i < n; ++i) product(first + i, means + i * dv, worker);
                                      });
        return;
    }
    history_.values().build(c.executor, c.t.v, c.unit, false);
    if (c.unit.m == 0) return;
    float *mean = c.work[c.worker].reference;
    history_.values().row(c.executor, 0, c.worker, mean);
    c.each(size_t(c.unit.n), 256, [&](size_t begin, size_t end, int worker) {
        for (size_t i = begin; i < end; ++i) product(i, mean, worker);
    });
}

// Adds query rows [begin, end), from the last back, to `running`; rows: dL/dv of the queries' positions, or NULL.
void BackwardUnit::add_mean_values(const Call &c, int64_t head, size_t begin, size_t end, const Channels &channels,
                                   const double *after, double *running, bool to_rows) const {
    const size_t origin = c.p.causal ? size_t(position_of(c.unit, 0)) : 0;
    const size_t bytes = float_size(c.t.grad_out.dtype);
    double shares[kRows];
    while (end > begin) {
        const size_t n = std::min(kRows, end - begin), from = end - n;
        for (size_t r = 0; r < n; ++r)
            shares[r] = mean_.weight(from + r) / double(c.p.causal ? origin + from + r + 1 : c.unit.m);
        const void *g = row_pointer(c.t.grad_out, c.unit.batch, head, c.unit.q_start + int64_t(from));
        suffix_kernel(c.executor.kernels(), c.t.grad_out.dtype)(
            static_cast<const char *>(g) + channels.begin * bytes, size_t(c.t.grad_out.row_stride), n,
            channels.end - channels.begin, shares, after, running,
            to_rows ? channels.rows + (origin + from) * channels.stride : nullptr, channels.stride);
        end = from;
    }
}

void BackwardUnit::mean_values(const Call &c, int64_t head, const Channels &channels) {
    const size_t width = channels.end - channels.begin, n = size_t(c.unit.n), block = mean_block(size_t(c.p.dv));
    if (width == 0 || c.unit.m == 0) return;
    const size_t blocks = (n + block - 1) / block, origin = c.p.causal ? size_t(position_of(c.unit, 0)) : 0;
    // suffix_[b]: the sum over all rows of blocks >= b.
    std::fill_n(suffix_ + blocks * width, width, 0.0);
    const size_t threads = size_t(c.threads), columns = width / kColumns;
    if (c.p.causal && (threads == 1 || columns >= threads)) { // one pass
        const size_t parts = threads == 1 ? 1 : threads;
        c.each(parts, 1, [&](size_t first, size_t last, int worker) {
            double *running = c.work[worker].running;
            for (size_t part = first; part < last; ++part) {
                const size_t from = columns * part / parts * kColumns,
                             to = part + 1 == parts ? width : columns * (part + 1) / parts * kColumns;
                const Channels share{channels.begin + from, channels.begin + to, channels.rows + from, channels.stride,
                                     channels.first};
                for (size_t b = blocks; b-- > 0;) {
                    const double *after = suffix_ + (b + 1) * width + from;
                    std::fill_n(running, to - from, 0.0);
                    add_mean_values(c, head, b * block, std::min(n, (b + 1) * block), share, after, running, true);
                    for (size_t d = 0; d < to - from; ++d) suffix_[b * width + from + d] = after[d] + running[d];
                }
            }
        });
    } else {
        const size_t bytes = block * width * float_size(c.t.grad_out.dtype),
                     share = std::min(std::max<size_t>(1, kCached / bytes), (blocks + threads - 1) / threads);
        for (size_t to = blocks; to > 0; to -= std::min(to, share * threads)) {
            const size_t from = to - std::min(to, share * threads);
            const auto each = [&](auto visit) {
                c.each(to - from, share, [&](size_t first, size_t last, int worker) {
                    for (size_t b = from + first; b < from + last; ++b) visit(b, worker);
                });
            };
            each([&](size_t b, int) {
                std::fill_n(suffix_ + b * width, width, 0.0);
                add_mean_values(c, head, b * block, std::min(n, (b + 1) * block), channels, nullptr,
                                suffix_ + b * width, false);
            });
            for (size_t b = to; b-- > from;)
                for (size_t d = 0; d < width; ++d) suffix_[b * width + d] += suffix_[(b + 1) * width + d];
            if (!c.p.causal) continue;
            each([&](size_t b, int worker) {
                double *running = c.work[worker].running;
                std::fill_n(running, width, 0.0);
                add_mean_values(c, head, b * block, std::min(n, (b + 1) * block), channels, suffix_ + (b + 1) * width,
                                running, true);
            });
        }
    }
    // Keys that no query stands at get the sum over all queries.
    c.each(c.p.causal ? origin : c.unit.m, 1024, [&](size_t begin, size_t end, int) {
        for (size_t j = begin; j < end; ++j)
            for (size_t d = 0; d < width; ++d) channels.rows[j * channels.stride + d] += float(suffix_[d]);
    });
}

void BackwardUnit::mean_key_rows(const Call &c) {
    const size_t dk = size_t(c.p.dk), stride = simd::slope_stride(dk);
    const size_t origin = c.p.causal ? size_t(position_of(c.unit, 0)) : 0;
    double sum[ZETA_MAX_DK] = {};
    for (size_t i = size_t(c.unit.n); i-- > 0;) {
        const double share = 1.0 / double(c.p.causal ? origin + i + 1 : c.unit.m);
        const double *grad = mean_.key(i);
        for (size_t e = 0; e < dk; ++e) {
            sum[e] += share * grad[e];
            if (c.p.causal) key_grad_[(origin + i) * stride + e] += sum[e];
        }
    }
    const size_t rest = c.p.causal ? origin : c.unit.m;
    for (size_t j = 0; j < rest; ++j)
        for (size_t e = 0; e < dk; ++e) key_grad_[j * stride + e] += sum[e];
}

} // namespace zeta::cpu
