// SPDX-License-Identifier: Apache-2.0
// Worker threads that the system allows. oneTBB starts them when there is work and ends the process if one is refused
// then, so a context asks it for no more than were seen to start: they are started, parked and ended again. What all
// contexts of the process hold together counts, and only a number above the largest seen so far is tried: some 20 µs a
// thread, mostly once in a process.
#pragma once

namespace zeta::cpu {

class Workers {
public:
    // Up to `wanted`, where oneTBB runs no more than `most` for all contexts together.
    Workers(int wanted, int most);
    ~Workers();
    Workers(const Workers &) = delete;
    Workers &operator=(const Workers &) = delete;

    int count() const { return count_; }

private:
    int count_ = 0;
};

} // namespace zeta::cpu
