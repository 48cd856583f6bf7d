// SPDX-License-Identifier: Apache-2.0
// What the tasks of one loop hand to its caller and to each other: the first failure, and the order of memory. Apart
// from executor.cpp, whose reading of captures out of oneTBB's objects tests/tsan-suppressions.txt leaves out.
#pragma once

#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>

#include "../status.hpp"

namespace zeta::cpu {

class FirstFailure {
public:
    // Called in a handler.
    void keep() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (exception_ != nullptr) return;
        exception_ = std::current_exception();
        std::strncpy(sentence_, zeta_last_error(), sizeof sentence_ - 1);
    }
    [[noreturn]] void rethrow() const {
        set_last_error("%s", sentence_);
        std::rethrow_exception(exception_);
    }
    bool kept() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return exception_ != nullptr;
    }

private:
    std::mutex mutex_;
    std::exception_ptr exception_;
    char sentence_[512] = "";
};

// What oneTBB guarantees, said once more for tools that do not see into it (ThreadSanitizer): pieces come after what
// the caller did before the loop, and before what it does after it; those of a pipeline after what they wait for.
class Handover {
public:
    Handover() { begun_.store(true, std::memory_order_release); }
    ~Handover() { follow(); }
    Handover(const Handover &) = delete;
    Handover &operator=(const Handover &) = delete;
    // What follows comes after every piece that has ended.
    void follow() { static_cast<void>(ended_.load(std::memory_order_acquire)); }

    class Piece {
    public:
        explicit Piece(Handover &handover) : handover_(handover) {
            static_cast<void>(handover_.begun_.load(std::memory_order_acquire));
        }
        ~Piece() { handover_.ended_.fetch_add(1, std::memory_order_release); }
        Piece(const Piece &) = delete;
        Piece &operator=(const Piece &) = delete;

    private:
        Handover &handover_;
    };

private:
    std::atomic<bool> begun_{false};
    std::atomic<int> ended_{0};
};

// A thread may leave the arena within a loop and another take its number, and with it the memory that it worked in:
// comes after what the first did under that number.
class Succession {
public:
    explicit Succession(std::atomic<bool> &number) : number_(number) {
        static_cast<void>(number_.load(std::memory_order_acquire));
    }
    ~Succession() { number_.store(true, std::memory_order_release); }
    Succession(const Succession &) = delete;
    Succession &operator=(const Succession &) = delete;

private:
    std::atomic<bool> &number_;
};

} // namespace zeta::cpu
