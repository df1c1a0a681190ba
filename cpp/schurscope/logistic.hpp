// The logistic function of gates, 1 / (1 + exp(-x)), for the least work beside products: a gate multiplies, so that its
// absolute error counts, not the relative one of small values as in the activation of that name.
//
// exp(-x) = 2ⁿ 2ᶠ with n the integer nearest to -x log2(e), |f| <= 1/2. Rounding that product once moves x by half an ULP
// of itself, and 2ᶠ comes from a polynomial; the integer n is added to the exponent.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace simd {

namespace detail {

template <class T>
struct LogisticConstants;

template <>
struct LogisticConstants<float> {
  static constexpr float saturation = 64.0f;  // of n: products with the denominator of a tanh stay in range
  static constexpr int mantissa_bits = 23;
  // relative error of 2ᶠ: 0.77 · 2⁻²³
  static constexpr float p[] = {0.0013264727313f, 0.0096715129912f, 0.055507335812f,
                                0.24022242427f,   0.69314700365f,   1.0f};
};

template <>
struct LogisticConstants<double> {
  static constexpr double saturation = 512.0;
  static constexpr int mantissa_bits = 52;
  // relative error of 2ᶠ: 2⁻⁵⁵
  static constexpr double p[] = {4.078071929588336665004e-10, 7.072570412814423509578e-9, 1.018064765923413888846e-7,
                                 0.000001321544267532982214,  0.00001525272738519386819,  0.000154035304415721303297,
                                 0.001333355815343996474705,  0.009618129107607002379584, 0.05550410866479039455165,
                                 0.2402265069591009800657,    0.6931471805599456967506,   1.0};
};

}  // namespace detail

/// 1 + exp(-x), between 1 and 2⁶⁴ for float, 2⁵¹² for double. NaN stays NaN.
template <class T>
inline Vec<T> logistic_denominator(Vec<T> x) {
  using C = detail::LogisticConstants<T>;
  constexpr T shift = T(1.5) * T(std::int64_t{1} << C::mantissa_bits);  // adding it rounds to an integer
  Vec<T> y = x * T(-1.4426950408889634074);
  y = minimum<T>(broadcast(C::saturation), y);
  y = maximum<T>(broadcast(-C::saturation), y);
  const Vec<T> shifted = y + shift, f = y - (shifted - shift);
  Vec<T> power = broadcast(C::p[0]);
  for (std::size_t k = 1; k < std::size(C::p); ++k) power = power * f + C::p[k];
  return from_bits<T>(as_bits<T>(power) + (as_bits<T>(shifted) << C::mantissa_bits)) + T(1);
}

template <class T>
inline Vec<T> logistic(Vec<T> x) {
  return quotient<T>(broadcast(T(1)), logistic_denominator<T>(x));
}

}  // namespace simd
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
