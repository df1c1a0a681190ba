// The gates' logistic function against 1 / (1 + exp(-x)) in long double: the absolute error, and that of small values.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "schurscope/logistic.hpp"
#include "schurscope/tanh.hpp"

namespace {

using namespace schurscope;

template <class T>
T logistic_of(T x) {
  return simd::logistic<T>(simd::broadcast(x))[0];
}

template <class T>
void check_errors(double reach) {
  constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  double worst = 0, worst_relative = 0;
  for (int i = -200'000; i <= 200'000; ++i) {
    const double share = i / 200'000.0;
    const T x = static_cast<T>(reach * share * share * share);  // dense near 0
    const long double exact = 1 / (1 + std::exp(-static_cast<long double>(x)));
    const double error = static_cast<double>(std::abs(static_cast<long double>(logistic_of(x)) - exact));
    worst = std::max(worst, error);
    // Rounding x log2(e) counts as often as x is long.
    worst_relative = std::max(worst_relative, error / static_cast<double>(exact) / (2 + std::abs(double(x))));
  }
  CHECK(worst < epsilon);
  CHECK(worst_relative < epsilon);
}

template <class T>
void check_special_values() {
  constexpr T infinity = std::numeric_limits<T>::infinity(), largest = std::numeric_limits<T>::max();
  CHECK(logistic_of(T(0)) == T(0.5));
  CHECK(logistic_of(infinity) == T(1));
  CHECK(logistic_of(largest) == T(1));
  CHECK(logistic_of(-infinity) > T(0));
  CHECK(logistic_of(-infinity) < T(1e-19));
  CHECK(logistic_of(-largest) == logistic_of(-infinity));
  CHECK(std::isnan(logistic_of(std::numeric_limits<T>::quiet_NaN())));
}

/// A gate times a tanh with one division, where their denominators are largest and smallest.
template <class T>
void check_products() {
  constexpr double epsilon = static_cast<double>(std::numeric_limits<T>::epsilon());
  for (const double of_gate : {-1000.0, -40.0, -1.0, 0.0, 3.0, 1000.0}) {
    for (const double of_tanh : {-1000.0, -2.0, -1e-3, 0.0, 0.5, 1000.0}) {
      const simd::Fraction<T> fraction = simd::tanh_fraction<T>(simd::broadcast(static_cast<T>(of_tanh)));
      const Vec<T> den = simd::logistic_denominator<T>(simd::broadcast(static_cast<T>(of_gate)));
      const double got = static_cast<double>(simd::quotient<T>(fraction.num, fraction.den * den)[0]);
      const double exact = std::tanh(of_tanh) / (1 + std::exp(-of_gate));
      CHECK(std::abs(got - exact) < 4 * epsilon);
    }
  }
}

TEST_CASE("errors of the logistic function") {
  check_errors<float>(44);
  check_errors<double>(350);
}

TEST_CASE("special values of the logistic function") {
  check_special_values<float>();
  check_special_values<double>();
}

TEST_CASE("a gate times a tanh is divided once, without overflow") {
  check_products<float>();
  check_products<double>();
}

}  // namespace
