// SPDX-License-Identifier: Apache-2.0
// Every step's rows are copied to small tensors before its clock starts, as a model hands them over: just written.
#include "bench_decode_run.hpp"

#include <cstring>
#include <memory>

#include "bench_dense.hpp"
#include "bench_time.hpp"
#include "commands.hpp"
#include "progress.hpp"
#include "zeta/cache.h"

namespace zeta::app {

namespace {

struct DestroyCache {
    void operator()(zeta_cache *cache) const { zeta_cache_destroy(&cache); }
};
using CachePointer = std::unique_ptr<zeta_cache, DestroyCache>;

// Positions [0, count) of [1, heads, m, width].
zeta_tensor prefix(const Array &array, int64_t count) {
    zeta_tensor view = array.view(4);
    view.shape[2] = count;
    return view;
}

// One position of [1, heads, m, width], in a tensor of its own.
class Row {
public:
    explicit Row(const Array &from)
        : from_(from), row_(from.dtype(), {1, from.extent(-3), 1, from.extent(-1)}), view_(row_.view(4)) {}
    Row(const Row &) = delete;
    Row &operator=(const Row &) = delete;

    void load(int64_t position) {
        const size_t bytes = static_cast<size_t>(from_.extent(-1)) * zeta_dtype_size(from_.dtype());
        const auto heads = static_cast<size_t>(from_.extent(-3)), m = static_cast<size_t>(from_.extent(-2));
        for (size_t head = 0; head < heads; ++head)
            std::memcpy(row_.data<char>() + head * bytes,
                        from_.data<char>() + (head * m + static_cast<size_t>(position)) * bytes, bytes);
    }
    const zeta_tensor *view() const { return &view_; }
    const float *floats() const { return row_.data<float>(); }

private:
    const Array &from_;
    Array row_;
    zeta_tensor view_;
};

class Decode {
public:
    Decode(const Context &context, const zeta_attention_params &params, const BenchInputs &inputs,
           const DecodePlan &plan)
        : context_(context), params_(params), plan_(plan), q_(inputs.q), k_(inputs.k), v_(inputs.v) {}
    Decode(const Decode &) = delete;
    Decode &operator=(const Decode &) = delete;

    void fill(DecodeResult &result, ProgressBar &bar);
    void step_runs(DecodeResult &result, ProgressBar &bar);

private:
    CachePointer create() const;
    void prefill(DecodeResult &result, ProgressBar &bar);
    void append();
    StepTimes run(ProgressBar &bar);
    void measure_bytes(DecodeResult &result) const;
    void roll_back() { check(zeta_cache_truncate(cache_.get(), &plan_.context), "bench, truncate"); }

    const Context &context_;
    const zeta_attention_params &params_;
    const DecodePlan &plan_;
    const Array &q_, &k_, &v_;
    CachePointer cache_;
};

CachePointer Decode::create() const {
    zeta_cache_params params;
    zeta_cache_params_init(&params);
    params.query_heads = q_.extent(-3);
    params.key_heads = k_.extent(-3);
    params.dk = k_.extent(-1);
    params.dv = v_.extent(-1);
    params.value_type = plan_.value_type;
    params.attention = &params_;
    zeta_cache *cache = nullptr;
    check(zeta_cache_create(&cache, context_.get(), &params), "bench, cache");
    return CachePointer(cache);
}

void Decode::append() {
    cache_ = create();
    const zeta_tensor k = prefix(k_, plan_.context), v = prefix(v_, plan_.context);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.k = &k;
    args.v = &v;
    check(zeta_cache_append(cache_.get(), &args), "bench, append");
}

// Both write the same output, whose memory the warm-up has touched; each prefill goes into a new cache.
void Decode::prefill(DecodeResult &result, ProgressBar &bar) {
    const zeta_tensor q = prefix(q_, plan_.context), k = prefix(k_, plan_.context), v = prefix(v_, plan_.context);
    Array out(v_.dtype(), {1, q_.extent(-3), plan_.context, v_.extent(-1)});
    const zeta_tensor out_view = out.view(4);
    zeta_forward_args forward;
    zeta_forward_args_init(&forward);
    forward.q = &q;
    forward.k = &k;
    forward.v = &v;
    forward.out = &out_view;
    check(zeta_forward_scratch_size(context_.get(), &params_, &forward, &forward.scratch_size), "bench");
    const Array scratch(ZETA_U64, {static_cast<int64_t>(forward.scratch_size / 8 + 1)});
    forward.scratch = const_cast<void *>(scratch.data<void>());
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out_view;
    const auto run_forward = [&] { check(zeta_forward(context_.get(), &params_, &forward), "bench, forward"); };
    const auto run_prefill = [&] { check(zeta_cache_prefill(cache_.get(), &args), "bench, prefill"); };
    std::vector<double> forward_times, prefill_times;
    run_forward();
    for (int round = 0; round < plan_.rounds; ++round) {
        cache_.reset();
        cache_ = create();
        forward_times.push_back(timed_ms(run_forward));
        prefill_times.push_back(timed_ms(run_prefill));
        bar.update((round + 1.0) / plan_.rounds);
        ProgressBar::check_interrupted("bench");
    }
    result.forward_ms = median_of(forward_times);
    result.prefill_ms = median_of(prefill_times);
}

void Decode::measure_bytes(DecodeResult &result) const {
    const size_t bytes = zeta_cache_bytes(cache_.get());
    const double each = static_cast<double>(bytes) / static_cast<double>(zeta_cache_length(cache_.get(), 0));
    result.bytes_per_token = std::max(result.bytes_per_token, each);
}

void Decode::fill(DecodeResult &result, ProgressBar &bar) {
    if (plan_.rounds > 0)
        prefill(result, bar);
    else
        append();
    measure_bytes(result);
    const size_t element = plan_.value_type == ZETA_I8 ? 1 : zeta_dtype_size(plan_.value_type);
    const auto dk = static_cast<size_t>(k_.extent(-1)), dv = static_cast<size_t>(v_.extent(-1));
    result.raw_bytes = static_cast<double>(static_cast<size_t>(k_.extent(-3)) * (dk * sizeof(float) + dv * element));
}

StepTimes Decode::run(ProgressBar &bar) {
    Row q(q_), k(k_), v(v_);
    Array out(v_.dtype(), {1, q_.extent(-3), 1, v_.extent(-1)});
    const zeta_tensor out_view = out.view(4);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.out = &out_view;
    std::vector<double> times;
    times.reserve(static_cast<size_t>(plan_.steps));
    roll_back();
    for (int64_t step = 0; step < plan_.steps; ++step) {
        const int64_t offset = step % plan_.roll_back();
        if (step > 0 && offset == 0) roll_back();
        for (Row *row : {&q, &k, &v}) row->load(plan_.context + offset);
        const auto begin = Clock::now();
        const zeta_status status = zeta_cache_step(cache_.get(), &args);
        const auto end = Clock::now();
        times.push_back(microseconds(begin, end));
        check(status, "bench, step");
        if (step % 64 != 0) continue;
        bar.update(static_cast<double>(step + 1) / static_cast<double>(plan_.steps));
        ProgressBar::check_interrupted("bench");
    }
    StepTimes result;
    for (double time : times) result.mean += time / static_cast<double>(plan_.steps);
    std::sort(times.begin(), times.end());
    result.median = median_of(times);
    result.p99 = quantile_of(times, 0.99);
    result.p999 = quantile_of(times, 0.999);
    result.max = times.back();
    return result;
}

void Decode::step_runs(DecodeResult &result, ProgressBar &bar) {
    const auto every = [&](double StepTimes::*figure) {
        std::vector<double> values;
        for (const StepTimes &times : result.runs) values.push_back(times.*figure);
        return values;
    };
    for (int run_index = 0; run_index < plan_.runs; ++run_index) {
        result.runs.push_back(run(bar));
        measure_bytes(result);
    }
    result.best.median = median_of(every(&StepTimes::median));
    result.best.mean = median_of(every(&StepTimes::mean));
    for (auto figure : {&StepTimes::p99, &StepTimes::p999, &StepTimes::max}) {
        const std::vector<double> values = every(figure);
        result.best.*figure = *std::min_element(values.begin(), values.end());
    }
}

// Calls for a third of a second, three times at least unless one takes longer than that.
template <class Call> double median_us(const Call &call) {
    constexpr double kEnough = 333;
    std::vector<double> times;
    double spent = 0, warm_up = timed_ms(call);
    if (warm_up > kEnough) times.push_back(warm_up);
    while (times.empty() || (spent < kEnough && times.size() < 1001) || (times.size() < 3 && warm_up < kEnough)) {
        times.push_back(timed_ms(call));
        spent += times.back();
    }
    return 1000 * median_of(times);
}

// One query at position context over the context + 1 keys up to it, float32.
void time_dense(const Context &context, zeta_attention_params params, const BenchInputs &inputs, const DecodePlan &plan,
                DecodeResult &result) {
    const int64_t keys = plan.context + 1, heads = inputs.q.extent(-3);
    const BenchShape shape{
        heads, inputs.k.extent(-3), 1, inputs.k.extent(-2), inputs.k.extent(-1), inputs.v.extent(-1)};
    Row q(inputs.q);
    q.load(plan.context);
    Array out(ZETA_F32, {1, heads, 1, shape.dv});
    {
        DenseStep loop(shape, inputs.k.data<float>(), inputs.v.data<float>(), keys, context.threads());
        result.loop_us = median_us([&] { loop.run(q.floats(), out.data<float>()); });
    }
    const zeta_tensor k = prefix(inputs.k, keys), v = prefix(inputs.v, keys), out_view = out.view(4);
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = q.view();
    args.k = &k;
    args.v = &v;
    args.out = &out_view;
    result.library_us = median_us([&] { check(zeta_dense_forward(context.get(), &params, &args), "bench, dense"); });
}

} // namespace

int64_t DecodePlan::roll_back() const {
    const int64_t wanted = span > 0 ? span : std::max<int64_t>(1, context / 8);
    return std::min(wanted, steps);
}

DecodeResult run_decode(const Context &context, const zeta_attention_params &params, const std::string &kind,
                        BenchShape shape, const DecodePlan &plan) {
    shape.n = shape.m = plan.context + plan.roll_back();
    BenchInputs inputs = make_bench_inputs(kind, shape, false);
    for (Array *array : {&inputs.q, &inputs.k, &inputs.v}) *array = round_to(std::move(*array), plan.dtype);
    DecodeResult result;
    ProgressBar bar("bench");
    {
        Decode decode(context, params, inputs, plan);
        decode.fill(result, bar);
        decode.step_runs(result, bar);
    }
    if (!plan.dense) return result;
    if (plan.dtype != ZETA_F32) inputs = make_bench_inputs(kind, shape, false);
    time_dense(context, params, inputs, plan, result);
    return result;
}

} // namespace zeta::app
