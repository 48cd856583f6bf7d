// SPDX-License-Identifier: Apache-2.0
// The handler writes to a pipe that is polled together with the input: a signal between a look at a flag and a read
// that blocks would be missed.
#include "predict_input.hpp"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "commands.hpp"

namespace zeta::app {

namespace {

volatile std::sig_atomic_t interrupted_flag = 0;
int wake[2] = {-1, -1}; // reading end, writing end

void on_interrupt(int) {
    const int error = errno;
    interrupted_flag = 1;
    const ssize_t ignored = ::write(wake[1], "", 1);
    static_cast<void>(ignored);
    errno = error;
}

[[noreturn]] void fail(int code) {
    throw CommandError(kExitInput, std::string("the standard input cannot be read: ") + std::strerror(code));
}

} // namespace

LiveInput::WakePipe::WakePipe() {
    if (::pipe(wake) != 0) throw CommandError(kExitInternal, std::string("predict: no pipe: ") + std::strerror(errno));
    for (int end : wake) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(wake[1], F_SETFL, O_NONBLOCK);
}

LiveInput::WakePipe::~WakePipe() {
    for (int &end : wake) {
        ::close(end);
        end = -1;
    }
}

LiveInput::LiveInput() : signals_(on_interrupt, 0) {}

size_t LiveInput::read(uint8_t *to, size_t room) {
    for (;;) {
        struct pollfd both[2] = {{STDIN_FILENO, POLLIN, 0}, {wake[0], POLLIN, 0}};
        const int ready = ::poll(both, 2, -1);
        if (interrupted()) return 0;
        if (ready < 0 && errno != EINTR) fail(errno);
        if (ready <= 0 || both[0].revents == 0) continue;
        const ssize_t got = ::read(STDIN_FILENO, to, room);
        if (got >= 0) return static_cast<size_t>(got);
        if (errno != EINTR && errno != EAGAIN) fail(errno);
    }
}

bool LiveInput::interrupted() {
    return interrupted_flag != 0;
}

} // namespace zeta::app
