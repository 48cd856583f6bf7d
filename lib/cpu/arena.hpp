// SPDX-License-Identifier: Apache-2.0
// The executor of a context: a plain loop at one thread or over one piece, else its own oneTBB arena. Pieces begin at
// multiples of `grain` whatever the number of threads. In a child made by fork() the arena's threads do not exist: it
// runs the plain loop.
#pragma once

#include <memory>
#include <sys/types.h>

#include "executor.hpp"
#include "workers.hpp"

namespace zeta::cpu {

class ArenaExecutor final : public Executor {
public:
    ArenaExecutor(int threads, const simd::Kernels &kernels);
    ~ArenaExecutor() override;
    ArenaExecutor(const ArenaExecutor &) = delete;
    ArenaExecutor &operator=(const ArenaExecutor &) = delete;

    void parallel_for(size_t n, size_t grain, Body body) const override;
    void pipeline(size_t n, size_t slots, size_t stages, Start start, Step step) const override;
    int workers() const override; // at most `threads`, what the process may run and what the system lets it start
    bool forked() const;
    const simd::Kernels &kernels() const override { return kernels_; }

private:
    struct Arena;

    const Workers granted_;
    const int threads_; // slots of the arena
    const simd::Kernels &kernels_;
    const pid_t owner_; // the process whose threads serve the arena
    std::unique_ptr<Arena> arena_;
};

} // namespace zeta::cpu
