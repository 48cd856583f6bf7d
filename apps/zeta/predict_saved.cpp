// SPDX-License-Identifier: Apache-2.0
// Counts are checked against the bytes there are before memory is asked for.
#include "predict_saved.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "file.hpp"

namespace zeta::app {

namespace {

constexpr char kMagic[8] = {'Z', 'E', 'T', 'A', 'P', 'R', 'E', 'D'};
constexpr uint32_t kVersion = 1;

struct Head {
    char magic[8];
    uint32_t version, reserved;
    uint64_t file_bytes, state_bytes, hash;
};
static_assert(sizeof(Head) == 40, "as documented");

uint32_t index_of(const std::string &select) {
    return select == "exact" ? 2 : select == "reranked" ? 1 : 0;
}

const char *select_of(uint32_t index) {
    return index == 2 ? "exact" : index == 1 ? "reranked" : "window";
}

int32_t window_of(const PredictModel &model, const std::string &select) {
    return select == "reranked" ? model.reranked_window() : model.neighbours;
}

uint64_t hash_of(const std::vector<uint8_t> &state, const uint8_t *cache, size_t size) {
    return XXH3_64bits_withSeed(cache, size, XXH3_64bits(state.data(), state.size()));
}

class Writer {
public:
    template <class T> void put(T value) { put_bytes(&value, sizeof value); }
    template <class T> void put_list(const std::vector<T> &list) {
        put(static_cast<uint64_t>(list.size()));
        put_bytes(list.data(), list.size() * sizeof(T));
    }
    const std::vector<uint8_t> &bytes() const { return bytes_; }

private:
    void put_bytes(const void *data, size_t size) {
        const auto *from = static_cast<const uint8_t *>(data);
        bytes_.insert(bytes_.end(), from, from + size);
    }
    std::vector<uint8_t> bytes_;
};

class Reader {
public:
    Reader(const InputFile &file, const std::vector<uint8_t> &bytes) : file_(file), bytes_(bytes) {}

    template <class T> T take() {
        T value;
        take_bytes(&value, sizeof value);
        return value;
    }
    template <class T> std::vector<T> take_list() {
        const auto count = take<uint64_t>();
        if (count > (bytes_.size() - at_) / sizeof(T)) file_.fail("corrupt: a list is longer than the file");
        std::vector<T> list(static_cast<size_t>(count));
        take_bytes(list.data(), list.size() * sizeof(T));
        return list;
    }
    bool done() const { return at_ == bytes_.size(); }

private:
    void take_bytes(void *to, size_t size) {
        if (size > bytes_.size() - at_) file_.fail("corrupt: its state ends early");
        if (size > 0) std::memcpy(to, bytes_.data() + at_, size);
        at_ += size;
    }
    const InputFile &file_;
    const std::vector<uint8_t> &bytes_;
    size_t at_ = 0;
};

std::vector<uint8_t> pack(const SavedRun &run) {
    Writer writer;
    writer.put(static_cast<int32_t>(run.model.dk));
    writer.put(run.model.neighbours);
    writer.put(window_of(run.model, run.plan.select));
    writer.put(index_of(run.plan.select));
    writer.put(run.plan.keep);
    writer.put(run.plan.renew);
    writer.put(static_cast<uint64_t>(run.state.bytes));
    writer.put(run.state.bits);
    writer.put(static_cast<uint64_t>(run.state.origin));
    writer.put_list(run.model.gamma);
    writer.put_list(run.state.history);
    writer.put_list(run.state.learned);
    return writer.bytes();
}

Head read_head(const InputFile &file) {
    Head head;
    if (file.size() < sizeof head) file.fail("not a file of zeta predict --save-cache");
    file.read(0, &head, sizeof head);
    if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0) file.fail("not a file of zeta predict --save-cache");
    if (head.version != kVersion)
        file.fail("has format version " + std::to_string(head.version) + ", this zeta reads " +
                  std::to_string(kVersion));
    if (head.reserved != 0) file.fail("corrupt: a reserved field is not 0");
    if (head.file_bytes != file.size())
        file.fail("truncated or corrupt: it should have " + std::to_string(head.file_bytes) + " bytes and has " +
                  std::to_string(file.size()));
    if (head.state_bytes > file.size() - sizeof head) file.fail("corrupt: its state is longer than the file");
    return head;
}

// Says which option was another one.
template <class T> void compare(const InputFile &file, const char *option, const T &saved, const T &given) {
    if (saved == given) return;
    const auto text = [](const auto &value) {
        if constexpr (std::is_arithmetic_v<T>)
            return std::to_string(value);
        else
            return std::string(value);
    };
    file.fail(std::string("was saved with ") + option + " " + text(saved) + ", not " + text(given));
}

// What no text brings about: more bytes than can be, positions that a cache would have started again before, more bits
// than the mixer lets a byte cost (120), weights that no longer add up.
bool plausible(const OnlineState &state, const OnlinePlan &plan) {
    constexpr int64_t kMostBytes = int64_t{1} << 56;
    constexpr double kMostBits = 128;
    constexpr float kMostWeight = 1e30f;
    return state.bytes >= 0 && state.bytes <= kMostBytes && state.origin >= 0 && state.origin <= state.bytes &&
           state.bytes - state.origin <= plan.renew && static_cast<int64_t>(state.history.size()) <= state.bytes &&
           state.bits >= 0 && state.bits <= kMostBits * static_cast<double>(state.bytes) &&
           std::all_of(state.learned.begin(), state.learned.end(), [](float x) { return std::abs(x) <= kMostWeight; });
}

SavedRun unpack(const InputFile &file, const std::vector<uint8_t> &bytes, const PredictModel &model,
                const OnlinePlan &plan) {
    Reader reader(file, bytes);
    SavedRun run{model, plan, {}, {}};
    compare(file, "--dk", reader.take<int32_t>(), static_cast<int32_t>(model.dk));
    compare(file, "--neighbours", reader.take<int32_t>(), model.neighbours);
    const auto window = reader.take<int32_t>();
    compare(file, "--select", std::string(select_of(reader.take<uint32_t>())), plan.select);
    compare(file, "--window", window, window_of(model, plan.select));
    compare(file, "--keep", reader.take<int64_t>(), plan.keep);
    compare(file, "--renew", reader.take<int64_t>(), plan.renew);
    OnlineState &state = run.state;
    state.bytes = reader.take<int64_t>();
    state.bits = reader.take<double>();
    state.origin = reader.take<int64_t>();
    if (reader.take_list<float>() != model.gamma) file.fail("was saved with another --gamma");
    state.history = reader.take_list<uint8_t>();
    state.learned = reader.take_list<float>();
    if (!reader.done() || !plausible(state, plan)) file.fail("corrupt: its state makes no sense");
    const auto needed = std::min(state.bytes, plan.keep + context_bytes(model.dk) + 1);
    if (static_cast<int64_t>(state.history.size()) < needed) file.fail("corrupt: its history is too short");
    return run;
}

} // namespace

void write_run(const SavedRun &run, const std::string &option, Outputs &outputs) {
    const std::vector<uint8_t> state = pack(run);
    Head head{};
    std::memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kVersion;
    head.file_bytes = sizeof head + state.size() + run.cache.size();
    head.state_bytes = state.size();
    head.hash = hash_of(state, run.cache.data(), run.cache.size());
    outputs.write(option, {{&head, sizeof head}, {state.data(), state.size()}, {run.cache.data(), run.cache.size()}});
}

SavedRun read_run(const std::string &path, const PredictModel &model, const OnlinePlan &plan) {
    const InputFile file(path);
    const Head head = read_head(file);
    std::vector<uint8_t> state(static_cast<size_t>(head.state_bytes));
    std::vector<uint8_t> cache(static_cast<size_t>(file.size() - sizeof head - head.state_bytes));
    file.read(sizeof head, state.data(), state.size());
    file.read(sizeof head + head.state_bytes, cache.data(), cache.size());
    if (hash_of(state, cache.data(), cache.size()) != head.hash) file.fail("corrupt: its checksum is wrong");
    SavedRun run = unpack(file, state, model, plan);
    run.cache = std::move(cache);
    return run;
}

} // namespace zeta::app
