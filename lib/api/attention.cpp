// SPDX-License-Identifier: Apache-2.0
// zeta/attention.h: every call checks, enters the context, and hands over to the engine.
#include "../engine.hpp"
#include "../saved.hpp"
#include "check.hpp"
#include "check_tensor.hpp"

namespace {

using namespace zeta;

Context &checked_context(zeta_context *context) {
    if (context == nullptr) fail(ZETA_ERROR_ARGUMENT, "context is NULL");
    return *context;
}

size_t *checked_size(size_t *size) {
    api::check_pointer("size", size, alignof(size_t));
    *size = 0;
    return size;
}

void check_saved(const Problem &p, const void *saved, size_t size, bool given, bool written) {
    if (saved == nullptr) {
        if (!written) return;
        fail(ZETA_ERROR_ARGUMENT, "saved is NULL: zeta_backward needs what zeta_forward saved");
    }
    const size_t needed = saved_size(p);
    if (size < needed) fail(ZETA_ERROR_SCRATCH, "saved_size is %zu but this call needs %zu bytes", size, needed);
    if (!written) return;
    const SavedHeader expected = saved_header(p, given);
    if (std::memcmp(saved, &expected, sizeof expected) != 0)
        fail(ZETA_ERROR_SCRATCH, "saved was not written by a forward call with these shapes and params");
}

zeta_status run_forward(zeta_context *context, const zeta_attention_params *params, const zeta_forward_args *args,
                        const zeta_tensor *given) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        const api::Checked checked = api::check_forward(params, args, given, api::Purpose::run);
        if (given != nullptr) api::check_neighbour_entries(checked.problem, checked.tensors.given);
        check_saved(checked.problem, args->saved, args->saved_size, given != nullptr, false);
        c.stage_reset();
        forward(c, checked.problem, checked.tensors, args->scratch, args->scratch_size);
    });
}

zeta_status run_backward(zeta_context *context, const zeta_attention_params *params, const zeta_backward_args *args,
                         const zeta_tensor *given) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        const api::Checked checked = api::check_backward(params, args, given, api::Purpose::run);
        if (given != nullptr) api::check_neighbour_entries(checked.problem, checked.tensors.given);
        check_saved(checked.problem, args->saved, args->saved_size, given != nullptr, true);
        c.stage_reset();
        backward(c, checked.problem, checked.tensors, args->scratch, args->scratch_size);
    });
}

zeta_status size_forward(zeta_context *context, const zeta_attention_params *params, const zeta_forward_args *args,
                         const zeta_tensor *given, size_t *size) {
    return guarded([&] {
        size_t *out = checked_size(size);
        const FpEnvironment environment;
        Context &c = checked_context(context);
        const api::Checked checked = api::check_forward(params, args, given, api::Purpose::size);
        *out = forward_scratch(c, checked.problem, checked.tensors);
    });
}

zeta_status size_backward(zeta_context *context, const zeta_attention_params *params, const zeta_backward_args *args,
                          const zeta_tensor *given, size_t *size) {
    return guarded([&] {
        size_t *out = checked_size(size);
        const FpEnvironment environment;
        Context &c = checked_context(context);
        const api::Checked checked = api::check_backward(params, args, given, api::Purpose::size);
        *out = backward_scratch(c, checked.problem, checked.tensors);
    });
}

void fail_without_neighbours(size_t *size) {
    checked_size(size);
    fail(ZETA_ERROR_ARGUMENT, "neighbours is NULL");
}

} // namespace

zeta_status zeta_forward_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                      const zeta_forward_args *args, size_t *size) {
    return size_forward(context, params, args, nullptr, size);
}

zeta_status zeta_backward_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                       const zeta_backward_args *args, size_t *size) {
    return size_backward(context, params, args, nullptr, size);
}

zeta_status zeta_attend_neighbours_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                                const zeta_tensor *neighbours, const zeta_forward_args *args,
                                                size_t *size) {
    if (neighbours == nullptr) return guarded([&] { fail_without_neighbours(size); });
    return size_forward(context, params, args, neighbours, size);
}

zeta_status zeta_attend_neighbours_backward_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                                         const zeta_tensor *neighbours, const zeta_backward_args *args,
                                                         size_t *size) {
    if (neighbours == nullptr) return guarded([&] { fail_without_neighbours(size); });
    return size_backward(context, params, args, neighbours, size);
}

zeta_status zeta_dense_scratch_size(zeta_context *context, const zeta_attention_params *params,
                                    const zeta_forward_args *args, size_t *size) {
    return guarded([&] {
        size_t *out = checked_size(size);
        const FpEnvironment environment;
        Context &c = checked_context(context);
        const api::Checked checked = api::check_dense_forward(params, args, api::Purpose::size);
        *out = dense_scratch(c, checked.problem, checked.tensors);
    });
}

zeta_status zeta_saved_size(zeta_context *context, const zeta_attention_params *params, const zeta_forward_args *args,
                            size_t *size) {
    return guarded([&] {
        size_t *out = checked_size(size);
        const FpEnvironment environment;
        checked_context(context);
        *out = saved_size(api::check_forward(params, args, nullptr, api::Purpose::size).problem);
    });
}

zeta_status zeta_forward(zeta_context *context, const zeta_attention_params *params, const zeta_forward_args *args) {
    return run_forward(context, params, args, nullptr);
}

zeta_status zeta_backward(zeta_context *context, const zeta_attention_params *params, const zeta_backward_args *args) {
    return run_backward(context, params, args, nullptr);
}

zeta_status zeta_attend_neighbours(zeta_context *context, const zeta_attention_params *params,
                                   const zeta_tensor *neighbours, const zeta_forward_args *args) {
    if (neighbours == nullptr) return guarded([] { fail(ZETA_ERROR_ARGUMENT, "neighbours is NULL"); });
    return run_forward(context, params, args, neighbours);
}

zeta_status zeta_attend_neighbours_backward(zeta_context *context, const zeta_attention_params *params,
                                            const zeta_tensor *neighbours, const zeta_backward_args *args) {
    if (neighbours == nullptr) return guarded([] { fail(ZETA_ERROR_ARGUMENT, "neighbours is NULL"); });
    return run_backward(context, params, args, neighbours);
}

zeta_status zeta_select(zeta_context *context, const zeta_attention_params *params, const zeta_tensor *q,
                        const zeta_tensor *k, const zeta_tensor *neighbours, const zeta_tensor *distances) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        const api::Checked checked = api::check_select(params, q, k, neighbours, distances, true);
        c.stage_reset();
        select(c, checked.problem, checked.tensors);
    });
}

zeta_status zeta_recall(zeta_context *context, const zeta_attention_params *params, const zeta_tensor *q,
                        const zeta_tensor *k, double *recall, float *recall_per_head) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        const api::Checked checked = api::check_recall(params, q, k, recall, recall_per_head);
        c.stage_reset();
        *recall = zeta::recall(c, checked.problem, checked.tensors, recall_per_head);
    });
}

zeta_status zeta_dense_forward(zeta_context *context, const zeta_attention_params *params,
                               const zeta_forward_args *args) {
    return guarded([&] {
        Context &c = checked_context(context);
        const auto guard = c.enter();
        const api::Checked checked = api::check_dense_forward(params, args, api::Purpose::run);
        c.stage_reset();
        dense_forward(c, checked.problem, checked.tensors, args->scratch, args->scratch_size);
    });
}
