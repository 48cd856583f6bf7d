/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the test that the command line names. */
#include <string.h>

#include "call.h"

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"arguments", test_arguments}, {"options", test_options},
    {"tensors", test_tensors},     {"threads", test_threads},
    {"allocator", test_allocator}, {"context", test_context},
    {"statuses", test_statuses},   {"callbacks", test_callbacks},
    {"fork", test_fork},           {"cache-arguments", test_cache_arguments},
    {"cache-use", test_cache_use}, {"cache-allocator", test_cache_allocator},
};

int main(int argc, char **argv) {
    size_t i;
    for (i = 0; i < sizeof tests / sizeof tests[0]; ++i) {
        if (argc != 2 || strcmp(argv[1], tests[i].name) != 0) continue;
        tests[i].run();
        fprintf(stderr, "%s: %d failed\n", argv[1], failures);
        return failures == 0 ? 0 : 1;
    }
    fprintf(stderr, "usage: test-capi NAME, one of:");
    for (i = 0; i < sizeof tests / sizeof tests[0]; ++i) fprintf(stderr, " %s", tests[i].name);
    fprintf(stderr, "\n");
    return 2;
}
