// SPDX-License-Identifier: Apache-2.0
// Weights of spec section 5, in lanes. Included inside foreach_target files only.
#if defined(ZETA_SIMD_WEIGHTS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZETA_SIMD_WEIGHTS_INL_HPP
#undef ZETA_SIMD_WEIGHTS_INL_HPP
#else
#define ZETA_SIMD_WEIGHTS_INL_HPP
#endif

#include "rows-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace zeta::simd::HWY_NAMESPACE {
namespace {

using Vf = hn::Vec<F32>;

constexpr float kInfinity = __builtin_inff();

enum Score : int { kCauchy = 0, kGaussian = 1, kLaplace = 2, kInverse = 3, kDot = 4 }; // as zeta_score

// exp(x), to 1.5 units in the last place, denormal results included; NaN for NaN. x = n ln 2 + r with |r| <= ln 2 / 2,
// then the Taylor series of exp(r): its ninth term is below 6e-9.
HWY_INLINE Vf exponential(Vf x) {
    const F32 d;
    const I32 di;
    const auto clamped = hn::Min(hn::Max(x, hn::Set(d, -104.0f)), hn::Set(d, 88.8f));
    const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
    auto r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped); // exact: n has 8 bits, the constant 9
    r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
    auto p = hn::Set(d, 1.0f / 5040);
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 720));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 120));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 24));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f / 6));
    p = hn::MulAdd(p, r, hn::Set(d, 0.5f));
    p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
    // 2^n in two factors: n reaches from -150 to 128.
    const auto power = hn::ConvertTo(di, n);
    const auto half = hn::ShiftRight<1>(power);
    const auto bias = hn::Set(di, 127);
    const auto first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
    const auto second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(power, half), bias)));
    return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(p, first), second));
}

// What a score needs of gamma and the minimum, once per list.
struct Shape {
    float gamma;         // cauchy: its square
    float inverse;       // 1 / gamma^2 or 1 / gamma of the exponentials; NaN if no attended distance is finite
    float minimum, root; // and its square root
};

Shape shape_of(int score, float gamma, float minimum) {
    const double g = gamma;
    Shape shape{gamma, float(1.0 / g), minimum, 0};
    if (score == kCauchy) shape.gamma = float(g * g);
    if (score == kGaussian) shape.inverse = float(1.0 / (g * g));
    if (score == kLaplace) shape.root = hn::GetLane(hn::Sqrt(hn::Set(hn::CappedTag<float, 1>(), minimum)));
    if (minimum == kInfinity) shape.inverse = __builtin_nanf("");
    return shape;
}

// root: of the minimum.
template <int kScore> HWY_INLINE Vf weight(const Shape &shape, Vf minimum, Vf root, Vf distance, Vf dot) {
    const F32 d;
    const auto one = hn::Set(d, 1.0f);
    const auto inverse = hn::Set(d, shape.inverse);
    if constexpr (kScore == kCauchy) return hn::Div(one, hn::Add(distance, hn::Set(d, shape.gamma)));
    if constexpr (kScore == kInverse) return hn::Div(one, hn::Add(hn::Sqrt(distance), hn::Set(d, shape.gamma)));
    if constexpr (kScore == kGaussian) return exponential(hn::Mul(hn::Sub(minimum, distance), inverse));
    if constexpr (kScore == kLaplace) {
        const auto roots = hn::Add(hn::Sqrt(distance), root);
        auto x = hn::Div(hn::Sub(minimum, distance), roots);
        x = hn::IfThenElse(hn::Eq(distance, minimum), hn::Zero(d), x);
        x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, kInfinity)), hn::Set(d, -kInfinity), x);
        return exponential(hn::Mul(x, inverse));
    }
    auto x = hn::Add(dot, minimum);
    x = hn::IfThenElse(hn::Eq(distance, hn::Set(d, kInfinity)), hn::Set(d, -kInfinity), x);
    x = hn::IfThenElse(hn::IsNaN(distance), distance, x);
    return exponential(hn::Mul(x, inverse));
}
template <int kScore> HWY_INLINE Vf weight(const Shape &shape, Vf distance, Vf dot) {
    const F32 d;
    return weight<kScore>(shape, hn::Set(d, shape.minimum), hn::Set(d, shape.root), distance, dot);
}

} // namespace
} // namespace zeta::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif // toggle
