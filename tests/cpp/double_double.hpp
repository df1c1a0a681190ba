// Sums of two doubles, about 106 bits: a reference wider than double where long double is not.
#pragma once

#include <cmath>

namespace double_double {

struct DoubleDouble {
  double high, low;
};

inline DoubleDouble fast_sum(double larger, double smaller) {
  const double sum = larger + smaller;
  return {sum, smaller - (sum - larger)};
}

inline DoubleDouble sum_of(double a, double b) {
  const double sum = a + b, other = sum - a;
  return {sum, (a - (sum - other)) + (b - other)};
}

inline DoubleDouble product_of(double a, double b) {
  const volatile double product = a * b;  // volatile: never fused with what is added to it later
  return {product, std::fma(a, b, -product)};
}

inline DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble high = sum_of(a.high, b.high), low = sum_of(a.low, b.low);
  const DoubleDouble sum = fast_sum(high.high, high.low + low.high);
  return fast_sum(sum.high, sum.low + low.low);
}

inline DoubleDouble operator-(DoubleDouble a) { return {-a.high, -a.low}; }

inline DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble product = product_of(a.high, b.high);
  return fast_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

inline DoubleDouble operator/(DoubleDouble a, DoubleDouble b) {
  DoubleDouble quotient{a.high / b.high, 0};
  for (int step = 0; step < 2; ++step) {
    const DoubleDouble rest = a + -(quotient * b);
    quotient = quotient + DoubleDouble{rest.high / b.high, 0};
  }
  return quotient;
}

/// tanh(x) = e / (e + 2) with e = exp(2x) - 1, for |x| < 300. The series of exp(u) - 1 at u = 2|x| / 2^10, doubled ten
/// times by exp(2u) - 1 = e (e + 2): sums of positive numbers, so nothing cancels.
inline DoubleDouble tanh(double x) {
  const DoubleDouble u{std::abs(x) / 512, 0}, two{2, 0};
  DoubleDouble term = u, e = u;
  for (int k = 2; k <= 24; ++k) {
    term = term * u / DoubleDouble{static_cast<double>(k), 0};
    e = e + term;
  }
  for (int doubling = 0; doubling < 10; ++doubling) e = e * (e + two);
  const DoubleDouble result = e / (e + two);
  return x < 0 ? -result : result;
}

}  // namespace double_double
