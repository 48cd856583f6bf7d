// SPDX-License-Identifier: Apache-2.0
// OpenBLAS has threads of its own; zeta's products run in the context's threads instead. OpenBLAS 0.3.21 can only set
// the number for the whole process, so it is 1 while any QuietBlas lives and the host's own number afterwards. A host
// that calls OpenBLAS from another thread meanwhile gets right results on one thread.
#pragma once

namespace zeta {

class QuietBlas {
public:
    QuietBlas();
    ~QuietBlas();
    QuietBlas(const QuietBlas &) = delete;
    QuietBlas &operator=(const QuietBlas &) = delete;
};

} // namespace zeta
