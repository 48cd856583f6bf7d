// SPDX-License-Identifier: Apache-2.0
// A random program of calls on caches: one cache and forks of it, and saved states that are loaded again, each with the
// histories that it must answer for.
#pragma once

#include "cache_call.hpp"

namespace property {

class CacheProgram {
public:
    // `context` serves the reference too. `longest`: most positions that one call adds.
    CacheProgram(zeta_context *context, const CacheSetup &setup, uint64_t seed, int64_t longest);
    // Goes on with another program's cache, say a fork of it.
    CacheProgram(zeta_context *context, const CacheSetup &setup, uint64_t seed, int64_t longest, CachePointer cache,
                 std::vector<History> histories);

    // Runs so many random calls. "" or which call went wrong and how.
    std::string run(int steps);

    zeta_cache *cache() const { return members_.front().cache.get(); }
    const std::vector<History> &histories() const { return members_.front().histories; }

private:
    struct Member {
        CachePointer cache;
        std::vector<History> histories;
    };
    struct Saved {
        std::vector<unsigned char> bytes;
        std::vector<History> histories;
    };

    std::string step();
    std::string use(Member &member, CacheUse how);
    std::string truncate(Member &member);
    std::string evict(Member &member);
    std::string fork(Member &member);
    std::string save(Member &member);
    std::string load(Member &member);
    std::string reset(Member &member);
    std::string refused(Member &member);

    int64_t draw_length();
    void draw_counts(const Member &member, CacheUse how, CacheCall &call);

    zeta_context *context_;
    CacheSetup setup_;
    Random random_;
    int64_t longest_;
    KeySource source_;
    std::vector<Member> members_;
    std::vector<Saved> saved_;
    const char *last_ = "";
};

// The cache as bytes.
std::vector<unsigned char> saved_bytes(zeta_cache *cache);

// Makes one of many refused calls on a cache with these histories: "" if it has an error's status and sentence, wrote
// nothing and left the cache as it was.
std::string check_refused(zeta_cache *cache, const CacheSetup &setup, const std::vector<History> &histories,
                          Random &random);

} // namespace property
