// SPDX-License-Identifier: Apache-2.0
// A reference to a callable, two words, never allocating: std::function copies large captures to the heap, which a call
// with scratch must not do. The callable must outlive the reference; NULL-like when default-made.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace zeta {

template <class Signature> class FunctionRef;

template <class R, class... Args> class FunctionRef<R(Args...)> {
public:
    FunctionRef() = default;
    template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
    FunctionRef(F &&f) // NOLINT: implicit on purpose
        : object_(const_cast<void *>(static_cast<const void *>(std::addressof(f)))),
          call_([](void *object, Args... args) -> R {
              return (*static_cast<std::remove_reference_t<F> *>(object))(std::forward<Args>(args)...);
          }) {}
    R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }
    explicit operator bool() const { return call_ != nullptr; }

private:
    void *object_ = nullptr;
    R (*call_)(void *, Args...) = nullptr;
};

} // namespace zeta
