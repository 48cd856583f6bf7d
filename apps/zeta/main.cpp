// SPDX-License-Identifier: Apache-2.0
// The program `zeta`. Everything else is a function, so that tests can call it.
#include "commands.hpp"

int main(int argc, char **argv) {
    return zeta::app::run_program(argc, argv);
}
