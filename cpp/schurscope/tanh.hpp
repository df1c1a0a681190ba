// Hyperbolic tangent of a vector, float and double, within 3 ULP over the whole range at every instruction-set level.
// Odd; tanh(±inf) = ±1; NaN stays NaN. Monotone but for the last bits that the bound allows.
//
// With h(a) = (exp(2a) - 1)/2 it is tanh(a) = h / (h + 1), and h keeps its relative accuracy near 0 when the argument is
// reduced as a = n ln(2)/2 + r, |r| <= ln(2)/4:
//
//     h(a) = 2ⁿ h(r) + (2ⁿ - 1)/2,    h(r) = r + r² q(r),
//
// with q a polynomial (interpolated at Chebyshev nodes). One division, no cancellation; the error of h is damped by
// 1/(h + 1) <= 1.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {

namespace detail {

template <class T>
struct TanhConstants;

template <>
struct TanhConstants<float> {
  static constexpr float saturation = 10.0f;               // h + 1 == h from here on: the quotient is exactly 1
  static constexpr float round_shift = 0x1.8p23f;          // adding 1.5·2²³ rounds to an integer in the low bits
  static constexpr float half_ln2_high = 0x1.62e4p-2f;     // 15 bits: n times it is exact
  static constexpr float half_ln2_low = 0x1.7f7d1cp-21f;
  static constexpr int mantissa_bits = 23;
  // relative error of h(r): 2⁻²⁵·³
  static constexpr float q[] = {4.456388309e-02f, 1.338112475e-01f, 3.333324355e-01f, 6.666630738e-01f, 1.0f};
};

template <>
struct TanhConstants<double> {
  static constexpr double saturation = 20.0;
  static constexpr double round_shift = 0x1.8p52;
  static constexpr double half_ln2_high = 0x1.62e42fefa3000p-2;  // 42 bits
  static constexpr double half_ln2_low = 0x1.3de6af278ece6p-43;
  static constexpr int mantissa_bits = 52;
  // relative error of h(r): 2⁻⁶⁰
  static constexpr double q[] = {4.2833341115835138e-06, 2.57077857673712573e-05, 1.41093240678922955e-04,
                                 7.05465735628022896e-04, 3.17460317767748132e-03, 1.26984127199368059e-02,
                                 4.44444444444279418e-02, 1.33333333333217793e-01, 3.33333333333333358e-01,
                                 6.66666666666666840e-01, 1.0};
};

}  // namespace detail

template <class T>
inline Vec<T> vector_tanh(Vec<T> x) {
  using C = detail::TanhConstants<T>;
  constexpr T two_log2e = T(2.8853900817779268147);
  const Bits<T> sign = as_bits<T>(x) & as_bits<T>(broadcast(T(-0.0)));
  const Vec<T> a = minimum<T>(broadcast(C::saturation), from_bits<T>(as_bits<T>(x) ^ sign));
  const Vec<T> shifted = a * two_log2e + C::round_shift;
  const Vec<T> n = shifted - C::round_shift;
  const Vec<T> r = (a - n * C::half_ln2_high) - n * C::half_ln2_low;
  Vec<T> q = broadcast(C::q[0]);
  for (std::size_t k = 1; k < std::size(C::q); ++k) q = q * r + C::q[k];
  const Vec<T> h_r = (r * r) * q + r;
  const Vec<T> power = from_bits<T>((as_bits<T>(shifted) << C::mantissa_bits) + as_bits<T>(broadcast(T(1))));
  const Vec<T> h = power * h_r + (power * T(0.5) - T(0.5));
  return from_bits<T>(as_bits<T>(h / (h + T(1))) | sign);
}

}  // namespace schurscope
