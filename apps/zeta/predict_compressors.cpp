// SPDX-License-Identifier: Apache-2.0
// Input and output of a child are unnamed temporary files: nothing can block, and nothing is left behind.
#include "predict_compressors.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace zeta::app {

namespace {

struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
};
using TemporaryFile = std::unique_ptr<std::FILE, Close>;

// 0, or the error of posix_spawn; *status is what waitpid says.
int run(char *const *arguments, int input, int output, int *status) {
    posix_spawn_file_actions_t actions;
    if (const int error = ::posix_spawn_file_actions_init(&actions)) return error;
    ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error) return error;
    while (::waitpid(child, status, 0) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

Compressed compress(const Text &text, std::string program, std::string level) {
    Compressed result;
    result.command = program + " " + level;
    const TemporaryFile input(std::tmpfile()), output(std::tmpfile());
    if (!input || !output || std::fwrite(text.data(), 1, text.size(), input.get()) != text.size() ||
        std::fflush(input.get()) != 0 || ::lseek(::fileno(input.get()), 0, SEEK_SET) != 0) {
        result.reason = std::string("no temporary file: ") + std::strerror(errno);
        return result;
    }
    std::string flag = "-c";
    char *const arguments[] = {program.data(), level.data(), flag.data(), nullptr};
    const auto start = std::chrono::steady_clock::now();
    int status = 0;
    const int error = run(arguments, ::fileno(input.get()), ::fileno(output.get()), &status);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    struct stat found {};
    if (error == ENOENT || (error == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127))
        result.reason = program + " is not installed";
    else if (error)
        result.reason = std::strerror(error);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || ::fstat(::fileno(output.get()), &found) != 0)
        result.reason = program + " failed";
    else
        result.bytes = static_cast<int64_t>(found.st_size);
    return result;
}

} // namespace

std::vector<Compressed> run_compressors(const Text &text) {
    return {compress(text, "xz", "-9e"), compress(text, "bzip2", "-9")};
}

} // namespace zeta::app
