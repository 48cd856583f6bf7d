// SPDX-License-Identifier: Apache-2.0
// Any bytes loaded as a saved cache: refused, and the cache answers as before; or taken, and the cache answers, grows,
// is saved and loaded again. The first byte chooses what the cache is made for and whether the checksums are made to
// fit, so that what lies behind them is reached too.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "harness.hpp"

using namespace cachetest;

namespace {

// The first byte: its lowest bit says that the checksums are made to fit, the others choose a setup.
constexpr int kResealed = 1, kSetupShift = 1;
constexpr uint64_t kSeed = 11;

// A cache with content, and what it answers.
struct Target {
    explicit Target(const Setup &s) : setup(s), cache(s.make(context())) {
        fill(cache, setup, kSeed, 12);
        answer = ask(cache, setup, kSeed);
        content = cache.save();
    }
    static zeta::Context &context() {
        static zeta::Context one = make_context();
        return one;
    }

    Setup setup;
    zeta::Cache cache;
    Answer answer;
    Bytes content;
};

std::vector<std::unique_ptr<Target>> make_targets() {
    std::vector<Setup> setups(4);
    setups[1].value_type = ZETA_I8;
    setups[1].attention.select = ZETA_SELECT_EXACT;
    setups[2].value_type = ZETA_BF16;
    setups[2].attention.mean = 0;
    setups[2].attention.local = 3;
    setups[3].value_type = ZETA_F16;
    setups[3].attention.causal = 0;
    setups[3].attention.mean = 1;
    setups[3].attention.window = 8;
    setups[3].attention.grid.kind = ZETA_GRID_RANGE;
    std::vector<std::unique_ptr<Target>> targets;
    for (Setup &setup : setups) {
        setup.dk = 2;
        setup.dv = 3;
        targets.push_back(std::make_unique<Target>(setup));
    }
    return targets;
}

void require(bool condition, const char *what) {
    if (condition) return;
    std::fprintf(stderr, "fuzz_cache_load: %s\n", what);
    std::abort();
}

// What was taken must serve like any other cache.
void use(Target &target) {
    zeta::Cache &cache = target.cache;
    const Bytes again = cache.save();
    zeta::Cache other = target.setup.make(Target::context());
    require(load(other, again).status == ZETA_OK, "what was loaded and saved is not loaded");
    require(other.save() == again, "a second save has other bytes");
    require(ask(cache, target.setup, 3) == ask(other, target.setup, 3), "a second load answers otherwise");
    bool grows = true;
    for (int64_t b = 0; b < cache.batches(); ++b) grows = grows && cache.length(b) + 5 <= ZETA_MAX_KEYS;
    if (grows) {
        append(cache, target.setup, 4, 5);
        ask(cache, target.setup, 5);
    }
    std::vector<int64_t> ends;
    for (int64_t b = 0; b < cache.batches(); ++b) ends.push_back(cache.length(b));
    cache.evict_before(ends);
    ask(cache, target.setup, 6);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const std::vector<std::unique_ptr<Target>> targets = make_targets();
    if (size == 0) return 0;
    Target &target = *targets[size_t(data[0] >> kSetupShift) % targets.size()];
    Bytes bytes(size - 1);
    if (size > 1) std::memcpy(bytes.data(), data + 1, size - 1);
    if ((data[0] & kResealed) != 0) reseal(bytes);
    const Outcome result = load(target.cache, bytes);
    if (result.status == ZETA_OK) {
        use(target);
        require(load(target.cache, target.content).status == ZETA_OK, "the old content is not loaded");
    } else {
        require(result.status != ZETA_ERROR_INTERNAL && result.status != ZETA_ERROR_MEMORY, result.sentence.c_str());
        require(!result.sentence.empty(), "refused without a sentence");
    }
    require(ask(target.cache, target.setup, kSeed) == target.answer, "the cache does not answer as before");
    return 0;
}
