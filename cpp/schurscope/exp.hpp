// exp and log1p of vectors, on the ranges that the activations and measures need.
#pragma once

#include "schurscope/simd.hpp"

namespace schurscope {
inline namespace SCHURSCOPE_ISA {
namespace simd {

namespace detail {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float smallest = -87.0f;  // its exp is just above the smallest normal number
  static constexpr int mantissa_bits = 23, exponent_bias = 127;
  static constexpr float ln2[] = {0x1.62e400p-1f, 0x1.7f7d1cp-20f};  // the first has 15 bits
  static constexpr int degree = 7, log_terms = 8;
};

template <>
struct ExpConstants<double> {
  static constexpr double smallest = -708.0;
  static constexpr int mantissa_bits = 52, exponent_bias = 1023;
  static constexpr double ln2[] = {0x1.62e42fefa3000p-1, 0x1.3de6af278ece6p-42};
  static constexpr int degree = 13, log_terms = 17;
};

constexpr double inverse_factorial(int k) { return k == 0 ? 1 : inverse_factorial(k - 1) / k; }

}  // namespace detail

/// exp(-|x|), and exp(-87) or exp(-708) where that would not be a normal number. With |x| = r - n ln(2),
/// |r| <= ln(2)/2, it is 2ⁿ times the Taylor polynomial of exp(r), whose remainder is below half an ULP.
template <class T>
inline Vec<T> exp_of_minus_absolute(Vec<T> x) {
  using C = detail::ExpConstants<T>;
  constexpr T shift = T(1.5) * T(std::int64_t{1} << C::mantissa_bits) + T(C::exponent_bias);  // as in tanh.hpp
  x = maximum<T>(broadcast(C::smallest), -absolute<T>(x));
  const Vec<T> shifted = x * T(1.4426950408889634074) + shift;
  const Vec<T> n = shifted - shift;
  const Vec<T> r = (x - n * C::ln2[0]) - n * C::ln2[1];
  Vec<T> series = broadcast(T(detail::inverse_factorial(C::degree)));
#pragma GCC unroll 16
  for (int k = C::degree - 1; k >= 0; --k) series = series * r + T(detail::inverse_factorial(k));
  return series * from_bits<T>(as_bits<T>(shifted) << C::mantissa_bits);
}

/// log(1 + u) for 0 <= u <= 1, as 2 artanh(u / (2 + u)) by its series.
template <class T>
inline Vec<T> log1p_up_to_one(Vec<T> u) {
  constexpr int terms = detail::ExpConstants<T>::log_terms;
  const Vec<T> s = quotient<T>(u, u + T(2)), z = s * s;
  Vec<T> series = broadcast(T(1.0 / (2 * terms - 1)));
  for (int k = terms - 1; k >= 1; --k) series = series * z + T(1.0 / (2 * k - 1));
  return T(2) * s * series;
}

}  // namespace simd
}  // namespace SCHURSCOPE_ISA
}  // namespace schurscope
