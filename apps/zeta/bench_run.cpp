// SPDX-License-Identifier: Apache-2.0
// The timed calls.
#include "bench_run.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bench_time.hpp"
#include "commands.hpp"
#include "progress.hpp"

namespace zeta::app {

namespace {

using Stages = std::vector<std::pair<std::string, double>>;

Array bytes_array(size_t bytes) {
    return Array(ZETA_U64, {static_cast<int64_t>(bytes / 8 + 1)});
}

// The tensors and buffers of one forward and one backward call.
class Calls {
public:
    Calls(const Context &context, const zeta_attention_params &params, const BenchInputs &inputs, bool backward)
        : context_(context.get()), params_(params), inputs_(inputs),
          out_(inputs.v.dtype(), {1, inputs.q.extent(-3), inputs.q.extent(-2), inputs.v.extent(-1)}) {
        prepare_forward(backward);
        if (backward) prepare_backward();
    }
    Calls(const Calls &) = delete;
    Calls &operator=(const Calls &) = delete;

    void forward() { check(zeta_forward(context_, &params_, &forward_), "bench, forward"); }
    void backward() { check(zeta_backward(context_, &params_, &backward_), "bench, backward"); }
    const Array &out() const { return out_; }

private:
    void prepare_forward(bool save) {
        views_ = {inputs_.q.view(4), inputs_.k.view(4), inputs_.v.view(4), out_.view(4)};
        zeta_forward_args_init(&forward_);
        forward_.q = &views_[0];
        forward_.k = &views_[1];
        forward_.v = &views_[2];
        forward_.out = &views_[3];
        if (save) {
            size_t bytes = 0;
            check(zeta_saved_size(context_, &params_, &forward_, &bytes), "bench");
            saved_ = bytes_array(bytes);
            forward_.saved = saved_.data<void>();
            forward_.saved_size = bytes;
        }
        check(zeta_forward_scratch_size(context_, &params_, &forward_, &forward_.scratch_size), "bench");
        forward_scratch_ = bytes_array(forward_.scratch_size);
        forward_.scratch = forward_scratch_.data<void>();
    }

    void prepare_backward() {
        gradients_[0] = Array(inputs_.q.dtype(), inputs_.q.shape());
        gradients_[1] = Array(inputs_.k.dtype(), inputs_.k.shape());
        gradients_[2] = Array(inputs_.v.dtype(), inputs_.v.shape());
        gradients_[3] = Array(ZETA_F32, {inputs_.q.extent(-3)});
        gradient_views_ = {gradients_[0].view(4), gradients_[1].view(4), gradients_[2].view(4), gradients_[3].view(1),
                           inputs_.grad_out.view(4)};
        zeta_backward_args_init(&backward_);
        backward_.q = forward_.q;
        backward_.k = forward_.k;
        backward_.v = forward_.v;
        backward_.grad_q = &gradient_views_[0];
        backward_.grad_k = &gradient_views_[1];
        backward_.grad_v = &gradient_views_[2];
        backward_.grad_gamma = &gradient_views_[3];
        backward_.grad_out = &gradient_views_[4];
        backward_.saved = forward_.saved;
        backward_.saved_size = forward_.saved_size;
        check(zeta_backward_scratch_size(context_, &params_, &backward_, &backward_.scratch_size), "bench");
        backward_scratch_ = bytes_array(backward_.scratch_size);
        backward_.scratch = backward_scratch_.data<void>();
    }

    zeta_context *context_;
    const zeta_attention_params &params_;
    const BenchInputs &inputs_;
    Array out_, saved_, forward_scratch_, backward_scratch_, gradients_[4];
    std::vector<zeta_tensor> views_, gradient_views_;
    zeta_forward_args forward_;
    zeta_backward_args backward_;
};

// The floor: the bytes a forward call must move, moved by the C library.
class Copy {
public:
    explicit Copy(std::vector<const Array *> sources) : sources_(std::move(sources)) {
        for (const Array *source : sources_) copies_.emplace_back(source->dtype(), source->shape());
    }
    void run() {
        for (size_t i = 0; i < sources_.size(); ++i)
            if (sources_[i]->bytes() > 0)
                std::memcpy(copies_[i].data<void>(), sources_[i]->data<void>(), sources_[i]->bytes());
    }

private:
    std::vector<const Array *> sources_;
    std::vector<Array> copies_;
};

Stages stages_of(const zeta_context *context) {
    Stages stages;
    for (int32_t index = 0; const char *name = zeta_stage_name(context, index); ++index)
        stages.emplace_back(name, zeta_stage_ms(context, index));
    return stages;
}

} // namespace

BenchResult run_bench(const Context &context, const zeta_attention_params &params, const BenchInputs &inputs,
                      const BenchPlan &plan) {
    Calls calls(context, params, inputs, plan.backward);
    const auto call = [&] { plan.backward ? calls.backward() : calls.forward(); };
    ProgressBar bar("bench");
    calls.forward(); // the warm-up, or the saved state that backward needs
    if (plan.backward) calls.backward();
    Copy copy(plan.copy ? std::vector<const Array *>{&inputs.q, &inputs.k, &inputs.v, &calls.out()}
                        : std::vector<const Array *>{});
    copy.run();

    std::vector<double> times, copy_times;
    std::vector<Stages> stages;
    for (int run = 0; run < plan.repeat; ++run) {
        times.push_back(timed_ms(call));
        stages.push_back(stages_of(context.get()));
        copy_times.push_back(timed_ms([&] { copy.run(); }));
        bar.update((run + 1.0) / plan.repeat);
        ProgressBar::check_interrupted("bench");
    }
    BenchResult result;
    result.median_ms = median_of(times);
    result.min_ms = *std::min_element(times.begin(), times.end());
    result.copy_ms = median_of(copy_times);
    const auto nearer = [&](double a, double b) {
        return std::abs(a - result.median_ms) < std::abs(b - result.median_ms);
    };
    result.stages = stages[static_cast<size_t>(std::min_element(times.begin(), times.end(), nearer) - times.begin())];
    return result;
}

} // namespace zeta::app
