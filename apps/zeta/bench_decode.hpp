// SPDX-License-Identifier: Apache-2.0
// `zeta bench decode`.
#pragma once

namespace CLI {
class App;
}

namespace zeta::app {

void add_bench_decode(CLI::App &bench, int &exit_code);

} // namespace zeta::app
