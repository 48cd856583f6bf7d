// SPDX-License-Identifier: Apache-2.0
// Values are one-hot rows and one uniform row: bfloat16 holds them exactly. Eviction happens where the text's position
// is a multiple of a sixteenth of `keep`, and no piece goes across such a place, so that figures do not depend on how
// the text was cut into pieces.
#include "predict_online.hpp"

#include <algorithm>

#include "commands.hpp"

namespace zeta::app {

namespace {

constexpr int64_t kBytes = 256;     // values of a byte
constexpr int64_t kRefill = 4096;   // rows appended at once when the cache starts again
constexpr int64_t kSlack = 1 << 16; // bytes of history beyond what is needed before it is cut
constexpr double kRecent = 1.0 / 1000;

zeta_tensor rows(const Array &array, int64_t heads, int64_t count, int64_t width) {
    const int64_t shape[4] = {1, heads, count, width};
    return zeta_tensor_contiguous(const_cast<float *>(array.data<float>()), ZETA_F32, 4, shape);
}

} // namespace

OnlinePredictor::OnlinePredictor(const Context &context, const PredictModel &model, const OnlinePlan &plan)
    : model_(model), plan_(plan), mixer_(model.gamma.size()), head_rows_(model.gamma.size()),
      closeness_(model.gamma.size()) {
    const zeta_attention_params attention = model_.params(plan.select);
    zeta_cache_params params;
    zeta_cache_params_init(&params);
    params.query_heads = static_cast<int64_t>(model.gamma.size());
    params.key_heads = 1;
    params.dk = model.dk;
    params.dv = kBytes;
    params.value_type = ZETA_BF16;
    params.attention = &attention;
    zeta_cache *cache = nullptr;
    check(zeta_cache_create(&cache, context.get(), &params), "predict");
    cache_.reset(cache);
}

void OnlinePredictor::predict(const uint8_t *bytes, int64_t count) {
    while (count > 0) {
        if (position() == plan_.renew) renew();
        int64_t piece = std::min({count, kPiece, plan_.renew - position()});
        if (plan_.keep > 0) piece = std::min(piece, stride() - state_.bytes % stride());
        predict_piece(bytes, piece);
        bytes += piece;
        count -= piece;
    }
}

void OnlinePredictor::predict_piece(const uint8_t *bytes, int64_t count) {
    forget();
    Text &history = state_.history;
    const auto known = static_cast<int64_t>(history.size());
    history.insert(history.end(), bytes, bytes + count);
    fill_rows(state_.bytes, count, history.data() + known, known);
    attend(count);
    for (int64_t row = 0; row < count; ++row) {
        mix(row, count);
        const double bits = mixer_.code(bytes[row]);
        state_.bits += bits;
        ++state_.bytes;
        recent_ += (bits - recent_) * std::max(kRecent, 1.0 / static_cast<double>(state_.bytes));
    }
}

// Rows of the text's positions [begin, begin + count): the byte at `begin` is at `at`, with `known` bytes before it.
void OnlinePredictor::fill_rows(int64_t begin, int64_t count, const uint8_t *at, int64_t known) {
    const auto heads = static_cast<int64_t>(model_.gamma.size()), dk = static_cast<int64_t>(model_.dk);
    if (count > room_) {
        q_ = Array(ZETA_F32, {count, dk});
        k_ = Array(ZETA_F32, {count, dk});
        v_ = Array(ZETA_F32, {count, kBytes});
        out_ = Array(ZETA_F32, {heads, count, kBytes});
        normaliser_ = Array(ZETA_F32, {heads, count});
        room_ = count;
    }
    std::fill_n(v_.data<float>(), count * kBytes, 0.0f);
    for (int64_t row = 0; row < count; ++row, ++at, ++known) {
        float *key = k_.data<float>() + row * dk, *value = v_.data<float>() + row * kBytes;
        embed_context(at, static_cast<size_t>(known), model_.dk, q_.data<float>() + row * dk);
        if (begin + row == 0) {
            std::fill_n(key, dk, 0.0f);
            std::fill_n(value, kBytes, 1.0f / kBytes);
        } else {
            embed_context(at - 1, static_cast<size_t>(known - 1), model_.dk, key);
            value[*(at - 1)] = 1;
        }
    }
}

// Appends the rows and attends them, by a step where there is one.
void OnlinePredictor::attend(int64_t count) {
    const auto heads = static_cast<int64_t>(model_.gamma.size()), dk = static_cast<int64_t>(model_.dk);
    zeta_tensor q = rows(q_, heads, count, dk);
    q.stride[1] = 0; // every head reads the same rows
    const zeta_tensor k = rows(k_, 1, count, dk), v = rows(v_, 1, count, kBytes),
                      out = rows(out_, heads, count, kBytes);
    const int64_t z_shape[3] = {1, heads, count};
    const zeta_tensor z = zeta_tensor_contiguous(normaliser_.data<float>(), ZETA_F32, 3, z_shape);
    zeta_cache_args args;
    zeta_cache_args_init(&args);
    args.q = &q;
    args.k = &k;
    args.v = &v;
    args.out = &out;
    args.normaliser = &z;
    check(count == 1 ? zeta_cache_step(cache_.get(), &args) : zeta_cache_prefill(cache_.get(), &args), "predict");
}

// Gives the mixer row `row` of `count`.
void OnlinePredictor::mix(int64_t row, int64_t count) {
    for (size_t h = 0; h < head_rows_.size(); ++h) {
        const int64_t at = static_cast<int64_t>(h) * count + row;
        head_rows_[h] = out_.data<float>() + at * kBytes;
        closeness_[h] = normaliser_.data<float>()[at] * model_.gamma[h] * model_.gamma[h];
    }
    const Text &history = state_.history;
    const size_t after = static_cast<size_t>(count - row); // bytes of the history from this position on
    mixer_.set_heads(head_rows_, closeness_, state_.bytes == 0 ? uint8_t{0} : history[history.size() - after - 1]);
}

// Evicts what is older than `keep`, and cuts the history to what can still be asked for.
void OnlinePredictor::forget() {
    const int64_t needed = plan_.keep + context_bytes(model_.dk) + 1;
    Text &history = state_.history;
    const auto size = static_cast<int64_t>(history.size());
    if (size > 2 * needed + kSlack) history.erase(history.begin(), history.end() - needed);
    if (plan_.keep == 0 || state_.bytes % stride() != 0) return;
    const int64_t first = position() - plan_.keep;
    if (first > cache_first()) check(zeta_cache_evict_before(cache_.get(), &first), "predict");
}

// The positions kept, in an empty cache. Its mean begins with them.
void OnlinePredictor::renew() {
    if (plan_.keep == 0)
        throw CommandError(kExitInput, "predict: after " + std::to_string(state_.bytes) +
                                           " bytes the cache is full; --keep bounds it");
    check(zeta_cache_reset(cache_.get()), "predict");
    const auto size = static_cast<int64_t>(state_.history.size());
    state_.origin = state_.bytes - plan_.keep;
    for (int64_t begin = state_.origin; begin < state_.bytes; begin += kRefill) {
        const int64_t count = std::min(kRefill, state_.bytes - begin), known = size - (state_.bytes - begin);
        fill_rows(begin, count, state_.history.data() + known, known);
        const zeta_tensor k = rows(k_, 1, count, model_.dk), v = rows(v_, 1, count, kBytes);
        zeta_cache_args args;
        zeta_cache_args_init(&args);
        args.k = &k;
        args.v = &v;
        check(zeta_cache_append(cache_.get(), &args), "predict");
    }
}

OnlineState OnlinePredictor::state() const {
    OnlineState state = state_;
    state.learned = mixer_.learned();
    return state;
}

std::vector<uint8_t> OnlinePredictor::save_cache() const {
    size_t size = 0;
    check(zeta_cache_save_buffer(cache_.get(), nullptr, &size), "--save-cache");
    std::vector<uint8_t> saved(size);
    check(zeta_cache_save_buffer(cache_.get(), saved.data(), &size), "--save-cache");
    saved.resize(size);
    return saved;
}

void OnlinePredictor::load(const OnlineState &state, const uint8_t *cache, size_t size) {
    if (state.learned.size() != mixer_.learned().size())
        throw CommandError(kExitInput, "--load-cache: corrupt: the mixer has " + std::to_string(state.learned.size()) +
                                           " weights, not " + std::to_string(mixer_.learned().size()));
    check(zeta_cache_load_buffer(cache_.get(), cache, size), "--load-cache");
    state_ = state;
    state_.learned.clear();
    mixer_.load(state.learned);
    if (cache_length() != position())
        throw CommandError(kExitInput, "--load-cache: corrupt: the cache has " + std::to_string(cache_length()) +
                                           " positions, not " + std::to_string(position()));
}

} // namespace zeta::app
