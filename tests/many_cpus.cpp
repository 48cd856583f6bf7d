// SPDX-License-Identifier: Apache-2.0
// Linked into a test program, this makes its process see at least seven CPUs, so that oneTBB, which runs no more threads
// than there are CPUs, makes the workers that a test asks for on any machine. Only the answers to "how many" change:
// nothing is pinned. Where the C library is another, tests run with the threads they get.
#include <unistd.h> // tells which C library this is

#ifdef __GLIBC__
#include <algorithm>
#include <climits>
#include <cstring>
#include <sched.h>
#include <sys/syscall.h>

// Sanitizers ask too, before they are ready to check anything.
#ifdef __clang__
#define REPLACES __attribute__((visibility("default"), disable_sanitizer_instrumentation))
#else
#define REPLACES __attribute__((visibility("default"), no_sanitize("address", "thread", "undefined")))
#endif

namespace {
constexpr int kLeast = 7;
}

extern "C" {

long __sysconf(int name) noexcept; // sysconf by its other name

REPLACES long sysconf(int name) noexcept {
    const long answer = __sysconf(name);
    return name == _SC_NPROCESSORS_ONLN && answer < kLeast ? kLeast : answer;
}

REPLACES int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) noexcept {
    const long filled = syscall(SYS_sched_getaffinity, pid, std::min<size_t>(size, INT_MAX), set);
    if (filled < 0) return -1;
    std::memset(reinterpret_cast<char *>(set) + filled, 0, size - static_cast<size_t>(filled));
    for (size_t cpu = 0; CPU_COUNT_S(size, set) < kLeast && cpu < size * CHAR_BIT; ++cpu) CPU_SET_S(cpu, size, set);
    return 0;
}

} // extern "C"
#endif
