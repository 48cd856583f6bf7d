// SPDX-License-Identifier: Apache-2.0
// Takes back, at its end, what a call has reserved, unless the call has come to its own.
#pragma once

#include "cache.hpp"

namespace zeta::cache {

class Cache::Rollback {
public:
    explicit Rollback(Cache &cache) : cache_(&cache) {}
    ~Rollback() {
        if (cache_ != nullptr) cache_->restore();
    }
    Rollback(const Rollback &) = delete;
    Rollback &operator=(const Rollback &) = delete;
    void cancel() { cache_ = nullptr; }

private:
    Cache *cache_;
};

} // namespace zeta::cache
