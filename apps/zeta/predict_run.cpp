// SPDX-License-Identifier: Apache-2.0
// A block of queries [begin, end) is one call with keys [0, end): query i of it stands at position begin + i, and the
// library promises the bits of one call over the whole text.
#include "predict_run.hpp"

#include <algorithm>
#include <chrono>

#include "predict_mixer.hpp"

namespace zeta::app {

namespace {

constexpr int64_t kBlock = 32768; // queries: 32 MiB of output per head

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The part of a bar that one block is.
struct Share {
    ProgressBar *bar;
    double done, size;

    static int callback(void *user, double fraction) {
        auto *share = static_cast<Share *>(user);
        return ProgressBar::callback(share->bar, share->done + share->size * fraction);
    }
};

zeta_tensor rows(const Array &array, int64_t begin, int64_t count) {
    const int64_t width = array.extent(-1), shape[4] = {1, 1, count, width};
    auto *data = const_cast<float *>(array.data<float>()) + begin * width; // inputs are not written
    return zeta_tensor_contiguous(data, ZETA_F32, 4, shape);
}

struct Block {
    int64_t begin, end;
    Array out;        // [H, kBlock, 256], its first end - begin rows used
    Array normaliser; // [H, kBlock]
};

void attend(const Context &context, zeta_attention_params params, const Corpus &corpus, bool dense, Block &block) {
    const int64_t n = block.end - block.begin, heads = block.out.extent(-3), room = block.out.extent(-2);
    zeta_tensor q = rows(corpus.keys.q, block.begin, n);
    q.shape[1] = heads; // every head reads the same rows
    q.stride[1] = 0;
    const zeta_tensor k = rows(corpus.keys.k, 0, block.end), v = rows(corpus.values, 0, block.end);
    const int64_t out_shape[4] = {1, heads, n, 256}, z_shape[3] = {1, heads, n};
    zeta_tensor out = zeta_tensor_contiguous(block.out.data<float>(), ZETA_F32, 4, out_shape);
    zeta_tensor z = zeta_tensor_contiguous(block.normaliser.data<float>(), ZETA_F32, 3, z_shape);
    out.stride[1] = room * 256;
    z.stride[1] = room;
    zeta_forward_args args;
    zeta_forward_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out;
    args.normaliser = &z;
    if (dense)
        check(zeta_dense_forward(context.get(), &params, &args), "predict");
    else
        check(zeta_forward(context.get(), &params, &args), "predict");
}

void mix(const Corpus &corpus, const PredictModel &model, const PassPlan &plan, const Block &block, Mixer &mixer,
         Pass &pass) {
    const int64_t room = block.out.extent(-2);
    const size_t heads = model.gamma.size();
    std::vector<const float *> heads_rows(heads);
    std::vector<float> closeness(heads);
    for (int64_t t = block.begin; t < block.end; ++t) {
        for (size_t h = 0; h < heads; ++h) {
            const int64_t row = static_cast<int64_t>(h) * room + t - block.begin;
            heads_rows[h] = block.out.data<float>() + row * 256;
            closeness[h] = block.normaliser.data<float>()[row] * model.gamma[h] * model.gamma[h];
        }
        const auto at = static_cast<size_t>(t);
        mixer.set_heads(heads_rows, closeness, t == 0 ? uint8_t{0} : corpus.text[at - 1]);
        if (plan.distributions) mixer.distribution(plan.distributions->data<float>() + t * 256);
        pass.bits += mixer.code(corpus.text[at]);
        if (t + 1 == plan.prefix) pass.prefix_bits = pass.bits;
    }
}

} // namespace

int32_t PredictModel::reranked_window() const {
    return window > 0 ? window : std::min(4 * neighbours, ZETA_MAX_WINDOW);
}

zeta_attention_params PredictModel::params(const std::string &select) const {
    zeta_attention_params params;
    zeta_attention_params_init(&params);
    params.neighbours = neighbours;
    params.window = select == "reranked" ? reranked_window() : 0;
    params.select = select == "exact" ? ZETA_SELECT_EXACT : ZETA_SELECT_WINDOW;
    params.gamma = gamma.data();
    params.gamma_count = static_cast<int64_t>(gamma.size());
    params.grid.kind = ZETA_GRID_RANGE;
    return params;
}

Pass run_pass(const Context &context, const PredictModel &model, const Corpus &corpus, const PassPlan &plan,
              ProgressBar &bar) {
    Pass pass;
    pass.select = plan.select;
    pass.bytes = plan.bytes;
    const auto heads = static_cast<int64_t>(model.gamma.size());
    const int64_t room = std::min(plan.bytes, kBlock);
    Block block{0, 0, Array(ZETA_F32, {heads, room, 256}), Array(ZETA_F32, {heads, room})};
    Mixer mixer(model.gamma.size());
    bar.relabel(plan.select);
    for (int64_t begin = 0; begin < plan.bytes; begin += room) {
        block.begin = begin;
        block.end = std::min(plan.bytes, begin + room);
        const auto total = static_cast<double>(plan.bytes);
        Share share{&bar, static_cast<double>(begin) / total, static_cast<double>(block.end - begin) / total};
        zeta_attention_params params = model.params(plan.select);
        params.progress = Share::callback;
        params.progress_user = &share;
        const auto start = std::chrono::steady_clock::now();
        attend(context, params, corpus, plan.select == "dense", block);
        pass.attention_seconds += seconds_since(start);
        const auto attended = std::chrono::steady_clock::now();
        mix(corpus, model, plan, block, mixer, pass);
        pass.mix_seconds += seconds_since(attended);
        ProgressBar::check_interrupted("predict");
    }
    return pass;
}

void measure_recall(const Context &context, const PredictModel &model, const Corpus &corpus, Pass &pass,
                    ProgressBar &bar) {
    const auto n = static_cast<int64_t>(corpus.text.size());
    const zeta_tensor q = rows(corpus.keys.q, 0, n), k = rows(corpus.keys.k, 0, n);
    zeta_attention_params params = model.params(pass.select);
    params.gamma_count = 1; // selection does not depend on it
    bar.relabel("recall, " + pass.select);
    params.progress = ProgressBar::callback;
    params.progress_user = &bar;
    const auto start = std::chrono::steady_clock::now();
    check(zeta_recall(context.get(), &params, &q, &k, &pass.recall, nullptr), "recall");
    pass.recall_seconds = seconds_since(start);
}

} // namespace zeta::app
