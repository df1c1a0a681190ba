// Hyperbolic tangent of a vector, float and double, within 3 ULP over the whole range at every instruction-set level.
// Exactly odd, except tanh(-0) = +0; tanh(±inf) = ±1; NaN stays NaN. Monotone to within the error bound.
//
// With x = n ln(2)/2 + r, |r| <= ln(2)/4, and tau = tanh(r), the addition theorem, multiplied out with
// tanh(n ln(2)/2) = (2ⁿ - 1)/(2ⁿ + 1), takes one division and has no cancellation:
//
//     tanh(x) = ((2ⁿ - 1) + (2ⁿ + 1) tau) / ((2ⁿ + 1) + (2ⁿ - 1) tau),    tau = r + r³ p(r²),
//
// p a minimax polynomial for the relative error of tau. For n = 0 the quotient is tau itself, exactly.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace simd {

namespace detail {

template <class T>
struct TanhConstants;

template <>
struct TanhConstants<float> {
  static constexpr float saturation = 10.0f;  // from here on 2ⁿ ± 1 round to one number: the quotient is exactly 1
  static constexpr int mantissa_bits = 23, exponent_bias = 127;
  static constexpr float half_ln2[] = {0x1.62e430p-2f, 0.0f};  // good to 2⁻²⁹ of itself: enough where n is not 0
  // relative error of tau: 0.93 · 2⁻²⁴
  static constexpr float p[] = {0.13110668855f, -0.33331272884f};
};

template <>
struct TanhConstants<double> {
  static constexpr double saturation = 20.0;
  static constexpr int mantissa_bits = 52, exponent_bias = 1023;
  static constexpr double half_ln2[] = {0x1.62e42fefa3000p-2, 0x1.3de6af278ece6p-43};  // the first has 42 bits
  // relative error of tau: 2⁻⁵⁷
  static constexpr double p[] = {0.0034430071189444687041, -0.0088571306270754910466, 0.021869364060268507119,
                                 -0.053968252663087460837, 0.13333333332681057385,    -0.33333333333332110179};
};

}  // namespace detail

/// A quotient still to be divided: of a product of quotients, only the product is.
template <class T>
struct Fraction {
  Vec<T> num, den;
};

/// tanh(x). The denominator is between 1/2 and 2³⁰ for float, 2⁵⁹ for double.
template <class T>
inline Fraction<T> tanh_fraction(Vec<T> x) {
  using C = detail::TanhConstants<T>;
  // Adding it rounds to an integer and leaves n + exponent_bias in the lowest bits: the exponent of 2ⁿ, once shifted.
  constexpr T shift = T(1.5) * T(std::int64_t{1} << C::mantissa_bits) + T(C::exponent_bias);
  constexpr T two_log2e = T(2.8853900817779268147);

  x = minimum<T>(broadcast(C::saturation), x);
  x = maximum<T>(broadcast(-C::saturation), x);
  const Vec<T> shifted = x * two_log2e + shift;
  const Vec<T> n = shifted - shift;
  Vec<T> r = x - n * C::half_ln2[0];
  if constexpr (C::half_ln2[1] != 0) r = r - n * C::half_ln2[1];
  const Vec<T> z = r * r;
  Vec<T> p = broadcast(C::p[0]);
  for (std::size_t k = 1; k < std::size(C::p); ++k) p = p * z + C::p[k];
  const Vec<T> tau = r * (p * z) + r;
  const Vec<T> power = from_bits<T>(as_bits<T>(shifted) << C::mantissa_bits);
  const Vec<T> sum = power + T(1), difference = power - T(1);
  return {sum * tau + difference, difference * tau + sum};
}

template <class T>
inline Vec<T> tanh(Vec<T> x) {
  const Fraction<T> fraction = tanh_fraction<T>(x);
  return quotient<T>(fraction.num, fraction.den);
}

}  // namespace simd
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
