// SPDX-License-Identifier: Apache-2.0
// See cache_program.hpp.
#include "cache_program.hpp"

#include <algorithm>

namespace property {
namespace {

std::string complaint(zeta_status status) {
    return status == ZETA_OK ? "" : std::string(zeta_status_name(status)) + ": " + zeta_last_error();
}

std::vector<History> new_histories(const CacheSetup &setup) {
    History history;
    history.first = setup.problem.options.first;
    return std::vector<History>(static_cast<size_t>(setup.problem.shape.batches), history);
}

} // namespace

std::vector<unsigned char> saved_bytes(zeta_cache *cache) {
    size_t size = 0;
    if (zeta_cache_save_buffer(cache, nullptr, &size) != ZETA_OK) return {};
    std::vector<unsigned char> bytes(size + 1);
    size += 1; // more than needed is welcome
    if (zeta_cache_save_buffer(cache, bytes.data(), &size) != ZETA_OK) return {};
    bytes.resize(size);
    return bytes;
}

CacheProgram::CacheProgram(zeta_context *context, const CacheSetup &setup, uint64_t seed, int64_t longest)
    : CacheProgram(context, setup, seed, longest, make_cache(context, setup), new_histories(setup)) {}

CacheProgram::CacheProgram(zeta_context *context, const CacheSetup &setup, uint64_t seed, int64_t longest,
                           CachePointer cache, std::vector<History> histories)
    : context_(context), setup_(setup), random_(seed), longest_(longest), source_(setup, random_) {
    members_.push_back({std::move(cache), std::move(histories)});
}

std::string CacheProgram::run(int steps) {
    if (members_.front().cache == nullptr) return std::string("no cache: ") + zeta_last_error();
    for (int n = 0; n < steps; ++n) {
        std::string message = step();
        if (message.empty() && n % 16 == 15) // every cache, also those that the last calls were not about
            for (Member &member : members_)
                if (message.empty())
                    message = check_end(context_, member.cache.get(), setup_, member.histories, 2, source_, random_);
        if (!message.empty()) return "step " + std::to_string(n) + " (" + last_ + "): " + message;
    }
    return "";
}

std::string CacheProgram::step() {
    Member &member = members_[static_cast<size_t>(pick(random_, 0, static_cast<int64_t>(members_.size()) - 1))];
    const int64_t what = pick(random_, 0, 99);
    if (what < 30) return use(member, CacheUse::step);
    if (what < 42) return use(member, CacheUse::append);
    if (what < 54) return use(member, CacheUse::attend);
    if (what < 64) return use(member, CacheUse::prefill);
    if (what < 73) return truncate(member);
    if (what < 79) return evict(member);
    if (what < 85) return fork(member);
    if (what < 89) return save(member);
    if (what < 92) return load(member);
    if (what < 93) return reset(member);
    return refused(member);
}

int64_t CacheProgram::draw_length() {
    const int64_t kind = pick(random_, 0, 9);
    return kind == 0 ? 0 : kind < 7 ? pick(random_, 1, 5) : pick(random_, 1, longest_);
}

// Each sequence its own, and what it allows.
void CacheProgram::draw_counts(const Member &member, CacheUse how, CacheCall &call) {
    call.counted = pick(random_, 0, 9) < 4;
    for (size_t b = 0; b < call.counts.size(); ++b) {
        if (call.counted) call.counts[b] = pick(random_, 0, 3) == 0 ? 0 : pick(random_, 0, call.n);
        if (how != CacheUse::attend || !setup_.problem.options.causal) continue;
        const int64_t standing = member.histories[b].length - member.histories[b].evicted;
        call.counted = call.counted || call.n > standing;
        call.counts[b] = std::min(call.counts[b], standing);
    }
}

std::string CacheProgram::use(Member &member, CacheUse how) {
    last_ = name_of(how);
    const int64_t n = how == CacheUse::step ? 1 : draw_length();
    CacheCall call(setup_, static_cast<int64_t>(member.histories.size()), n, source_, random_);
    draw_counts(member, how, call);
    const bool oracle = n * setup_.problem.shape.heads < 200 && pick(random_, 0, 5) == 0;
    return check_call(context_, member.cache.get(), setup_, member.histories, call, how, oracle, random_);
}

std::string CacheProgram::truncate(Member &member) {
    last_ = "truncate";
    std::vector<int64_t> lengths;
    for (History &history : member.histories) {
        const int64_t back = pick(random_, 0, 3) == 0 ? history.length : pick(random_, 0, 12);
        lengths.push_back(std::max(history.evicted, history.length - pick(random_, 0, back)));
        history.cut(lengths.back(), setup_.problem.shape);
    }
    return complaint(zeta_cache_truncate(member.cache.get(), lengths.data()));
}

std::string CacheProgram::evict(Member &member) {
    last_ = "evict_before";
    std::vector<int64_t> positions;
    for (History &history : member.histories) {
        const int64_t most = pick(random_, 0, 3) == 0 ? history.length : std::min(history.length, history.evicted + 20);
        positions.push_back(pick(random_, 0, most));
        if (positions.back() <= history.first) continue;
        history.first = history.evicted = positions.back();
    }
    return complaint(zeta_cache_evict_before(member.cache.get(), positions.data()));
}

std::string CacheProgram::fork(Member &member) {
    last_ = "fork";
    std::vector<int64_t> chosen;
    Member made;
    if (pick(random_, 0, 2) == 0) {
        const int64_t most = static_cast<int64_t>(member.histories.size()) - 1;
        for (int64_t n = pick(random_, 1, 4); n > 0; --n) chosen.push_back(pick(random_, 0, most));
        for (const int64_t b : chosen) made.histories.push_back(member.histories[static_cast<size_t>(b)]);
    } else {
        made.histories = member.histories;
    }
    zeta_cache *cache = nullptr;
    const zeta_status status = zeta_cache_fork(member.cache.get(), chosen.empty() ? nullptr : chosen.data(),
                                               static_cast<int64_t>(chosen.size()), &cache);
    made.cache.reset(cache);
    if (members_.size() > 3) { // any but the first goes, perhaps the one that was forked
        const auto gone = static_cast<size_t>(pick(random_, 1, static_cast<int64_t>(members_.size()) - 1));
        members_[gone] = std::move(made);
    } else {
        members_.push_back(std::move(made));
    }
    return complaint(status);
}

std::string CacheProgram::save(Member &member) {
    last_ = "save";
    Saved made{saved_bytes(member.cache.get()), member.histories};
    if (made.bytes.empty()) return std::string("nothing was saved: ") + zeta_last_error();
    if (saved_.size() < 3)
        saved_.push_back(std::move(made));
    else
        saved_[static_cast<size_t>(pick(random_, 0, 2))] = std::move(made);
    return "";
}

std::string CacheProgram::load(Member &member) {
    last_ = "load";
    for (const Saved &saved : saved_) {
        const zeta_status status = zeta_cache_load_buffer(member.cache.get(), saved.bytes.data(), saved.bytes.size());
        if (saved.histories.size() != member.histories.size()) {
            if (status != ZETA_ERROR_SHAPE) return "another number of sequences was not refused";
            continue;
        }
        member.histories = saved.histories;
        if (status == ZETA_OK && saved_bytes(member.cache.get()) != saved.bytes)
            return "what was loaded is saved as other bytes";
        return complaint(status);
    }
    return "";
}

std::string CacheProgram::reset(Member &member) {
    last_ = "reset";
    for (History &history : member.histories) {
        history = History();
        history.first = setup_.problem.options.first;
    }
    return complaint(zeta_cache_reset(member.cache.get()));
}

std::string CacheProgram::refused(Member &member) {
    last_ = "a refused call";
    return check_refused(member.cache.get(), setup_, member.histories, random_);
}

} // namespace property
